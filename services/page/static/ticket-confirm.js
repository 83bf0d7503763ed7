// The summary of an order before it is sent, and the value above which the user is asked twice.

import { make, write } from "./dom.js";
import { amount } from "./format.js";
import { summaryOf, valueOf } from "./ticket-fields.js";

const LIMIT_NAME = "retype-above";

// The summary, with the quantity once more where the value is above the user's limit.
export function confirmation() {
  const line = make("p", { class: "line", id: "summary-line" });
  const again = make("input", { id: "again", inputmode: "numeric", autocomplete: "off" });
  const retype = labelled("Type the quantity again", again);
  const send = make("button", { type: "submit", class: "primary", text: "Send order" });
  send.setAttribute("aria-describedby", line.id);
  const back = make("button", { type: "button", text: "Change" });
  const actions = make("div", { class: "actions" }, send, back);
  const element = make("div", { class: "confirm", hidden: true }, line, retype, actions);
  let carryOut = null;
  let body = null;
  const self = {
    element,
    send,
    get open() {
      return carryOut !== null;
    },
    show(given, then) {
      [body, carryOut] = [given, then];
      const value = valueOf(body);
      write(line, summaryOf(body) + (value === null ? "" : ` = ${amount(value)}`));
      const limit = Number(localStorage.getItem(LIMIT_NAME) ?? 0);
      retype.hidden = !(limit > 0 && (value === null || value > BigInt(limit) * 100n));
      again.value = "";
      element.hidden = false;
      (retype.hidden ? send : again).focus();
    },
    accept() {
      if (!retype.hidden && again.value.trim() !== String(body.quantity)) return again.focus();
      const then = carryOut;
      carryOut = null;
      then();
    },
    close() {
      carryOut = null;
      element.hidden = true;
    },
  };
  back.addEventListener("click", self.close);
  return self;
}

export function limitField() {
  const input = make("input", { id: "limit", inputmode: "numeric", autocomplete: "off" });
  input.value = localStorage.getItem(LIMIT_NAME) ?? "";
  input.addEventListener("change", () => {
    if (/^\d{1,15}$/.test(input.value)) localStorage.setItem(LIMIT_NAME, input.value);
    else localStorage.removeItem(LIMIT_NAME);
  });
  return labelled("Ask twice above a value of (BRL)", input);
}

function labelled(text, input) {
  return make("div", { class: "field" }, make("label", { for: input.id, text }), input);
}
