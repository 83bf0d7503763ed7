// Watch list, ladder, tape and quote of the stock view.

import {
  cells,
  make,
  roving,
  rows,
  scroller,
  setAttribute,
  setClass,
  table,
  write,
} from "./dom.js";
import { NONE, change, compact, counted, price, quantity, timeOf, zoneName } from "./format.js";
import { market } from "./market-data.js";
import { onPaint, touch } from "./paint.js";

const WATCHED_MAX = 60;
const LEVELS = 50;

export function panel(name, title, ...children) {
  const heading = make("h2", { text: title, id: `${name}-title` });
  const head = make("div", { class: "panel-head" }, heading);
  const element = make(
    "section",
    { class: `panel ${name}`, "aria-labelledby": `${name}-title` },
    head,
    ...children,
  );
  return { element, head, heading };
}

// The symbols that were traded most, with the chosen one.
export function watchList() {
  const { element, body } = table("Watch list", [
    ["Symbol", "name"],
    ["Last", "number"],
    ["24 h", "number"],
  ]);
  const settle = roving(body, "a");
  const empty = make("p", { class: "empty", text: "No symbol has been traded yet." });
  const box = panel("watch", "Watch list", make("div", { class: "scroll" }, element), empty);
  const draw = () => {
    const shown = watched();
    empty.hidden = shown.length > 0 || !market.loaded;
    const drawn = rows(body, shown.length, watchRow);
    shown.forEach((ticker, index) => drawWatchRow(drawn[index], ticker));
    settle();
  };
  return { element: box.element, draw, topics: ["tickers", "stock", "quote"] };
}

function watched() {
  const all = [...market.tickers.values()];
  all.sort((a, b) => b.value - a.value || (a.symbol < b.symbol ? -1 : 1));
  const shown = all.slice(0, WATCHED_MAX);
  const chosen = market.tickers.get(market.symbol);
  if (chosen && !shown.includes(chosen)) shown.unshift(chosen);
  return shown;
}

function watchRow() {
  const row = cells("name", "number", "number");
  row.cells[0].replaceWith(make("th", { scope: "row", class: "name" }, make("a")));
  return row;
}

function drawWatchRow(row, ticker) {
  const link = row.cells[0].firstChild;
  write(link, ticker.symbol);
  setAttribute(link, "href", `#/stock/${encodeURIComponent(ticker.symbol)}`);
  setAttribute(link, "aria-current", ticker.symbol === market.symbol ? "true" : null);
  write(row.cells[1], price(ticker.last));
  const moved = change(ticker.last, ticker.open);
  write(row.cells[2], moved ? moved.text.replace(/ \S+ /, " ") : NONE);
  setClass(row.cells[2], `number ${moved ? moved.name : ""}`);
}

// The best levels of both sides, asks above bids. `onPrice` receives the price of a chosen row.
export function ladder(onPrice) {
  const sides = { asks: ladderSide("Asks", onPrice), bids: ladderSide("Bids", onPrice) };
  const spread = make("p", { class: "spread" });
  const asks = make("div", { class: "scroll far", tabindex: "-1" }, sides.asks.element);
  const bids = make("div", { class: "scroll near", tabindex: "-1" }, sides.bids.element);
  const box = panel("ladder", "Price ladder", asks, spread, bids);
  box.element.id = "ladder";
  const draw = () => {
    const now = market.ladder;
    const most = now ? Math.max(1, ...now.bids.map((l) => l[1]), ...now.asks.map((l) => l[1])) : 1;
    drawSide(sides.asks, now ? [...now.asks].reverse() : [], most, "asks");
    drawSide(sides.bids, now ? now.bids : [], most, "bids");
    write(spread, spreadText(now));
  };
  return { element: box.element, draw, topics: ["ladder"] };
}

function ladderSide(caption, onPrice) {
  const side = table(caption, [
    ["Price", "number"],
    ["Quantity", "number"],
    ["Orders", "number"],
  ]);
  const widths = make("colgroup", {}, make("col"), make("col"), make("col"));
  side.element.tHead.before(widths);
  side.settle = roving(side.body, "button");
  side.body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row?.cents !== undefined) onPrice(row.cents);
  });
  side.empty = false;
  return side;
}

