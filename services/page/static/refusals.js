// Refusals of orders in words, with the limits of the symbol in the units of the page.

import { price, quantity } from "./format.js";
import { get } from "./rest.js";

const LIMITS = {
  tick_size: ["tick size", price],
  lot_size: ["lot size", quantity],
  quantity_max: ["largest quantity", quantity],
  value_max: ["largest value", price],
  price_min: ["lowest price", price],
  price_max: ["highest price", price],
};
const NAMES = new RegExp(`\\b(${Object.keys(LIMITS).join("|")})\\b`, "g");

// A refusal: its faults by the name of their field, all in words, and whether fields show them all.
export async function refusalOf(inputs, problem, symbol) {
  const rules = await rulesOf(problem, symbol);
  const faults = {};
  const lines = [];
  for (const { pointer, detail } of problem.errors ?? []) {
    const field = inputs.find((each) => `/${each.field.name}` === pointer)?.field;
    if (field) faults[field.name] = inWords(field, detail, rules);
    lines.push(field ? `${field.label}: ${faults[field.name]}` : `${pointer} ${detail}`);
  }
  const detail = lines.join(", ") || withLimits(problem.detail ?? "", rules);
  const text = [problem.title, detail].filter(Boolean).map(sentence).join(" ");
  const count = Object.keys(faults).length;
  return { faults, text, atFields: count > 0 && count === lines.length };
}

// The symbol's rules, read anew for a refusal that is about them; they may have changed.
async function rulesOf({ code, errors = [] }, symbol) {
  if (code !== "outside_price_band" && !errors.some((each) => each.code)) return null;
  const stock = await get(`/stocks/${encodeURIComponent(symbol)}`);
  return stock?.instrument ?? null;
}

function sentence(text) {
  return text[0].toUpperCase() + text.slice(1) + (text.endsWith(".") ? "" : ".");
}

// A limit in the unit of the field, not in cents.
function inWords(field, detail, rules) {
  const found = /^Expected int ([<>])= (\d+)$/.exec(detail);
  if (!found) return withLimits(detail, rules);
  const limit = field.kind === "price" ? price(Number(found[2])) : quantity(Number(found[2]));
  return found[1] === "<" ? `is at most ${limit}` : `is at least ${limit}`;
}

function withLimits(text, rules) {
  return text.replace(NAMES, (name) => {
    const [words, show] = LIMITS[name];
    return typeof rules?.[name] === "number" ? `${words} (${show(rules[name])})` : words;
  });
}
