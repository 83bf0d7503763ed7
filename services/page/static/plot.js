// A chart drawn by uPlot, as large as its place and made anew when the theme changes. A part of its
// x axis can be chosen and moved by mouse, keys and buttons; it stays as it is while data arrives.

import { make, setClass } from "./dom.js";

const REDRAW_MS = 250;
const STEP = 0.1;
const ZOOM = 2;
// The shortest part has so many points.
const POINTS_MIN = 5;
const DRAG_PX_MIN = 4;

const MOVES = {
  ArrowLeft: (plot) => plot.move(-STEP),
  ArrowRight: (plot) => plot.move(STEP),
  "+": (plot) => plot.zoom(1 / ZOOM),
  "=": (plot) => plot.zoom(1 / ZOOM),
  "-": (plot) => plot.zoom(ZOOM),
  Home: (plot) => plot.move(-Infinity),
  End: (plot) => plot.move(Infinity),
  0: (plot) => plot.show(null),
};
const BUTTONS = [
  ["‹", "Earlier", "ArrowLeft"],
  ["›", "Later", "ArrowRight"],
  ["+", "Zoom in", "+"],
  ["−", "Zoom out", "-"],
  ["Now", "Back to now", "End"],
];

export function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// `shown`: so many of the newest points are seen at first, else all. `onSeen`: called when other
// points may be seen. `fixed`: all points are seen, always.
export class Plot {
  constructor(height, options, { shown = Infinity, onSeen = () => {}, fixed = false } = {}) {
    const keys = { "aria-keyshortcuts": Object.keys(MOVES).join(" ") };
    const movable = { role: "group", tabindex: "0", ...keys };
    this.place = make("div", { class: "plot", ...(fixed ? { role: "img" } : movable) });
    this.place.style.height = `${height + 6}px`;
    Object.assign(this, { height, options, shown, onSeen, fixed });
    this.data = null;
    this.drawnAt = 0;
    // The part that was chosen, {min, max}; null: none.
    this.part = null;
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(this.place);
    this.controls = this.buttons();
    if (!fixed) this.place.addEventListener("keydown", (event) => this.press(event));
  }

  fit() {
    const width = this.place.clientWidth;
    if (this.plot && width) this.plot.setSize({ width, height: this.height });
  }

  // Draw new data, at most a few times a second.
  draw(data) {
    this.data = data;
    // Without data the scales would show numbers that mean nothing.
    this.place.classList.toggle("blank", data[0].length === 0);
    const wait = this.drawnAt + REDRAW_MS - performance.now();
    clearTimeout(this.timer);
    if (wait > 0) this.timer = setTimeout(() => this.drawNow(), wait);
    else this.drawNow();
  }

  drawNow() {
    if (!this.place.isConnected || !this.place.clientWidth) return;
    this.drawnAt = performance.now();
    const theme = document.documentElement.dataset.theme;
    const before = this.plot?.data[0].at(-1);
    if (this.plot && this.theme === theme) this.plot.setData(this.data, this.isWhole());
    else this.build(theme);
    // Whoever sees the newest point goes on to see it.
    const by = this.data[0].at(-1) - before;
    if (this.part?.max >= before && by > 0) {
      this.part = { min: this.part.min + by, max: this.part.max + by };
    }
    this.scale();
  }

  build(theme) {
    this.plot?.destroy();
    this.theme = theme;
    const size = { width: this.place.clientWidth, height: this.height };
    const { cursor, hooks, ...options } = this.options();
    const drag = { x: !this.fixed, y: false, setScale: false };
    const bind = {
      dblclick: () => () => this.show(null),
      mousedown: (_, __, select) => (event) => (event.shiftKey ? this.grab(event) : select(event)),
    };
    const cursors = { ...cursor, drag, ...(this.fixed ? {} : { bind }) };
    const chosen = { ...hooks, setSelect: [() => this.select()] };
    const all = { ...size, ...options, cursor: cursors, hooks: chosen };
    this.plot = new uPlot(all, this.data, this.place);
    if (!this.fixed) this.plot.over.addEventListener("wheel", (event) => this.wheel(event));
  }

