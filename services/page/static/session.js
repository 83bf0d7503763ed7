// The broker that the page acts for. The key itself is kept by rest.js alone.

import { make, write } from "./dom.js";
import { connection, login, logout, on, renew } from "./feed.js";
import { announce } from "./notes.js";
import { touch } from "./paint.js";
import { hasKey, setKey } from "./rest.js";

const IDLE_MS = 30 * 60 * 1000;
const REFUSALS = {
  401: "The exchange does not have this key. It is mistyped, revoked or replaced.",
  403: "This is the admin key. Trading needs a broker's key.",
  429: "Too many failed attempts. Wait a minute, then try again.",
};
export const SIGN_IN = "choose “Sign in”";
export const session = { broker: null };
let heardAt = Date.now();

export function startSession(button) {
  button.addEventListener("click", () => (session.broker ? forget() : askForKey()));
  for (const type of ["keydown", "pointerdown"]) {
    addEventListener(type, () => (heardAt = Date.now()), { passive: true });
  }
  setInterval(() => {
    const idle = Date.now() - heardAt > IDLE_MS;
    if (hasKey() && idle) end("Signed out after 30 minutes without input.");
  }, 10000);
  on("key-ended", () => {
    if (hasKey()) end("The key was revoked or replaced. Sign in again; what you typed is kept.");
  });
}

// Ask for the key in a dialog. Its field is emptied whatever happens.
export function askForKey() {
  const field = make("input", {
    id: "key-field",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    maxlength: "200",
    required: true,
    "aria-describedby": "key-fault",
  });
  const fault = make("p", { id: "key-fault", class: "fault", role: "alert" });
  const submit = make("button", { type: "submit", class: "primary", text: "Sign in" });
  const cancel = make("button", { type: "button", text: "Back" });
  const form = make(
    "form",
    {},
    make("h2", { text: "Sign in", id: "key-title" }),
    make("p", { text: "The key stays in this tab, and is forgotten when it is closed." }),
    make("label", { for: "key-field", text: "Broker's key" }),
    field,
    fault,
    make("div", { class: "actions" }, submit, cancel),
  );
  const dialog = make("dialog", { "aria-labelledby": "key-title" }, form);
  cancel.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    field.value = "";
    dialog.remove();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    const refused = await signIn(field.value.trim());
    submit.disabled = false;
    if (refused === null) dialog.close();
    else {
      write(fault, refused);
      field.select();
    }
  });
  document.body.append(dialog);
  dialog.showModal();
}

// Null once the key is accepted, else why it is not.
async function signIn(key) {
  if (connection.state !== "live") return "The exchange cannot be reached now.";
  const answer = await login(key);
  if (!answer) return "The connection ended before the answer. Try again.";
  if (answer.status !== 200) return REFUSALS[answer.status] ?? answer.problem?.detail ?? "Refused.";
  setKey(key);
  session.broker = { id: answer.broker_id, name: answer.broker_name };
  announce(`Signed in as ${answer.broker_name}.`);
  if (!connection.hello.public) renew();
  touch("session");
  return null;
}

function forget() {
  logout();
  end("Signed out; the key is forgotten.");
}

function end(why) {
  setKey(null);
  session.broker = null;
  announce(why);
  touch("session");
}
