// The form that asks: an output as prompt and completion, or as a conversation, and options.

import { button, disclosure, el, field, select } from "../lib/dom.js";
import { changed, go } from "../lib/route.js";

// A conversation to begin with.
const EMPTY = [
  { role: "user", content: "" },
  { role: "assistant", content: "" },
];
const ROLES = ["system", "user", "assistant", "tool"];
const SEARCHES = [
  ["", "the server's choice"],
  ["full-scan", "every sequence, exactly"],
  ["union", "candidates: index and words"],
  ["index", "candidates: index"],
  ["tfidf", "candidates: shared words"],
];
const DIRECTIONS = [
  ["positive", "what made it more likely"],
  ["negative", "what made it less likely"],
  ["both", "both"],
];

/** A form whose submission shows `view` with what was entered. `extra` are further options, [name, label, control]. */
export function asker(view, params, model, { label = "Ask", extra = [] } = {}) {
  const input = params.get("messages") ? conversation(params) : sentence(params);
  const submit = el("button", { type: "submit", class: "primary" }, label);
  const more = el("div", { class: "more" }, options(params, model, extra), kind(view, params));
  const form = el("form", { class: "asker", "aria-label": "Output to attribute" }, input.element(submit), more);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go(
      view,
      changed(params, {
        ...input.values(),
        ...entered(form, [...NAMES, ...extra.map(([name]) => name)]),
        hit: null,
        edit: null,
      }),
    );
  });
  submitOnEnter(form);
  return form;
}

/** Marks the fields that a failed call names, and moves to the first. */
export function markFields(form, error) {
  const named = error.fields?.map((violation) => violation.field) ?? [];
  const wrong = [...form.querySelectorAll("[data-field]")].filter((control) =>
    named.some((name) => name.startsWith(control.dataset.field)),
  );
  for (const control of wrong) control.setAttribute("aria-invalid", "true");
  wrong[0]?.closest("details")?.setAttribute("open", "");
  wrong[0]?.focus();
}

/** The two fields of an output; `side` as in lib/requests.js. */
export function sentenceFields(params, side = "") {
  const prompt = area({ name: `prompt${side}`, "data-field": "query.text.prompt" }, params.get(`prompt${side}`) ?? "");
  const completion = area(
    { name: `completion${side}`, "data-field": "query.text.completion" },
    params.get(`completion${side}`) ?? "",
  );
  return {
    elements: [field("Prompt: what the model read", prompt), completionField(completion)],
    values: () => ({ [`prompt${side}`]: prompt.value, [`completion${side}`]: completion.value }),
  };
}

function completionField(control) {
  const element = field("Completion: what it wrote, with its first space", control);
  element.classList.add("completion");
  return element;
}

function sentence(params) {
  const fields = sentenceFields(params);
  return {
    element: (submit) => el("div", { class: "sentence" }, fields.elements, submit),
    values: () => ({ ...fields.values(), messages: null }),
  };
}

function conversation(params) {
  const list = el("div", { class: "turns", role: "group", "aria-label": "Messages; the last is the output" });
  for (const message of messagesOf(params)) list.append(turn(message));
  const add = button("Add a message", () => {
    const user = list.lastElementChild?.querySelector("select")?.value === "user";
    list.append(turn({ role: user ? "assistant" : "user", content: "" }));
    list.lastElementChild.querySelector("textarea").focus();
  });
  const turns = () =>
    [...list.children].map((row) => ({
      role: row.querySelector("select").value,
      content: row.querySelector("textarea").value,
    }));
  return {
    element: (submit) =>
      el("div", { "data-field": "query.chat", tabindex: "-1" }, list, el("div", { class: "row" }, add, submit)),
    values: () => ({ messages: JSON.stringify(turns()), prompt: null, completion: null }),
  };
}

