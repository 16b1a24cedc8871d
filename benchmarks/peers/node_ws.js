"use strict";
// node_ws.js PORT naive|prepared [CERTIFICATE KEY]: the package ws. "naive" sends to each subscriber, "prepared" makes the frame once.
const fs = require("fs");
const { WebSocketServer, Sender } = require("ws");
const [port, mode, certificate, key] = process.argv.slice(2);

function naive(members, text) {
  for (const connection of members) connection.send(text);
}

function prepared(members, text) {
  const parts = Sender.frame(Buffer.from(text), { fin: true, opcode: 1, mask: false, readOnly: false, rsv1: false });
  const frame = Buffer.concat(parts);
  for (const connection of members) connection._socket.write(frame);
}

const core = require("./plain")(mode === "prepared" ? prepared : naive);
const web = certificate
  ? require("https").createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) })
  : require("http").createServer();
new WebSocketServer({ server: web, perMessageDeflate: false }).on("connection", (connection) => {
  connection.on("message", (data) => core.message(connection, data.toString()));
  connection.on("close", () => core.left(connection));
});
web.listen({ port: Number(port), host: "127.0.0.1", backlog: 4096 });
