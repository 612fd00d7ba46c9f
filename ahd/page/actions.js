/** A form for each action, made from what actionsView tells. */

import { byId, make, reason } from "./dom.js";

/** A number, true, a list … where the text is JSON; else the text itself. */
export function value(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

export function startActions(socket) {
  const select = byId("action");
  const inputs = byId("action-inputs");
  const run = byId("run-action");
  let actions = [];

  function input(name, required) {
    const id = `input-${name}`;
    const kind = make("span", { class: "kind" }, required ? " required" : " optional");
    const field = make("input", { id, name, required, autocomplete: "off", autocapitalize: "none", spellcheck: false });
    return make("div", {}, make("label", { htmlFor: id }, name, kind), field);
  }

  function choose() {
    const action = actions.find(({ name }) => name === select.value);
    if (!action) return;
    byId("action-description").textContent = action.description || "";
    const { required = [], optional = [] } = action.inputs || {};
    const fields = [...required.map((name) => input(name, true)), ...optional.map((name) => input(name, false))];
    if (fields.length) {
      const hint = "3, true or [1, 2] are read as JSON, other text and \"3\" as text.";
      fields.push(make("p", { class: "hint" }, hint));
    }
    inputs.replaceChildren(...fields);
  }

  function show(good, word, delta, content) {
    const verdict = byId("verdict");
    verdict.dataset.good = good;
    verdict.replaceChildren(make("span", { class: "word" }, word));
    if (delta !== undefined) verdict.append(make("span", { class: "time" }, `${delta} ms`));
    byId("result-text").textContent = content === null ? "" : JSON.stringify(content, null, 2);
    byId("result-text").hidden = content === null;
    byId("result").hidden = false;
    byId("result").scrollIntoView({ block: "nearest" });
  }

  byId("action-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const params = {};
    for (const field of inputs.querySelectorAll("input")) {
      if (field.value !== "") params[field.name] = value(field.value);
    }
    const started = performance.now();
    run.disabled = true;
    try {
      const response = await socket.action(select.value, params);
      show(true, "OK", Math.round(performance.now() - started), response);
    } catch (error) {
      show(false, reason(error), Math.round(performance.now() - started), error.response || null);
    }
    run.disabled = false;
  });

  select.addEventListener("change", choose);

  return {
    /** There is a connection, perhaps to a server with other actions. */
    async arrived() {
      let found;
      try {
        found = (await socket.action("actionsView")).actions;
      } catch (error) {
        if (!actions.length) byId("action-description").textContent = `The actions could not be listed: ${reason(error)}`;
        return;
      }
      // What is being filled in stays, unless there is something new to fill in.
      if (JSON.stringify(found) === JSON.stringify(actions)) return;
      actions = found;
      const chosen = select.value;
      select.replaceChildren(...actions.map(({ name }) => make("option", { value: name }, name)));
      if (actions.some(({ name }) => name === chosen)) select.value = chosen;
      select.disabled = run.disabled = actions.length === 0;
      choose();
    },
  };
}
