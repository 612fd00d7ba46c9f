/** The current room and who is in it, and the rooms that are listened to. */

import { note } from "./chat.js";
import { avatar, byId, make, reason, shortId } from "./dom.js";

const SHOWN = 100; // people in the list
const APART = 1000; // ms between two looks at who is here, when people come and go

export function startRooms(socket) {
  const known = new Set();

  function know(room) {
    if (known.has(room)) return;
    known.add(room);
    byId("known-rooms").append(make("option", { value: room }));
  }

  /** Show where this connection is and what it hears. */
  function show() {
    byId("current-room").textContent = byId("chat-room").textContent = socket.room;
    know(socket.room);
    const rooms = [...socket.listening].sort();
    rooms.forEach(know);
    byId("listening-none").hidden = rooms.length > 0;
    byId("listening").replaceChildren(...rooms.map((room) => {
      const go = make("button", { type: "button", class: "small", onclick: () => change(room) }, "Go");
      go.setAttribute("aria-label", `Go to ${room}`);
      const silence = make("button", { type: "button", class: "small", onclick: () => hush(room) }, "Silence");
      silence.setAttribute("aria-label", `Silence ${room}`);
      const name = make("span", { class: "name" }, make("span", { class: "hash", ariaHidden: "true" }, "#"), room);
      return make("li", {}, name, go, silence);
    }));
  }

  function showPeople({ members, membersCount }) {
    byId("people-count").textContent = membersCount;
    byId("chat-count").textContent = `${membersCount} here`;
    const others = members.filter((id) => id !== socket.id).sort();
    const shown = members.includes(socket.id) ? [socket.id, ...others] : others;
    byId("people").replaceChildren(...shown.slice(0, SHOWN).map((id) => {
      const you = id === socket.id ? [make("span", { class: "you" }, "you")] : [];
      return make("li", {}, avatar(id), shortId(id), ...you);
    }));
    byId("people-more").textContent = shown.length > SHOWN ? `and ${shown.length - SHOWN} more` : "";
  }

  let looking = null;
  let lookedAt = 0;

  /** Ask who is here, soon, and seldom when many come and go. */
  function look() {
    if (looking !== null) return;
    looking = setTimeout(async () => {
      looking = null;
      lookedAt = Date.now();
      try {
        const { roomStatus } = await socket.roomView();
        if (roomStatus.room === socket.room) showPeople(roomStatus);
      } catch {
        // Asked again as soon as there is a connection.
      }
    }, Math.max(50, lookedAt + APART - Date.now()));
  }

  async function change(room) {
    await socket.roomChange(room);
    lookedAt = 0;
    note("You are now in ", make("strong", {}, room));
    show();
    look();
  }

  async function hush(room) {
    const form = byId("listen-form");
    try {
      await socket.silenceRoom(room);
      byId("listen-error").textContent = "";
    } catch (error) {
      byId("listen-error").textContent = reason(error);
    }
    show();
    // The button that was pressed is gone.
    form.elements.room.focus();
  }

  function handle(formId, errorId, act) {
    const form = byId(formId);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const error = byId(errorId);
      error.textContent = "";
      try {
        // Nothing at all is a room that was not given.
        await act(form.elements.room.value.trim() || undefined);
        form.reset();
      } catch (failure) {
        error.textContent = reason(failure);
        form.elements.room.focus();
      }
    });
  }

  handle("change-form", "change-error", change);
  handle("listen-form", "listen-error", async (room) => {
    await socket.listenToRoom(room);
    show();
  });

  return {
    /** There is a connection, perhaps again. */
    arrived() {
      lookedAt = 0;
      show();
      look();
    },
    look,
  };
}
