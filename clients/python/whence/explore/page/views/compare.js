// Two outputs, or two models, side by side: which sequences speak for one, for the other, for both.

import { el, fill, select, button } from "../lib/dom.js";
import { answer as ask } from "../lib/answers.js";
import { models } from "../lib/models.js";
import { signed } from "../lib/numbers.js";
import { changed, go } from "../lib/route.js";
import * as requests from "../lib/requests.js";
import { largest, rows } from "../lib/tensors.js";
import { characters, excerpt, visible } from "../lib/text.js";
import { announce } from "../parts/announce.js";
import { sentenceFields } from "../parts/asker.js";
import { bar } from "../parts/bar.js";
import { exports } from "../parts/export.js";
import { failure } from "../parts/failure.js";
import { hitsOf } from "../parts/hits.js";
import { output } from "../parts/output.js";
import { passage } from "../parts/passage.js";
import { warnings } from "../parts/summary.js";

const SIDES = ["", "2"];
const LETTERS = { "": "A", 2: "B" };

export async function show(place, context) {
  const form = await asking(context);
  const below = el("div");
  fill(place, el("h1", { class: "unseen" }, "Compare two outputs or two models"), form, below);
  if (SIDES.every((side) => requests.query(context.params, side))) return run(below, context);
  return fill(
    below,
    el(
      "p",
      { class: "lead soft" },
      "Enter two outputs of one model, or one output of two models. Each sequence that is among the first of either is shown with its influence on both.",
    ),
  );
}

async function asking({ params }) {
  const served = await models();
  const filled = withSecond(params);
  const sides = SIDES.map((side) => ({ side, fields: sentenceFields(filled, side) }));
  const chosen = (side) => requests.model(params, side) || served[0]?.name;
  const column = ({ side, fields }) =>
    el(
      "fieldset",
      { class: "stack" },
      el("legend", { class: "a-ink" }, LETTERS[side]),
      served.length > 1 &&
        select(
          served.map(({ name }) => [name, name]),
          chosen(side),
          { name: `model${side}`, "aria-label": `Model of ${LETTERS[side]}` },
        ),
      fields.elements,
    );
  const form = el(
    "form",
    { class: "asker", "aria-label": "Two outputs to compare" },
    el("div", { class: "pair" }, sides.map(column)),
  );
  form.append(
    el(
      "div",
      { class: "row" },
      el("button", { type: "submit", class: "primary" }, "Compare"),
      button("Swap", () => go("compare", swapped(params))),
    ),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = Object.assign({}, ...sides.map(({ fields }) => fields.values()));
    for (const side of SIDES) values[`model${side}`] = form.elements.namedItem(`model${side}`)?.value ?? null;
    go("compare", changed(params, { ...values, messages: null }));
  });
  return form;
}

/** Parameters whose second output begins as the first: most often only the completion differs. */
function withSecond(params) {
  return params.has("prompt2") || params.has("completion2")
    ? params
    : changed(params, { prompt2: params.get("prompt"), completion2: "" });
}

function swapped(params) {
  const names = ["prompt", "completion", "model"];
  return changed(
    params,
    Object.fromEntries(
      names.flatMap((name) => [
        [name, params.get(`${name}2`)],
        [`${name}2`, params.get(name)],
      ]),
    ),
  );
}

async function run(place, context) {
  fill(place, el("p", { class: "soft", role: "status" }, "Searching for both …"));
  try {
    const asked = [requests.attribution(context.params), requests.attribution(context.params, "2")];
    const answers = await attributions(...asked, context.signal);
    present(place, asked, answers, await filledIn(asked, answers, context));
  } catch (error) {
    if (!context.signal.aborted)
      fill(
        place,
        failure(error, () => run(place, context)),
      );
  }
}

/** The answers of both; of one model in one pass over the corpus. */
async function attributions(a, b, signal) {
  if (a.model !== b.model) return Promise.all([a, b].map((request) => ask("attribute", request, signal)));
  const { attributions: both, metadata } = await ask(
    "batch-attribute",
    { model: a.model, queries: [a.query, b.query], options: a.options },
    signal,
  );
  return both.map((attribution) => ({ attribution, metadata }));
}

