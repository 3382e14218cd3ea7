// The served model: how true it was measured to be, what is attributed, what it takes, what it was made from.

import { disclosure, el, fill } from "../lib/dom.js";
import { count, digits, many, percent } from "../lib/numbers.js";
import { visible } from "../lib/text.js";
import { warnings } from "../parts/summary.js";

export function show(place, { model }) {
  if (!model) return fill(place, el("p", { class: "note" }, "This server has no model of that name."));
  return fill(
    place,
    el(
      "div",
      { class: "stack" },
      el("h1", {}, visible(model.name)),
      numbers(model),
      certificate(model.certificate),
      warnings(model.warnings),
      attributed(model),
      artefacts(model),
      limits(model),
    ),
  );
}

function numbers(model) {
  const pairs = [
    [count(model.parameters), "parameters"],
    [percent(Number(model.attributedParameters) / Number(model.parameters)), "of them attributed"],
    [count(model.corpusSequences), "training sequences"],
    [count(model.corpusTokens), "tokens"],
  ];
  return el(
    "div",
    { class: "meter" },
    pairs.map(([value, label]) => el("p", {}, el("b", {}, value), el("span", { class: "small" }, label))),
  );
}

function certificate(given) {
  if (!given || given.kind === "CERTIFICATE_KIND_UNSPECIFIED") {
    return el(
      "section",
      { class: "note" },
      el("h2", {}, "Not validated"),
      el(
        "p",
        {},
        "Nobody has measured how true this model's influences are. ",
        el("code", {}, "whence validate"),
        " retrains small models without parts of the corpus, holds influences against what that changes, and makes a certificate.",
      ),
    );
  }
  const proxy = given.kind === "CERTIFICATE_KIND_PROXY";
  const head = el(
    "p",
    {},
    `${visible(given.essence)}.`,
    proxy &&
      ` Measured on ${visible(given.measuredModel)}, a small model in the served one's place: this speaks for the method and the corpus.`,
  );
  return el(
    "section",
    { class: "stack" },
    el("h2", {}, "How true it was measured to be"),
    head,
    scores(given),
    figures(given),
    el("p", { class: "small" }, visible([given.method, given.machine, given.date].filter(Boolean).join(" · "))),
  );
}

const SCORES = [
  ["ldsCeiling", "a perfect method"],
  ["ldsSignal", "signal"],
  ["lds", "influence"],
  ["ldsPositive", "positive influences alone"],
  ["ldsNegative", "negative influences alone"],
  ["ldsBm25", "BM25: shared words"],
  ["ldsDotProduct", "dot product of gradients"],
];

function scores(given) {
  const known = SCORES.filter(([name]) => given[name] !== undefined);
  const error = given.ldsStandardError ? ` ± ${digits(given.ldsStandardError)}` : "";
  const line = ([name, label]) =>
    el(
      "li",
      {},
      el("span", {}, label),
      el(
        "span",
        { class: given[name] < 0 ? "bar down" : "bar" },
        el("i", { style: { width: `${Math.min(100, 100 * Math.abs(given[name]))}%` } }),
      ),
      el(
        "span",
        { class: "numbers" },
        `${digits(Math.abs(given[name])).replace(/^/, given[name] < 0 ? "−" : "")}${name === "lds" ? error : ""}`,
      ),
    );
  return el(
    "figure",
    {},
    el(
      "figcaption",
      { class: "small" },
      "Linear datamodeling score: how well sums rank what retraining does, 1 at best",
    ),
    el("ul", { class: "layers" }, known.map(line)),
  );
}

function figures(given) {
  const pairs = [
    ["Valid to rank", given.validToRank],
    ["Effect of a first hit, as a multiple of its influence", given.sizeRatio],
    [
      "First ten hits whose effect has the right sign",
      given.rightSigns === undefined ? undefined : percent(given.rightSigns),
    ],
    ["Negative influences", given.negativeValidated ? "shown to mean something" : "not shown to mean anything"],
    ["Correlation with the response function", given.pbrfCorrelation],
    ["First ten hits that BM25 also has", given.bm25Overlap === undefined ? undefined : percent(given.bm25Overlap)],
    ["Subsets, queries", given.subsets === undefined ? undefined : `${given.subsets}, ${given.queries}`],
    ["Damping", given.dampingFactor],
  ].filter(([, value]) => value !== undefined);
  return pairList(pairs.map(([name, value]) => [name, typeof value === "number" ? digits(value) : value]));
}

function pairList(pairs) {
  return el(
    "dl",
    { class: "pairs" },
    pairs.map(([name, value]) => [el("dt", {}, name), el("dd", {}, visible(String(value)))]),
  );
}

function attributed(model) {
  const rows = model.layers.map((layer) =>
    el(
      "tr",
      {},
      el("td", {}, el("code", {}, layer.name)),
      el("td", { class: "number" }, count(layer.dIn)),
      el("td", { class: "number" }, count(layer.dOut)),
      el("td", {}, model.deadLayers.includes(layer.name) ? "no gradient reaches it" : ""),
    ),
  );
  const table = el(
    "table",
    {},
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        ["layer", "in", "out", ""].map((head) =>
          el("th", { scope: "col" }, head || el("span", { class: "unseen" }, "remark")),
        ),
      ),
    ),
    el("tbody", {}, rows),
  );
  return disclosure(
    `${many(model.layers.length, "tracked layer")}`,
    el("div", { class: "wide", tabindex: 0, role: "region", "aria-label": "Tracked layers" }, table),
  );
}

function artefacts(model) {
  const index = model.index
    ? `${model.index.digest}, ${many(model.index.values, "value")} of ${many(model.index.bits, "bit")}, ${many(model.index.bytesPerSequence, "byte")} a sequence`
    : "none: every search is a scan";
  const pairs = [
    ["Model", model.modelDigest],
    ["Factors", model.factorsDigest],
    ["Corpus", model.corpusDigest],
    ["Index", index],
    ["N, the size of the training set", `${count(model.trainingSetSize)} (${model.trainingSetSource || "unknown"})`],
    ["Damping by default", digits(model.defaultDampingFactor)],
    ["Engine", model.engine],
    [
      "Gradients differ from autograd's by at most",
      model.gradientError === undefined ? "not measured" : digits(model.gradientError),
    ],
    ["Shards", model.shards.map(({ shard, replicas }) => `${shard} (${many(replicas, "worker")})`).join(", ")],
  ];
  return el("section", { class: "stack" }, el("h2", {}, "Made from"), pairList(pairs));
}

function limits({ limits: most }) {
  const pairs = [
    ["Tokens of a query", count(most.maxQueryTokens)],
    ["Sequences of a ranking", count(most.maxTopK)],
    ["Queries of a batch", count(most.maxBatchQueries)],
    ["Sequences of a score", count(most.maxScoreSequences)],
  ];
  return disclosure("Limits", pairList(pairs));
}
