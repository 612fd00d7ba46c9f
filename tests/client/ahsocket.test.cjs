// AHsocket over a Socket.IO client that this file plays, so that every order of events can be had. Run by test_ahsocket.py.
"use strict";

const assert = require("node:assert/strict");
const { test, beforeEach, afterEach, mock } = require("node:test");
const AHsocket = require(process.env.AHSOCKET);

/** What AHsocket uses of Socket.IO's socket; the test is the server. */
class FakeSocket {
  constructor(options) {
    this.options = options;
    this.handlers = {};
    this.sent = [];
    this.sendBuffer = [];
    this.connected = false;
    this.active = false;
    this.opened = 0;
    this.io = { engine: { transport: { name: "polling" } } };
  }
  on(event, handler) {
    (this.handlers[event] ||= []).push(handler);
    return this;
  }
  fire(event, ...args) {
    (this.handlers[event] || []).forEach((handler) => handler(...args));
  }
  emit(event, data) {
    this.sent.push([event, data]);
  }
  connect() {
    this.active = true;
    this.opened += 1;
  }
  disconnect() {
    this.active = false;
    this.drop("io client disconnect");
  }
  // ---- the server's side
  accept({ room = "defaultRoom", id = `id${this.opened}` } = {}) {
    this.connected = true;
    this.id = id;
    this.sent = [];
    this.fire("connect");
    this.fire("welcome", { welcome: "hello", room, context: "api" });
    this.reply(1, { details: { params: {}, public: { id, connectedAt: 1 }, room } });
  }
  reply(messageCount, fields) {
    this.fire("response", { context: "response", messageCount, ...fields });
  }
  drop(reason = "transport close") {
    if (!this.connected) return;
    this.connected = false;
    this.fire("disconnect", reason);
  }
}

function open(options = {}, callback) {
  let ws;
  const io = (...args) => (ws = new FakeSocket(args.at(-1)));
  const socket = new AHsocket({ io, ...options }, callback);
  const heard = [];
  for (const event of ["connected", "reconnected", "disconnected", "reconnecting", "error", "say", "welcome", "timeout", "closing"]) {
    socket.on(event, (...args) => heard.push([event, ...args]));
  }
  const names = () => heard.map(([event]) => event);
  return { socket, ws, heard, names };
}

/** Calls collected: `[error, response, delta]` each. */
function collector() {
  const calls = [];
  const next = (...args) => calls.push(args);
  next.calls = calls;
  return next;
}

beforeEach(() => mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1000 }));
afterEach(() => mock.timers.reset());

test("all its names are one class", () => {
  assert.equal(AHsocket.AHsocket, AHsocket);
  assert.equal(AHsocket.actionHeroWebSocket, AHsocket);
});

test("a constructor without a Socket.IO client says what is missing", () => {
  assert.throws(() => new AHsocket({ io: 5 }), /load socket.io.js before it, or give it as options.io/);
});

test("connects, takes the details and tells the callback", () => {
  const callback = collector();
  const { socket, ws, names } = open({}, callback);
  assert.equal(socket.state, "connecting");
  assert.equal(socket.transport, null);
  ws.accept();
  assert.equal(socket.state, "connected");
  assert.equal(socket.room, "defaultRoom");
  assert.equal(socket.id, "id1");
  assert.equal(socket.transport, "polling");
  assert.equal(socket.details.public.id, "id1");
  assert.deepEqual(callback.calls, [[socket.details]]);
  assert.deepEqual(names(), ["welcome", "connected"]);
});

test("replies are matched by count, in whatever order, with the time they took", () => {
  const { socket, ws } = open();
  ws.accept();
  const [first, second] = [collector(), collector()];
  socket.action("slow", { x: 1 }, first);
  socket.say("hi", second);
  assert.deepEqual(ws.sent.slice(1), [["action", { x: 1, action: "slow" }], ["say", { message: "hi" }]]);
  mock.timers.tick(40);
  ws.reply(3, { status: "OK" });
  mock.timers.tick(60);
  ws.reply(2, { sum: 3 });
  ws.reply(2, { sum: 4 });
  ws.reply(77, {});
  ws.fire("response", null);
  assert.equal(second.calls.length, 1);
  assert.deepEqual([second.calls[0][0], second.calls[0][1].status, second.calls[0][2]], [null, "OK", 40]);
  assert.equal(first.calls.length, 1);
  assert.deepEqual([first.calls[0][1].sum, first.calls[0][2]], [3, 100]);
});

