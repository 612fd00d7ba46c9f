/**
 * The page of an ahd server: it uses nothing but AHsocket, and shows what can be done with it.
 *
 * The address may say more: ?transport=websocket|polling, ?resource=/another/place/of/socket.io, ?room=the-first-room.
 */

import { startActions } from "./actions.js";
import { note, said, startChat } from "./chat.js";
import { startConnection, transportOptions } from "./connection.js";
import { byId, shortId } from "./dom.js";
import { startRooms } from "./rooms.js";
import { shownToken, startToken } from "./token.js";

const ENTERED = "I have entered the room";
const LEFT = "I have left the room";

const query = new URLSearchParams(location.search);
let resource = "/socket.io";

/** Where Socket.IO is: as the address says, else as the server does. */
async function findResource() {
  const given = query.get("resource");
  if (given) return `/${given.replace(/^\/+|\/+$/g, "")}`;
  const answer = await fetch("server.json").catch(() => null);
  return answer && answer.ok ? (await answer.json()).resource : "/socket.io";
}

/** Load one of the scripts that ahd serves beside Socket.IO. */
function load(name) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `${resource}/${name}`;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${script.src} could not be loaded`));
    document.head.append(script);
  });
}

/** The four views of a phone; a wide window shows all of them. */
function startViews() {
  const links = [...document.querySelectorAll(".tabs a")];
  const show = () => {
    const wanted = links.find((link) => link.hash === location.hash) || links[0];
    document.body.dataset.view = wanted.hash.slice(1);
    for (const link of links) {
      if (link === wanted) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };
  addEventListener("hashchange", show);
  show();
}

function start() {
  const socket = new window.AHsocket({ path: resource, token: shownToken, ...transportOptions() });
  startToken(socket);
  const rooms = startRooms(socket);
  const actions = startActions(socket);
  const connection = startConnection(socket);
  startChat((message) => socket.say(message));

  const arrived = () => {
    connection.arrived();
    rooms.arrived();
    actions.arrived();
  };
  socket.on("connected", async () => {
    arrived();
    const first = query.get("room");
    if (first) {
      await socket.roomChange(first).catch((error) => note(`${first}: ${error.message}`));
      rooms.arrived();
    }
  });
  socket.on("reconnected", () => {
    note("Connected again.");
    arrived();
  });
  socket.on("welcome", ({ welcome }) => {
    if (socket.state === "connecting") note(welcome);
  });
  socket.on("say", (message) => {
    if (message.bye) {
      note(`The server says goodbye: ${message.reason}.`);
      return;
    }
    const elsewhere = message.room !== socket.room;
    if (message.message === ENTERED || message.message === LEFT) {
      const did = message.message === ENTERED ? "has come" : "has left";
      note(shortId(message.from), elsewhere ? ` ${did} # ${message.room}` : ` ${did}`);
      if (!elsewhere) rooms.look();
      return;
    }
    said(message, elsewhere);
  });
  // The first connection's failures are told by the countdown; a room that could not be taken up again is told here.
  socket.on("error", (error) => {
    if (/^(roomChange|listenToRoom) /.test(error.message)) note(error.message);
  });
}

startViews();
try {
  resource = await findResource();
  await load("socket.io.js");
  await load("ahsocket.js");
  start();
} catch (error) {
  byId("status").dataset.state = "disconnected";
  byId("status-text").textContent = "Offline";
  byId("notice").textContent = error.message;
  byId("notice").hidden = false;
}