function turn({ role, content }) {
  const roles = ROLES.includes(role) ? ROLES : [...ROLES, role];
  const row = el(
    "div",
    { class: "turn" },
    select(
      roles.map((name) => [name, name]),
      role,
      { "aria-label": "Role" },
    ),
  );
  row.append(
    area({ "aria-label": "Message" }, content),
    button("×", () => row.remove(), { class: "icon", "aria-label": "Remove this message" }),
  );
  return row;
}

function messagesOf(params) {
  try {
    const messages = JSON.parse(params.get("messages"));
    return messages.length
      ? messages.map(({ role, content }) => ({ role: String(role), content: String(content ?? "") }))
      : EMPTY;
  } catch {
    return EMPTY;
  }
}

function kind(view, params) {
  const chat = params.has("messages");
  const other = chat
    ? {
        messages: null,
        prompt: messagesOf(params).at(-2)?.content ?? "",
        completion: messagesOf(params).at(-1)?.content ?? "",
      }
    : {
        messages: JSON.stringify([
          { role: "user", content: params.get("prompt") ?? "" },
          { role: "assistant", content: params.get("completion") ?? "" },
        ]),
      };
  const label = chat ? "As prompt and completion instead" : "As a conversation instead";
  return button(
    label,
    () => go(view, changed(params, { ...(chat ? {} : { prompt: null, completion: null }), ...other, edit: "1" })),
    { class: "plain" },
  );
}

function area(props, value) {
  const element = el("textarea", { rows: 1, spellcheck: "false", ...props });
  element.value = value;
  return element;
}

const NAMES = ["direction", "k", "search", "layers", "source", "meta", "damping", "significant"];

function options(params, model, extra) {
  const text = (name, props = {}) => el("input", { name, value: params.getAll(name).join(", "), ...props });
  const grid = el(
    "div",
    { class: "grid" },
    extra.map(([, label, control]) => field(label, control)),
    field("Show", select(DIRECTIONS, params.get("direction") ?? "positive", { name: "direction" })),
    field(
      "How many",
      el("input", {
        name: "k",
        type: "number",
        min: 1,
        max: model?.limits?.maxTopK ?? 1000,
        value: params.get("k") ?? 10,
        "data-field": "options.top_k",
      }),
    ),
    field("Search", select(SEARCHES, params.get("search") ?? "", { name: "search", "data-field": "options.search" })),
    field(
      "Through layers",
      text("layers", { placeholder: "all; or model.layers.3.*", "data-field": "options.layers" }),
      "Names or patterns, with commas between",
    ),
    field(
      "From sources",
      text("source", { placeholder: "all", "data-field": "options.filter" }),
      "Names, with commas between",
    ),
    field(
      "Metadata",
      text("meta", { placeholder: "year=1908", "data-field": "options.filter" }),
      "name=value, with commas between",
    ),
    field(
      "Damping",
      text("damping", {
        inputmode: "decimal",
        placeholder: String(model?.defaultDampingFactor ?? "the model's"),
        "data-field": "options.damping_factor",
      }),
    ),
    el(
      "label",
      { class: "check" },
      el("input", { type: "checkbox", name: "significant", checked: params.has("significant") }),
      "Only what is told from noise",
    ),
  );
  const used = ["search", "layers", "source", "meta", "damping", "significant"].filter((name) =>
    params.has(name),
  ).length;
  const element = disclosure(used ? `Options (${used} set)` : "Options", grid);
  element.classList.add("options");
  return element;
}

const LISTS = new Set(["layers", "source", "meta"]);
const DEFAULTS = { direction: "positive", k: "10" };

function entered(form, names) {
  const result = {};
  for (const name of names) {
    const control = form.elements.namedItem(name);
    if (!control) continue;
    const value = control.type === "checkbox" ? (control.checked ? "1" : "") : control.value.trim();
    result[name] =
      value === DEFAULTS[name]
        ? null
        : LISTS.has(name)
          ? value
              .split(",")
              .map((item) => item.trim())
              .filter(Boolean)
          : value;
  }
  return result;
}

function submitOnEnter(form) {
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
}
