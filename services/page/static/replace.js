// Asks for new values of an open order, and sends those that differ.

import { make, write } from "./dom.js";
import { centsOf, wholeOf } from "./format.js";
import { replace, textOf } from "./orders.js";

const QUANTITIES = { quantity: "quantity", display_quantity: "display quantity" };

// Resolves to what came of it in words; null if the order stays as it is.
export function askForValues(order) {
  const waits = order.stop_price !== null && order.triggered_at === null;
  const stopField = waits ? priceField("replace-stop", "Stop price", order.stop_price) : null;
  const limitField =
    order.price === null ? null : priceField("replace-price", "Price", order.price);
  const wanted = `Quantity, with the ${order.filled_quantity} filled`;
  const quantityField = field("replace-quantity", wanted, String(order.quantity), "numeric");
  // An order that shows all cannot hide a part later.
  const displayed = "Display quantity, 0 to show all";
  const displayField = order.display_quantity
    ? field("replace-display", displayed, String(order.display_quantity), "numeric")
    : null;
  const fault = make("p", { class: "fault", role: "alert" });
  const send = make("button", { type: "submit", class: "primary", text: "Change the order" });
  const back = make("button", { type: "button", text: "Keep it" });
  const form = make(
    "form",
    { novalidate: true },
    make("h2", { id: "replace-title", text: `Change: ${textOf(order)}` }),
    ...[stopField, limitField, quantityField, displayField]
      .filter(Boolean)
      .map((each) => each.element),
    fault,
    make("div", { class: "actions" }, send, back),
  );
  const dialog = make("dialog", { "aria-labelledby": "replace-title" }, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    let text = null;
    back.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(text);
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const { values, why } = valuesOf(order, {
        price: limitField?.input.value,
        stop_price: stopField?.input.value,
        quantity: quantityField.input.value,
        display_quantity: displayField?.input.value,
      });
      write(fault, why);
      if (why) return;
      send.disabled = true;
      const found = await replace(order, values);
      send.disabled = false;
      if (found.refused) return write(fault, found.text);
      text = found.text;
      dialog.close();
    });
  });
}

// `texts`: those of the fields that are shown.
function valuesOf(order, texts) {
  const values = {};
  for (const name of ["price", "stop_price"]) {
    if (texts[name] === undefined) continue;
    const cents = centsOf(texts[name]);
    if (cents === null) return { why: "The price: write one such as 37.12." };
    if (cents !== order[name]) values[name] = cents;
  }
  for (const [name, text] of Object.entries(QUANTITIES)) {
    if (texts[name] === undefined) continue;
    const shares = wholeOf(texts[name]);
    if (shares === null) return { why: `The ${text}: write a whole number.` };
    if (shares !== order[name]) values[name] = shares;
  }
  const same = Object.keys(values).length === 0;
  return { values, why: same ? "These are the values that it has." : "" };
}

function priceField(id, label, cents) {
  return field(id, label, (cents / 100).toFixed(2), "decimal");
}

function field(id, label, value, inputmode) {
  const input = make("input", { id, inputmode, autocomplete: "off", maxlength: "24" });
  input.value = value;
  const element = make("div", { class: "field" }, make("label", { for: id, text: label }), input);
  return { input, element };
}
