/*!
 * The face that Socket.IO 0.9's browser client had, over the Socket.IO 4 client that stands above in this file:
 * io.EventEmitter, io.connect and what the socket it returns could do. io() itself stays as it is.
 */
(function (io) {
  "use strict";
  if (!io || io.EventEmitter) return;

  // ---- io.EventEmitter ------------------------------------------------------------------------------------------
  // Functions on a plain prototype: pages of the time copied them with for…in, which passes over class methods.

  function EventEmitter() {}

  EventEmitter.prototype.on = function (name, listener) {
    if (!this.$events) this.$events = {};
    (this.$events[name] = (this.$events[name] || []).slice()).push(listener);
    return this;
  };

  EventEmitter.prototype.addListener = EventEmitter.prototype.on;

  EventEmitter.prototype.once = function (name, listener) {
    var self = this;
    function once() {
      self.removeListener(name, once);
      listener.apply(this, arguments);
    }
    once.listener = listener;
    return this.on(name, once);
  };

  EventEmitter.prototype.removeListener = function (name, listener) {
    if (this.$events && this.$events[name]) {
      this.$events[name] = this.$events[name].filter(function (one) {
        return one !== listener && one.listener !== listener;
      });
    }
    return this;
  };

  EventEmitter.prototype.removeAllListeners = function (name) {
    if (name === undefined) this.$events = {};
    else if (this.$events) delete this.$events[name];
    return this;
  };

  EventEmitter.prototype.listeners = function (name) {
    return (this.$events && this.$events[name]) || [];
  };

  EventEmitter.prototype.emit = function (name) {
    var listeners = this.listeners(name);
    var args = Array.prototype.slice.call(arguments, 1);
    for (var i = 0; i < listeners.length; i++) listeners[i].apply(this, args);
    return listeners.length > 0;
  };

  // ---- options --------------------------------------------------------------------------------------------------

  var TRANSPORTS = {
    websocket: "websocket",
    flashsocket: "websocket",
    htmlfile: "polling",
    "xhr-multipart": "polling",
    "xhr-polling": "polling",
    "jsonp-polling": "polling"
  };

  /** 0.9 name -> Socket.IO 4 name; null: nothing does this any more. */
  var OPTIONS = {
    "auto connect": "autoConnect",
    "connect timeout": "timeout",
    "force new connection": "forceNew",
    "max reconnection attempts": "reconnectionAttempts",
    reconnect: "reconnection",
    "reconnection delay": "reconnectionDelay",
    "reconnection limit": "reconnectionDelayMax",
    "sync disconnect on unload": "closeOnBeforeunload",
    "try multiple transports": "tryAllTransports",
    document: null,
    "flash policy port": null,
    manualFlush: null,
    "reopen delay": null
  };

  /** The options of 0.9's io.connect as those of Socket.IO 4; names that are 4's already pass unchanged. */
  function translateOptions(options) {
    // Named, since to try all would else be to try WebTransport too, which ahd does not speak.
    var result = { tryAllTransports: true, transports: ["polling", "websocket"] };
    Object.keys(options || {}).forEach(function (name) {
      var value = options[name];
      if (name === "resource") {
        result.path = "/" + String(value).replace(/^\/+|\/+$/g, "");
      } else if (name === "transports" && Array.isArray(value)) {
        result.transports = value
          .map(function (one) { return (typeof one === "string" && TRANSPORTS[one]) || one; })
          .filter(function (one, index, all) { return all.indexOf(one) === index; });
      } else if (Object.prototype.hasOwnProperty.call(OPTIONS, name)) {
        if (OPTIONS[name]) result[OPTIONS[name]] = value;
      } else {
        result[name] = value;
      }
    });
    // 0.9 allowed an unlimited delay; a timer does not.
    if (result.reconnectionDelayMax > 0x7fffffff) result.reconnectionDelayMax = 0x7fffffff;
    return result;
  }

  /** 0.9 took host, port and secure as options too. */
  function address(uri, options) {
    if (!options || !(options.host || options.port || options.secure !== undefined)) return uri || undefined;
    var parts = /^(?:(https?|wss?):)?(?:\/\/)?(?:([^/:?]+))?(?::(\d+))?(.*)$/.exec(uri || "");
    var place = typeof location === "undefined" ? {} : location;
    var secure = options.secure === undefined ? /^(https|wss)/.test(parts[1] || place.protocol || "") : options.secure;
    var host = options.host || parts[2] || place.hostname || "localhost";
    var port = options.port || parts[3] || (options.host || parts[2] ? "" : place.port);
    return (secure ? "https://" : "http://") + host + (port ? ":" + port : "") + (parts[4] || "");
  }

  // ---- the socket -----------------------------------------------------------------------------------------------

  /** socket.socket: the connection below the namespaces. */
  function Connection(first, options) {
    this.manager = first.io;
    this.first = first;
    this.options = options;
    this.reconnecting = false;
    this.namespaces = {};
    this.lastId = undefined;
  }

  Object.keys(EventEmitter.prototype).forEach(function (name) {
    Connection.prototype[name] = EventEmitter.prototype[name];
  });

  Object.defineProperties(Connection.prototype, {
    connected: { get: function () { return this.first.connected; } },
    open: { get: function () { return this.first.connected; } },
    connecting: { get: function () { return !this.first.connected && this.first.active; } },
    sessionid: { get: function () { return this.first.id || this.lastId; } },
    transport: {
      get: function () {
        var engine = this.manager.engine;
        return engine && engine.transport ? { name: transportName(engine.transport.name) } : null;
      }
    }
  });

  Connection.prototype.connect = function (listener) {
    if (typeof listener === "function") this.first.once("connect", listener);
    this.first.connect();
    return this;
  };
  Connection.prototype.reconnect = Connection.prototype.connect;

  Connection.prototype.disconnect = function () {
    this.first.disconnect();
    return this;
  };
  Connection.prototype.disconnectSync = Connection.prototype.disconnect;

  Connection.prototype.of = function (name) {
    var path = "/" + String(name || "").replace(/^\//, "");
    if (!this.namespaces[path]) {
      this.namespaces[path] = dress(this.manager.socket(path, this.options), this, path);
    }
    return this.namespaces[path];
  };

  /** An event of the connection: to its own listeners and to those of every namespace. */
  Connection.prototype.publish = function () {
    var args = arguments;
    this.emit.apply(this, args);
    for (var path in this.namespaces) fire(this.namespaces[path], args);
  };

  function transportName(name) {
    return name === "polling" ? "xhr-polling" : name;
  }

  /** Call a socket's own listeners; its emit would send. */
  function fire(socket, args) {
    var rest = Array.prototype.slice.call(args, 1);
    socket.listeners(args[0]).slice().forEach(function (listener) { listener.apply(socket, rest); });
  }

  /** Give a Socket.IO 4 socket what 0.9's had besides. */
  function dress(socket, connection, path) {
    socket.socket = connection;
    socket.name = path === "/" ? "" : path;
    socket.of = function (other) { return connection.of(other); };
    socket.$emit = function () { fire(socket, arguments); };
    socket.addListener = socket.on;
    // The flag of 0.9 that sent an object as JSON; everything is sent as JSON now.
    socket.json = {
      send: function () { return socket.send.apply(socket, arguments); },
      emit: function () { return socket.emit.apply(socket, arguments); }
    };
    return socket;
  }

  /** The events of 0.9 that Socket.IO 4 has elsewhere, or under another name. */
  function relay(connection) {
    var manager = connection.manager;
    var first = connection.first;
    var current = function () { return connection.transport ? connection.transport.name : undefined; };
    var attempt = 0;

    first.on("connect", function () {
      connection.lastId = first.id;
      connection.emit("connect");
      if (connection.reconnecting) {
        connection.reconnecting = false;
        connection.publish("reconnect", current(), attempt);
      }
      attempt = 0;
    });
    first.on("disconnect", function (reason) { connection.emit("disconnect", reason); });
    manager.on("reconnect_attempt", function (count) {
      attempt = count;
      connection.reconnecting = true;
      connection.publish("reconnecting", manager.reconnectionDelay(), count);
      connection.publish("connecting", current());
    });
    manager.on("reconnect_failed", function () {
      connection.reconnecting = false;
      connection.publish("reconnect_failed");
    });
    first.on("connect_error", function (error) {
      // A namespace that the server refused is no longer active; a connection that failed is tried again.
      if (!first.active) connection.publish("connect_failed", error.message);
      else if (!connection.reconnecting) connection.publish("error", error.message);
    });
  }

  /** Connect as 0.9 did: one connection for each address, unless `force new connection` asks for another. */
  function connect(uri, options) {
    if (uri && typeof uri === "object") {
      options = uri;
      uri = undefined;
    }
    var where = address(uri, options);
    var modern = translateOptions(options);
    ["host", "port", "secure"].forEach(function (name) { delete modern[name]; });
    var parts = /^(?:((?:https?|wss?):)?\/\/)?([^/?]*)(\/[^?]*)?/.exec(where || "");
    var path = parts[3] || "/";
    var place = typeof location === "undefined" ? {} : location;
    var key = (parts[1] || place.protocol) + "//" + (parts[2] || place.host) + " " + (modern.path || "");
    var forced = modern.forceNew || modern.multiplex === false;
    var connection = forced ? undefined : io.sockets[key];
    if (connection) {
      if (!connection.first.active && modern.autoConnect !== false) connection.first.connect();
      return connection.of(path);
    }
    // 0.9 had every namespace over the one connection; a new Manager here keeps it apart from those of io().
    var first = io(where, Object.assign({}, modern, { forceNew: true }));
    connection = new Connection(first, modern);
    connection.namespaces[path] = dress(first, connection, path);
    relay(connection);
    if (!forced) io.sockets[key] = connection;
    return first;
  }

  io.EventEmitter = EventEmitter;
  io.translateOptions = translateOptions;
  io.sockets = {};
  io.connect = connect;
})(typeof exports === "object" && typeof module !== "undefined" ? module.exports : (typeof globalThis !== "undefined" ? globalThis : self).io);
