// The broker's own orders, fills and positions.

import { confirm } from "./ask.js";
import {
  cells,
  keyedRows,
  make,
  roving,
  rows,
  scroller,
  setAttribute,
  setClass,
  table,
  write,
} from "./dom.js";
import { on, subscribe, unsubscribe } from "./feed.js";
import { amount, counted, momentOf, price, quantity, timeOf, zoneName } from "./format.js";
import { market } from "./market-data.js";
import { announce, noteList } from "./notes.js";
import { cancel, cancelEvery, textOf } from "./orders.js";
import { onPaint, touch } from "./paint.js";
import { panel, show } from "./panels.js";
import { askForValues } from "./replace.js";
import { get } from "./rest.js";
import { askForKey, session } from "./session.js";

const READ_MS = 1000;
const SHOWN_MAX = 100;
const CHANNEL = "own";

const own = { orders: [], fills: [], balance: null, selected: null, newestFill: null };
// Open orders by id, and the newest event of each partition.
const open = new Map();
let last = null;
let readers = 0;
let due = null;

// Own orders come from the feed. What a fill changes is read once a second at most.
function follow() {
  subscribe(CHANNEL, () => ({ channel: "orders", ...(last ? { after: last } : {}) }));
  readSoon();
}

function readSoon() {
  if (due === null) due = setTimeout(read, READ_MS);
  if (own.newestFill === null) read();
}

async function read() {
  clearTimeout(due);
  due = null;
  if (!readers || !session.broker) return;
  const path = `/fills?limit=${SHOWN_MAX}`;
  const [filled, balance] = await Promise.all([get(path), get("/balance")]);
  if (!session.broker) return;
  if (filled) takeFills(filled.fills);
  if (balance) own.balance = balance;
  touch("account");
}

function takeFills(fills) {
  // Fills that were there when the page began are no news.
  const known = own.newestFill;
  const fresh = known === null ? [] : fills.filter((each) => each.fill_id > known);
  for (const each of fresh.reverse()) {
    const did = each.side === "bid" ? "Bought" : "Sold";
    announce(`${did} ${quantity(each.quantity)} ${each.symbol} at ${price(each.price)}.`);
  }
  own.newestFill = fills[0]?.fill_id ?? known ?? "";
  own.fills = fills;
}

function forget() {
  unsubscribe(CHANNEL);
  open.clear();
  last = null;
  Object.assign(own, { orders: [], fills: [], balance: null, selected: null, newestFill: null });
  touch("account");
}

function takeSnapshot({ part, sequences, orders }) {
  if (part === 1) open.clear();
  last = { ...sequences };
  for (const each of orders) open.set(each.order_id, each);
  listOrders();
}

// An event that is missing is requested again; one that is known already is dropped.
function isNext({ partition, sequence }) {
  const before = last?.[partition] ?? 0;
  if (last && sequence > before + 1) follow();
  if (!last || sequence !== before + 1) return false;
  last[partition] = sequence;
  return true;
}

function takeOrder(message) {
  if (!isNext(message)) return;
  const { order, cause } = message;
  if (order.status === "open") open.set(order.order_id, order);
  else open.delete(order.order_id);
  if (cause === "expired") announce(`Expired: ${textOf(order)}.`);
  if (cause === "prevented") announce(`Closed in place of an own trade: ${textOf(order)}.`);
  if (cause === "traded" || order.filled_quantity > 0) readSoon();
  listOrders();
}

function listOrders() {
  own.orders = [...open.values()].reverse().slice(0, SHOWN_MAX);
  touch("account");
}

onPaint("own", readSoon);
onPaint("session", () => (session.broker ? follow() : forget()));
on("orders_snapshot", takeSnapshot);
on("order", takeOrder);
on("order_refused", isNext);
on("order_repeated", isNext);
on("another-log", () => {
  forget();
  if (session.broker) follow();
});

// Ask, then cancel the selected order; without a selection the newest one.
export async function cancelSelected() {
  const order = own.orders.find((each) => each.order_id === own.selected) ?? own.orders[0];
  if (!order) return;
  const wanted = await confirm(`Cancel ${textOf(order)}?`, "Cancel the order", "Keep it");
  if (wanted) await cancelOrder(order);
}

async function cancelOrder(order) {
  announce(await cancel(order));
  touch("own");
}

async function changeOrder(order) {
  const text = await askForValues(order);
  if (text) announce(text);
  touch("own");
}

async function cancelAll() {
  const all = [...open.values()];
  const question = `Cancel ${counted(all.length, "open order")} of ${session.broker.name}?`;
  const yes = `Cancel ${counted(all.length, "order")}`;
  if (!all.length || !(await confirm(question, yes, "Keep them"))) return;
  announce(await cancelEvery());
  touch("own");
}

export function account() {
  const parts = [orderList(), fillList(), positionList(), noteList()];
  const log = panel("log", "What happened", parts[3].element);
  const lists = parts.slice(0, 3).map((part) => part.element);
  const element = make("div", { class: "account" }, ...lists, log.element);
  readers += 1;
  readSoon();
  const ends = parts.map(show);
  ends.push(() => (readers -= 1));
  return { element, end: () => ends.forEach((end) => end()) };
}

function emptyText(text) {
  return session.broker ? text : "Sign in to see them.";
}

