// Asks for new values of an open order, and sends those that differ.

import { make, write } from "./dom.js";
import { centsOf, wholeOf } from "./format.js";
import { replace, textOf } from "./orders.js";

// Resolves to what came of it in words; null if the order stays as it is.
export function askForValues(order) {
  const priceField = field("replace-price", "Price", (order.price / 100).toFixed(2), "decimal");
  const wanted = `Quantity, with the ${order.filled_quantity} filled`;
  const quantityField = field("replace-quantity", wanted, String(order.quantity), "numeric");
  const fault = make("p", { class: "fault", role: "alert" });
  const send = make("button", { type: "submit", class: "primary", text: "Change the order" });
  const back = make("button", { type: "button", text: "Keep it" });
  const form = make(
    "form",
    { novalidate: true },
    make("h2", { id: "replace-title", text: `Change: ${textOf(order)}` }),
    priceField.element,
    quantityField.element,
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
      const { values, why } = valuesOf(order, priceField.input.value, quantityField.input.value);
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

function valuesOf(order, priceText, quantityText) {
  const [cents, shares] = [centsOf(priceText), wholeOf(quantityText)];
  if (cents === null) return { why: "The price: write one such as 37.12." };
  if (shares === null) return { why: "The quantity: write a whole number." };
  const values = {};
  if (cents !== order.price) values.price = cents;
  if (shares !== order.quantity) values.quantity = shares;
  const same = Object.keys(values).length === 0;
  return { values, why: same ? "These are the values that it has." : "" };
}

function field(id, label, value, inputmode) {
  const input = make("input", { id, inputmode, autocomplete: "off", maxlength: "24" });
  input.value = value;
  const element = make("div", { class: "field" }, make("label", { for: id, text: label }), input);
  return { input, element };
}