test("a parameter named action cannot rename the action, and the caller's object stays as it was", () => {
  const { socket, ws } = open();
  ws.accept();
  const params = { action: "other" };
  socket.action("mine", params, () => {});
  assert.equal(ws.sent[1][1].action, "mine");
  assert.deepEqual(params, { action: "other" });
  socket.action("bare", collector());
  assert.deepEqual(ws.sent[2], ["action", { action: "bare" }]);
});

test("a server's error reaches next, and rejects a Promise with the response", async () => {
  const { socket, ws } = open();
  ws.accept();
  const next = collector();
  socket.roomChange("", next);
  ws.reply(2, { error: "room is required" });
  assert.equal(next.calls[0][0], "room is required");
  assert.equal(socket.room, "defaultRoom");
  const promise = socket.roomChange("");
  ws.reply(3, { error: "room is required" });
  await assert.rejects(promise, (error) => error.message === "room is required" && error.response.messageCount === 3);
  const view = socket.roomView();
  ws.reply(4, { status: "OK", roomStatus: {} });
  assert.equal((await view).status, "OK");
});

test("calls before the first connection wait for it, in order", () => {
  const { socket, ws } = open();
  const next = collector();
  socket.say("early", next);
  socket.roomView(next);
  assert.deepEqual(ws.sent, []);
  ws.accept();
  assert.deepEqual(ws.sent.map(([event]) => event), ["detailsView", "say", "roomView"]);
  ws.reply(2, { status: "OK" });
  assert.equal(next.calls.length, 1);
});

test("timeout fires for a reply that did not come, and for no other", async () => {
  const { socket, ws, heard } = open({ responseTimeout: 500 });
  ws.accept();
  const [answered, lost] = [collector(), collector()];
  socket.say("a", answered);
  socket.say("b", lost);
  ws.reply(2, { status: "OK" });
  mock.timers.tick(500);
  const timeouts = heard.filter(([event]) => event === "timeout");
  assert.deepEqual(timeouts, [["timeout", "say", { message: "b" }, lost]]);
  assert.equal(lost.calls.length, 0); // the listener decides
  ws.reply(3, { status: "OK" });
  assert.equal(lost.calls.length, 0);

  const promise = socket.say("c");
  mock.timers.tick(500);
  await assert.rejects(promise, /no response in time/);

  socket.removeAllListeners("timeout");
  const unheard = collector();
  socket.say("d", unheard);
  mock.timers.tick(500);
  assert.deepEqual(unheard.calls, [["no response in time", null, 500]]);
});

test("requests in flight fail with the connection, none is answered by the next one's replies", async () => {
  const { socket, ws, names, heard } = open({ randomizationFactor: 0 });
  ws.accept();
  const next = collector();
  socket.say("a", next);
  const promise = socket.say("b");
  ws.sendBuffer.push("what Socket.IO could not send");
  mock.timers.tick(10);
  ws.drop();
  assert.deepEqual(next.calls, [["the connection was lost before the response", null, 10]]);
  await assert.rejects(promise, /the connection was lost/);
  assert.deepEqual(ws.sendBuffer, []);
  assert.equal(socket.state, "reconnecting");
  assert.deepEqual(names(), ["welcome", "connected", "disconnected", "reconnecting"]);
  assert.deepEqual(heard.at(-1), ["reconnecting", 1000, 1]);

  const offline = collector();
  socket.say("c", offline);
  assert.equal(offline.calls.length, 0);
  mock.timers.tick(0);
  assert.deepEqual(offline.calls, [["not connected", null, 0]]);

  mock.timers.tick(1000);
  assert.equal(ws.opened, 2);
  ws.accept();
  assert.equal(socket.state, "connected");
  assert.equal(names().at(-1), "reconnected");
  assert.equal(names().filter((name) => name === "connected").length, 1);
  const again = collector();
  socket.say("d", again);
  ws.reply(2, { status: "OK" }); // the count began again at 1
  assert.equal(again.calls[0][1].status, "OK");
  assert.equal(next.calls.length, 1);
});

