// The charts, drawn by uPlot: candles with volume, and the depth of the order book. Each has a
// summary in words and a table with the same figures.

import { INTERVALS, SHOWN_MAX, candles, readOlder } from "./candles.js";
import { cells, make, rows, scroller, table, write } from "./dom.js";
import { compact, counted, dayOf, minuteOf, momentOf, price, quantity, timeOf } from "./format.js";
import { market } from "./market-data.js";
import { Plot, color } from "./plot.js";

const TABLE_ROWS = 30;
// Few candles stay as narrow as many.
const SPAN_MIN = 60;
const NEAR_LEVELS = 10;
const NEAR_SHARE = 0.05;

// Steps of an axis: 1, 2, 5, 10, ... cents or shares, never a part of one.
const POWERS = Array.from({ length: 13 }, (_, at) => 10 ** at);
const WHOLE_STEPS = POWERS.flatMap((power) => [power, 2 * power, 5 * power]);

export function axis(more) {
  const line = { stroke: color("--grid"), width: 1 };
  return { stroke: color("--muted"), grid: line, ticks: line, font: "11px system-ui", ...more };
}

// Room for the longest price beside a chart, and below it.
function wide(_, values) {
  return Math.max(62, ...(values ?? []).map((text) => 20 + 7 * text.length));
}

function roomOf(plot, at, low, high) {
  return Math.max(70, 24 + 7 * price(high).length);
}

function candleOptions() {
  const bare = { grid: { show: false }, ticks: { show: false } };
  const prices = (_, values) => values.map((value) => price(value));
  const volumes = ({ scales }, values) => {
    return values.map((value) => (value > scales.volume.max / 4 ? "" : compact(value)));
  };
  return {
    legend: { show: false },
    cursor: { points: { show: false } },
    scales: {
      x: { time: true },
      y: { range: (_, low, high) => padded(low, high) },
      // Bars stay in the lowest quarter, below the candles.
      volume: { range: (_, low, high) => [0, Math.max(1, high) * 4] },
    },
    axes: [
      axis({ values: timesOf, space: 60, size: 28 }),
      axis({ scale: "y", values: prices, incrs: WHOLE_STEPS, size: wide, side: 1 }),
      axis({ ...bare, scale: "volume", values: volumes, incrs: WHOLE_STEPS, size: 46, side: 3 }),
    ],
    series: [
      {},
      { scale: "y", label: "high", paths: () => null, points: { show: false } },
      { scale: "y", label: "low", paths: () => null, points: { show: false } },
      {
        scale: "volume",
        label: "volume",
        fill: color("--volume"),
        width: 0,
        points: { show: false },
        paths: uPlot.paths.bars({ size: [0.7, 12] }),
      },
    ],
    hooks: { draw: [drawCandles] },
  };
}

// Intervals before the first candle, and one behind the last, so that few are drawn as many are.
function spanned(all) {
  if (!all.length) return all;
  const length = INTERVALS[candles.interval];
  const empty = (start) => ({ start, high: null, low: null, volume: null });
  const missing = Math.max(1, SPAN_MIN - all.length);
  const before = Array.from({ length: missing }, (_, at) => (missing - at) * length);
  const [first, last] = [all[0].start, all.at(-1).start];
  return [...before.map((by) => empty(first - by)), ...all, empty(last + length)];
}

function timesOf(_, seconds) {
  const text = candles.interval === "1d" ? dayOf : minuteOf;
  return seconds.map((each) => text(each * 1000));
}

function padded(low, high) {
  if (low === null || low === undefined) return [0, 1];
  const room = Math.max(1, (high - low) * 0.1);
  return [low - room, high + room];
}

function drawCandles(plot) {
  const { ctx, bbox } = plot;
  const list = candles.list;
  const [first, last] = [plot.scales.x.min, plot.scales.x.max];
  const shown = list.filter((each) => each.start / 1000 >= first && each.start / 1000 <= last);
  const length = INTERVALS[candles.interval] / 1000;
  const width = Math.max(1, Math.min(12, (bbox.width * length * 0.7) / (last - first)));
  const tones = { up: color("--up"), down: color("--down"), flat: color("--muted") };
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const each of shown) drawCandle(plot, each, width, tones);
  ctx.restore();
}

