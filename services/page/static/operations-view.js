// The pipeline as the gateway knows it: which stage is behind, in words and figures.

import { axis } from "./charts.js";
import { make, setAttribute, write } from "./dom.js";
import { connection, on, subscribe, unsubscribe } from "./feed.js";
import { NONE, compact, minuteOf, timeOf } from "./format.js";
import { mayRead } from "./market-data.js";
import {
  checkTable,
  partitionTable,
  processTable,
  streamTable,
  webhookTable,
} from "./operations-tables.js";
import { onPaint, touch } from "./paint.js";
import { panel } from "./panels.js";
import { Plot, color } from "./plot.js";
import { SIGN_IN } from "./session.js";

const CHANNEL = "operations";
const SAMPLES_MAX = 600;
// Below this the times of a chart need seconds to differ.
const SECONDS_SHOWN_S = 300;
const STAGES = [
  ["gateway", "Gateway"],
  ["log", "Command log"],
  ["matcher", "Matcher"],
  ["sink", "Sink"],
  ["database", "PostgreSQL"],
  ["helper", "Helpers"],
];
// Lines of one chart differ by more than their colour.
const STROKES = [
  ["solid", []],
  ["dashed", [7, 3]],
  ["dotted", [2, 2]],
];
const CHARTS = [
  [
    "Commands a second",
    ["commands", "--accent", "all"],
    ["orders", "--up", "orders"],
    ["cancels", "--down", "cancels"],
  ],
  ["Trades a second", ["trades", "--up"]],
  [
    "Orders answered within, ms",
    ["post_p50_ms", "--up", "p50"],
    ["post_p99_ms", "--accent", "p99"],
    ["post_p999_ms", "--down", "p99.9"],
  ],
  [
    "Age of outcomes on arrival, ms",
    ["outcome_age_p50_ms", "--up", "p50"],
    ["outcome_age_p99_ms", "--accent", "p99"],
    ["outcome_age_ms", "--down", "highest"],
  ],
];

const model = { state: null, samples: [] };

export function operationsView(view) {
  const sentence = make("p", { class: "sentence", role: "status" });
  const stages = make("ol", { class: "stages", "aria-label": "Stages of the pipeline" });
  const parts = [partitionTable(), checkTable(), processTable(), streamTable(), webhookTable()];
  const charts = CHARTS.map(lineChart);
  const title = panel("pipeline", "Pipeline", sentence, stages);
  view.replaceChildren(
    make("h1", { class: "hidden", text: "Operations" }),
    make(
      "div",
      { class: "operations" },
      title.element,
      ...charts.map((chart) => chart.element),
      ...parts.map((part) => part.element),
    ),
  );
  const draw = () => {
    const missed = !["live", "connecting"].includes(connection.state);
    write(sentence, sentenceOf(missed));
    drawStages(stages, missed);
    if (!model.state) return;
    for (const part of [...parts, ...charts]) part.draw(model);
  };
  const ends = ["operations", "theme", "connection-state", "session"].map((topic) => {
    return onPaint(topic, draw);
  });
  ends.push(() => unsubscribe(CHANNEL));
  subscribe(CHANNEL, () => ({ channel: CHANNEL }));
  touch("operations");
  return () => {
    for (const end of ends) end();
    for (const chart of charts) chart.end();
  };
}

// The first message has the samples of ten minutes, each later one those that are new.
on("operations", ({ operations: found }) => {
  model.state = found;
  const last = model.samples.at(-1)?.time ?? 0;
  model.samples.push(...found.samples.filter((each) => each.time > last));
  model.samples.splice(0, Math.max(0, model.samples.length - SAMPLES_MAX));
  touch("operations");
});

function sentenceOf(missed) {
  const { state } = model;
  if (!mayRead() && connection.hello) return `This view needs a broker's key here: ${SIGN_IN}.`;
  if (missed && state) {
    return `The gateway does not answer. At ${timeOf(Date.parse(state.as_of))}: ${state.sentence}`;
  }
  if (missed) return "The gateway does not answer.";
  return state ? state.sentence : "Reading the state of the pipeline.";
}

function drawStages(list, missed) {
  const { state } = model;
  while (list.children.length < STAGES.length) {
    list.append(make("li", {}, make("strong"), make("span")));
  }
  STAGES.forEach(([name, title], index) => {
    const item = list.children[index];
    const known = state !== null && !missed;
    const behind = known && state.behind === name;
    const word = !known ? "unknown" : behind ? "behind" : stageWord(state, index);
    write(item.firstChild, title);
    write(item.lastChild, word);
    setAttribute(item, "data-state", word);
  });
}

// Stages after the one that is behind are not judged: what they would do has not reached them.
function stageWord(state, index) {
  const at = STAGES.findIndex(([name]) => name === state.behind);
  return at >= 0 && index > at && at < 2 ? "not judged" : "keeps up";
}

function lineChart([title, ...lines]) {
  const plot = new Plot(120, () => ({
    legend: { show: false },
    cursor: { points: { show: false } },
    scales: { x: { time: true }, y: { range: (_, low, high) => [0, Math.max(1, high) * 1.1] } },
    axes: [
      axis({ values: timesOf, space: 75, size: 28 }),
      axis({ values: (_, all) => all.map(compact), size: 46 }),
    ],
    series: [
      {},
      ...lines.map(([label, name], at) => ({
        label,
        stroke: color(name),
        width: 1.5,
        dash: STROKES[at][1],
        points: { show: false },
      })),
    ],
  }));
  const summary = make("p", { class: "summary" });
  const name = `chart-${lines[0][0].replaceAll("_", "-")}`;
  const box = panel(name, title, plot.place, summary);
  const draw = ({ samples }) => {
    plot.draw([
      samples.map((each) => each.time / 1000),
      ...lines.map(([field]) => samples.map((each) => each[field])),
    ]);
    const texts = lines.map(([field, , word], at) => {
      return nowOf(samples.at(-1)?.[field] ?? null, word, STROKES[at][0]);
    });
    const text = `Now ${texts.join(", ")}.`;
    write(summary, text);
    setAttribute(plot.place, "aria-label", `${title}. ${text}`);
  };
  return { element: box.element, draw, end: () => plot.end() };
}

function timesOf({ scales: { x } }, all) {
  const text = x.max - x.min < SECONDS_SHOWN_S ? timeOf : minuteOf;
  return all.map((each) => text(each * 1000));
}

function nowOf(value, word, stroke) {
  const text = value === null ? NONE : compact(value);
  return word ? `${word} ${text} (${stroke})` : text;
}
