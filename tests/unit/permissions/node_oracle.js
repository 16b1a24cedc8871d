// Reads one JSON array of cases per line from stdin: {source, values}. Writes one JSON array of outcomes per line.
// An outcome is {"value": ...} with the value spelled so that JSON loses nothing, or {"throws": true}.
"use strict";
const readline = require("node:readline");

function spelled(value) {
  if (value === undefined) return { undefined: true };
  if (typeof value === "number") {
    return { number: Object.is(value, -0) ? "-0" : String(value) };
  }
  if (typeof value === "string") {
    // Code units, since half a character is no JSON that both sides read alike.
    return { text: Array.from({ length: value.length }, (_, at) => value.charCodeAt(at)) };
  }
  if (Array.isArray(value)) return { list: value.map(spelled) };
  if (value !== null && typeof value === "object") {
    return { object: Object.entries(value).map(([key, item]) => [key, spelled(item)]) };
  }
  return { plain: value };
}

const names = ["user", "session", "data", "oldData", "now", "action", "name", "$room", "_"];

function outcome({ source, values }) {
  let rule;
  try {
    rule = new Function(...names, `"use strict"; return (${source});`);
  } catch (error) {
    return { refused: String(error) };
  }
  const records = values.records;
  const record = (key) => {
    if (typeof key !== "string") throw new TypeError("a record has a text for its name");
    return Object.hasOwn(records, key) ? records[key] : null;
  };
  const data = "data" in values ? values.data : undefined;
  try {
    return {
      value: spelled(
        rule(values.user, values.session, data, values.oldData, values.now, values.action, values.name, values.room, record),
      ),
    };
  } catch (error) {
    return { throws: String(error) };
  }
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  process.stdout.write(JSON.stringify(JSON.parse(line).map(outcome)) + "\n");
});
