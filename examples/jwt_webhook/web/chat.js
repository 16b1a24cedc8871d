// The page of the chat: the official deepstream client, logged in by the cookie (/) or with the token of /session (/?flow=token).
import { DeepstreamClient } from "@deepstream/client/dist/bundle/ds.min.js";

const { router, name } = document.body.dataset;
const flow = new URLSearchParams(location.search).get("flow");
const element = id => document.getElementById(id);
const complain = text => { element("error").textContent = text; };

const client = new DeepstreamClient(router, {
  reconnectIntervalIncrement: 1000,
  maxReconnectInterval: 5000,
  maxReconnectAttempts: Infinity,
});

// ---- logging in ----

async function credentials() {
  if (flow !== "token") return null; // the cookie is in the headers of the connection
  const answer = await fetch("/session");
  if (answer.status === 403) throw { reason: await answer.json() };
  return { token: (await answer.json()).token };
}

async function login() {
  try {
    const clientData = await client.login(await credentials());
    complain("");
    console.info("logged in", clientData);
  } catch (refusal) {
    refused(refusal);
  }
}

function refused({ reason }) {
  if (reason && reason.error !== "login_unavailable") return location.assign(`/login?why=${reason.error}`);
  // Nobody has said no: either the router could not ask, or we could not.
  complain("Logins are unavailable at the moment; trying again.");
  setTimeout(login, 2000);
}

client.on("reauthenticationFailure", refused); // after a reconnect
client.on("connectionStateChanged", state => {
  element("state").textContent = state.toLowerCase();
  if (state === "OPEN") {
    complain("");
    client.presence.getAll().then(users => users.forEach(user => seen(user, true)));
  } else {
    online.clear();
  }
});
client.on("error", (error, event) => {
  if (event !== "MESSAGE_DENIED") return;
  complain("The rules do not allow that.");
  lastSaid?.classList.add("refused");
});

// ---- chatting ----

function show(text, className) {
  const line = document.createElement("li");
  line.textContent = text;
  line.className = className;
  element("messages").prepend(line);
}

client.event.subscribe("chat/lobby", ({ from, text }) => show(`${from}: ${text}`, "message"));
client.event.subscribe("announcements", text => show(text, "announcement"));

let lastSaid;

element("say").onsubmit = event => {
  event.preventDefault();
  const text = element("text").value;
  complain("");
  // The client hands what it sends to its own listeners at once, before the router has judged it.
  if (event.submitter?.value === "announce") client.event.emit("announcements", text);
  else client.event.emit("chat/lobby", { from: name, text });
  lastSaid = element("messages").firstElementChild;
  element("text").value = "";
};

const online = new Set();

function seen(user, isOnline) {
  if (isOnline) online.add(user);
  else online.delete(user);
  element("online").textContent = [...online].sort().join(", ");
}

client.presence.subscribe((user, isOnline) => seen(user, isOnline));

login();
