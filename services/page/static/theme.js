// Light and dark: the system's choice, or the user's.

import { touch } from "./paint.js";

const NAME = "theme";
const NEXT = { automatic: "light", light: "dark", dark: "automatic" };
const system = matchMedia("(prefers-color-scheme: dark)");

export function startTheme(button) {
  const apply = () => {
    const chosen = localStorage.getItem(NAME) ?? "automatic";
    const dark = chosen === "dark" || (chosen === "automatic" && system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    button.setAttribute("aria-label", `Theme: ${chosen}`);
    button.title = `Theme: ${chosen}`;
    touch("theme");
  };
  button.addEventListener("click", () => {
    localStorage.setItem(NAME, NEXT[localStorage.getItem(NAME) ?? "automatic"]);
    apply();
  });
  system.addEventListener("change", apply);
  apply();
}
