// Node's socket.io 4 with the same verbs as ahd. PORT; KEY and CERT (files) for TLS.
const { Server } = require("socket.io");
const fs = require("fs");
const ROOM = "defaultRoom";
const { PORT, KEY, CERT } = process.env;
const server = KEY
  ? require("https").createServer({ key: fs.readFileSync(KEY), cert: fs.readFileSync(CERT) })
  : require("http").createServer();
const io = new Server(server);

io.on("connection", (socket) => {
  let count = 0;
  socket.join(ROOM);
  socket.on("action", (p) => {
    const { action, ...result } = p || {};
    const body = action === "echo" ? result : { error: "unknown action" };
    socket.emit("response", { context: "response", messageCount: ++count, ...body });
  });
  socket.on("say", (p) => {
    const say = { message: p.message, room: ROOM, from: socket.id, context: "user", sentAt: Date.now() };
    socket.to(ROOM).emit("say", say);
    socket.emit("response", { context: "response", status: "OK", messageCount: ++count });
  });
  socket.emit("welcome", { welcome: "Welcome", room: ROOM, context: "api" });
});
server.listen(+PORT, "127.0.0.1", 1024);
