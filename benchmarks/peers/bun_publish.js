// bun_publish.js PORT: Bun's WebSocket server, which is uWebSockets, with its own publish to topics.
import plain from "./plain.js";
let server;
const core = plain(() => {});
server = Bun.serve({
  port: Number(process.argv[2]),
  hostname: "127.0.0.1",
  fetch(request, server) {
    return server.upgrade(request) ? undefined : new Response("WebSocket only", { status: 426 });
  },
  websocket: {
    idleTimeout: 0,
    perMessageDeflate: false,
    backpressureLimit: 64 * 1024 * 1024,
    message(connection, text) {
      const m = JSON.parse(text);
      if (m.type === "subscribe") {
        connection.subscribe(m.channel);
        connection.send(JSON.stringify({ type: "done", id: m.id }));
      } else if (m.type === "publish") {
        server.publish(m.channel, JSON.stringify({ type: "event", channel: m.channel, data: m.data }));
      } else {
        core.message(connection, text);
      }
    },
    close(connection) {
      core.left(connection);
    },
  },
});
