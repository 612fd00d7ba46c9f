/*! AHsocket as an ES module; what it is stands in ahsocket.js. */
// In Node that file exports, in a page it defines a global: a namespace import suits both.
import * as script from "./ahsocket.js";

export const AHsocket = script.default ?? globalThis.AHsocket;
export const actionHeroWebSocket = AHsocket;
export default AHsocket;
