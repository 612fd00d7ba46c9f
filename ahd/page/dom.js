/** Small ways to make and fill elements. Text is always set as text: what others say is never read as HTML. */

export const byId = (id) => document.getElementById(id);

/** An element with properties and children; children are elements or text. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** The first characters of a public id, whole on hover. */
export function shortId(id) {
  return make("span", { class: "id", title: id }, String(id).slice(0, 6));
}

/** A disc with a colour of the id's own. It says nothing that the id does not. */
export function avatar(id) {
  const disc = make("span", { class: "avatar" }, String(id).slice(0, 2));
  disc.setAttribute("aria-hidden", "true");
  let hue = 0;
  for (const character of String(id)) hue = (hue * 31 + character.codePointAt(0)) % 360;
  disc.style.setProperty("--hue", hue);
  return disc;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** Hours and minutes of epoch milliseconds, date and seconds on hover. */
export function time(epoch) {
  const date = new Date(epoch);
  return make("time", { dateTime: date.toISOString(), title: calendar.format(date) }, clock.format(date));
}

/** What an error that a request was rejected with says, without its "Error: ". */
export const reason = (error) => error.message.replace(/^Error: /, "");
