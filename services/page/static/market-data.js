// What is known of the market: tickers of all symbols; ladder and trades of the chosen one.

import { connection, on, subscribe, unsubscribe } from "./feed.js";
import { touch } from "./paint.js";
import { get, hasKey } from "./rest.js";

const TAPE_MAX = 100;
// Phases change seldom, and are not part of the channels that the page has.
const PHASES_MS = 5000;

export const market = {
  tickers: new Map(),
  loaded: false,
  // Of symbols that are not traded at the moment: halted or closed.
  phases: new Map(),
  // The chosen symbol, and what belongs to it.
  symbol: null,
  stock: null,
  ladder: null,
  // Newest first.
  tape: [],
  lastTrade: 0,
};

const tradeListeners = new Set();
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

// Keep the phases of all symbols fresh while a view shows them.
export function watchPhases() {
  readPhases();
  const timer = setInterval(readPhases, PHASES_MS);
  return () => clearInterval(timer);
}

async function readPhases() {
  if (!mayLook()) return;
  const phases = new Map();
  let cursor = "";
  do {
    const page = await get(`/stocks?limit=500${cursor}`);
    if (!page) return;
    for (const { symbol, phase } of page.stocks) {
      if (phase !== "continuous") phases.set(symbol, phase);
    }
    cursor = page.next_cursor ? `&cursor=${encodeURIComponent(page.next_cursor)}` : "";
  } while (cursor);
  market.phases = phases;
  touch("tickers");
}

function mayLook() {
  return mayRead() && connection.state === "live" && !connection.paused;
}

// Call with each new trade of the chosen symbol, oldest first; with null after a hole.
export function onTrade(listen) {
  tradeListeners.add(listen);
  return () => tradeListeners.delete(listen);
}

function forgetStock() {
  Object.assign(market, { stock: null, ladder: null, tape: [], lastTrade: 0 });
}

function traded(trade) {
  if (trade.symbol !== market.symbol || trade.sequence <= market.lastTrade) return;
  if (market.lastTrade && trade.sequence > market.lastTrade + 1) missed();
  market.lastTrade = trade.sequence;
  market.tape.unshift(trade);
  market.tape.length = Math.min(market.tape.length, TAPE_MAX);
  const ticker = market.tickers.get(trade.symbol);
  if (ticker) ticker.last = trade.price;
  for (const listen of tradeListeners) listen(trade);
  touch("tape", "quote");
}

function missed() {
  for (const listen of tradeListeners) listen(null);
}

setInterval(() => {
  if (market.symbol && mayLook()) readStock(market.symbol);
}, PHASES_MS);
on("trade", traded);
on("gap", (gap) => {
  if (gap.symbol !== market.symbol) return;
  market.lastTrade = Math.max(market.lastTrade, gap.last);
  missed();
});
on("ladder", (ladder) => {
  if (ladder.symbol !== market.symbol) return;
  market.ladder = ladder;
  touch("ladder", "quote");
});
on("another-log", () => {
  market.tickers = new Map();
  market.loaded = false;
  market.phases = new Map();
  forgetStock();
  missed();
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
