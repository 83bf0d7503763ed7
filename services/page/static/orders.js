// Sending orders and cancels, and finding out what became of those without an answer.

import { counted, price, quantity } from "./format.js";
import { call } from "./rest.js";

const ID_BYTES = 12;
// Why an order was closed, where the word of the exchange does not say enough.
const REASONS = {
  no_liquidity: "nothing more to trade with",
  self_trade: "it would have traded with an own order",
  price_band: "it would have traded outside of the price band",
};

// Every intent of the user has one id, kept over all attempts: it is never entered twice.
export function newClientOrderId() {
  const bytes = crypto.getRandomValues(new Uint8Array(ID_BYTES));
  return `page-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

// `done` with the order, `refused` with the problem, or `unknown`: it may be in the log or not.
export async function send(body) {
  try {
    const answer = await call("POST", "/orders", body);
    if (answer.status === 200 || answer.status === 201) return { kind: "done", order: answer.body };
    if (answer.status === 202 || answer.status === 504) return { kind: "unknown" };
    return { kind: "refused", problem: answer.body ?? { detail: `status ${answer.status}` } };
  } catch {
    return { kind: "unknown" };
  }
}

// `done`, `absent` if the log does not have the order, or `unknown` while it is not known.
export async function find(body) {
  const id = encodeURIComponent(body.client_order_id);
  try {
    const answer = await call("GET", `/orders?symbol=${body.symbol}&client_order_id=${id}`);
    if (answer.status === 401) return { kind: "signed-out" };
    if (answer.status !== 200) return { kind: "unknown" };
    const [order] = answer.body.orders;
    return order ? { kind: "done", order } : { kind: "absent" };
  } catch {
    return { kind: "unknown" };
  }
}

// In words, what became of a cancel.
export async function cancel(order) {
  try {
    const answer = await call("POST", `/orders/${order.order_id}/cancel`);
    if (answer.status === 204 || answer.status === 200) return `Cancelled: ${textOf(order)}.`;
    if (answer.status === 409) return `Too late to cancel: ${textOf(order)} is closed already.`;
    if (answer.status === 202) return `The cancel of ${textOf(order)} waits for the matcher.`;
    return `Not cancelled: ${answer.body?.detail ?? `status ${answer.status}`}`;
  } catch {
    return `No answer to the cancel of ${textOf(order)}: look at the list, and cancel again.`;
  }
}

// In words, what became of a cancel of all open orders.
export async function cancelEvery() {
  try {
    const answer = await call("POST", "/orders/cancel-all");
    const count = counted(answer.body?.cancelled_count ?? 0, "order");
    if (answer.status === 200) return `Cancelled: ${count}.`;
    if (answer.status === 202) return `Cancelled: ${count}; others wait for the matcher.`;
    return `Not cancelled: ${answer.body?.detail ?? `status ${answer.status}`}`;
  } catch {
    return "No answer to the cancel of all orders: look at the list, and cancel again.";
  }
}

// New values of an open order: in words what came of it, and the problem if it was refused. The
// same replacement again changes nothing, so it may be sent again without an answer.
export async function replace(order, values) {
  try {
    const answer = await call("POST", `/orders/${order.order_id}/replace`, values);
    if (answer.status === 200) {
      const changed = answer.body;
      return { text: `Changed: ${textOf(changed)}: ${outcomeOf(changed)}.` };
    }
    if (answer.status === 202) {
      return { text: `The change of ${textOf(order)} waits for the matcher.` };
    }
    return { problem: answer.body ?? { detail: `status ${answer.status}` } };
  } catch {
    return { problem: { detail: "No answer. The same change can be sent again." } };
  }
}

export function textOf(order) {
  const side = order.side === "bid" ? "buy" : "sell";
  const at = order.price === null ? "at the market's price" : `at ${price(order.price)}`;
  const stop = order.stop_price ? `, stop at ${price(order.stop_price)}` : "";
  return `${side} ${quantity(order.quantity)} ${order.symbol} ${at}${stop}`;
}

// What the exchange did with an order that it accepted.
export function outcomeOf(order) {
  const filled = order.filled_quantity;
  const mean = filled ? ` at ${price(order.average_price)} on average` : "";
  if (order.status === "open" && order.stop_price && !order.triggered_at) {
    return "it waits for its stop price";
  }
  if (order.status === "open") {
    return filled
      ? `${quantity(filled)} filled${mean}, ${quantity(order.remaining_quantity)} rest in the book`
      : "it rests in the book";
  }
  const reason = REASONS[order.closed_reason] ?? order.closed_reason ?? "closed";
  if (order.remaining_quantity === 0) return `filled${mean}`;
  return `${quantity(filled)} filled${mean}, the rest is closed: ${reason}`;
}
