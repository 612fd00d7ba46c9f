// Clients that count on the server without end, each with a key of its own, and note what was acknowledged.
// node load.cjs URL COUNT OPTIONS: COUNT of socket.io-client and of AHsocket each. Ends with its stdin; the last line
// tells of each client {kind, acked, failed, last, ordered, gap}: gap is the longest time between two answers, in ms.
"use strict";

const { io } = require("socket.io-client");
const AHsocket = require(process.env.AHSOCKET);

const [url, count, options] = [process.argv[2], Number(process.argv[3]), JSON.parse(process.argv[4])];
const PATIENCE = 3000;
const PAUSE = 25;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let ended = false;

const ask = {
  plain() {
    const socket = io(url, { forceNew: true, transports: ["websocket"], ...options });
    return async (key) => {
      if (!socket.connected) throw new Error("not connected");
      return socket.timeout(PATIENCE).emitWithAck("action", { action: "count", key });
    };
  },
  ahsocket() {
    const socket = new AHsocket({ url, transports: ["websocket"], responseTimeout: PATIENCE, ...options });
    socket.on("error", () => {});
    return (key) => socket.action("count", { key });
  },
};

const clients = [];

async function run(kind, number) {
  const key = `${kind}${number}`;
  const client = { kind, key, acked: 0, failed: 0, last: 0, ordered: true, gap: 0 };
  clients.push(client);
  const call = ask[kind]();
  let before = 0;
  while (!ended) {
    try {
      const { total, error } = await call(key);
      if (error) throw new Error(error);
      client.ordered = client.ordered && total > client.last;
      client.last = total;
      client.acked += 1;
      const now = performance.now();
      if (before) client.gap = Math.max(client.gap, now - before);
      before = now;
    } catch {
      client.failed += 1;
    }
    await sleep(PAUSE);
  }
}

const running = [];
for (let number = 0; number < count; number++) for (const kind of Object.keys(ask)) running.push(run(kind, number));
const progress = setInterval(() => console.log(JSON.stringify(clients.map((client) => client.acked))), 100);
process.stdin.resume().on("end", async () => {
  ended = true;
  clearInterval(progress);
  await Promise.all(running);
  console.log(JSON.stringify(clients));
  process.exit(0);
});
