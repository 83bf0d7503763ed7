// The state of the connection, always in view, and what follows from it.

import { setAttribute, write } from "./dom.js";
import { connection, on } from "./feed.js";
import { duration, timeOf } from "./format.js";
import { onPaint, touch } from "./paint.js";
import { session } from "./session.js";

const version = document.querySelector('meta[name="page-version"]').content;
let shown = "";

export function startStatus() {
  const place = document.getElementById("connection");
  const banner = document.getElementById("banner");
  const key = document.getElementById("key");
  onPaint("connection", () => {
    setAttribute(place, "data-state", connection.state);
    write(place, stateText());
    const text = bannerText();
    banner.hidden = text === "";
    write(banner, text);
    // Prices that may be old are shown as such.
    document.documentElement.dataset.feed = connection.state;
    if (shown !== connection.state) touch("connection-state");
    shown = connection.state;
  });
  onPaint("session", () => {
    write(key, session.broker ? session.broker.name : "Sign in");
    setAttribute(key, "aria-label", session.broker ? `Sign out ${session.broker.name}` : null);
    setAttribute(key, "title", session.broker ? "Sign out: forget the key" : null);
  });
  on("heartbeat", () => touch("connection"));
  touch("connection", "session");
}

function stateText() {
  if (connection.state === "live") {
    return `live, ${duration(Date.now() - connection.heardAt)} ago`;
  }
  if (connection.state === "stale") return `stale for ${duration(Date.now() - connection.heardAt)}`;
  return connection.state;
}

function bannerText() {
  const last = connection.heardAt ? ` The last message came at ${timeOf(connection.heardAt)}.` : "";
  if (connection.state === "stale") return `No news from the exchange.${last} Prices may be old.`;
  if (connection.state === "reconnecting") {
    return `The connection is lost; connecting again.${last} Prices may be old.`;
  }
  if (!connection.ready) return "The exchange is starting: it reads its log.";
  const offered = connection.hello?.page;
  if (offered && offered !== version) return "A newer page is here: load it when it suits you.";
  return "";
}
