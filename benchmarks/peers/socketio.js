"use strict";
// socketio.js PORT: socket.io with its rooms as channels.
const web = require("http").createServer();
const { Server } = require("socket.io");
const io = new Server(web, { transports: ["websocket"], perMessageDeflate: false });
const providers = new Map(), calls = new Map();
let turn = 0, nextCall = 1;
io.on("connection", (socket) => {
  socket.on("subscribe", (channel) => {
    socket.join(channel);
    socket.emit("done", channel);
  });
  socket.on("publish", (channel, data) => io.to(channel).emit("event", channel, data));
  socket.on("provide", (procedure) => {
    if (!providers.has(procedure)) providers.set(procedure, []);
    providers.get(procedure).push(socket);
    socket.emit("done", procedure);
  });
  socket.on("call", (id, procedure, data) => {
    const several = providers.get(procedure), call = String(nextCall++);
    if (!several?.length) return; // the provider has left
    calls.set(call, { socket, id });
    several[turn++ % several.length].emit("invoke", call, data);
  });
  socket.on("result", (call, data) => {
    const open = calls.get(call);
    if (!open) return;
    calls.delete(call);
    open.socket.emit("result", open.id, data);
  });
  socket.on("disconnect", () => {
    for (const [name, several] of providers) providers.set(name, several.filter((other) => other !== socket));
  });
});
web.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
