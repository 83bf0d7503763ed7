// The tables of the operations view: positions, checks, and figures of the gateway.

import { cells, rows, scroller, setClass, table, write } from "./dom.js";
import { NONE, quantity } from "./format.js";
import { panel } from "./panels.js";

const POSITIONS = [
  "Partition",
  "Log end",
  "Applied",
  "Waiting for the matcher",
  "Stored",
  "Waiting for the sink",
];

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
  const columns = POSITIONS.map((text) => [text, "number"]);
  const caption = "Positions of each partition";
  return figures("partitions", "Partitions", caption, columns, (body, { state }) => {
    const names = columns.map(([, name]) => name);
    fill(body, names, state.partitions.map(partitionLine));
  });
}

function partitionLine(each) {
  const waiting = `${quantity(each.waiting)}${each.waiting ? ` for ${each.waiting_s} s` : ""}`;
  const unstored = `${quantity(each.unstored)}${each.unstored ? ` for ${each.unstored_s} s` : ""}`;
  const [end, applied, stored] = [each.end, each.applied, each.stored].map(quantity);
  return [String(each.partition), end, applied, waiting, stored, unstored];
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

export function processTable() {
  const columns = [
    ["Gateway", "name"],
    ["Now", "number"],
  ];
  const caption = "Figures of this gateway";
  return figures("process", "Gateway", caption, columns, (body, { state, samples }) => {
    const { process } = state;
    const newest = samples.at(-1);
    fill(body, ["name", "number"], [
      ["Memory", `${quantity(process.resident_bytes / 1048576)} MiB`],
      ["Processor", `${process.cpu_percent} % of a core`],
      ["Orders in memory", quantity(process.orders_in_memory)],
      ["HTTP connections", quantity(process.http_connections)],
      ["WebSocket connections", quantity(newest?.streams)],
      ["Longest delay of the loop, last second", newest ? `${newest.loop_delay_ms} ms` : NONE],
    ]);
  });
}
