// Keyboard shortcuts. They can be switched off, and do nothing while text is typed (WCAG 2.1.4).

import { cancelSelected } from "./account.js";
import { INTERVALS, follow } from "./candles.js";
import { make, table, cells, write } from "./dom.js";
import { change, price, quantity } from "./format.js";
import { market } from "./market-data.js";
import { actions } from "./ticket.js";

const OFF = "shortcuts-off";
const LIST = [
  ["/", "Search a symbol"],
  ["b, s", "Order ticket: buy, sell"],
  ["l", "Price ladder; arrows move, Enter takes the price"],
  ["w", "Watch list; arrows move, Enter opens"],
  ["o", "Own orders"],
  ["x", "Cancel the selected order (asks first)"],
  ["1 – 4", "Candles of 1m, 5m, 1h, 1d"],
  ["← →, + −", "In a chart: move, zoom; Home, End, 0: oldest, now, all"],
  ["g m, g o", "Market, operations"],
  [".", "Read out the chosen stock"],
  ["Esc", "Back"],
  ["?", "This list"],
];
let afterG = false;

export function startKeys(helpButton) {
  helpButton.addEventListener("click", showHelp);
  // A key that is held down presses one button, not each that has the focus next.
  const once = (event) => event.key === "Enter" && event.repeat && event.preventDefault();
  addEventListener("keydown", once, { capture: true });
  addEventListener("keydown", (event) => {
    const combined = event.ctrlKey || event.metaKey || event.altKey;
    if (combined || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") return document.activeElement?.blur();
    if (localStorage.getItem(OFF) || isTyping(event.target)) return;
    const act = afterG ? GO[event.key] : KEYS[event.key];
    afterG = !afterG && event.key === "g";
    if (!act) return;
    event.preventDefault();
    act(event.key);
  });
}

function isTyping(target) {
  return target.matches("input:not([type=radio]):not([type=checkbox]), select, textarea");
}

function side(name) {
  actions.chooseSide(name);
  focusIn("#ticket", "input[type=text]");
}

// Focuses the first element that there is, in the order of the selectors.
function focusIn(place, ...selectors) {
  const found = selectors.flatMap((each) => [...document.querySelectorAll(`${place} ${each}`)]);
  // Fields that do not apply now are hidden.
  found.find((each) => each.offsetParent !== null)?.focus();
}

function interval(key) {
  if (market.symbol) follow(market.symbol, Object.keys(INTERVALS)[Number(key) - 1]);
}

const KEYS = {
  "/": () => document.getElementById("symbol").focus(),
  b: () => side("bid"),
  s: () => side("ask"),
  l: () => focusIn("#ladder", ".near button", ".far tr:last-child button"),
  w: () => focusIn(".watch", 'a[tabindex="0"]'),
  o: () => focusIn("#orders", 'tbody button[tabindex="0"]', ".scroll"),
  x: cancelSelected,
  1: interval,
  2: interval,
  3: interval,
  4: interval,
  ".": speak,
  "?": showHelp,
};
const GO = {
  m: () => (location.hash = "#/market"),
  o: () => (location.hash = "#/operations"),
};

// Prices are not read out as they change; this reads the chosen stock once.
function speak() {
  const ticker = market.tickers.get(market.symbol);
  const [bid, ask] = [market.ladder?.bids[0], market.ladder?.asks[0]];
  const parts = [market.symbol ?? "No stock chosen"];
  const moved = ticker ? change(ticker.last, ticker.open) : null;
  if (ticker?.last) parts.push(`last ${price(ticker.last)}`);
  if (moved) parts.push(moved.text);
  if (bid) parts.push(`bid ${price(bid[0])} for ${quantity(bid[1])}`);
  if (ask) parts.push(`ask ${price(ask[0])} for ${quantity(ask[1])}`);
  write(document.getElementById("spoken"), parts.join(", "));
}

function showHelp() {
  const { element, body } = table("Keyboard shortcuts", [
    ["Key", "name"],
    ["What it does", "name"],
  ]);
  for (const [key, what] of LIST) {
    const row = cells("name", "name");
    row.cells[0].append(make("kbd", { text: key }));
    write(row.cells[1], what);
    body.append(row);
  }
  const off = make("input", { type: "checkbox", id: "shortcuts" });
  off.checked = !localStorage.getItem(OFF);
  off.addEventListener("change", () => {
    if (off.checked) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "1");
  });
  const close = make("button", { type: "button", class: "primary", text: "Close" });
  const dialog = make(
    "dialog",
    { "aria-labelledby": "help-title" },
    make("h2", { id: "help-title", text: "Keyboard shortcuts" }),
    element,
    make("p", {}, make("label", { for: "shortcuts" }, off, " Shortcuts are on")),
    make("p", { class: "links" }, make("a", { href: "/docs", text: "API documentation" })),
    make("p", { class: "links" }, make("a", { href: "/page/NOTICE.txt", text: "Licences" })),
    make("div", { class: "actions" }, close),
  );
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
