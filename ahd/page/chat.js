/** The log of what is said, and the box to say something. */

import { avatar, byId, make, shortId, time } from "./dom.js";

const KEPT = 500; // lines in the log
const TOGETHER = 120000; // ms within which lines of one speaker need no second heading

const log = byId("log");
const newer = byId("newer");

let last = null; // {from, room, at} of the line above

const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 60;

const toEnd = () => {
  log.scrollTop = log.scrollHeight;
  newer.hidden = true;
};

function append(line, { follow = atEnd() } = {}) {
  log.append(line);
  while (log.childElementCount > KEPT) log.firstElementChild.remove();
  if (follow) toEnd();
  else newer.hidden = false;
}

const asText = (message) => (typeof message === "string" ? message : JSON.stringify(message));

/** A line of the page's own: somebody came, the room changed, the connection was lost. */
export function note(...children) {
  last = null;
  append(make("p", { class: "noted" }, ...children));
}

/** What somebody said; `elsewhere` when it was not in the current room. */
export function said({ message, room, from, sentAt }, elsewhere) {
  if (!from) {
    note(make("strong", {}, "Server: "), asText(message), " ", time(sentAt));
    return;
  }
  const follows = last && last.from === from && last.room === room && sentAt - last.at < TOGETHER;
  last = { from, room, at: sentAt };
  const by = make("p", { class: "by" }, shortId(from), time(sentAt));
  if (elsewhere) by.append(make("span", { class: "place" }, `# ${room}`));
  append(make("div", { class: follows ? "said follows" : "said" }, avatar(from), by, make("p", { class: "text" }, asText(message))));
}

/** What this window says: shown at once, and what became of it with it. `send` returns a Promise. */
function own(message, send) {
  const at = Date.now();
  const follows = last && last.from === "" && at - last.at < TOGETHER;
  last = { from: "", room: "", at };
  const fate = make("p", { class: "fate" });
  const by = make("p", { class: "by" }, make("span", { class: "unseen" }, "You, "), time(at));
  const line = make("div", { class: `said mine${follows ? " follows" : ""}` }, by, make("p", { class: "text" }, message), fate);
  const attempt = async () => {
    line.dataset.fate = "sending";
    fate.replaceChildren("Sending…");
    try {
      await send(message);
      line.dataset.fate = "sent";
      fate.replaceChildren();
      fate.remove();
    } catch (error) {
      line.dataset.fate = "failed";
      const retry = make("button", { type: "button", class: "small", onclick: attempt }, "Retry");
      retry.setAttribute("aria-label", `Retry sending: ${message.slice(0, 60)}`);
      fate.replaceChildren(`Not sent: ${error.message}`, retry);
      if (atEnd()) toEnd();
    }
  };
  append(line, { follow: true });
  attempt();
}

/** Let the box say things by `send(message)`, which returns a Promise. */
export function startChat(send) {
  const form = byId("say-form");
  const box = byId("message");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const message = box.value.trim();
    box.focus();
    if (!message) return;
    box.value = "";
    own(message, send);
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  newer.addEventListener("click", () => {
    toEnd();
    log.focus();
  });
  log.addEventListener("scroll", () => {
    if (atEnd()) newer.hidden = true;
  });
  new ResizeObserver(() => {
    if (newer.hidden) toEnd();
  }).observe(log);
}
