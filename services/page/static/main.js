// Starts the page, and shows the view that the address names.

import { make, setAttribute } from "./dom.js";
import { start } from "./feed.js";
import { startKeys } from "./keys.js";
import { choose, market } from "./market-data.js";
import { marketView } from "./market-view.js";
import { operationsView } from "./operations-view.js";
import { startSession } from "./session.js";
import { startStatus } from "./status.js";
import { stockView } from "./stock-view.js";
import { startTheme } from "./theme.js";

const SYMBOL = /^(?!\.{1,2}$)[A-Z0-9._-]{1,10}$/;
const view = document.getElementById("view");
let leave = () => {};

function symbolOf(text) {
  const symbol = text.trim().toUpperCase();
  return SYMBOL.test(symbol) ? symbol : null;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

function route() {
  leave();
  leave = () => {};
  const [, name = "", rest = ""] = location.hash.split("/");
  const symbol = name === "stock" ? symbolOf(decoded(rest)) : null;
  choose(symbol);
  if (symbol) leave = stockView(view, symbol);
  else if (name === "operations") leave = operationsView(view);
  else if (name === "" || name === "market") leave = marketView(view);
  else view.replaceChildren(notFound(decoded(rest) || name));
  document.title = symbol ? `${symbol} – Exchange` : "Exchange";
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.dataset.view === (name || "market");
    setAttribute(link, "aria-current", here ? "page" : null);
  }
}

function notFound(text) {
  return make(
    "section",
    { class: "panel" },
    make("h1", { text: "No such symbol" }),
    make("p", { text: `“${text}” is not a symbol: 1 to 10 of A-Z, 0-9, dot, _ and -.` }),
    make("p", {}, make("a", { href: "#/market", text: "To the market" })),
  );
}

function startSearch() {
  const form = document.getElementById("search");
  const input = document.getElementById("symbol");
  const list = document.getElementById("symbols");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!input.value.trim()) return;
    location.hash = `#/stock/${encodeURIComponent(input.value.trim().toUpperCase())}`;
    input.value = "";
    view.focus();
  });
  input.addEventListener("input", () => {
    const begun = input.value.trim().toUpperCase();
    const found = [...market.tickers.keys()].filter((each) => each.startsWith(begun)).slice(0, 20);
    list.replaceChildren(...found.map((value) => make("option", { value })));
  });
}

document.querySelector(".skip").addEventListener("click", (event) => {
  // The address names the view, so the link must not change it.
  event.preventDefault();
  view.focus();
});
startTheme(document.getElementById("theme"));
startSession(document.getElementById("key"));
startStatus();
startKeys(document.getElementById("help"));
startSearch();
addEventListener("hashchange", route);
route();
start();
