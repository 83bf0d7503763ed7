// The tables of the operations view: positions, checks and figures.

import { cells, rows, scroller, setClass, table, write } from "./dom.js";
import { NONE, duration, quantity } from "./format.js";
import { panel } from "./panels.js";

const POSITIONS = [
  "Partition",
  "Waiting for the matcher",
  "Waiting for the sink",
  "Log end",
  "Applied",
  "Stored",
  "Matcher",
  "Epoch from record",
];
// Of more the gateway does not know the number.
const WEBHOOKS_COUNTED_MAX = 10_000;

function figures(name, title, caption, columns, draw) {
  const { element, body } = table(caption, columns);
  const box = panel(name, title, scroller(caption, element));
  return { element: box.element, draw: (model) => draw(body, model) };
}

function fill(body, columns, lines) {
  const drawn = rows(body, lines.length, () => cells(...columns));
  lines.forEach((line, at) => line.forEach((text, column) => write(drawn[at].cells[column], text)));
  return drawn;
}

export function partitionTable() {
  const columns = POSITIONS.map((text) => [text, text === "Matcher" ? "name" : "number"]);
  const caption = "Positions and matcher of each partition";
  return figures("partitions", "Partitions", caption, columns, (body, { state }) => {
    const names = columns.map(([, name]) => name);
    fill(body, names, state.partitions.map(partitionLine));
  });
}

function partitionLine(each) {
  const waiting = `${quantity(each.waiting)}${each.waiting ? ` for ${each.waiting_s} s` : ""}`;
  const unstored = `${quantity(each.unstored)}${each.unstored ? ` for ${each.unstored_s} s` : ""}`;
  const [end, applied, stored] = [each.end, each.applied, each.stored].map(quantity);
  const claim = [each.claim?.matcher ?? NONE, quantity(each.claim?.offset)];
  return [String(each.partition), waiting, unstored, end, applied, stored, ...claim];
}

export function checkTable() {
  const columns = [
    ["Check", "name"],
    ["Result", "name"],
    ["Detail", "detail"],
  ];
  const caption = "Readiness checks, and helpers that are down";
  return figures("checks", "Checks", caption, columns, (body, { state }) => {
    const result = (ok) => (ok ? "ok" : "✗ down");
    const lines = state.checks.map(({ name, ok, detail }) => [name, result(ok), detail]);
    const drawn = fill(body, ["name", "name", "detail"], lines);
    state.checks.forEach(({ ok }, at) => {
      setClass(drawn[at].cells[1], ok ? "name up" : "name down");
    });
  });
}

// A name and a figure in each line.
function list(name, title, caption, lines) {
  const columns = [
    ["Figure", "name"],
    ["Now", "number"],
  ];
  return figures(name, title, caption, columns, (body, model) => {
    fill(body, ["name", "number"], lines(model));
  });
}

export function processTable() {
  return list("process", "Gateway", "Figures of this gateway", ({ state, samples }) => {
    const { process } = state;
    const newest = samples.at(-1);
    return [
      ["Memory", `${quantity(process.resident_bytes / 1048576)} MiB`],
      ["Processor", `${process.cpu_percent} % of a core`],
      ["Symbols", quantity(process.symbols)],
      ["Open orders", quantity(process.open_orders)],
      ["Orders in memory", quantity(process.orders_in_memory)],
      ["HTTP connections", quantity(process.http_connections)],
      ["Longest delay of the loop, last second", newest ? `${newest.loop_delay_ms} ms` : NONE],
    ];
  });
}

export function streamTable() {
  const caption = "Live connections of this gateway";
  return list("streams", "Live connections", caption, ({ state, samples }) => [
    ["Connections", quantity(samples.at(-1)?.streams)],
    ["Subscriptions", quantity(state.streams.subscriptions)],
    ["Bytes, last second", quantity(samples.at(-1)?.stream_bytes)],
    ["Conflated messages", quantity(state.streams.conflated)],
    ["Ended by the gateway", quantity(state.streams.cut)],
  ]);
}

export function webhookTable() {
  return list("webhooks", "Webhooks", "The outbox of webhooks", ({ state }) => {
    const { as_of, webhooks } = state;
    const oldest = webhooks?.oldest_pending;
    const age = oldest ? duration(Date.parse(as_of) - Date.parse(oldest)) : NONE;
    return [
      ["Pending", upTo(webhooks?.pending)],
      ["Oldest pending", age],
      ["Pending after a failed attempt", upTo(webhooks?.retried)],
      ["Parked", upTo(webhooks?.parked)],
    ];
  });
}

function upTo(number) {
  return quantity(number) + (number >= WEBHOOKS_COUNTED_MAX ? " or more" : "");
}
