// The reader: one sequence whole, its tokens coloured, its layers, where it comes from, and what to ask next.

import { button, disclosure, el, fill } from "../lib/dom.js";
import { count, influenceOn, isSignificant, percent, signed } from "../lib/numbers.js";
import { largest } from "../lib/tensors.js";
import { characters, visible } from "../lib/text.js";
import { bar } from "./bar.js";
import { wholePassage } from "./passage.js";

const SHOWN_LAYERS = 400;

/** The reader of a hit. `actions`: {label: function}. `context`: `layers`, `logLikelihood`, `onExplain(place)`. */
export function reader(hit, context, actions) {
  const { sequence } = hit;
  const readout = el(
    "p",
    { class: "readout", "aria-live": "off" },
    hit.tokens ? "Point at a token for its influence." : "",
  );
  const text = sequence.text
    ? wholePassage(sequence.text, hit.tokens)
    : el("p", { class: "soft" }, "You may not read this text, or the answer has none.");
  tell(text, readout);
  return el(
    "aside",
    { class: "reader stack", "aria-label": "The chosen sequence" },
    el(
      "h2",
      {},
      sequence.source ? `${visible(sequence.source)} ` : "",
      el("span", { class: "soft" }, visible(sequence.sequenceId)),
    ),
    standing(hit, context),
    text,
    readout,
    strongest(hit),
    el(
      "div",
      { class: "row" },
      Object.entries(actions).map(([label, act]) => button(label, act)),
    ),
    layers(hit, context.layers),
    context.onExplain && explain(context.onExplain),
    facts(sequence),
  );
}

/** What is known of a hit, as a sentence. */
function standing(hit, { logLikelihood }) {
  const way = hit.influence < 0 ? "less" : "more";
  const sure = isSignificant(hit);
  const doubt =
    sure === null
      ? "How much of that is noise is not known."
      : sure
        ? `More than noise: its sign is right with ${percent(hit.significance)}.`
        : `Not told from noise: its sign is right with ${percent(hit.significance)}.`;
  const size = influenceOn(hit.influence, logLikelihood);
  const brackets = size.startsWith("(")
    ? " In brackets: too large to be read as nats; only the order means something."
    : "";
  return el(
    "p",
    { class: "soft" },
    `Made the output ${way} likely, by `,
    el("b", { class: hit.influence < 0 ? "down-ink" : "up-ink" }, size),
    ` nats to first order. ${doubt}${brackets}`,
  );
}

function tell(text, readout) {
  text.addEventListener("pointerover", (event) => {
    const token = event.target.closest("mark");
    if (token)
      fill(
        readout,
        el("b", { class: token.classList.contains("down") ? "down-ink" : "up-ink" }, token.dataset.value),
        ` nats: “${token.textContent}”`,
      );
  });
}

/** The strongest tokens as a list: what colours show, for those who do not see them. */
function strongest({ tokens, sequence }) {
  if (!tokens?.length) return null;
  const letters = characters(sequence.text);
  const first = [...tokens].sort((a, b) => Math.abs(b.influence) - Math.abs(a.influence)).slice(0, 8);
  return el(
    "ul",
    { class: "strongest", "aria-label": "Strongest tokens" },
    first.map((token) => {
      const ink = token.influence < 0 ? "down-ink" : "up-ink";
      return el(
        "li",
        {},
        el("q", {}, visible(letters.slice(token.start, token.end).join(""))),
        " ",
        el("b", { class: ink }, signed(token.influence)),
      );
    }),
  );
}

function layers(hit, names) {
  if (!hit.layers || hit.layers.length !== names.length) return null;
  const scale = largest(hit.layers);
  const items = names
    .slice(0, SHOWN_LAYERS)
    .map((name, i) =>
      el(
        "li",
        {},
        el("code", { title: name }, name),
        bar(hit.layers[i], scale),
        el("span", { class: "numbers" }, signed(hit.layers[i])),
      ),
    );
  return disclosure(
    `By layer (${count(names.length)})`,
    el("ul", { class: "layers" }, items),
    names.length > SHOWN_LAYERS && el("p", { class: "small" }, `The first ${SHOWN_LAYERS}; an export has all.`),
  );
}

function explain(onExplain) {
  const place = el("div", { class: "stack" });
  const element = disclosure("By layer and token", place);
  element.addEventListener("toggle", () => element.open && !place.childElementCount && onExplain(place), {
    once: false,
  });
  return element;
}

function facts(sequence) {
  const pairs = [
    ["document", sequence.documentId],
    ["tokens", count(sequence.tokenCount)],
    ...Object.entries(sequence.metadata ?? {}),
  ];
  const shown = pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return el(
    "dl",
    { class: "pairs" },
    shown.map(([name, value]) => [
      el("dt", {}, visible(name)),
      el("dd", {}, visible(typeof value === "string" ? value : JSON.stringify(value))),
    ]),
  );
}
