// What happened to the user's own orders, in words, newest first.

import { make } from "./dom.js";
import { timeOf } from "./format.js";
import { touch } from "./paint.js";

const KEPT_MAX = 50;
export const notes = [];

export function announce(text) {
  notes.unshift({ at: Date.now(), text });
  notes.length = Math.min(notes.length, KEPT_MAX);
  touch("notes");
}

// A list that a screen reader reads out as it grows.
export function noteList() {
  const named = { role: "log", "aria-label": "What happened", tabindex: "0" };
  const element = make("ol", { class: "notes" });
  const place = make("div", named, element);
  let newest = null;
  const draw = () => {
    const fresh = newest === null ? notes.length : notes.indexOf(newest);
    for (const note of notes.slice(0, fresh < 0 ? notes.length : fresh).reverse()) {
      element.prepend(make("li", {}, make("time", { text: timeOf(note.at) }), ` ${note.text}`));
    }
    while (element.children.length > KEPT_MAX) element.lastElementChild.remove();
    newest = notes[0] ?? null;
  };
  return { element: place, draw, topics: ["notes"] };
}
