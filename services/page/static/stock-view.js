// One stock: watch list, quote, charts, ladder, trades, order ticket and the broker's own account.

import { account } from "./account.js";
import { INTERVALS, candles, follow } from "./candles.js";
import { candleChart, depthChart } from "./charts.js";
import { make, setAttribute } from "./dom.js";
import { choose, watchTickers } from "./market-data.js";
import { onPaint } from "./paint.js";
import { ladder, panel, quote, show, tape, watchList } from "./panels.js";
import { ticket } from "./ticket.js";

export function stockView(view, symbol) {
  const form = ticket(symbol);
  const parts = [watchList(), quote(), candleChart(), depthChart(), ladder(form.fillPrice), tape()];
  const [watch, head, candlePart, depthPart, ladderPart, tapePart] = parts;
  const chart = panel("chart", "Candles", candlePart.element);
  const intervals = intervalButtons(symbol);
  chart.head.append(candlePart.controls, intervals.element);
  const depth = panel("depth", "Depth", depthPart.element);
  const own = account(symbol);
  view.replaceChildren(
    head.element,
    make(
      "div",
      { class: "stock" },
      watch.element,
      make("div", { class: "column charts" }, chart.element, depth.element),
      make("div", { class: "column book" }, ladderPart.element, tapePart.element),
      form.element,
      own.element,
    ),
  );
  choose(symbol);
  follow(symbol);
  const ends = [watchTickers(), ...parts.map(show), () => candlePart.end(), () => depthPart.end()];
  ends.push(form.end, own.end, intervals.end, () => follow(null));
  return () => ends.forEach((end) => end());
}

function intervalButtons(symbol) {
  const group = make("div", { class: "choices", role: "group", "aria-label": "Interval" });
  for (const interval of Object.keys(INTERVALS)) {
    const button = make("button", { type: "button", text: interval, "data-interval": interval });
    button.addEventListener("click", () => follow(symbol, interval));
    group.append(button);
  }
  const end = onPaint("candles", () => {
    for (const each of group.children) {
      setAttribute(each, "aria-pressed", String(each.dataset.interval === candles.interval));
    }
  });
  return { element: group, end };
}
