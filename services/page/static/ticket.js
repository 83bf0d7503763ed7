// The order ticket: fields, a summary to confirm, and one intent at a time.

import { make, write } from "./dom.js";
import { amount, price } from "./format.js";
import { connection } from "./feed.js";
import { announce } from "./notes.js";
import { find, newClientOrderId, outcomeOf, send, textOf } from "./orders.js";
import { onPaint, touch } from "./paint.js";
import { panel } from "./panels.js";
import { refusalOf } from "./refusals.js";
import { SIGN_IN, askForKey, session } from "./session.js";
import { confirmation, limitField } from "./ticket-confirm.js";
import { applies, bodyOf, FIELDS, summaryOf, valueOf } from "./ticket-fields.js";
import { fieldOf, showFaults } from "./ticket-inputs.js";

const RETRY_MS = [1000, 10000];
// A gateway may still be writing an order whose connection broke; by then it has ended that.
const CERTAIN_MS = 8000;
// What was typed, by symbol: it outlives the view, a lost connection and a lost key.
const drafts = new Map();
const shared = {};
// The order that was sent and has no certain outcome yet; the next one waits for it.
let intent = null;

function draftOf(symbol) {
  if (!drafts.has(symbol)) drafts.set(symbol, { side: "bid", order_type: "limit" });
  return drafts.get(symbol);
}

export function ticket(symbol) {
  const values = { ...draftOf(symbol), ...shared };
  const inputs = FIELDS.map((field) => fieldOf(field, values, changed));
  const further = make("details", {}, make("summary", { text: "Conditions" }));
  const total = make("p", { class: "total" });
  const status = make("p", { class: "status", role: "status" });
  const fault = make("p", { class: "fault", role: "alert" });
  const review = make("button", { type: "submit", class: "primary", text: "Review order" });
  const confirming = confirmation();
  const form = make("form", { novalidate: true, autocomplete: "off" });
  for (const input of inputs) (input.field.further ? further : form).append(input.element);
  further.append(limitField());
  form.append(further, total, fault, review, confirming.element, status);
  const signIn = make("button", { type: "button", text: "Sign in to trade" });
  signIn.addEventListener("click", askForKey);
  const box = panel("ticket", `Order ticket`, signIn, form);
  box.element.id = "ticket";

  function changed(field, value) {
    values[field.name] = value;
    draftOf(symbol)[field.name] = value;
    if (field.shared) shared[field.name] = value;
    confirming.close();
    draw();
  }

  function draw() {
    const blocked = connection.state !== "live" || intent !== null;
    signIn.hidden = session.broker !== null;
    for (const input of inputs) input.draw(applies(input.field, values), values);
    const { body, faults } = bodyOf(values, symbol);
    const value = Object.keys(faults).length ? null : valueOf(body);
    write(total, value === null ? "" : `Value ${amount(value)} BRL`);
    review.disabled = blocked || session.broker === null;
    confirming.send.disabled = blocked;
    write(status, statusText());
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (review.disabled) return;
    if (confirming.open) confirming.accept();
    else showSummary();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !confirming.open) return;
    event.stopPropagation();
    confirming.close();
    review.focus();
  });

  function showSummary() {
    const { body, faults } = bodyOf(values, symbol);
    write(fault, "");
    showFaults(inputs, faults);
    if (!Object.keys(faults).length) confirming.show(body, () => carryOut(body));
  }

  async function carryOut(body) {
    const sent = { ...body, client_order_id: newClientOrderId() };
    const { broker } = session;
    const focused = form.contains(document.activeElement);
    intent = sent;
    draw();
    const found = await settled(sent, broker, await send(sent));
    const refusal = found.problem && (await refusalOf(inputs, found.problem, sent.symbol));
    intent = null;
    finish(sent, found, refusal, broker);
    // The button that had the focus is disabled or hidden now.
    const { activeElement: at, body: nothing } = document;
    if (focused && (at === nothing || confirming.element.contains(at))) review.focus();
    touch("intent", "own");
  }

  function finish(sent, found, refusal, broker) {
    confirming.close();
    if (found.kind === "done") {
      announce(`Placed: ${textOf(found.order)}: ${outcomeOf(found.order)}.`);
    } else if (found.kind === "absent") {
      announce(`Not placed: ${summaryOf(sent)}. The exchange never received it; send it again.`);
      write(fault, "The exchange never received this order. Nothing was placed.");
    } else if (found.kind === "unknown") {
      const where = `It was sent for ${broker.name}: look at that broker's orders.`;
      announce(`Outcome unknown: ${summaryOf(sent)}. ${where}`);
    } else refuse(sent, refusal);
    draw();
  }

  function refuse(sent, { faults, text, atFields }) {
    announce(`Refused: ${summaryOf(sent)}. ${text}`);
    for (const input of inputs) input.fault(faults[input.field.name] ?? "");
    write(fault, atFields ? "The order was refused." : text);
  }

  const ends = ["connection-state", "session", "intent"].map((topic) => onPaint(topic, draw));
  const fillPrice = (cents) => {
    const input = inputs.find((each) => each.field.name === "price");
    input.set(price(cents).replaceAll(",", ""));
    input.focus();
  };
  const chooseSide = (side) => inputs.find((each) => each.field.name === "side").set(side);
  actions.chooseSide = chooseSide;
  draw();
  return { element: box.element, fillPrice, end: () => ends.forEach((end) => end()) };
}

// What keyboard shortcuts may do with the ticket that is shown.
export const actions = { chooseSide: () => {} };

function statusText() {
  if (session.broker === null) return `To trade, ${SIGN_IN}.`;
  if (intent) {
    return `Outcome unknown: ${summaryOf(intent)}. The page asks until the exchange answers.`;
  }
  return connection.state === "live" ? "" : "No connection: orders wait until it is back.";
}

// Ask until it is certain what became of an order. Asking sends nothing a second time. Unknown it
// stays if another broker signs in, who does not see the order.
async function settled(sent, broker, first) {
  let found = first;
  const sentAt = Date.now();
  for (let attempt = 0; found.kind === "unknown" || found.kind === "signed-out"; attempt += 1) {
    touch("intent");
    const pause = Math.min(RETRY_MS[1], RETRY_MS[0] * 2 ** attempt);
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (session.broker && session.broker.id !== broker.id) return { kind: "unknown" };
    if (connection.state === "live" && session.broker) found = await find(sent);
    if (found.kind === "absent" && Date.now() - sentAt < CERTAIN_MS) found = { kind: "unknown" };
  }
  return found;
}
