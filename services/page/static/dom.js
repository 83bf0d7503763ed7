// Elements made and changed without HTML text: whatever a name contains, it is shown as text.

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Writes only what changed: an unchanged cell costs the browser nothing.
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setClass(element, name) {
  if (element.className !== name) element.className = name;
}

export function setAttribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

// A table with a caption and column headings. `columns`: [heading, class name] each.
export function table(caption, columns, properties = {}) {
  const body = make("tbody");
  const heads = columns.map(([text, name]) => make("th", { scope: "col", class: name, text }));
  const element = make(
    "table",
    properties,
    make("caption", { text: caption, class: "hidden" }),
    make("thead", {}, make("tr", {}, ...heads)),
    body,
  );
  return { element, body };
}

// A part of the page that scrolls, also by keyboard.
export function scroller(label, inner) {
  const named = { tabindex: "0", role: "group", "aria-label": label };
  return make("div", { class: "scroll", ...named }, inner);
}

// Gives a table body exactly `count` rows. `row` makes one; rows are made once and used again.
export function rows(body, count, row) {
  while (body.rows.length < count) body.append(row(body.rows.length));
  while (body.rows.length > count) body.lastElementChild.remove();
  return body.rows;
}

// Gives a table body one row for each key, in this order. A row keeps its key, so that a button
// that has the focus, or is about to be pressed, never comes to act on something else.
export function keyedRows(body, keys, row) {
  const made = new Map([...body.rows].map((each) => [each.key, each]));
  for (const [key, each] of made) if (!keys.includes(key)) each.remove();
  keys.forEach((key, at) => {
    const wanted = made.get(key) ?? Object.assign(row(), { key });
    if (body.rows[at] !== wanted) body.insertBefore(wanted, body.rows[at] ?? null);
  });
  return body.rows;
}

export function cells(...names) {
  return make("tr", {}, ...names.map((name) => make("td", { class: name })));
}

// One of the elements can be reached with Tab; arrow keys move among them.
export function roving(container, selector) {
  const items = () => [...container.querySelectorAll(selector)];
  const choose = (item) => {
    for (const each of items()) setAttribute(each, "tabindex", each === item ? "0" : "-1");
  };
  container.addEventListener("focusin", (event) => {
    if (event.target.matches(selector)) choose(event.target);
  });
  container.addEventListener("keydown", (event) => {
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    const step = steps[event.key];
    const at = items().indexOf(event.target);
    if (at < 0 || (!step && event.key !== "Home" && event.key !== "End")) return;
    event.preventDefault();
    const all = items();
    const to = step ? at + step : event.key === "Home" ? 0 : all.length - 1;
    all[Math.max(0, Math.min(all.length - 1, to))]?.focus();
  });
  return () => {
    const all = items();
    if (all.length) choose(all.find((each) => each.getAttribute("tabindex") === "0") ?? all[0]);
  };
}