function inRooms(context, room, ...listened) {
  const { socket, ws } = context;
  let count = 1;
  socket.roomChange(room, () => {});
  ws.reply(++count, { status: "OK", room });
  for (const one of listened) {
    socket.listenToRoom(one, () => {});
    ws.reply(++count, { status: "OK", room: one });
  }
}

test("the room and the listened rooms are taken up again before reconnected", () => {
  const context = open({ randomizationFactor: 0 });
  const { socket, ws, names, heard } = context;
  ws.accept();
  inRooms(context, "lounge", "a", "b", "c");
  socket.silenceRoom("c", () => {});
  ws.reply(6, { status: "OK", room: "c" });
  ws.drop();
  mock.timers.tick(1000);
  ws.accept();
  assert.deepEqual(ws.sent.slice(1), [
    ["roomChange", { room: "lounge" }],
    ["listenToRoom", { room: "a" }],
    ["listenToRoom", { room: "b" }],
  ]);
  ws.reply(2, { status: "OK", room: "lounge" });
  ws.reply(3, { status: "OK", room: "a" });
  assert.equal(socket.state, "reconnecting");
  ws.reply(4, { error: "you may not" });
  assert.equal(socket.state, "connected");
  assert.equal(socket.room, "lounge");
  assert.equal(socket.details.room, "lounge");
  assert.deepEqual([...socket.listening], ["a"]);
  assert.deepEqual(names().slice(-2), ["error", "reconnected"]);
  assert.equal(heard.at(-2)[1].message, "listenToRoom b: you may not");
});

test("rooms survive a second loss in the middle of taking them up", () => {
  const context = open({ randomizationFactor: 0 });
  const { socket, ws } = context;
  ws.accept();
  inRooms(context, "lounge", "a");
  ws.drop();
  mock.timers.tick(1000);
  ws.accept();
  ws.drop();
  assert.equal(socket.state, "reconnecting");
  mock.timers.tick(2000);
  ws.accept({ room: "lounge" }); // already there: no change of room is asked for
  assert.deepEqual(ws.sent.slice(1), [["listenToRoom", { room: "a" }]]);
  ws.reply(2, { status: "OK", room: "a" });
  assert.equal(socket.state, "connected");
  assert.equal(socket.room, "lounge");
});

test("failed attempts wait longer each time, up to the limit, and tell why", () => {
  const { ws, heard } = open({ reconnectionDelay: 100, reconnectionDelayMax: 500, randomizationFactor: 0 });
  for (const delay of [100, 200, 400, 500, 500]) {
    ws.fire("connect_error", new Error("refused"));
    assert.deepEqual(heard.at(-2)[0], "error");
    assert.equal(heard.at(-2)[1].message, "refused");
    assert.equal(heard.at(-1)[1], delay);
    const opened = ws.opened;
    mock.timers.tick(delay - 1);
    assert.equal(ws.opened, opened);
    mock.timers.tick(1);
    assert.equal(ws.opened, opened + 1);
  }
});

test("delays are spread", () => {
  const delays = new Set();
  for (let i = 0; i < 30; i++) {
    const { ws, heard, socket } = open();
    ws.fire("connect_error", new Error("refused"));
    delays.add(heard.at(-1)[1]);
    socket.quit();
  }
  assert.ok(delays.size > 10);
  assert.ok([...delays].every((delay) => delay >= 500 && delay <= 1500), [...delays].join());
});

test("attempts end where reconnectionAttempts says; waiting calls fail; connect() starts anew", () => {
  const { socket, ws, names } = open({ reconnectionAttempts: 1, randomizationFactor: 0 });
  const next = collector();
  socket.say("early", next);
  ws.fire("connect_error", new Error("refused"));
  mock.timers.tick(1000);
  ws.fire("connect_error", new Error("refused"));
  assert.equal(socket.state, "disconnected");
  assert.equal(names().at(-1), "disconnected");
  assert.deepEqual(next.calls, [["refused", null, 0]]);
  mock.timers.tick(60000);
  assert.equal(ws.opened, 2);
  socket.connect();
  socket.connect();
  assert.equal(ws.opened, 3);
  ws.accept();
  assert.equal(names().at(-1), "connected");
});

