// The main view: ask, watch the ranking settle, read.

import { button, disclosure, el, fill } from "../lib/dom.js";
import { attribution as ask, answer as askOnce } from "../lib/answers.js";
import { changed, go } from "../lib/route.js";
import * as requests from "../lib/requests.js";
import { announce } from "../parts/announce.js";
import { asker, markFields } from "../parts/asker.js";
import { chips } from "../parts/chips.js";
import { exports } from "../parts/export.js";
import { failure } from "../parts/failure.js";
import { guide } from "../parts/guide.js";
import { explained, hitsOf } from "../parts/hits.js";
import { layerMap, tokenMap } from "../parts/map.js";
import { output } from "../parts/output.js";
import { progress } from "../parts/progress.js";
import { depthsOf, patternOf, ranking } from "../parts/ranking.js";
import { reader } from "../parts/reader.js";
import { summary, warnings } from "../parts/summary.js";
import { welcome } from "../parts/welcome.js";

// A provisional ranking is shown no more often: it settles and does not flicker.
const SETTLE_MS = 700;

/** Shows the view in `place`. `context`: `params`, `model`, `settings`, and `signal`, aborted when it is left. */
export function show(place, context) {
  const form = asker("ask", context.params, context.model);
  const below = el("div");
  fill(place, el("h1", { class: "unseen" }, "Which training sequences did this output come from?"), form, below);
  if (!requests.query(context.params) || context.params.has("edit")) return fill(below, welcome(context));
  return run(below, form, context);
}

async function run(place, form, context) {
  const { params, signal } = context;
  const stopper = new AbortController();
  signal.addEventListener("abort", () => stopper.abort());
  const request = requests.attribution(params);
  const bar = progress(() => stopper.abort());
  const provisional = ranking({ title: "So far", logLikelihood: -Infinity, onChoose: () => {}, onDepth: null });
  fill(place, output(request.query), bar.element, el("div", { class: "results" }, provisional.element, waiting()));
  provisional.element.hidden = true;
  try {
    const answer = await ask(request, settling(bar, provisional), stopper.signal);
    if (!signal.aborted) present(place, request, answer, context);
  } catch (error) {
    if (signal.aborted) return;
    const stopped = error.name === "AbortError";
    fill(
      place,
      output(request.query),
      stopped
        ? el("p", { class: "note" }, "Stopped. Nothing is shown of a search that is not complete.")
        : failure(error, () => run(place, form, context)),
    );
    markFields(form, error);
  }
}

/** What stands in the reader's place until the answer is complete. */
function waiting() {
  return el("p", { class: "reader soft" }, "Texts, layers and noise come with the complete ranking.");
}

function settling(bar, provisional) {
  let shown = 0;
  return (partial) => {
    bar.update(Number(partial.sequencesScored), Number(partial.sequencesTotal));
    if (performance.now() - shown < SETTLE_MS) return;
    shown = performance.now();
    provisional.element.hidden = false;
    provisional.show(hitsOf(partial.attribution, []));
  };
}

function present(place, request, answer, context) {
  const { attribution, metadata } = answer;
  const hits = hitsOf(attribution, metadata.layers);
  const rankings = el("div", { class: "stack" });
  const right = el("div");
  const faults = el("div");
  const choose = chooser(right, hits, answer, context);
  const lists = sides(attribution, metadata).map(([title, side, threshold]) =>
    list(title, side, threshold, answer, context, choose),
  );
  for (const each of lists) rankings.append(each.element);
  fill(
    place,
    output(request.query),
    chips("ask", context.params),
    summary(attribution, metadata),
    warnings(metadata.warnings),
    guide(context.settings, context.params, attribution),
    el("div", { class: "results" }, rankings, right),
    hits.some((hit) => hit.layers) && lazily("Map of sequences and layers", () => layerMap(hits, metadata.layers)),
    faults,
    exports([{ request, answer }], hits, (error) => fill(faults, failure(error))),
  );
  choose.into(lists);
  const first = hits.find((hit) => hit.sequence.sequenceId === context.params.get("hit")) ?? hits[0];
  if (first) choose(first, { silent: true });
  announce(
    `${hits.length} sequences. ${(attribution.positiveSignificant ?? 0) + (attribution.negativeSignificant ?? 0)} told from noise.`,
  );
}

