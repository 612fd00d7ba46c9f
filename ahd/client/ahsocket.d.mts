// Types of ahsocket.mjs.
export * from "./ahsocket.js";
export { default } from "./ahsocket.js";
