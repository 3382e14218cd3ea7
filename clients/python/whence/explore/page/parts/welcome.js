// What is there before the first question: what this answers, how to read it, and questions to begin with.

import { el } from "../lib/dom.js";
import { count } from "../lib/numbers.js";
import { address } from "../lib/route.js";
import { visible } from "../lib/text.js";

/** The welcome. `context`: `model`, `settings`. */
export function welcome({ model, settings }) {
  const examples = settings.examples ?? [];
  return el(
    "section",
    { class: "welcome" },
    el("h2", { class: "unseen" }, "Where to begin"),
    el(
      "p",
      { class: "lead" },
      "Enter what a model read and what it wrote. Whence searches the training set for the sequences that made it write that",
      model ? `: ${count(model.corpusSequences)} sequences, by the gradients of ${visible(model.name)}.` : ".",
    ),
    examples.length > 0 &&
      el("nav", { class: "examples", "aria-label": "Questions to begin with" }, examples.map(example)),
    legend(),
  );
}

function example({ messages, ...others }, i) {
  const { prompt, completion } = others;
  const asked = messages ? { ...others, messages: JSON.stringify(messages) } : others;
  const before = messages ? messages.slice(0, -1).map(({ content }) => `${content}\n`) : [prompt];
  const output = messages ? messages.at(-1).content : completion;
  return el(
    "a",
    { href: address("ask", new URLSearchParams(asked)) },
    i === 0 && el("small", {}, "Begin with this one"),
    visible(before.join("")),
    el("strong", {}, visible(String(output))),
  );
}

function legend() {
  const notes = [
    [
      "Influence",
      "How much likelier the output is, in nats and to first order, because the sequence was in the training set. It ranks; its size does not promise what retraining would do.",
    ],
    [
      "Colours",
      "On teal ground, what made the output likelier; on orange ground with dots under it, what made it less likely. The stronger, the more.",
    ],
    ["Noise", "Most influences are noise. A line in the ranking says from where on nothing is told from it."],
    [
      "Layers",
      "The strip at the end of each row has a cell for each layer, first to last. Choose a column to see influence through that layer alone.",
    ],
  ];
  return el(
    "div",
    { class: "legend" },
    notes.map(([name, text]) => el("div", {}, el("h3", {}, name), el("p", {}, text))),
  );
}