/** A disclosure whose content is made when it is first opened. */
function lazily(summary, make) {
  const element = disclosure(summary);
  element.classList.add("sheet");
  element.addEventListener("toggle", () => element.open && element.childElementCount === 1 && element.append(make()));
  return element;
}

function sides(attribution, metadata) {
  const unvalidated = metadata.warnings.some((warning) => warning.code === "NEGATIVE_NOT_VALIDATED");
  return [
    ["Made the output more likely", attribution.positive, attribution.noise?.positiveThreshold],
    [
      `Made it less likely${unvalidated ? " (not validated)" : ""}`,
      attribution.negative,
      attribution.noise?.negativeThreshold,
    ],
  ].filter(([, hits], i) => hits.length || (i === 0 && !attribution.negative.length));
}

function list(title, side, threshold, { attribution, metadata }, context, onChoose) {
  const patterns = context.params.getAll("layers");
  const hits = hitsOf({ positive: side, negative: [] }, metadata.layers);
  const onDepth = (depth) =>
    go("ask", changed(context.params, { layers: toggled(patterns, patternOf(depth, metadata.layers)), hit: null }));
  const result = ranking({
    title,
    logLikelihood: attribution.logLikelihood,
    onChoose,
    onDepth,
    chosenDepths: patterns.length ? depthsOf(patterns, metadata.layers) : new Set(),
  });
  result.show(hits, threshold);
  return result;
}

function toggled(list, item) {
  return list.includes(item) ? list.filter((other) => other !== item) : [...list, item];
}

/** A function that shows a hit in the reader and keeps it in the address. */
function chooser(place, hits, answer, context) {
  let lists = [];
  const choose = (hit, { silent = false } = {}) => {
    const id = hit.sequence.sequenceId;
    for (const each of lists) each.choose(id);
    const back = button("↑ Back to the ranking", () => lists[0].element.scrollIntoView(), { class: "plain back" });
    fill(place, back, reader(hit, readerContext(hit, answer, context), actions(hit, context)));
    if (silent) return;
    context.params = changed(context.params, { hit: id });
    go("ask", context.params, { replace: true });
    if (matchMedia("(max-width: 1000px)").matches) place.scrollIntoView({ block: "start" });
  };
  choose.into = (given) => (lists = given);
  return choose;
}

function readerContext(hit, { attribution, metadata }, context) {
  const onExplain = async (place) => {
    fill(place, el("p", { class: "soft" }, "Computing …"));
    try {
      const answer = await askOnce(
        "explain",
        requests.explanation(context.params, hit.sequence.sequenceId),
        context.signal,
      );
      const { parts, tokens } = explained(answer);
      fill(place, tokenMap(answer.metadata.layers, tokens, answer.sequence.text, parts));
    } catch (error) {
      fill(place, failure(error));
    }
  };
  return {
    layers: metadata.layers,
    logLikelihood: attribution.logLikelihood,
    onExplain: hit.sequence.text ? onExplain : null,
  };
}

function actions(hit, { params }) {
  const { source, documentId } = hit.sequence;
  const only = (changes) => () => go("ask", changed(params, { ...changes, hit: null }));
  return {
    ...(source && !params.getAll("source").includes(source)
      ? { [`Only ${source}`]: only({ source: [...params.getAll("source"), source] }) }
      : {}),
    ...(documentId ? { "Sources as wholes": () => go("sources", changed(params, { hit: null })) } : {}),
    "Compare with another output": () => go("compare", changed(params, { hit: null })),
  };
}