function drawCandle({ ctx, valToPos }, { start, open, high, low, close, volume }, width, tones) {
  const x = Math.round(valToPos(start / 1000, "x", true));
  const y = (value) => Math.round(valToPos(value, "y", true));
  const tone = volume === 0 ? tones.flat : close >= open ? tones.up : tones.down;
  ctx.strokeStyle = ctx.fillStyle = tone;
  ctx.lineWidth = 1;
  ctx.beginPath();
  ctx.moveTo(x + 0.5, y(high));
  ctx.lineTo(x + 0.5, y(low));
  ctx.stroke();
  const top = y(Math.max(open, close));
  const height = Math.max(1, y(Math.min(open, close)) - top);
  const left = Math.round(x - width / 2);
  // Rising candles are hollow, falling ones filled: colour alone would not suffice.
  if (close >= open && volume && height > 2) {
    ctx.clearRect(left, top, width, height);
    ctx.strokeRect(left + 0.5, top + 0.5, Math.max(1, width - 1), height - 1);
  } else ctx.fillRect(left, top, width, height);
}

export function candleChart() {
  const onSeen = () => {
    tell();
    if (plot.seen().min <= plot.data[0][0]) readOlder();
  };
  const plot = new Plot(330, candleOptions, { shown: SHOWN_MAX + 1, onSeen });
  const summary = make("p", { class: "summary" });
  const columns = ["Start", "Open", "High", "Low", "Close", "Volume"];
  const list = detailTable("Candles", columns);
  const tell = () => {
    const text = candleText(seenBy(plot));
    write(summary, text);
    plot.place.setAttribute("aria-label", `Candles of ${candles.symbol}. ${text}`);
  };
  const draw = () => {
    const all = candles.list;
    const drawn = spanned(all);
    if (!candles.loaded) plot.show(null);
    plot.draw([
      drawn.map((each) => each.start / 1000),
      ...["high", "low", "volume"].map((field) => drawn.map((each) => each[field])),
    ]);
    tell();
    list.draw(all.slice(-TABLE_ROWS).reverse(), (each) => [
      momentOf(each.start),
      ...[each.open, each.high, each.low, each.close].map(price),
      quantity(each.volume),
    ]);
  };
  const element = make("div", {}, plot.place, summary, list.element);
  const { controls } = plot;
  return { element, controls, draw, end: () => plot.end(), topics: ["candles", "theme"] };
}

// The candles of the part that is seen.
function seenBy(plot) {
  if (!plot.data?.[0].length) return [];
  const { min, max } = plot.seen();
  return candles.list.filter(({ start }) => start / 1000 >= min && start / 1000 <= max);
}

function candleText(all) {
  if (!candles.loaded) return "Reading the candles.";
  if (!candles.list.length) return "No trades yet.";
  if (!all.length) return "Before the first trade.";
  const [first, last] = [all[0], all.at(-1)];
  const high = Math.max(...all.map((each) => each.high));
  const low = Math.min(...all.map((each) => each.low));
  return `${all.length} × ${candles.interval} since ${momentOf(first.start)}: ` +
    `${price(first.open)} to ${price(last.close)}, high ${price(high)}, low ${price(low)}.`;
}

// The figures of a chart as a table, filled only while it is open.
export function detailTable(caption, columns) {
  const { element: inner, body } = table(
    caption,
    columns.map((each, index) => [each, index ? "number" : "time"]),
  );
  const element = make("details", {}, make("summary", { text: "Table" }), scroller(caption, inner));
  let latest = null;
  const fill = () => {
    if (!element.open || !latest) return;
    const [entries, textsOf] = latest;
    const names = columns.map((_, index) => (index ? "number" : "time"));
    const drawn = rows(body, entries.length, () => cells(...names));
    entries.forEach((entry, at) => {
      textsOf(entry).forEach((text, column) => write(drawn[at].cells[column], text));
    });
  };
  element.addEventListener("toggle", fill);
  const draw = (entries, textsOf) => {
    latest = [entries, textsOf];
    fill();
  };
  return { element, draw };
}