test("without reconnection one disconnected is told, and nothing more is tried", () => {
  const { socket, ws, names } = open({ reconnection: false });
  ws.accept();
  ws.drop();
  assert.equal(socket.state, "disconnected");
  mock.timers.tick(60000);
  assert.equal(ws.opened, 1);
  assert.deepEqual(names(), ["welcome", "connected", "disconnected"]);
});

test("bye leads back after retryAfter and a spread, also when the server closes the namespace", () => {
  const delays = new Set();
  for (let i = 0; i < 20; i++) {
    const { socket, ws, heard } = open();
    ws.accept();
    const pending = collector();
    socket.action("slow", {}, pending);
    const bye = { bye: "bye", reason: "server shutdown", context: "api", retryAfter: 4000 };
    ws.fire("say", bye);
    assert.deepEqual(heard.at(-1), ["say", bye]);
    ws.reply(2, { done: true }); // what runs is answered before the close
    assert.equal(pending.calls[0][0], null);
    ws.active = false;
    ws.drop("io server disconnect");
    assert.equal(socket.state, "reconnecting");
    const [event, delay] = heard.at(-1);
    assert.equal(event, "reconnecting");
    assert.ok(delay >= 4000 && delay <= 8000, String(delay));
    delays.add(delay);
    mock.timers.tick(delay);
    assert.equal(ws.opened, 2);
    socket.quit();
  }
  assert.ok(delays.size > 10);
});

test("a server that closes without bye is not called again", () => {
  const { socket, ws } = open();
  ws.accept();
  ws.drop("io server disconnect");
  assert.equal(socket.state, "disconnected");
  mock.timers.tick(60000);
  assert.equal(ws.opened, 1);
});

test("a server says why it closes, and whether to come back: disconnected carries it", () => {
  for (const [reconnect, retryAfter, state] of [[true, 9000, "reconnecting"], [false, undefined, "disconnected"]]) {
    const { socket, ws, heard } = open();
    ws.accept();
    const closing = { code: "tooManyMessages", reason: "too many messages", reconnect, retryAfter, context: "api" };
    ws.fire("closing", closing);
    assert.deepEqual(heard.at(-1), ["closing", closing]);
    // What it said counts, whatever way it then closes.
    ws.drop(reconnect ? "io server disconnect" : "transport close");
    assert.equal(socket.state, state);
    const told = heard.filter(([event]) => event === "disconnected");
    assert.deepEqual(told, [["disconnected", reconnect ? "io server disconnect" : "transport close", closing]]);
    mock.timers.tick(8999);
    assert.equal(ws.opened, 1);
    mock.timers.tick(9002);
    assert.equal(ws.opened, reconnect ? 2 : 1);
    if (!reconnect) socket.connect();
    ws.accept();
    ws.drop();
    // It is forgotten with the connection it was about.
    assert.deepEqual(heard.findLast(([event]) => event === "disconnected"), ["disconnected", "transport close", null]);
    socket.quit();
  }
});

test("quit asks the server to close, and stays closed", async () => {
  const { socket, ws, names } = open();
  ws.accept();
  const promise = socket.say("unanswered");
  socket.quit();
  assert.deepEqual(ws.sent.at(-1), ["quit", {}]);
  ws.drop("transport close");
  await assert.rejects(promise, /the connection was closed/);
  assert.equal(socket.state, "disconnected");
  mock.timers.tick(60000);
  assert.equal(ws.opened, 1);
  assert.equal(names().at(-1), "disconnected");
});

test("quit ends attempts that are under way", () => {
  const { socket, ws } = open();
  ws.fire("connect_error", new Error("refused"));
  socket.quit();
  assert.equal(socket.state, "disconnected");
  mock.timers.tick(60000);
  assert.equal(ws.opened, 1);
});

test("connect() cuts the wait short", () => {
  const { socket, ws } = open();
  ws.accept();
  ws.drop();
  socket.connect();
  assert.equal(ws.opened, 2);
  mock.timers.tick(20000);
  assert.equal(ws.opened, 2);
});

