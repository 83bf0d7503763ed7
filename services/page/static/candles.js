// Candles of the chosen symbol: history by REST, continued by the channel of the running candle.

import { connection, on, subscribe, unsubscribe } from "./feed.js";
import { mayRead } from "./market-data.js";
import { touch } from "./paint.js";
import { get } from "./rest.js";

export const INTERVALS = { "1m": 60000, "5m": 300000, "1h": 3600000, "1d": 86400000 };
// So many are read at once, and shown at first.
export const SHOWN_MAX = 240;
const KEPT_MAX = 10 * SHOWN_MAX;
const RETRY_MS = 5000;
const NAME = "candles";

export const candles = { symbol: null, interval: "1m", list: [], loaded: false };
let request = 0;
let isReading = false;
// True if no candle is older than the first one of the list.
let isWhole = false;
// Candles that came while others were read.
let arrived = [];
let retry = null;

// Keep the candles of a symbol fresh from now on; of none: stop.
export function follow(symbol, interval = candles.interval) {
  if (symbol === candles.symbol && interval === candles.interval) return;
  unsubscribe(NAME);
  [request, isReading] = [request + 1, false];
  Object.assign(candles, { symbol, interval, list: [], loaded: false });
  touch("candles");
  if (symbol === null) return;
  subscribe(NAME, () => ({ channel: "candles", symbols: [symbol], interval }));
  read();
}

// Read the newest candles anew.
async function read() {
  const found = await ask("");
  if (!found) return;
  const begin = found[0]?.start ?? 0;
  const joins = (candles.list.at(-1)?.start ?? 0) >= begin;
  const older = joins ? candles.list.filter((each) => each.start < begin) : [];
  isWhole = older.length ? isWhole : found.length < SHOWN_MAX;
  candles.list = [...older, ...found];
  candles.loaded = true;
  applyArrived();
}

// Read candles before the first one of the list, if there are any and there is room for them.
export async function readOlder() {
  const first = candles.list[0];
  if (isReading || isWhole || !first || candles.list.length + SHOWN_MAX > KEPT_MAX) return;
  const found = await ask(`&to=${new Date(first.start).toISOString()}`);
  if (!found) return;
  isWhole = found.length < SHOWN_MAX;
  candles.list = [...found, ...candles.list];
  applyArrived();
}

// Null: no answer that counts.
async function ask(span) {
  clearTimeout(retry);
  const mine = ++request;
  const { symbol, interval } = candles;
  if (symbol === null || !mayRead()) return null;
  [isReading, arrived] = [true, []];
  const path = `/stocks/${encodeURIComponent(symbol)}/candles?interval=${interval}`;
  const found = await get(`${path}&fill=previous&limit=${SHOWN_MAX}${span}`);
  if (mine !== request) return null;
  isReading = false;
  if (!found) retry = setTimeout(resume, RETRY_MS);
  return found ? found.candles.map(fromResource) : null;
}

function resume() {
  if (!candles.loaded && connection.state === "live" && !connection.paused) read();
}

function applyArrived() {
  for (const message of arrived) receive(message);
  touch("candles");
}

function fromResource({ start, last_sequence: last, ...figures }) {
  return { ...figures, start: Date.parse(start), last: last ?? 0 };
}

// An interval without a trade.
function flat(start, price) {
  return { start, open: price, high: price, low: price, close: price, volume: 0, last: 0 };
}

function receive(message) {
  const { symbol, interval, first_sequence: first, last_sequence: last, ...figures } = message;
  if (symbol !== candles.symbol || interval !== candles.interval || !last) return;
  if (isReading) arrived.push(message);
  else if (candles.loaded && !put({ ...figures, first, last })) read();
}

// Put a candle into the list; false: trades between it and the newest one are not known.
function put(candle) {
  const { list } = candles;
  const at = list.findLastIndex((each) => each.start <= candle.start);
  if (list[at]?.start === candle.start) {
    if (candle.last > list[at].last) list[at] = candle;
  } else if (at === list.length - 1 && !append(candle)) return false;
  touch("candles");
  return true;
}

function append(candle) {
  const { list } = candles;
  const counted = list.reduce((most, each) => Math.max(most, each.last), 0);
  const newest = list.at(-1) ?? candle;
  const length = INTERVALS[candles.interval];
  if (candle.first > counted + 1 || candle.start - newest.start > SHOWN_MAX * length) return false;
  for (let start = newest.start + length; start < candle.start; start += length) {
    list.push(flat(start, newest.close));
  }
  list.push(candle);
  list.splice(0, list.length - KEPT_MAX);
  return true;
}

on("candle", receive);
on("open", resume);
on("another-log", () => {
  Object.assign(candles, { list: [], loaded: false });
  touch("candles");
});
