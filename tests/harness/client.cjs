// Real socket.io-client sockets, driven by JSON lines on stdin; everything they hear goes to stdout as JSON lines.
// In:  {"id", "socket", "do": "connect"|"emit"|"state"|"close"|"open"|"drop", …}
// Out: {"id", "result"|"error"} for each command, and {"socket", "event", "args", "time"} for each event.
"use strict";

const readline = require("node:readline");
const { io } = require("socket.io-client");

const sockets = new Map();

const encode = (value) => {
  if (Buffer.isBuffer(value)) return { $binary: value.toString("base64") };
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return { $binary: Buffer.from(value).toString("base64") };
  if (value instanceof Error) {
    return { message: value.message, data: encode(value.data ?? null), description: String(value.description ?? "") };
  }
  if (Array.isArray(value)) return value.map(encode);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, encode(inner)]));
  }
  return value === undefined ? null : value;
};

const decode = (value) => {
  if (Array.isArray(value)) return value.map(decode);
  if (value !== null && typeof value === "object") {
    if (typeof value.$binary === "string") return Buffer.from(value.$binary, "base64");
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, decode(inner)]));
  }
  return value;
};

const write = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const commands = {
  connect({ socket: name, url, options }) {
    const socket = io(url, { forceNew: true, reconnection: false, ...options });
    const tell = (event) => (...args) => write({ socket: name, event, args: encode(args), time: Date.now() });
    sockets.set(name, socket);
    // At once for the first engine, whose upgrade may be over before the namespace is connected; then for each new one.
    const watch = () => socket.io.engine.once("upgrade", (transport) => tell("upgrade")(transport.name));
    watch();
    socket.io.on("reconnect", watch);
    socket.on("connect", () => tell("connect")(socket.id, socket.io.engine.transport.name));
    socket.on("connect_error", tell("connect_error"));
    // The details may hold the whole transport: only the reason is told.
    socket.on("disconnect", (reason) => tell("disconnect")(reason));
    socket.onAny((event, ...args) => {
      const acknowledge = typeof args.at(-1) === "function" ? args.pop() : null;
      tell(event)(...args);
      if (acknowledge) acknowledge(...args);
    });
    for (const event of ["reconnect_attempt", "reconnect", "reconnect_failed"]) socket.io.on(event, tell(event));
    return true;
  },
  emit({ socket: name, event, args, timeout }) {
    const socket = sockets.get(name);
    if (timeout === null) {
      socket.emit(event, ...decode(args));
      return true;
    }
    return new Promise((resolve, reject) => {
      socket.timeout(timeout).emit(event, ...decode(args), (error, ...answer) => (error ? reject(error) : resolve(encode(answer))));
    });
  },
  state({ socket: name }) {
    const socket = sockets.get(name);
    return { id: socket.id ?? null, connected: socket.connected, transport: socket.io.engine?.transport?.name ?? null };
  },
  close({ socket: name }) {
    sockets.get(name).close();
    return true;
  },
  open({ socket: name }) {
    sockets.get(name).open();
    return true;
  },
  // The connection breaks below Socket.IO, as when a network goes away.
  drop({ socket: name }) {
    sockets.get(name).io.engine.close();
    return true;
  },
};

readline
  .createInterface({ input: process.stdin })
  .on("line", async (line) => {
    const command = JSON.parse(line);
    try {
      write({ id: command.id, result: await commands[command.do](command) });
    } catch (error) {
      write({ id: command.id, error: error.message });
    }
  })
  .on("close", () => process.exit(0));