/** Every sequence of either ranking with its influence on both, most telling first; null where it cannot be known. */
async function filledIn(asked, answers, context) {
  const union = new Map();
  answers.forEach((answer, side) => {
    for (const hit of hitsOf(answer.attribution, answer.metadata.layers)) {
      const entry = union.get(hit.sequence.sequenceId) ?? { hit, influence: [null, null], rank: [null, null] };
      entry.influence[side] = hit.influence;
      entry.rank[side] = hit.rank;
      union.set(hit.sequence.sequenceId, entry);
    }
  });
  const entries = [...union.values()];
  if (sameCorpus(answers)) await score(entries, asked, context);
  const scales = scalesOf(entries);
  const weight = ({ influence }) =>
    Math.max(...influence.map((value, side) => Math.abs(value ?? 0) / (scales[side] || 1)));
  return entries.sort((a, b) => weight(b) - weight(a));
}

/** The largest influence on each output. */
function scalesOf(entries) {
  return [0, 1].map((side) => largest(entries.map(({ influence }) => influence[side] ?? 0)));
}

function sameCorpus(answers) {
  return new Set(answers.map((answer) => answer.metadata.provenance.corpusDigest)).size === 1;
}

/** Asks for the influences that the rankings lack. Only whole influences can be asked for: not through chosen layers. */
async function score(entries, asked, context) {
  for (const side of [0, 1]) {
    const missing = entries.filter((entry) => entry.influence[side] === null);
    if (!missing.length || asked[side].options.layers.length) continue;
    const { model, query, options } = asked[side];
    const sequences = missing.map(({ hit }) => ({ sequenceId: hit.sequence.sequenceId }));
    const request = {
      model,
      queries: [query],
      sequences,
      ...(options.dampingFactor ? { dampingFactor: options.dampingFactor } : {}),
    };
    const table = await ask("score", request, context.signal);
    rows(table.influence)[0].forEach((value, i) => (missing[i].influence[side] = value));
  }
}

function present(place, asked, answers, entries) {
  const scales = scalesOf(entries);
  const shared = entries.filter(({ rank }) => rank[0] && rank[1]).length;
  const each = Math.max(...answers.map(({ attribution }) => attribution.positive.length + attribution.negative.length));
  const faults = el("div");
  fill(
    place,
    el(
      "div",
      { class: "pair compared" },
      asked.map((request, side) =>
        el(
          "div",
          {},
          el("p", { class: "a-ink" }, `${LETTERS[SIDES[side]]} · ${visible(answers[side].metadata.provenance.model)}`),
          output(request.query),
          el("p", { class: "small" }, `log-likelihood ${answers[side].attribution.logLikelihood.toFixed(3)} nats`),
        ),
      ),
    ),
    [...new Set(answers.map(({ metadata }) => metadata))].map((metadata) => warnings(metadata.warnings)),
    el("div", { class: "meter" }, meter(`${shared} of ${each}`, "hits in both rankings")),
    el(
      "section",
      { class: "ranking", "aria-label": "Both" },
      el(
        "header",
        {},
        el("h2", { class: "up-ink" }, "A"),
        el("span", { class: "small" }, `${entries.length} sequences, strongest for either first`),
        el("h2", { class: "up-ink" }, "B"),
      ),
      el(
        "ol",
        { class: "butterfly" },
        entries.map((entry) => line(entry, scales)),
      ),
    ),
    faults,
    exports(
      asked.map((request, side) => ({ request, answer: answers[side] })),
      null,
      (error) => fill(faults, failure(error)),
    ),
  );
  announce(`${shared} of ${each} hits are in both rankings`);
}

function meter(value, label) {
  return el("p", {}, el("b", {}, value), el("span", { class: "small" }, label));
}

function line({ hit, influence, rank }, scales) {
  const { sequence } = hit;
  const side = (at, name) =>
    el(
      "div",
      { class: name },
      influence[at] === null
        ? el("span", { class: "soft" }, "unknown")
        : [
            el("span", { class: `numbers ${influence[at] < 0 ? "down-ink" : "up-ink"}` }, signed(influence[at])),
            bar(influence[at], scales[at]),
          ],
      el("small", {}, rank[at] ? `rank ${rank[at]}` : "not among the first"),
    );
  const text = sequence.text
    ? passage(sequence.text, hit.tokens, excerpt(characters(sequence.text).length, hit.tokens, 200))
    : null;
  return el(
    "li",
    {},
    side(0, "left"),
    el(
      "div",
      { class: "middle" },
      el("span", { class: "small" }, el("b", {}, visible(sequence.source)), ` ${visible(sequence.sequenceId)}`),
      text,
    ),
    side(1, "right"),
  );
}
