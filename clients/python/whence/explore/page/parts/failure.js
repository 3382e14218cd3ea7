// A failed call as sentences: what happened, what the server says, and what to do.

import { button, el } from "../lib/dom.js";
import { visible } from "../lib/text.js";

const HEADINGS = {
  3: "This cannot be asked",
  4: "It took too long",
  5: "Not there",
  7: "You may not ask this",
  8: "Too much at once",
  9: "Not with this model",
  12: "Not with this server",
  14: "Nobody answers",
  16: "The server asks who you are",
};
// What might succeed if it is tried again.
const PASSING = new Set([4, 8, 14]);

/** A box for a `CallError`, or any other error; `again` tries once more. */
export function failure(error, again = null) {
  const heading = HEADINGS[error.code] ?? "Something went wrong";
  const small = [error.reason, error.requestId && `request ${error.requestId}`].filter(Boolean).join(" · ");
  return el(
    "section",
    { class: "fault stack", role: "alert" },
    el("h2", {}, heading),
    el("p", {}, visible(sentence(error.message))),
    small && el("p", { class: "small" }, visible(small)),
    again && PASSING.has(error.code) && button("Try again", again),
  );
}

function sentence(message) {
  const text = message.trim();
  const whole = /[.!?]$/.test(text) ? text : `${text}.`;
  return whole[0].toUpperCase() + whole.slice(1);
}
