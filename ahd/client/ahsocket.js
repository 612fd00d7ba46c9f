/*!
 * AHsocket: the client object of ahd's protocol, over Socket.IO.
 *
 * In a page, after socket.io.js:
 *     <script src="/socket.io/socket.io.js"></script>
 *     <script src="/socket.io/ahsocket.js"></script>
 *     <script>
 *       const socket = new AHsocket();
 *       socket.on("connected", (details) => socket.say("hello"));
 *       socket.on("say", (message) => console.log(message.from, message.message));
 *     </script>
 * In Node, with socket.io-client installed:
 *     const AHsocket = require("./ahsocket.js");
 *     const socket = new AHsocket({ url: "http://127.0.0.1:8080" });
 * As an ES module: ahsocket.mjs. Types: ahsocket.d.ts.
 */
(function (factory) {
  "use strict";
  if (typeof module === "object" && module.exports) {
    module.exports = factory(() => require("socket.io-client"));
  } else {
    const root = typeof globalThis !== "undefined" ? globalThis : self;
    root.AHsocket = root.actionHeroWebSocket = factory(() => root.io);
  }
})(function (findIo) {
  "use strict";

  const DEFAULTS = {
    url: undefined, // the page's own origin
    responseTimeout: 30000, // ms
    reconnection: true,
    reconnectionAttempts: Infinity,
    reconnectionDelay: 1000, // ms before the first attempt; twice as much before each further one
    reconnectionDelayMax: 10000, // ms
    randomizationFactor: 0.5,
    transports: ["polling", "websocket"], // named: to try all would else be to try WebTransport too
    tryAllTransports: true,
  };

  const NOT_CONNECTED = "not connected";
  const LOST = "the connection was lost before the response";
  const QUIT = "the connection was closed";
  const NO_RESPONSE = "no response in time";
  const NO_WELCOME = "the server did not welcome the connection in time";

  /** Socket.IO's `auth` for a token, or for a function that gives one or a Promise of one; asked at each connection. */
  function showing(token) {
    if (typeof token !== "function") return { token };
    return (next) => {
      new Promise((resolve) => resolve(token())).then(
        (given) => next(given === undefined || given === null ? undefined : { token: given }),
        () => next(), // the server says whether it needs one
      );
    };
  }

  /** The smallest emitter that does: listeners are called in order, and one may be removed while they are. */
  class Emitter {
    constructor() {
      this._listeners = new Map();
    }

    on(event, listener) {
      this._listeners.set(event, [...this.listeners(event), listener]);
      return this;
    }

    once(event, listener) {
      const once = (...args) => {
        this.off(event, once);
        listener.apply(this, args);
      };
      once.listener = listener;
      return this.on(event, once);
    }

    off(event, listener) {
      this._listeners.set(event, this.listeners(event).filter((one) => one !== listener && one.listener !== listener));
      return this;
    }

    removeAllListeners(event) {
      if (event === undefined) this._listeners.clear();
      else this._listeners.delete(event);
      return this;
    }

    listeners(event) {
      return this._listeners.get(event) || [];
    }

    /** True when somebody listens. */
    emit(event, ...args) {
      const listeners = this.listeners(event);
      listeners.forEach((listener) => listener.apply(this, args));
      return listeners.length > 0;
    }
  }
  Emitter.prototype.addListener = Emitter.prototype.on;
  Emitter.prototype.removeListener = Emitter.prototype.off;

  /**
   * A connection to ahd that comes back by itself.
   *
   * state    "connecting": before the first `connected`; calls wait until then
   *          "connected": calls are sent at once
   *          "reconnecting": the connection was lost and is being taken up again; calls fail with "not connected"
   *          "disconnected": closed for good (quit, the server said so, or reconnection is off); connect() starts anew
   * details  what the server's detailsView said last: {params, public: {id, connectedAt}, room, …}
   * room     the current room
   *
   * Events   connected(details)             the first time the connection can be used
   *          reconnected(details)           each later time; the room and the listened rooms are taken up again before
   *          disconnected(reason, closing)  the connection was lost or closed, or further attempts are given up; `closing`
   *                                         is what the server said about it, or null
   *          closing(message)               the server is about to close the connection: {code, reason, reconnect, …}
   *          reconnecting(delay, attempt)   the next attempt comes in `delay` ms
   *          welcome(message), say(message) as the server sent them
   *          timeout(event, params, next)   no response within responseTimeout
   *          error(error)                   a connection attempt failed, or a room could not be taken up again
   */
  class AHsocket extends Emitter {
    /**
     * @param {object|Function} [options] DEFAULTS above, `token` (text, or a function that gives it, or a Promise of it,
     *   for each connection), `io` (Socket.IO's io function, when it is not global), and all
     *   options of Socket.IO's client; under socket.io.js from ahd also those of Socket.IO 0.9 ("resource", …)
     * @param {Function} [connectCallback] called with the details the first time the connection can be used
     */
    constructor(options, connectCallback) {
      super();
      if (typeof options === "function") {
        connectCallback = options;
        options = undefined;
      }
      const io = (options && options.io) || findIo();
      if (typeof io !== "function") {
        throw new Error("AHsocket needs Socket.IO's client: load socket.io.js before it, or give it as options.io");
      }
      const translated = io.translateOptions ? io.translateOptions(options) : options;
      this.options = { ...DEFAULTS, ...translated };
      this.responseTimeout = this.options.responseTimeout;
      this.state = "connecting";
      this.details = {};
      this.room = null;
      this.listening = new Set();
      /** messageCount of the last verb sent on this connection. */
      this.messageCount = 0;
      /** Requests sent and not yet answered, by messageCount. */
      this._inFlight = new Map();
      /** Requests made before the first connection. */
      this._waiting = [];
      this._wasConnected = false;
      this._quitting = false;
      this._attempt = 0;
      this._bye = null;
      /** What the server said last about closing this connection. */
      this._closing = null;
      /** Room and listened rooms of the connection that was lost, until they are taken up again. */
      this._before = null;
      this._abandoned = false;
      this._retryTimer = null;
      this._welcomeTimer = null;
      if (typeof connectCallback === "function") this.once("connected", connectCallback);

      const { url, responseTimeout, token, io: _, ...forSocketIo } = this.options;
      if (token !== undefined && token !== null) forSocketIo.auth = showing(token);
      /** Whether each attempt to connect may show another token. */
      this._freshTokens = typeof forSocketIo.auth === "function" && typeof token !== "string";
      // The way back is AHsocket's own: it tells how long it waits, and spreads what a `bye` asks for.
      Object.assign(forSocketIo, { forceNew: true, reconnection: false, autoConnect: false });
      /** Socket.IO's socket. Verbs sent past AHsocket would upset the count. */
      this.ws = url ? io(url, forSocketIo) : io(forSocketIo);
      this._listen();
      if (this.options.autoConnect === false) this.state = "disconnected";
      else this._open();
    }

    /** "websocket" or "polling" while there is a connection, else null. */
    get transport() {
      const engine = this.ws.connected && this.ws.io.engine;
      return (engine && engine.transport && engine.transport.name) || null;
    }

    /** This client's public id while there is a connection, else null. */
    get id() {
      return this.ws.id || null;
    }

    // ---- the verbs: each calls next(error, response, delta in ms), or without `next` returns a Promise -------------

    /** Run an action. A Promise resolves to its response and is rejected with its `error`. */
    action(name, params, next) {
      if (typeof params === "function") return this.action(name, undefined, params);
      return this._request("action", { ...params, action: name }, next);
    }

    /** Say something, any JSON value but null, to the current room. */
    say(message, next) {
      return this._request("say", { message }, next);
    }

    /** Who is in the current room. */
    roomView(next) {
      return this._request("roomView", {}, next);
    }

    /** Leave the current room for another. */
    roomChange(room, next) {
      return this._request("roomChange", { room }, next);
    }

    /** Hear what is said in another room too. */
    listenToRoom(room, next) {
      return this._request("listenToRoom", { room }, next);
    }

    /** Stop hearing a room. */
    silenceRoom(room, next) {
      return this._request("silenceRoom", { room }, next);
    }

    /** What the server knows of this connection; also kept in `details`. */
    detailsView(next) {
      return this._request("detailsView", {}, next);
    }

    /** Close the connection for good. Requests in flight fail. */
    quit() {
      this._quitting = true;
      if (this.ws.connected) {
        // The server closes, after what it had been asked before.
        this.ws.emit("quit", {});
      } else if (this.state !== "disconnected") {
        this._end(QUIT);
      }
    }

    /** Try to connect now: cuts the wait before the next attempt short, and comes back after `disconnected`. */
    connect() {
      if (this.ws.connected || this._welcomeTimer !== null) return;
      this._quitting = false;
      this._attempt = 0;
      this.state = this._stateWhileOpening();
      this._open();
    }

    // ---- requests ---------------------------------------------------------------------------------------------------

    _request(event, params, next) {
      if (typeof next === "function") {
        this._submit({ event, params, next });
        return undefined;
      }
      return new Promise((resolve, reject) => {
        const settle = (error, response) => {
          if (!error) return resolve(response);
          const failure = error instanceof Error ? error : new Error(error);
          failure.response = response;
          return reject(failure);
        };
        this._submit({ event, params, next: settle, promised: true });
      });
    }

    _submit(request) {
      if (this.state === "connected") this._send(request);
      else if (this.state === "connecting") this._waiting.push(request);
      // Never in the caller's own turn: a callback then runs at the same place in every case.
      else setTimeout(() => request.next(NOT_CONNECTED, null, 0), 0);
    }

    _send(request) {
      const count = ++this.messageCount;
      request.sentAt = Date.now();
      request.timer = setTimeout(() => this._expire(count), this.responseTimeout);
      this._inFlight.set(count, request);
      this.ws.emit(request.event, request.params);
    }

    _take(count) {
      const request = this._inFlight.get(count);
      if (request) {
        this._inFlight.delete(count);
        clearTimeout(request.timer);
      }
      return request;
    }

    _answer(response) {
      const request = response && this._take(response.messageCount);
      if (!request) return;
      const error = response.error === undefined ? null : response.error;
      if (error === null) this._remember(request, response);
      request.next(error, response, Date.now() - request.sentAt);
    }

    /** Keep what the response says about this connection. */
    _remember(request, response) {
      if (request.event === "roomChange") {
        this.room = this.details.room = response.room;
      } else if (request.event === "listenToRoom") {
        this.listening.add(response.room);
      } else if (request.event === "silenceRoom") {
        this.listening.delete(response.room);
      } else if (request.event === "detailsView") {
        this.details = response.details;
        this.room = response.details.room;
      }
    }

    _expire(count) {
      const request = this._take(count);
      if (!request) return;
      const heard = this.emit("timeout", request.event, request.params, request.next);
      // A listener decides what becomes of a callback; a Promise must end in any case.
      if (!heard || request.promised) request.next(NO_RESPONSE, null, Date.now() - request.sentAt);
    }

    _fail(requests, error) {
      requests.forEach((request) => {
        clearTimeout(request.timer);
        request.next(error, null, request.sentAt ? Date.now() - request.sentAt : 0);
      });
    }

    // ---- the connection ---------------------------------------------------------------------------------------------

    _listen() {
      this.ws.on("welcome", (message) => {
        this.emit("welcome", message);
        this._resume(message);
      });
      this.ws.on("response", (response) => this._answer(response));
      this.ws.on("say", (message) => {
        if (message && message.bye) this._bye = message;
        this.emit("say", message);
      });
      this.ws.on("closing", (message) => {
        this._closing = message;
        this.emit("closing", message);
      });
      this.ws.on("connect_error", (error) => {
        this.emit("error", error);
        // With the same token the answer would be the same: the server is not asked again and again.
        const refused = error.data && error.data.reconnect === false && !this._freshTokens;
        if (refused) this._end(error.message);
        else this._connectFailed(error.message);
      });
      this.ws.on("disconnect", (reason) => this._lost(reason));
      this._online = () => {
        if (this._retryTimer !== null) this.connect();
      };
    }

    _open() {
      this._clearTimers();
      this._welcomeTimer = setTimeout(() => this._abandon(), this.responseTimeout);
      this.messageCount = 0;
      this._closing = null;
      if (typeof window === "object" && window.addEventListener) window.addEventListener("online", this._online);
      this.ws.connect();
    }

    /** The server has this connection in its default room; take up what was there before, then tell. */
    _resume(welcome) {
      const steps = [["detailsView", {}]];
      const before = this._before;
      if (before) {
        if (before.room !== welcome.room) steps.push(["roomChange", { room: before.room }]);
        before.listening.forEach((room) => steps.push(["listenToRoom", { room }]));
      }
      this.listening = new Set();
      let open = steps.length;
      steps.forEach(([event, params]) => {
        const next = (error) => {
          if (error === LOST || error === QUIT) return;
          if (error) this.emit("error", new Error(`${event}${params.room ? " " + params.room : ""}: ${error}`));
          if (--open === 0) this._ready();
        };
        this._send({ event, params, next, promised: true });
      });
    }

    _ready() {
      this._clearTimers();
      const again = this._wasConnected;
      this._wasConnected = true;
      this.state = "connected";
      this._attempt = 0;
      this._bye = null;
      this._before = null;
      this.emit(again ? "reconnected" : "connected", this.details);
      this._waiting.splice(0).forEach((request) => this._submit(request));
    }

    /** The connection is there, or nearly, but the server does not welcome it: begin again. */
    _abandon() {
      this.emit("error", new Error(NO_WELCOME));
      this._abandoned = true;
      if (this.ws.connected) {
        this.ws.disconnect();
      } else {
        this.ws.disconnect();
        this._abandoned = false;
        this._connectFailed(NO_WELCOME);
      }
    }

    _lost(reason) {
      this._clearTimers();
      // Socket.IO keeps what it could not send for the next connection, where it would upset the count.
      this.ws.sendBuffer = [];
      if (this.state === "connected") this._before = { room: this.room, listening: [...this.listening] };
      // A server of before `closing` says so by the way in which it closes.
      const dismissed = this._closing ? this._closing.reconnect === false : reason === "io server disconnect" && !this._bye;
      const closedHere = reason === "io client disconnect" && !this._abandoned;
      const final = this._quitting || dismissed || closedHere || !this._mayRetry();
      this._abandoned = false;
      this.state = final ? "disconnected" : this._stateWhileOpening();
      const error = this._quitting ? QUIT : LOST;
      const failed = [...this._inFlight.values()];
      this._inFlight.clear();
      this._fail(failed, error);
      if (final) this._end(reason);
      else this._tellDisconnected(reason);
      if (!final) this._retry();
    }

    _connectFailed(reason) {
      this._clearTimers();
      if (this._quitting) return;
      if (this._mayRetry()) this._retry();
      else this._end(reason);
    }

    _mayRetry() {
      return this.options.reconnection !== false && this._attempt < this.options.reconnectionAttempts;
    }

    /** Wait before the next attempt: longer each time, and never at the same moment as all the other clients. */
    _retry() {
      // A listener of `disconnected` may have called connect() or quit() by now.
      if (this._quitting || this._retryTimer !== null || this._welcomeTimer !== null) return;
      const delay = this._delay();
      this._attempt += 1;
      this._retryTimer = setTimeout(() => this._open(), delay);
      this.emit("reconnecting", delay, this._attempt);
    }

    _delay() {
      const { reconnectionDelay, reconnectionDelayMax, randomizationFactor } = this.options;
      const said = this._bye || this._closing;
      this._bye = this._closing = null;
      if (said && said.retryAfter !== undefined) {
        const retryAfter = Number(said.retryAfter) || 0;
        return Math.round(retryAfter + Math.random() * Math.max(retryAfter, reconnectionDelay));
      }
      const delay = Math.min(reconnectionDelay * 2 ** this._attempt, reconnectionDelayMax);
      return Math.round(delay * (1 + randomizationFactor * (2 * Math.random() - 1)));
    }

    /** Nothing more happens until connect() is called. */
    _end(reason) {
      this._clearTimers();
      if (typeof window === "object" && window.removeEventListener) window.removeEventListener("online", this._online);
      this.state = "disconnected";
      if (this.ws.active) this.ws.disconnect();
      this._fail(this._waiting.splice(0), reason);
      this._tellDisconnected(reason);
    }

    _tellDisconnected(reason) {
      this.emit("disconnected", reason, this._closing);
      this.emit("disconnect", reason, this._closing); // its name in 2013
    }

    _stateWhileOpening() {
      return this._wasConnected ? "reconnecting" : "connecting";
    }

    _clearTimers() {
      clearTimeout(this._retryTimer);
      clearTimeout(this._welcomeTimer);
      this._retryTimer = this._welcomeTimer = null;
    }
  }

  AHsocket.AHsocket = AHsocket;
  AHsocket.actionHeroWebSocket = AHsocket;
  AHsocket.default = AHsocket;
  return AHsocket;
});
