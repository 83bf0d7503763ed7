// Candles of the chosen symbol: history by REST, continued trade by trade.

import { market, onTrade } from "./market-data.js";
import { touch } from "./paint.js";
import { get } from "./rest.js";

export const INTERVALS = { "1m": 60000, "5m": 300000, "1h": 3600000, "1d": 86400000 };
const SHOWN_MAX = 240;

export const candles = { symbol: null, interval: "1m", list: [], loaded: false };
let request = 0;

// Read the history anew. Trades that arrive meanwhile are applied on top of it.
export async function load(symbol, interval) {
  const mine = ++request;
  const another = symbol !== candles.symbol || interval !== candles.interval;
  Object.assign(candles, { symbol, interval });
  if (another) Object.assign(candles, { list: [], loaded: false });
  touch("candles");
  if (!symbol) return;
  const path = `/stocks/${encodeURIComponent(symbol)}/candles`;
  const found = await get(`${path}?interval=${interval}&fill=previous&limit=${SHOWN_MAX}`);
  if (!found || mine !== request) return;
  candles.list = found.candles.map(fromResource);
  candles.loaded = true;
  for (const trade of [...market.tape].reverse()) apply(trade);
  touch("candles");
}

function fromResource({ start, open, high, low, close, volume, last_sequence: last }) {
  return { start: Date.parse(start), open, high, low, close, volume, last: last ?? 0 };
}

// An interval without a trade.
function flat(start, price) {
  return { start, open: price, high: price, low: price, close: price, volume: 0, last: 0 };
}

// The trade belongs to the candle in whose interval its time lies; one that is counted is ignored.
function apply(trade) {
  const { list } = candles;
  const length = INTERVALS[candles.interval];
  const start = Math.floor(trade.time / length) * length;
  const counted = list.reduce((most, each) => Math.max(most, each.last), 0);
  if (trade.sequence <= counted) return;
  let newest = list.at(-1);
  if (newest && start < newest.start) return;
  while (newest && newest.start < start && list.length < 2 * SHOWN_MAX) {
    newest = flat(newest.start + length, newest.close);
    list.push(newest);
  }
  if (!newest) {
    newest = flat(start, trade.price);
    list.push(newest);
  }
  if (!newest.volume) Object.assign(newest, flat(start, trade.price));
  newest.high = Math.max(newest.high, trade.price);
  newest.low = Math.min(newest.low, trade.price);
  newest.close = trade.price;
  newest.volume += trade.quantity;
  newest.last = trade.sequence;
  if (list.length > SHOWN_MAX) list.splice(0, list.length - SHOWN_MAX);
}

onTrade((trade) => {
  if (trade === null) {
    load(candles.symbol, candles.interval);
  } else if (candles.loaded && trade.symbol === candles.symbol) {
    apply(trade);
    touch("candles");
  }
});