function depthOptions() {
  const prices = (_, values) => values.map((value) => price(value));
  const quantities = (_, values) => values.map((value) => compact(value));
  const stepped = (align) => uPlot.paths.stepped({ align });
  const side = (label, name, align) => ({
    label,
    stroke: color(`--${name}`),
    fill: color(`--${name}-fill`),
    width: 1.5,
    points: { show: false },
    paths: stepped(align),
  });
  return {
    legend: { show: false },
    cursor: { points: { show: false } },
    scales: { x: { time: false }, y: { range: (_, low, high) => [0, Math.max(1, high) * 1.05] } },
    axes: [
      axis({ values: prices, incrs: WHOLE_STEPS, space: roomOf, size: 28 }),
      axis({ values: quantities, incrs: WHOLE_STEPS, size: 62, side: 1 }),
    ],
    // Half of the first price stands left of the chart.
    padding: [null, null, null, ({ scales }) => 4 + 3.5 * price(scales.x?.max ?? 0).length],
    series: [{}, side("bids", "up", -1), side("asks", "down", 1)],
  };
}

// Quantities from the best price on, summed: what could be traded down or up to a price.
export function depthData(ladder, shown = () => true) {
  const summed = (levels) => {
    let total = 0;
    return levels.map(([cents, quantityThere]) => [cents, (total += quantityThere)]);
  };
  const bids = summed((ladder?.bids ?? []).filter(shown)).reverse();
  const asks = summed((ladder?.asks ?? []).filter(shown));
  return [
    [...bids, ...asks].map(([cents]) => cents),
    [...bids.map(([, total]) => total), ...asks.map(() => null)],
    [...bids.map(() => null), ...asks.map(([, total]) => total)],
  ];
}

// The last level of each side gets a width, too; a side of one level would not be seen.
function widened([prices, bids, asks]) {
  if (!prices.length) return [prices, bids, asks];
  const [low, high] = [prices[0], prices.at(-1)];
  const by = Math.max(1, Math.round((high - low) * 0.03));
  return [[low - by, ...prices, high + by], [bids[0], ...bids, null], [null, ...asks, asks.at(-1)]];
}

// A level far from the best price would leave no room for the others; the table has it.
function isNear([cents], at, levels) {
  return at < NEAR_LEVELS || Math.abs(cents - levels[0][0]) <= levels[0][0] * NEAR_SHARE;
}

export function depthChart() {
  const plot = new Plot(180, depthOptions, { fixed: true });
  const summary = make("p", { class: "summary" });
  const columns = ["Price", "Bids up to here", "Asks up to here"];
  const list = detailTable("Depth of the order book", columns);
  const draw = () => {
    const data = depthData(market.ladder);
    plot.draw(widened(depthData(market.ladder, isNear)));
    const text = depthText(market.ladder);
    write(summary, text);
    plot.place.setAttribute("aria-label", `Depth of the order book. ${text}`);
    const entries = data[0].map((cents, at) => [cents, data[1][at], data[2][at]]);
    list.draw(entries, ([cents, bid, ask]) => [price(cents), quantity(bid), quantity(ask)]);
  };
  const element = make("div", {}, plot.place, summary, list.element);
  return { element, draw, end: () => plot.end(), topics: ["ladder", "theme"] };
}

function depthText(ladder) {
  if (!ladder) return "";
  const sum = (levels) => levels.reduce((total, level) => total + level[1], 0);
  const at = ladder.time ? ` at ${timeOf(ladder.time)}` : "";
  const { bids, asks } = ladder;
  if (!bids.length && !asks.length) return `Nothing is bid or offered${at}.`;
  const bid = `${quantity(sum(bids))} bid on ${counted(bids.length, "level")}`;
  return `${bid}, ${quantity(sum(asks))} offered on ${asks.length}${at}.`;
}
