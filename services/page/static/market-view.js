// All symbols as a table that can be sorted.

import { make, rows, setAttribute, setClass, table, write, cells, roving } from "./dom.js";
import { NONE, change, price, quantity } from "./format.js";
import { market, mayRead, watchTickers } from "./market-data.js";
import { panel, show } from "./panels.js";
import { SIGN_IN } from "./session.js";

const SHOWN_AT_FIRST = 100;
const COLUMNS = [
  ["Symbol", "name", (t) => t.symbol, (t) => t.symbol],
  ["Last", "number", (t) => t.last, (t) => price(t.last)],
  ["Change", "number", changeOf, (t) => change(t.last, t.open)?.text ?? NONE],
  ["High", "number", (t) => t.high, (t) => price(t.high)],
  ["Low", "number", (t) => t.low, (t) => price(t.low)],
  ["Volume", "number", (t) => t.volume, (t) => quantity(t.volume)],
  ["Value", "number", (t) => t.value, (t) => price(t.value)],
  ["Trades", "number", (t) => t.trades, (t) => quantity(t.trades)],
  ["Spread", "number", spreadOf, (t) => price(spreadOf(t))],
  ["Phase", "name", (t) => phaseOf(t) || null, phaseOf],
];
const order = { column: 6, falling: true };

function changeOf(ticker) {
  const found = change(ticker.last, ticker.open);
  return found && ticker.open ? found.by / ticker.open : null;
}

function phaseOf({ phase }) {
  return phase === "continuous" ? "" : phase;
}

function spreadOf({ ask, bid }) {
  return ask === null || bid === null ? null : ask - bid;
}

function sorted() {
  const value = COLUMNS[order.column][2];
  const sign = order.falling ? -1 : 1;
  // What has no value comes last, whatever the order.
  return [...market.tickers.values()].sort((a, b) => {
    const [left, right] = [value(a), value(b)];
    if (left === null || right === null) return (left === null) - (right === null);
    return left < right ? -sign : left > right ? sign : a.symbol < b.symbol ? -1 : 1;
  });
}

export function marketView(view) {
  const { element, body } = table("All symbols", COLUMNS.map(([text, name]) => [text, name]));
  const heads = [...element.tHead.rows[0].cells];
  const settle = roving(body, "a");
  const empty = make("p", { class: "empty" });
  const more = make("button", { type: "button", class: "more", hidden: true });
  const box = panel("market", "Market", make("div", { class: "scroll" }, element), empty, more);
  let limit = SHOWN_AT_FIRST;
  const draw = () => {
    const all = sorted();
    const shown = all.slice(0, limit);
    more.hidden = shown.length === all.length;
    write(more, `Show all ${all.length}`);
    write(empty, emptyText(all));
    empty.hidden = all.length > 0;
    const drawn = rows(body, shown.length, marketRow);
    shown.forEach((ticker, index) => drawRow(drawn[index], ticker));
    heads.forEach((head, index) => setAttribute(head, "aria-sort", sortOf(index)));
    settle();
  };
  heads.forEach((head, index) => makeSortable(head, index, draw));
  more.addEventListener("click", () => {
    limit = Infinity;
    draw();
  });
  view.replaceChildren(make("h1", { class: "hidden", text: "Market" }), box.element);
  const drawing = show({ draw, topics: ["tickers", "connection-state"] });
  const ends = [watchTickers(), drawing];
  return () => ends.forEach((end) => end());
}

function emptyText(all) {
  if (all.length) return "";
  if (!mayRead()) return `Market data needs a broker's key here: ${SIGN_IN}.`;
  if (!market.loaded) return "Reading the market.";
  return "The market is empty: no order has rested in a book yet.";
}

function sortOf(index) {
  if (index !== order.column) return null;
  return order.falling ? "descending" : "ascending";
}

function makeSortable(head, index, draw) {
  const button = make("button", { type: "button", text: head.textContent });
  head.replaceChildren(button);
  button.addEventListener("click", () => {
    if (order.column === index) order.falling = !order.falling;
    else Object.assign(order, { column: index, falling: index > 0 });
    draw();
  });
}

function marketRow() {
  const row = cells(...COLUMNS.map(([, name]) => name));
  row.cells[0].replaceWith(make("th", { scope: "row", class: "name" }, make("a")));
  return row;
}

function drawRow(row, ticker) {
  COLUMNS.forEach(([, name, , text], index) => {
    if (index === 0) {
      const link = row.cells[0].firstChild;
      write(link, ticker.symbol);
      setAttribute(link, "href", `#/stock/${encodeURIComponent(ticker.symbol)}`);
    } else write(row.cells[index], text(ticker));
    const moved = index === 2 ? change(ticker.last, ticker.open) : null;
    if (index === 2) setClass(row.cells[2], `${name} ${moved?.name ?? ""}`);
  });
}