function orderList() {
  const { element, body } = table("Own open orders", [
    ["Symbol", "name"],
    ["Side", "name"],
    ["Price", "number"],
    ["Open", "number"],
    ["Conditions", "conditions"],
    ["Entered", "time"],
    ["Action", "name"],
  ]);
  const all = make("button", { type: "button", text: "Cancel all" });
  all.addEventListener("click", cancelAll);
  const signIn = make("button", { type: "button", text: "Sign in" });
  signIn.addEventListener("click", askForKey);
  const empty = make("p", { class: "empty" });
  const list = scroller("Own open orders", element);
  const box = panel("orders", "Own orders", list, empty);
  box.element.id = "orders";
  box.head.append(all, signIn);
  const settle = roving(body, "button");
  body.addEventListener("focusin", (event) => {
    own.selected = event.target.closest("tr")?.order?.order_id ?? null;
    touch("account");
  });
  const draw = () => {
    all.hidden = own.orders.length === 0;
    signIn.hidden = session.broker !== null;
    empty.hidden = own.orders.length > 0;
    write(empty, emptyText("No open orders."));
    const focused = body.contains(document.activeElement);
    const drawn = keyedRows(body, own.orders.map((each) => each.order_id), orderRow);
    own.orders.forEach((order, index) => drawOrder(drawn[index], order));
    if (focused && !body.contains(document.activeElement)) list.focus();
    settle();
  };
  return { element: box.element, draw, topics: ["account", "session"] };
}

function orderRow() {
  const row = cells("name", "name", "number", "number", "conditions", "time", "name");
  const end = make("button", { type: "button", text: "Cancel" });
  end.addEventListener("click", () => cancelOrder(row.order));
  const change = make("button", { type: "button", text: "Change" });
  change.addEventListener("click", () => changeOrder(row.order));
  row.cells[6].append(end, " ", change);
  return row;
}

function drawOrder(row, order) {
  row.order = order;
  const buys = order.side === "bid";
  setClass(row, order.order_id === own.selected ? "selected" : "");
  write(row.cells[0], order.symbol);
  write(row.cells[1], buys ? "Buy" : "Sell");
  setClass(row.cells[1], `name ${buys ? "up" : "down"}`);
  write(row.cells[2], price(order.price));
  write(row.cells[3], `${quantity(order.remaining_quantity)} of ${quantity(order.quantity)}`);
  write(row.cells[4], conditionsOf(order));
  write(row.cells[5], timeOf(Date.parse(order.created_at)));
  setAttribute(row.cells[5], "title", momentOf(Date.parse(order.created_at)));
  setAttribute(row.cells[6].firstChild, "aria-label", `Cancel: ${textOf(order)}`);
  setAttribute(row.cells[6].lastChild, "aria-label", `Change: ${textOf(order)}`);
}

function conditionsOf(order) {
  const found = [];
  if (order.time_in_force !== "gtc") found.push(order.time_in_force);
  if (order.stop_price) found.push(`stop at ${price(order.stop_price)}`);
  if (order.post_only) found.push("post-only");
  if (order.minimum_quantity) found.push(`at least ${quantity(order.minimum_quantity)}`);
  if (order.display_quantity) found.push(`shows ${quantity(order.display_quantity)}`);
  if (order.self_trade_prevention !== "none") found.push("no own trades");
  if (order.valid_until) found.push(`until ${momentOf(Date.parse(order.valid_until))}`);
  return found.join(", ");
}

function fillList() {
  const { element, body } = table("Own fills", [
    [`Time (${zoneName()})`, "time"],
    ["Symbol", "name"],
    ["Side", "name"],
    ["Price", "number"],
    ["Quantity", "number"],
    ["Role", "name"],
  ]);
  const empty = make("p", { class: "empty" });
  const box = panel("fills", "Fills", scroller("Own fills", element), empty);
  const draw = () => {
    empty.hidden = own.fills.length > 0;
    write(empty, emptyText("No fills yet."));
    const names = ["time", "name", "name", "number", "number", "name"];
    const drawn = rows(body, own.fills.length, () => cells(...names));
    own.fills.forEach((fill, index) => {
      const buys = fill.side === "bid";
      const texts = [momentOf(Date.parse(fill.executed_at)), fill.symbol, buys ? "Buy" : "Sell"];
      texts.push(price(fill.price), quantity(fill.quantity), fill.role);
      texts.forEach((text, column) => write(drawn[index].cells[column], text));
      setClass(drawn[index].cells[2], `name ${buys ? "up" : "down"}`);
    });
  };
  return { element: box.element, draw, topics: ["account", "session"] };
}

function positionList() {
  const { element, body } = table("Positions", [
    ["Symbol", "name"],
    ["Shares", "number"],
    ["Value at the last price", "number"],
  ]);
  const cash = make("p", { class: "cash" });
  const empty = make("p", { class: "empty" });
  const box = panel("positions", "Positions", cash, scroller("Positions", element), empty);
  const draw = () => {
    const held = own.balance?.positions ?? [];
    empty.hidden = held.length > 0;
    write(empty, emptyText("No positions."));
    write(cash, own.balance ? `Cash ${amount(BigInt(own.balance.balance))} BRL` : "");
    const drawn = rows(body, held.length, () => cells("name", "number", "number"));
    held.forEach((position, index) => {
      const last = market.tickers.get(position.symbol)?.last;
      write(drawn[index].cells[0], position.symbol);
      write(drawn[index].cells[1], quantity(position.quantity));
      const value = last ? amount(BigInt(position.quantity) * BigInt(last)) : price(null);
      write(drawn[index].cells[2], value);
    });
  };
  return { element: box.element, draw, topics: ["account", "session", "tickers"] };
}
