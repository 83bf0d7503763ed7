// Asks for new values of an open order, and sends those that differ.

import { make, write } from "./dom.js";
import { quantity } from "./format.js";
import { replace, textOf } from "./orders.js";
import { refusalOf } from "./refusals.js";
import { readingOf } from "./ticket-fields.js";
import { fieldOf, showFaults } from "./ticket-inputs.js";

// Resolves to what came of it in words; null if the order stays as it is.
export function askForValues(order) {
  const fields = fieldsOf(order);
  const texts = Object.fromEntries(fields.map((each) => [each.name, textIn(each, order)]));
  const inputs = fields.map((each) => {
    return fieldOf(each, texts, ({ name }, text) => (texts[name] = text));
  });
  const fault = make("p", { class: "fault", role: "alert" });
  const send = make("button", { type: "submit", class: "primary", text: "Change the order" });
  const back = make("button", { type: "button", text: "Keep it" });
  const form = make(
    "form",
    { novalidate: true },
    make("h2", { id: "replace-title", text: `Change: ${textOf(order)}` }),
    ...inputs.map((each) => each.element),
    fault,
    make("div", { class: "actions" }, send, back),
  );
  const dialog = make("dialog", { "aria-labelledby": "replace-title" }, form);
  document.body.append(dialog);
  dialog.showModal();
  inputs[0].focus();
  return new Promise((resolve) => {
    let text = null;
    back.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(text);
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (send.disabled) return;
      const { body, faults } = readingOf(fields, texts);
      const values = changedOf(order, body);
      const wrong = Object.keys(faults).length > 0;
      const same = !wrong && !Object.keys(values).length;
      showFaults(inputs, faults);
      write(fault, same ? "These are the values that it has." : "");
      if (wrong || same) return;
      send.disabled = true;
      const found = await replace(order, values);
      const refusal = found.problem && (await refusalOf(inputs, found.problem, order.symbol));
      send.disabled = false;
      if (refusal) return refuse(refusal);
      text = found.text;
      dialog.close();
    });
  });

  function refuse({ faults, text, atFields }) {
    showFaults(inputs, faults);
    write(fault, atFields ? "The change was refused." : text);
  }
}

// The fields that the order has.
function fieldsOf(order) {
  const filled = `Quantity, with the ${quantity(order.filled_quantity)} filled`;
  const price = { kind: "price", required: true };
  const whole = { kind: "whole", required: true };
  const waits = order.stop_price !== null && order.triggered_at === null;
  return [
    waits && { ...price, name: "stop_price", label: "Stop price" },
    order.price !== null && { ...price, name: "price", label: "Price" },
    { ...whole, name: "quantity", label: filled },
    // An order that shows all cannot hide a part later.
    order.display_quantity && {
      ...whole,
      name: "display_quantity",
      label: "Display quantity, 0 to show all",
    },
  ]
    .filter(Boolean)
    .map((each) => ({ ...each, id: `replace-${each.name}` }));
}

function textIn({ name, kind }, order) {
  return kind === "price" ? (order[name] / 100).toFixed(2) : String(order[name]);
}

function changedOf(order, values) {
  return Object.fromEntries(Object.entries(values).filter(([name, at]) => at !== order[name]));
}
