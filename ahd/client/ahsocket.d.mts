// Types of ahsocket.mjs.
import { AHsocket } from "./ahsocket.js";
export * from "./ahsocket.js";
export default AHsocket;
