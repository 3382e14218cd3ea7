// The output that was asked about, as a sentence: its context soft, the output itself in ink.

import { el } from "../lib/dom.js";
import { visible } from "../lib/text.js";

/** The output of a query of the protocol. */
export function output(query) {
  if (query?.chat) return conversation(query.chat.messages);
  return el(
    "p",
    { class: "output", dir: "auto", tabindex: 0, role: "group", "aria-label": "The output" },
    visible(query.text.prompt),
    el("b", {}, visible(query.text.completion)),
  );
}

function conversation(messages) {
  return el(
    "div",
    { class: "output", dir: "auto", tabindex: 0, role: "group", "aria-label": "The output" },
    messages.map((message, i) => {
      const text = visible(String(message.content ?? ""));
      return el(
        "p",
        {},
        el("span", { class: "role" }, visible(String(message.role))),
        i === messages.length - 1 ? el("b", {}, text) : text,
      );
    }),
  );
}
