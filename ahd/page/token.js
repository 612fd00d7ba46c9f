/** The token, for a server that asks for one: kept in this page alone, and gone with it. */

import { byId } from "./dom.js";

let token;

/** What AHsocket shows when it connects. */
export const shownToken = () => token;

/** Ask for a token whenever the server does not let this client in. */
export function startToken(socket) {
  const form = byId("token-form");
  const field = byId("token");

  socket.on("error", (error) => {
    if (!error.data || error.data.reconnect !== false) return;
    // With the same token the answer would be the same.
    socket.quit();
    byId("token-error").textContent = token === undefined ? "" : error.message;
    form.hidden = false;
    field.focus();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    token = field.value.trim();
    field.value = "";
    form.hidden = true;
    socket.connect();
  });
}