test("a server that does not welcome is left and tried again", () => {
  const { socket, ws, heard } = open({ responseTimeout: 3000 });
  ws.connected = true; // connected, but silent
  mock.timers.tick(3000);
  assert.ok(heard.some(([event, error]) => event === "error" && /did not welcome/.test(error.message)));
  assert.equal(heard.at(-1)[0], "reconnecting");
  assert.equal(socket.state, "connecting");
  mock.timers.tick(2000);
  assert.equal(ws.opened, 2);
  mock.timers.tick(3000); // not even connected
  assert.equal(heard.at(-1)[0], "reconnecting");
});

test("autoConnect: false waits for connect()", () => {
  const { socket, ws } = open({ autoConnect: false });
  assert.equal(ws.opened, 0);
  assert.equal(socket.state, "disconnected");
  socket.connect();
  ws.accept();
  assert.equal(socket.state, "connected");
});

test("options go to Socket.IO, except AHsocket's own; 0.9's names pass through its translation", () => {
  const { ws } = open({ transports: ["polling"], responseTimeout: 5 });
  assert.deepEqual(ws.options.transports, ["polling"]);
  assert.deepEqual(open().ws.options.transports, ["polling", "websocket"]);
  assert.equal(ws.options.tryAllTransports, true);
  assert.equal(ws.options.reconnection, false);
  assert.equal(ws.options.forceNew, true);
  assert.ok(!("responseTimeout" in ws.options) && !("io" in ws.options));
  let seen;
  const io = (options) => ((seen = options), new FakeSocket(options));
  io.translateOptions = (options) => ({ ...options, path: "/translated" });
  new AHsocket({ io, resource: "x", autoConnect: false });
  assert.equal(seen.path, "/translated");
});

test("listeners: once, off, and one that is removed while they are called", () => {
  const { socket } = open({ autoConnect: false });
  const calls = [];
  const first = () => {
    calls.push(1);
    socket.off("say", second);
  };
  const second = () => calls.push(2);
  socket.on("say", first).on("say", second).once("say", () => calls.push(3));
  socket.emit("say");
  socket.emit("say");
  assert.deepEqual(calls, [1, 2, 3, 1]);
});

test("a token is shown, or asked for at each connection", async () => {
  assert.deepEqual(open({ token: "t1" }).ws.options.auth, { token: "t1" });
  assert.equal(open().ws.options.auth, undefined);
  assert.equal("token" in open({ token: "t1" }).ws.options, false);
  let number = 0;
  const given = (ws) => new Promise((resolve) => ws.options.auth(resolve));
  const { ws } = open({ token: () => `t${++number}` });
  assert.deepEqual([await given(ws), await given(ws)], [{ token: "t1" }, { token: "t2" }]);
  assert.deepEqual(await given(open({ token: async () => "later" }).ws), { token: "later" });
  assert.deepEqual(await given(open({ token: () => null }).ws), undefined);
  assert.deepEqual(await given(open({ token: async () => { throw new Error("no token"); } }).ws), undefined);
  assert.deepEqual(await given(open({ token: () => { throw new Error("no token"); } }).ws), undefined);
});

test("who is not let in does not ask again with the same token", () => {
  const refusal = () => Object.assign(new Error("the token is not valid"), { data: { code: "invalidToken", reconnect: false } });
  for (const options of [{}, { token: "t" }, { auth: { token: "t" } }]) {
    const { socket, ws, heard } = open(options);
    const next = collector();
    socket.say("hi", next);
    ws.fire("connect_error", refusal());
    assert.equal(socket.state, "disconnected");
    assert.deepEqual(heard.map(([event]) => event), ["error", "disconnected"]);
    assert.equal(heard[1][1], "the token is not valid");
    assert.equal(next.calls[0][0], "the token is not valid");
    mock.timers.tick(100000);
    assert.equal(ws.opened, 1);
    socket.connect();
    assert.equal(ws.opened, 2);
  }
  for (const options of [{ token: () => "t" }, { auth: (next) => next({ token: "t" }) }]) {
    const { socket, ws, names } = open(options);
    ws.fire("connect_error", refusal());
    assert.equal(socket.state, "connecting");
    assert.deepEqual(names(), ["error", "reconnecting"]);
  }
  const later = open({ token: "t" });
  later.ws.fire("connect_error", Object.assign(new Error("tokens cannot be checked now"), { data: { reconnect: true } }));
  assert.equal(later.socket.state, "connecting");
});
