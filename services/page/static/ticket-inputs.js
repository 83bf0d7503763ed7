// One field of the ticket: label, input, and the fault that belongs to it.

import { make, setAttribute, write } from "./dom.js";

// `changed(field, value)` is called after each input of the user.
export function fieldOf(field, values, changed) {
  const id = field.id ?? `field-${field.name}`;
  const fault = make("p", { class: "fault", id: `${id}-fault` });
  const made = { choice, select, flag }[field.kind]?.(field, id) ?? text(field, id);
  const { inputs, element } = made;
  element.append(fault);
  const value = () => readOf(field, inputs);
  show(field, inputs, values[field.name]);
  element.addEventListener("input", () => {
    self.fault("");
    changed(field, value());
  });
  const self = {
    field,
    element,
    draw(applies, all) {
      element.hidden = !applies;
      if (field.kind === "select") drawOptions(field, inputs[0], all);
    },
    fault(why) {
      write(fault, why);
      for (const input of inputs) {
        setAttribute(input, "aria-invalid", why ? "true" : null);
        setAttribute(input, "aria-describedby", why ? fault.id : null);
      }
      // A fault in a closed group would not be seen.
      if (why) element.closest("details")?.setAttribute("open", "");
    },
    set(given) {
      show(field, inputs, given);
      self.fault("");
      changed(field, value());
    },
    focus() {
      inputs[0].focus();
      inputs[0].select?.();
    },
  };
  return self;
}

// Shows what is wrong at the fields, by their names, and moves the focus to the first of them.
export function showFaults(inputs, faults) {
  for (const input of inputs) input.fault(faults[input.field.name] ?? "");
  inputs.find((input) => faults[input.field.name])?.focus();
}

function readOf(field, inputs) {
  if (field.kind === "choice") return inputs.find((each) => each.checked)?.value ?? "";
  return field.kind === "flag" ? inputs[0].checked : inputs[0].value;
}

function show(field, inputs, value) {
  if (field.kind === "choice") for (const each of inputs) each.checked = each.value === value;
  else if (field.kind === "flag") inputs[0].checked = Boolean(value);
  else inputs[0].value = value ?? "";
}

function choice(field, id) {
  const inputs = [];
  const labels = field.options.map(([value, label]) => {
    const input = make("input", { type: "radio", name: id, value, id: `${id}-${value}` });
    inputs.push(input);
    return make("label", { for: input.id, class: `choice ${value}` }, input, ` ${label}`);
  });
  const legend = make("legend", { text: field.label, class: "hidden" });
  return { inputs, element: make("fieldset", { class: "field choices" }, legend, ...labels) };
}

function select(field, id) {
  const options = field.options.map(([value, label]) => make("option", { value, text: label }));
  const input = make("select", { id }, ...options);
  return labelled(field, input);
}

function drawOptions(field, input, values) {
  field.options.forEach(([, , when], index) => {
    input.options[index].disabled = Boolean(when) && !when(values);
  });
}

function flag(field, id) {
  const input = make("input", { type: "checkbox", id });
  const label = make("label", { for: id }, input, ` ${field.label}`);
  return { inputs: [input], element: make("div", { class: "field flag" }, label) };
}

function text(field, id) {
  const kind = field.kind === "moment" ? "datetime-local" : "text";
  const modes = { price: "decimal", whole: "numeric" };
  const input = make("input", {
    id,
    type: kind,
    inputmode: modes[field.kind],
    maxlength: field.maxlength ?? (kind === "text" ? 24 : undefined),
    autocomplete: "off",
    spellcheck: "false",
    "aria-required": field.required ? "true" : undefined,
  });
  return labelled(field, input);
}

function labelled(field, input) {
  const label = make("label", { for: input.id, text: field.label });
  return { inputs: [input], element: make("div", { class: "field" }, label, input) };
}
