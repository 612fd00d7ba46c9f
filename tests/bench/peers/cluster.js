// Node's socket.io with its Redis adapter, saying what ahd says. PORT and REDIS_URL in the environment.
"use strict";

const { createClient } = require("redis");
const { createAdapter } = require("@socket.io/redis-adapter");
const { Server } = require("socket.io");

(async () => {
  const publisher = createClient({ url: process.env.REDIS_URL });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  const io = new Server(Number(process.env.PORT), {
    adapter: createAdapter(publisher, subscriber),
    serveClient: false,
    perMessageDeflate: false,
  });
  io.on("connection", (socket) => {
    let count = 0;
    socket.join("defaultRoom");
    socket.on("say", ({ message }) => {
      count += 1;
      socket.to("defaultRoom").emit("say", {
        message, room: "defaultRoom", from: socket.id, context: "user", sentAt: Date.now(),
      });
      socket.emit("response", { context: "response", status: "OK", messageCount: count });
    });
    socket.emit("welcome", { welcome: "Hello! Welcome to the ahd api", room: "defaultRoom", context: "api" });
  });
})();
