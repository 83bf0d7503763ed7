// What is known of the market: tickers of all symbols; ladder and trades of the chosen one.

import { connection, on, subscribe, unsubscribe } from "./feed.js";
import { touch } from "./paint.js";
import { get, hasKey } from "./rest.js";

const TAPE_MAX = 100;

export const market = {
  tickers: new Map(),
  loaded: false,
  // The chosen symbol, and what belongs to it.
  symbol: null,
  stock: null,
  ladder: null,
  // Newest first.
  tape: [],
  lastTrade: 0,
};

let readers = 0;

export function mayRead() {
  return Boolean(connection.hello?.public) || hasKey();
}

// Keep the tickers of all symbols fresh while a view shows them.
export function watchTickers() {
  readers += 1;
  if (readers === 1) subscribe("tickers", () => ({ channel: "ticker", symbols: "*" }));
  return () => {
    readers -= 1;
    if (!readers) unsubscribe("tickers");
  };
}

// Choose a symbol, or none: its ladder and trades arrive from now on.
export function choose(symbol) {
  if (symbol === market.symbol) return;
  for (const name of ["ladder", "trades"]) unsubscribe(name);
  forgetStock();
  market.symbol = symbol;
  if (symbol === null) return;
  subscribe("ladder", () => ({ channel: "ladder", symbols: [symbol], depth: 50 }));
  subscribe("trades", () => ({
    channel: "trades",
    symbols: [symbol],
    ...(market.lastTrade ? { after: { [symbol]: market.lastTrade } } : { last: TAPE_MAX }),
  }));
  readStock(symbol);
  touch("ladder", "tape", "stock");
}

async function readStock(symbol) {
  const stock = await get(`/stocks/${encodeURIComponent(symbol)}`);
  if (stock && market.symbol === symbol) {
    market.stock = stock;
    touch("stock");
  }
}

function forgetStock() {
  Object.assign(market, { stock: null, ladder: null, tape: [], lastTrade: 0 });
}

function traded(trade) {
  if (trade.symbol !== market.symbol || trade.sequence <= market.lastTrade) return;
  market.lastTrade = trade.sequence;
  market.tape.unshift(trade);
  market.tape.length = Math.min(market.tape.length, TAPE_MAX);
  const ticker = market.tickers.get(trade.symbol);
  if (ticker) ticker.last = trade.price;
  touch("tape", "quote");
}

on("trade", traded);
on("gap", (gap) => {
  if (gap.symbol !== market.symbol) return;
  market.lastTrade = Math.max(market.lastTrade, gap.last);
});
on("ladder", (ladder) => {
  if (ladder.symbol !== market.symbol) return;
  market.ladder = ladder;
  touch("ladder", "quote");
});
on("another-log", () => {
  market.tickers = new Map();
  market.loaded = false;
  forgetStock();
  touch("tickers", "ladder", "tape", "stock");
});
on("tickers", ({ tickers }) => {
  for (const each of tickers) market.tickers.set(each.symbol, each);
  market.loaded = true;
  touch("tickers");
});
on("open", () => {
  if (market.symbol) readStock(market.symbol);
});