  // True if there is a part to choose.
  isLong() {
    return this.data?.[0].length > 1;
  }

  isWhole() {
    return this.part === null && this.data[0].length <= this.shown;
  }

  // The part of the x axis that is seen.
  seen() {
    const xs = this.data[0];
    return this.part ?? { min: xs.at(-Math.min(this.shown, xs.length)), max: xs.at(-1) };
  }

  scale() {
    const xs = this.data[0];
    if (this.fixed || !xs.length) return;
    const seen = this.seen();
    if (!this.isWhole()) this.plot.setScale("x", seen);
    setClass(this.controls.lastChild, seen.max < xs.at(-1) ? "away" : "");
    this.onSeen();
  }

  // See a part as long as this one, within the data; null: what is seen at first.
  show(part) {
    if (part && this.isLong()) {
      const xs = this.data[0];
      const [first, last] = [xs[0], xs.at(-1)];
      const shortest = ((last - first) / xs.length) * POINTS_MIN;
      const length = Math.min(last - first, Math.max(shortest, part.max - part.min));
      const min = Math.max(first, Math.min(last - length, part.min));
      this.part = { min, max: min + length };
    } else this.part = null;
    if (!this.plot) return;
    if (this.isWhole()) this.plot.setData(this.data, true);
    this.scale();
  }

  // Move what is seen by this share of its length.
  move(share) {
    if (!this.isLong()) return;
    const { min, max } = this.seen();
    const whole = this.data[0].at(-1) - this.data[0][0];
    const by = Math.max(-whole, Math.min(whole, share * (max - min)));
    this.show({ min: min + by, max: max + by });
  }

  // See a part longer by this factor. The newest point stays, if it is seen, else the middle.
  zoom(factor) {
    if (!this.isLong()) return;
    const { min, max } = this.seen();
    const grown = (max - min) * (factor - 1);
    const isNewest = max >= this.data[0].at(-1);
    this.show({ min: min - (isNewest ? grown : grown / 2), max: isNewest ? max : max + grown / 2 });
  }

  press(event) {
    const act = MOVES[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    act(this);
  }

  // Sideways only: up and down scroll the page.
  wheel(event) {
    const by = event.shiftKey && !event.deltaX ? event.deltaY : event.deltaX;
    if (Math.abs(by) < (event.shiftKey ? 1 : Math.abs(event.deltaY))) return;
    event.preventDefault();
    this.move(by / this.plot.over.clientWidth);
  }

  // A drag with Shift moves what is seen.
  grab({ clientX }) {
    const { min, max } = this.seen();
    const each = (max - min) / this.plot.over.clientWidth;
    const move = (event) => {
      const by = (clientX - event.clientX) * each;
      this.show({ min: min + by, max: max + by });
    };
    addEventListener("mousemove", move);
    addEventListener("mouseup", () => removeEventListener("mousemove", move), { once: true });
  }

  // A drag without it chooses a part.
  select() {
    const { left, width } = this.plot.select;
    if (width < DRAG_PX_MIN) return;
    const [min, max] = [left, left + width].map((x) => this.plot.posToVal(x, "x"));
    this.plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.show({ min, max });
  }

  buttons() {
    const label = { role: "group", "aria-label": "Part of the chart" };
    const group = make("div", { class: "choices", ...label });
    for (const [text, name, key] of BUTTONS) {
      const words = { "aria-label": name, title: name };
      const button = make("button", { type: "button", text, ...words });
      button.addEventListener("click", () => MOVES[key](this));
      group.append(button);
    }
    return group;
  }

  end() {
    clearTimeout(this.timer);
    this.observer.disconnect();
    this.plot?.destroy();
  }
}
