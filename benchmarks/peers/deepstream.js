"use strict";
// deepstream.js PORT [webhook]: the official deepstream server with its default server, everybody let in, and rules that read the user. With
// "webhook" a service is asked about each login; its port is in the file "beside".
const { readFileSync } = require("fs");
const { Deepstream } = require("@deepstream/server");
const everybody = "user.id !== ''";
const asked = () => `http://127.0.0.1:${readFileSync("beside", "utf8")}/`;
const webhook = () => ({ endpointUrl: asked(), permittedStatusCodes: [200], requestTimeout: 60000, retryAttempts: 0, retryStatusCodes: [], retryInterval: 5000, promoteToHeader: [] });
const auth = process.argv[3] === "webhook" ? { type: "http", options: webhook() } : { type: "none", options: {} };
const server = new Deepstream({
  showLogo: false,
  logger: { type: "default", options: { logLevel: "ERROR", colors: false } },
  telemetry: { type: "deepstreamIO", options: { enabled: false } },
  httpServer: { type: "default", options: { host: "127.0.0.1", port: Number(process.argv[2]), allowAllOrigins: true, healthCheckPath: "/health-check", maxMessageSize: 1048576 } },
  connectionEndpoints: [{ type: "ws-binary", options: { urlPath: "/deepstream", heartbeatInterval: 30000, outgoingBufferTimeout: 0, maxMessageSize: 1048576, maxAuthAttempts: 3, unauthenticatedClientTimeout: 180000, logInvalidAuthData: false, maxBufferByteSize: 100000, headers: [] } }],
  auth: [auth],
  permission: {
    type: "config",
    options: {
      permissions: {
        presence: { "*": { allow: true } },
        record: { "*": { create: true, write: true, read: true, delete: true, listen: true, notify: true } },
        event: { "*": { publish: everybody, subscribe: true, listen: true } },
        rpc: { "*": { provide: true, request: everybody } },
      },
      maxRuleIterations: 3,
      cacheEvacuationInterval: 60000,
    },
  },
});
server.start();
process.on("SIGTERM", () => process.exit(0));
