// actionhero 29 with its own configuration for production, one action more, and nothing logged for each request.
// PORT and REDIS_URL in the environment.
"use strict";

const path = require("path");

process.env.ACTIONHERO_CONFIG = path.join(require.resolve("actionhero"), "..", "config");
process.env.ACTIONHERO_CONFIG_OVERRIDES = JSON.stringify({
  general: { paths: { action: [path.join(__dirname, "actionhero")], log: [] } },
  logger: { loggers: [] },
  web: { bindIP: "127.0.0.1", automaticRoutes: ["get"] },
  routes: { get: [] },
  websocket: { enabled: false },
});
new (require("actionhero").Process)().start();
