"use strict";
// The "plain" dialect without a server around it: who subscribes and provides what, and what a message does.
// A connection is an object with send(text); `deliver(connections, text)` is what servers do differently.
module.exports = function plain(deliver) {
  const channels = new Map(), providers = new Map(), calls = new Map();
  let turn = 0, nextCall = 1;
  return {
    message(connection, text) {
      const m = JSON.parse(text);
      switch (m.type) {
        case "subscribe":
          if (!channels.has(m.channel)) channels.set(m.channel, new Set());
          channels.get(m.channel).add(connection);
          return connection.send(JSON.stringify({ type: "done", id: m.id }));
        case "publish": {
          const members = channels.get(m.channel);
          if (members) deliver(members, JSON.stringify({ type: "event", channel: m.channel, data: m.data }));
          return;
        }
        case "provide":
          if (!providers.has(m.procedure)) providers.set(m.procedure, []);
          providers.get(m.procedure).push(connection);
          return connection.send(JSON.stringify({ type: "done", id: m.id }));
        case "call": {
          const several = providers.get(m.procedure), call = String(nextCall++);
          if (!several) return; // the provider has left
          calls.set(call, { caller: connection, id: m.id });
          return several[turn++ % several.length].send(JSON.stringify({ type: "invoke", call, procedure: m.procedure, data: m.data }));
        }
        case "result": {
          const open = calls.get(m.call);
          if (!open) return;
          calls.delete(m.call);
          return open.caller.send(JSON.stringify({ type: "result", id: open.id, data: m.data }));
        }
      }
    },
    left(connection) {
      for (const [name, members] of channels) {
        members.delete(connection);
        if (!members.size) channels.delete(name);
      }
      for (const [name, several] of providers) {
        const rest = several.filter((other) => other !== connection);
        if (rest.length) providers.set(name, rest);
        else providers.delete(name);
      }
    },
  };
};
