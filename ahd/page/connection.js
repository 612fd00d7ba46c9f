/** The state of the connection as it is, what the server knows of it, and the choice of transport. */

import { note } from "./chat.js";
import { byId, make, time } from "./dom.js";

const TRANSPORTS = { websocket: ["websocket"], polling: ["polling"] };
const NAMES = { websocket: "WebSocket", polling: "polling" };

/** `auto`, `websocket` or `polling`: from the address of the page. */
export function chosenTransport() {
  const chosen = new URLSearchParams(location.search).get("transport");
  return chosen in TRANSPORTS ? chosen : "auto";
}

/** Options for Socket.IO's client. */
export function transportOptions() {
  const transports = TRANSPORTS[chosenTransport()];
  return transports ? { transports } : {};
}

function offerTransports() {
  const chosen = chosenTransport();
  for (const link of byId("transports").querySelectorAll("a")) {
    const query = new URLSearchParams(location.search);
    query.set("transport", link.dataset.transport);
    link.href = `?${query}${location.hash}`;
    if (link.dataset.transport === chosen) link.setAttribute("aria-current", "true");
  }
}

export function startConnection(socket) {
  const status = byId("status");
  const button = byId("connect-now");
  let countdown = null;

  /** Show a state; tell those who cannot see it once, not every second of a countdown. */
  function show(text, { offer = "", announce = text } = {}) {
    clearInterval(countdown);
    status.dataset.state = socket.state;
    byId("status-text").textContent = text;
    button.textContent = offer;
    button.hidden = !offer;
    if (announce) byId("announcement").textContent = announce;
  }

  function showConnected() {
    show(`Connected · ${NAMES[socket.transport] || socket.transport}`, { announce: "Connected" });
    // It begins with polling and may become a WebSocket.
    const engine = socket.ws.io.engine;
    engine.once("upgrade", () => {
      if (socket.state === "connected") show(`Connected · ${NAMES[socket.transport] || socket.transport}`, { announce: "" });
      details();
    });
  }

  function showWaiting(delay, attempt) {
    const until = Date.now() + delay;
    const word = socket.state === "connecting" ? "Not connected, next try" : "Reconnecting";
    const text = () => `${word} in ${Math.max(0, Math.ceil((until - Date.now()) / 1000))} s`;
    show(text(), { offer: "Try now", announce: attempt === 1 ? text() : "" });
    countdown = setInterval(() => {
      if (Date.now() < until) byId("status-text").textContent = text();
      else show(socket.state === "connecting" ? "Connecting…" : "Reconnecting…", { announce: "" });
    }, 250);
  }

  async function details() {
    if (socket.state !== "connected") return;
    try {
      await socket.detailsView();
    } catch {
      return;
    }
    showDetails();
  }

  function showDetails() {
    const { public: me, room, totalActions, pendingActions, params } = socket.details;
    const rows = {
      "Your id": make("span", { class: "id" }, me.id),
      Transport: NAMES[socket.transport] || socket.transport || "none",
      "Connected since": time(me.connectedAt),
      Room: room,
      Actions: `${totalActions} called, ${pendingActions} pending`,
      Parameters: Object.keys(params || {}).length ? JSON.stringify(params) : "none",
    };
    byId("details").replaceChildren(...Object.entries(rows).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  }

  socket.on("disconnected", (reason, closing) => {
    const why = closing ? `: ${closing.reason}` : "";
    if (socket.state === "disconnected") {
      note(`The server has closed the connection${why}.`);
      show("Offline", { offer: "Connect" });
    } else {
      note(`The connection was lost${why}.`);
    }
  });
  socket.on("reconnecting", showWaiting);
  button.addEventListener("click", () => {
    const focused = document.activeElement === button;
    socket.connect();
    show(socket.state === "connecting" ? "Connecting…" : "Reconnecting…");
    // The button goes; the keyboard's place must not go with it.
    if (focused) byId("message").focus();
  });
  byId("refresh-details").addEventListener("click", details);

  return {
    /** There is a connection. */
    arrived() {
      showConnected();
      showDetails();
    },
    showDetails,
  };
}

offerTransports();
