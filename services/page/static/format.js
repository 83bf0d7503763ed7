// Numbers and instants as text. Prices arrive as integer cents.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const cents = { minimumFractionDigits: 2, maximumFractionDigits: 2 };
const money = new Intl.NumberFormat("en-US", cents);
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const moment = new Intl.DateTimeFormat("en-GB", { dateStyle: "short", timeStyle: "medium" });
const minute = new Intl.DateTimeFormat("en-GB", { timeStyle: "short" });
const day = new Intl.DateTimeFormat("en-GB", { day: "2-digit", month: "short" });
const zone = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" });

export const NONE = "–";

function signed(text) {
  return text.replace("-", "−");
}

export function price(inCents) {
  return inCents === null || inCents === undefined ? NONE : signed(money.format(inCents / 100));
}

export function quantity(number) {
  return number === null || number === undefined ? NONE : signed(whole.format(number));
}

// A quantity of things: "1 trade", "2 trades".
export function counted(number, noun) {
  return `${quantity(number)} ${noun}${number === 1 ? "" : "s"}`;
}

export function compact(number) {
  return number === null || number === undefined ? NONE : short.format(number);
}

// Sums of cents may be beyond what a double holds exactly, so they are added as BigInt.
export function amount(sum) {
  const text = String(sum < 0n ? -sum : sum).padStart(3, "0");
  const units = BigInt(text.slice(0, -2)).toLocaleString("en-US");
  return `${sum < 0n ? "−" : ""}${units}.${text.slice(-2)}`;
}

// Up and down by arrow and sign, not by colour alone.
export function change(last, open) {
  if (last === null || open === null || last === undefined || open === undefined) return null;
  const by = last - open;
  const arrow = by > 0 ? "▲" : by < 0 ? "▼" : "=";
  const sign = by > 0 ? "+" : by < 0 ? "−" : "";
  const percent = open ? money.format(Math.abs((by / open) * 100)) : "0.00";
  return {
    by,
    text: `${arrow} ${sign}${money.format(Math.abs(by) / 100)} ${sign}${percent}%`,
    name: by > 0 ? "up" : by < 0 ? "down" : "flat",
  };
}

export function timeOf(ms) {
  return clock.format(ms);
}

export function momentOf(ms) {
  return moment.format(ms);
}

export function minuteOf(ms) {
  return minute.format(ms);
}

export function dayOf(ms) {
  return day.format(ms);
}

export function zoneName() {
  const part = zone.formatToParts(Date.now()).find((each) => each.type === "timeZoneName");
  return part ? part.value : "local";
}

export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  return seconds < 3600 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

// Cents of a text such as "37.12" or "37,12"; null if it is none.
export function centsOf(text) {
  const found = /^\s*(\d{1,13})(?:[.,](\d{1,2}))?\s*$/.exec(text);
  if (!found) return null;
  return Number(found[1]) * 100 + Number((found[2] ?? "").padEnd(2, "0"));
}

export function wholeOf(text) {
  return /^\s*\d{1,15}\s*$/.test(text) ? Number(text) : null;
}
