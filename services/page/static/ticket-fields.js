// The fields of an order, in the order in which they are shown. A new order type or condition of
// the exchange is one entry here.
//
// `name` is the field of the body of POST /orders, and the pointer of its faults. `when`: whether
// the field applies to the values chosen so far; one that does not is neither shown nor sent.

import { centsOf, price, quantity, wholeOf } from "./format.js";

const isStop = (values) => values.order_type.startsWith("stop");
const isLimit = (values) => values.order_type.endsWith("limit");
const inForce = (values) => values.time_in_force || "gtc";
const mayRest = (values) => isStop(values) || ["gtc", "day"].includes(inForce(values));
const rests = (values) => values.order_type !== "market" && mayRest(values);
const isRestingLimit = (values) => values.order_type === "limit" && rests(values);

export const FIELDS = [
  {
    name: "side",
    label: "Side",
    kind: "choice",
    options: [
      ["bid", "Buy"],
      ["ask", "Sell"],
    ],
  },
  {
    name: "order_type",
    label: "Type",
    kind: "choice",
    options: [
      ["limit", "Limit"],
      ["market", "Market"],
      ["stop", "Stop"],
      ["stop_limit", "Stop-limit"],
    ],
  },
  { name: "stop_price", label: "Stop price", kind: "price", required: true, when: isStop },
  { name: "price", label: "Price", kind: "price", required: true, when: isLimit },
  { name: "quantity", label: "Quantity", kind: "whole", required: true },
  {
    name: "document_number",
    label: "Document number",
    kind: "text",
    required: true,
    maxlength: 20,
    // Of the person, not of the stock: kept when another symbol is chosen.
    shared: true,
  },
  {
    name: "time_in_force",
    label: "Time in force",
    kind: "select",
    further: true,
    when: (values) => !isStop(values),
    options: [
      ["", "Usual for the type"],
      ["gtc", "Good till cancelled", isLimit],
      ["day", "Until the market closes", isLimit],
      ["ioc", "Immediate or cancel"],
      ["fok", "Fill or kill"],
    ],
  },
  {
    name: "valid_until",
    label: "Valid until",
    kind: "moment",
    further: true,
    when: (values) => rests(values) && inForce(values) !== "day",
  },
  {
    name: "minimum_quantity",
    label: "Minimum quantity",
    kind: "whole",
    further: true,
    when: (values) =>
      !isStop(values) &&
      values.time_in_force !== "fok" &&
      !values.post_only &&
      !values.display_quantity,
  },
  {
    name: "post_only",
    label: "Post-only: refuse it if it would trade at once",
    kind: "flag",
    further: true,
    when: (values) => isRestingLimit(values) && !values.minimum_quantity,
  },
  {
    name: "display_quantity",
    label: "Display quantity",
    kind: "whole",
    further: true,
    when: (values) => isRestingLimit(values) && !values.minimum_quantity,
  },
  {
    name: "self_trade_prevention",
    label: "Against own orders of this document",
    kind: "select",
    further: true,
    options: [
      ["", "Trade"],
      ["cancel_taker", "Close this order"],
      ["cancel_maker", "Close the order in the book"],
      ["cancel_both", "Close both"],
    ],
  },
];

const READ = {
  price: [centsOf, "write a price such as 37.12"],
  whole: [wholeOf, "write a whole number"],
  moment: [momentOf, "write a date and a time"],
};

function momentOf(text) {
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? null : at.toISOString();
}

export function applies(field, values) {
  return !field.when || field.when(values);
}

// The body of the order, and what is wrong with the texts that cannot be read.
export function bodyOf(values, symbol) {
  const { body, faults } = readingOf(FIELDS, values);
  return { body: { symbol, ...body }, faults };
}

// What the texts of these fields say, by name, and what is wrong with those that say nothing.
export function readingOf(fields, values) {
  const body = {};
  const faults = {};
  for (const field of fields) {
    const given = values[field.name];
    if (!applies(field, values)) continue;
    if (given === "" || given === undefined || given === false) {
      if (field.required) faults[field.name] = "is needed";
      continue;
    }
    const [read, wanted] = READ[field.kind] ?? [(text) => text];
    const value = typeof given === "string" ? read(given.trim()) : given;
    if (value === null) faults[field.name] = wanted;
    else body[field.name] = value;
  }
  return { body, faults };
}

// One line that says what will be sent.
export function summaryOf(body) {
  const parts = [body.side === "bid" ? "Buy" : "Sell", quantity(body.quantity), body.symbol];
  parts.push(body.price === undefined ? "at the market's price" : `at ${price(body.price)}`);
  if (body.stop_price !== undefined) parts.push(`once ${price(body.stop_price)} is traded`);
  const further = FIELDS.filter((field) => field.further && body[field.name] !== undefined);
  const conditions = further.map((field) => conditionOf(field, body[field.name]));
  return [parts.join(" "), ...conditions].join(", ");
}

function conditionOf(field, value) {
  if (field.kind === "flag") return field.label.split(":")[0].toLowerCase();
  const option = field.options?.find(([name]) => name === value);
  if (option && field.name === "time_in_force") return option[1].toLowerCase();
  if (option) return `${field.label.toLowerCase()}: ${option[1].toLowerCase()}`;
  if (field.kind === "moment") return `until ${new Date(value).toLocaleString("en-GB")}`;
  return `${field.label.toLowerCase()} ${quantity(value)}`;
}

// Cents, exactly; null for an order without a price.
export function valueOf(body) {
  if (body.price === undefined || body.quantity === undefined) return null;
  return BigInt(body.price) * BigInt(body.quantity);
}
