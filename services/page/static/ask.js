// A question with two answers. Resolves to true if the first one was chosen.

import { make } from "./dom.js";

export function confirm(question, yes, no = "Back") {
  const accept = make("button", { type: "button", class: "primary", text: yes });
  const refuse = make("button", { type: "button", text: no });
  const dialog = make(
    "dialog",
    { "aria-labelledby": "question" },
    make("p", { id: "question", text: question }),
    make("div", { class: "actions" }, accept, refuse),
  );
  document.body.append(dialog);
  return new Promise((resolve) => {
    let accepted = false;
    accept.addEventListener("click", () => {
      accepted = true;
      dialog.close();
    });
    refuse.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(accepted);
    });
    dialog.showModal();
  });
}
