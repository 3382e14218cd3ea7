// What is known about an answer, in a line of facts that open: likelihood, noise, recall, truth, warnings.

import { el } from "../lib/dom.js";
import { count, digits, many, percent, short, signed } from "../lib/numbers.js";
import { visible } from "../lib/text.js";

/** The facts of one attribution of an answer. */
export function summary(attribution, metadata) {
  return el(
    "div",
    { class: "facts" },
    likelihood(attribution),
    noise(attribution),
    recall(attribution),
    certificate(metadata.provenance),
    searched(metadata),
  );
}

/** The warnings of an answer: their gist in a line, which opens. */
export function warnings(list) {
  if (!list?.length) return null;
  const gists = list.map(({ message }) => gist(message));
  const notes = list.map(({ code, message }) =>
    el("li", {}, visible(message), " ", el("span", { class: "small" }, code)),
  );
  return el(
    "details",
    { class: "note" },
    el("summary", {}, el("b", {}, "Keep in mind: "), visible(gists.join(" · "))),
    el("ul", {}, notes),
  );
}

/** The first clause of a message, without its figures in brackets. */
function gist(message) {
  return message.replace(/\s*\([^)]*\)/g, "").split(/[:;.](?:\s|$)/)[0];
}

function fact(line, ...sentences) {
  return el(
    "details",
    { class: "fact" },
    el("summary", {}, line),
    sentences.filter(Boolean).map((text) => el("p", {}, text)),
  );
}

function likelihood({ logLikelihood, completionTokens }) {
  const probability = Math.exp(logLikelihood);
  const chance = probability >= 0.001 ? `${(100 * probability).toPrecision(2)} %` : probability.toExponential(1);
  return fact(
    ["probability ", el("b", {}, chance), ` over ${many(completionTokens, "token")}`],
    `The log-likelihood of the output is ${logLikelihood.toFixed(3)} nats. That is what is attributed: the influence of a sequence is how much of it, to first order, is due to the sequence's presence in the training set.`,
  );
}

function noise(attribution) {
  const found = (attribution.positiveSignificant ?? 0) + (attribution.negativeSignificant ?? 0);
  const hits = attribution.positive.length + attribution.negative.length;
  if (!attribution.noise)
    return fact("noise unknown", "Too few influences are known to tell which of these are more than noise.");
  const { scale, degreesOfFreedom, sequences, sampled } = attribution.noise;
  return fact(
    [el("b", {}, `${found} of ${hits}`), " told from noise"],
    `Most influences are noise: here of ±${digits(scale)} nats, with tails of ${digits(degreesOfFreedom)} degrees of freedom, as ${many(sequences, "influence")} show${Number(sampled) ? `, ${count(sampled)} of them drawn for this` : ""}. The signal of a hit is its influence less what noise would make of it; the percentage is the probability that the sign is right (50 % is chance).`,
    "The full part of a bar is signal. The line in it is where noise ends.",
  );
}

function recall({ positiveRecall, negativeRecall }) {
  const known = [positiveRecall, negativeRecall].filter(Boolean);
  if (!known.length) return null;
  const lowest = known.reduce((a, b) => (a.recall < b.recall ? a : b));
  return fact(
    ["recall about ", el("b", {}, percent(lowest.recall))],
    `Only candidates were scored exactly: ${count(lowest.reranked)} of ${count(lowest.candidates)}${lowest.stoppedEarly ? ", since no more were needed" : ""}. About ${percent(lowest.recall)} of the truly first sequences of the whole corpus are here, as the index's error on the candidates shows. A full scan misses none.`,
  );
}

function certificate({ certificate: summary }) {
  const essence = visible(summary?.essence || "not validated");
  const validated = Boolean(summary?.digest);
  const proxy = summary?.kind === "CERTIFICATE_KIND_PROXY";
  return fact(
    validated ? ["truth: ", el("b", {}, essence.split(";")[0]), proxy && " (proxy)"] : "truth: not validated",
    validated
      ? `${essence}.${proxy ? " Measured on a small model in the served one's place." : ""}`
      : "Nobody has measured how true this model's influences are. whence validate holds them against retraining and makes a certificate, which the model's page then shows.",
  );
}

function searched(metadata) {
  const { provenance } = metadata;
  const scored = Number(metadata.sequencesScored);
  const total = Math.max(scored, Number(metadata.sequencesSearched));
  const layers = provenance.attributedLayers?.length
    ? ` Through ${many(provenance.attributedLayers.length, "layer")} alone.`
    : "";
  return fact(
    [el("b", {}, count(total)), " sequences searched"],
    `${many(scored, "sequence")} scored exactly. N = ${count(provenance.trainingSetSize)}, damping ${digits(provenance.dampingFactor)}, ${provenance.engine}.${layers}`,
    `Model ${visible(provenance.model)} ${short(provenance.modelDigest)} · factors ${short(provenance.factorsDigest)} · corpus ${short(provenance.corpusDigest)}${provenance.indexDigest ? ` · index ${short(provenance.indexDigest)}` : ""} · request ${visible(metadata.requestId)}`,
    `Time: ${metadata.timings
      .filter((stage) => stage.seconds > 0.0005)
      .map((stage) => `${stage.stage} ${signed(1000 * stage.seconds).slice(1)} ms`)
      .join(" · ")}`,
  );
}
