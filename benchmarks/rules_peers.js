// Decisions of a function made as Valve makes it, without and with the choice among many paths.
// Usage: node rules_peers.js '{"patterns": 1000, "seconds": 1}'; prints one JSON object of decisions per second.
"use strict";

const options = JSON.parse(process.argv[2]);
const PARAMETERS = ["_", "user", "data", "oldData", "now", "action", "name"];

// One function of the expression, with the variables of the path as further parameters.
function compile(path, expression) {
  const variables = (path.match(/\$[a-zA-Z0-9]+/g) || []);
  const pattern = path
    .replace(/\*/g, ".*")
    .replace(/(\$[a-zA-Z0-9]+)/g, "([^/]+)");
  return {
    regexp: new RegExp("^" + pattern + "$"),
    length: path.length,
    run: new Function(...PARAMETERS, ...variables, "return (" + expression + ");"),
  };
}

const rule = compile("private/$userid", "user.id === $userid");
const user = { id: "egon", isAuthenticated: true, data: null };
const now = Date.now();

function afterLookup() {
  return rule.run(null, user, undefined, undefined, now, "subscribe", "private/egon", "egon") === true;
}

const paths = [];
for (let number = 0; number < options.patterns; number += 1) {
  paths.push(compile("rooms" + number + "/$userid", "user.id === $userid"));
}

function withLookup(name) {
  let found = null;
  for (const candidate of paths) {
    if ((found === null || candidate.length >= found.length) && candidate.regexp.test(name)) found = candidate;
  }
  if (found === null) return false;
  const bound = name.match(found.regexp).slice(1);
  return found.run(null, user, undefined, undefined, now, "subscribe", name, ...bound) === true;
}

const names = [];
for (let number = 0; number < 2000; number += 1) {
  names.push("rooms" + ((number * 37) % options.patterns) + "/egon");
}

// Seconds of the processor.
function used() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function rate(work, batch) {
  let best = 0;
  for (let round = 0; round < 5; round += 1) {
    let done = 0;
    let allowed = 0;
    const start = used();
    let spent = 0;
    while (spent < options.seconds / 5) {
      for (let index = 0; index < batch; index += 1) allowed += work(done + index) ? 1 : 0;
      done += batch;
      spent = used() - start;
    }
    if (allowed !== done) throw new Error("the benchmark is wrong: something is not allowed");
    best = Math.max(best, done / spent);
  }
  return best;
}

process.stdout.write(JSON.stringify({
  version: process.version,
  after_lookup: rate(afterLookup, 100000),
  with_lookup: rate((index) => withLookup(names[index % names.length]), 100),
}));
