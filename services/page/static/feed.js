// The connection to /ws: subscriptions that outlive it, reconnecting, and its state in words.

import { touch } from "./paint.js";
import { withKey } from "./rest.js";

const STALE_MS = 8000;
const DEAD_MS = 15000;
const HIDDEN_MS = 10000;
const RETRY_MS = [500, 10000];
const RESPONSE_MS = 15000;
const KEY_ENDED = 4403;
// The gateway ends connections on which nothing is asked for: a page that waits for a key.
const UNUSED = 4408;
const KEPT = "own";

export const connection = {
  state: "connecting",
  heardAt: 0,
  ready: true,
  hello: null,
  retryAt: 0,
  paused: false,
};

const handlers = new Map();
const wanted = new Map();
const waiting = new Map();
let socket = null;
let failures = 0;
let ids = 0;
let retry = null;
let hideTimer = null;

// Call `handle` with each message of this type. `open`: the connection is ready for subscriptions;
// `another-log`: all sequences of before are void; `key-ended`: the key is refused.
export function on(type, handle) {
  if (!handlers.has(type)) handlers.set(type, []);
  handlers.get(type).push(handle);
}

function tell(type, message) {
  for (const handle of handlers.get(type) ?? []) handle(message);
}

export function start() {
  connect();
  setInterval(look, 1000);
  document.addEventListener("visibilitychange", onVisibility);
  addEventListener("offline", () => end());
  addEventListener("online", () => connectNow());
}

// Send an operation; resolves to its response, null if the connection ends before.
export function ask(op, fields = {}) {
  if (!socket || socket.readyState !== WebSocket.OPEN) return Promise.resolve(null);
  const id = ++ids;
  return new Promise((resolve) => {
    const timer = setTimeout(() => settle(id, null), RESPONSE_MS);
    waiting.set(id, { resolve, timer });
    socket.send(JSON.stringify({ op, id, ...fields }));
  });
}

function settle(id, answer) {
  const found = waiting.get(id);
  if (!found) return;
  waiting.delete(id);
  clearTimeout(found.timer);
  found.resolve(answer);
}

// Keep a subscription under a name, on this connection and on later ones. `fields` is a function,
// because what has to be requested again depends on what has arrived.
export function subscribe(name, fields) {
  unsubscribe(name);
  wanted.set(name, fields);
  if (!connection.paused) ask("subscribe", fields());
}

export function unsubscribe(name) {
  const fields = wanted.get(name);
  if (!fields) return;
  wanted.delete(name);
  if (!connection.paused) endSubscription(fields());
}

function endSubscription({ channel, symbols, depth, interval }) {
  ask("unsubscribe", { channel, symbols, depth, interval });
}

function connect() {
  clearTimeout(retry);
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const mine = new WebSocket(`${scheme}//${location.host}/ws`);
  socket = mine;
  mine.addEventListener("message", (event) => mine === socket && receive(JSON.parse(event.data)));
  mine.addEventListener("close", (event) => mine === socket && lost(event.code));
}

function connectNow() {
  if (connection.state !== "reconnecting" && connection.state !== "connecting") return;
  failures = 0;
  end();
  connect();
}

// Give the connection up without waiting for the other side.
function end() {
  const old = socket;
  socket = null;
  if (old) old.close();
  lost(0);
}

function lost(code) {
  socket = null;
  for (const id of [...waiting.keys()]) settle(id, null);
  if (code === KEY_ENDED) tell("key-ended");
  if (code === UNUSED && connection.state === "live") return connect();
  connection.state = "reconnecting";
  const longest = Math.min(RETRY_MS[1], RETRY_MS[0] * 2 ** failures++);
  // Full jitter: clients of a gateway that was restarted do not all return at once.
  const pause = 100 + Math.random() * longest;
  connection.retryAt = Date.now() + pause;
  clearTimeout(retry);
  retry = setTimeout(connect, pause);
  touch("connection");
}

function receive(message) {
  connection.heardAt = Date.now();
  if (connection.state !== "live") {
    connection.state = "live";
    touch("connection");
  }
  if (message.type === "hello") welcome(message);
  else if (message.type === "response") settle(message.id, message);
  else if (message.type === "heartbeat") {
    connection.ready = message.ready;
  }
  if (message.type !== "response") tell(message.type, message);
}

async function welcome(hello) {
  failures = 0;
  const before = connection.hello;
  connection.hello = hello;
  if (before && before.log !== hello.log) tell("another-log");
  touch("connection");
  const login = withKey((key) => ask("login", { key }));
  if (login && (await login)?.status === 401) tell("key-ended");
  renew();
}

// Ask for everything again: a key may allow now what was refused before.
export function renew() {
  tell("open", connection.hello);
  resubscribe();
}

function resubscribe() {
  if (connection.paused) return;
  for (const fields of wanted.values()) ask("subscribe", fields());
}

// Log in on this connection; resolves to the response.
export function login(key) {
  return ask("login", { key });
}

export function logout() {
  return ask("logout");
}

function look() {
  const silent = Date.now() - connection.heardAt;
  if (connection.state === "live" && silent > STALE_MS) connection.state = "stale";
  if (connection.state === "stale" && silent > DEAD_MS) end();
  touch("connection");
}

// A hidden page needs no prices: without them no backlog waits when it is shown again.
function onVisibility() {
  clearTimeout(hideTimer);
  if (document.hidden) {
    hideTimer = setTimeout(pause, HIDDEN_MS);
  } else if (connection.paused) {
    connection.paused = false;
    renew();
  }
}

// Own orders stay: an event that is missed would have to be asked for.
function pause() {
  connection.paused = true;
  for (const [name, fields] of wanted) if (name !== KEPT) endSubscription(fields());
}
