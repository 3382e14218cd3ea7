// The first answer, explained in a few steps, where the process behind the page asks for that: on the demo.

import { button, el } from "../lib/dom.js";
import { address, changed } from "../lib/route.js";
import { guideIsDone, keepGuideDone } from "../lib/session.js";

/** The guide of an answer; null where it is not wanted, or was put away before. */
export function guide(settings, params, attribution) {
  const hits = attribution.positive.length + attribution.negative.length;
  if (!settings.guide || !hits || guideIsDone()) return null;
  const element = el("aside", { class: "guide", "aria-label": "How to read this" });
  const away = button("Got it", () => {
    keepGuideDone();
    element.remove();
  });
  element.append(
    el("h2", {}, "How to read this"),
    el(
      "ol",
      {},
      steps(params, attribution).map((step) => el("li", {}, step)),
    ),
    away,
  );
  return element;
}

function steps(params, attribution) {
  const others = changed(params, { hit: null });
  const link = (view, text) => el("a", { href: address(view, others) }, text);
  const edge = attribution.noise
    ? "Each row is a training sequence. The striped line in the ranking is where noise begins: what is below it may be there by chance."
    : "Each row is a training sequence, the most influential first.";
  return [
    edge,
    "Choose a row, and the reader has it whole. The stronger a token's ground, the more of the influence comes through it.",
    "The cells at the end of a row are the model's layers. Choose a column above them to see influence through that layer alone.",
    [
      "Then look at ",
      link("sources", "whole sources"),
      ", or ",
      link("compare", "compare this output with another"),
      ".",
    ],
  ];
}