function ladderRow() {
  const row = cells("number", "number share", "number");
  row.cells[0].append(make("button", { type: "button", class: "price" }));
  return row;
}

function drawSide(side, levels, most, name) {
  const drawn = rows(side.body, Math.min(LEVELS, levels.length), ladderRow);
  levels.slice(-LEVELS).forEach(([cents, total, orders], index) => {
    const row = drawn[index];
    row.cents = cents;
    setClass(row, name);
    write(row.cells[0].firstChild, price(cents));
    write(row.cells[1], quantity(total));
    row.cells[1].style.setProperty("--share", `${Math.round((total / most) * 100)}%`);
    write(row.cells[2], quantity(orders));
  });
  side.settle();
}

function spreadText(now) {
  if (!now) return "waiting for the order book";
  if (!now.bids.length && !now.asks.length) return "the order book is empty";
  if (!now.bids.length) return "no bids";
  if (!now.asks.length) return "no asks";
  return `spread ${price(now.asks[0][0] - now.bids[0][0])}`;
}

export function tape() {
  const { element, body } = table("Newest trades", [
    [`Time (${zoneName()})`, "time"],
    ["Price", "number"],
    ["Quantity", "number"],
  ]);
  const empty = make("p", { class: "empty", text: "No trades yet." });
  const box = panel("tape", "Trades", scroller("Newest trades", element), empty);
  const draw = () => {
    empty.hidden = market.tape.length > 0;
    const drawn = rows(body, market.tape.length, () => cells("time", "number", "number"));
    market.tape.forEach((trade, index) => {
      const row = drawn[index];
      const up = trade.aggressor_side === "bid";
      write(row.cells[0], timeOf(trade.time));
      write(row.cells[1], `${up ? "▲" : "▼"} ${price(trade.price)}`);
      setClass(row.cells[1], `number ${up ? "up" : "down"}`);
      write(row.cells[2], quantity(trade.quantity));
    });
  };
  return { element: box.element, draw, topics: ["tape"] };
}

// Symbol, newest price, change, and sums of the last 24 hours.
export function quote() {
  const symbol = make("h1");
  const last = make("strong", { class: "last" });
  const moved = make("span");
  const sums = make("span", { class: "sums" });
  const note = make("span", { class: "note" });
  const element = make("div", { class: "quote" }, symbol, last, moved, sums, note);
  const draw = () => {
    const ticker = market.tickers.get(market.symbol);
    write(symbol, market.symbol ?? "");
    write(last, price(market.tape[0]?.price ?? ticker?.last));
    const by = ticker ? change(ticker.last, ticker.open) : null;
    write(moved, by ? by.text : "");
    setClass(moved, by ? by.name : "");
    write(sums, ticker ? sumsOf(ticker) : "");
    write(note, noteOf(ticker));
  };
  return { element, draw, topics: ["quote", "tickers", "stock", "tape"] };
}

function sumsOf(ticker) {
  const parts = [`H ${price(ticker.high)}`, `L ${price(ticker.low)}`];
  parts.push(`V ${compact(ticker.volume)}`, counted(ticker.trades, "trade"));
  return parts.join("  ");
}

const STOPPED = {
  halted: "halted: nothing is traded, orders are refused; cancels are taken",
  closed: "closed: nothing is traded, orders are refused; cancels are taken",
};

function noteOf(ticker) {
  if (ticker) return STOPPED[ticker.phase] ?? (ticker.last === null ? "not traded yet" : "");
  if (!market.stock || market.stock.listed) return "";
  return "not listed: no order has rested here yet";
}

// Draws a panel now, and when one of its topics changes. Returns a function that ends that.
export function show(shown) {
  const ends = shown.topics.map((topic) => onPaint(topic, shown.draw));
  touch(...shown.topics);
  return () => ends.forEach((end) => end());
}
