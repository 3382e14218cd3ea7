// A ranking: a row for each hit, with its bar, its passage and its strip of layers. Rows that move settle.

import { button, el, fill } from "../lib/dom.js";
import { influenceOn, isSignificant, percent, signed } from "../lib/numbers.js";
import { largest } from "../lib/tensors.js";
import { characters, depth as depthOf, excerpt, visible } from "../lib/text.js";
import { bar } from "./bar.js";
import { passage } from "./passage.js";
import { named, strip } from "./strip.js";

// Rows of a longer ranking are laid out only where they are in view.
const LONG = 60;

/**
 * A ranking that `show`s hits and marks the chosen one.
 *
 * `context`: `title`, `logLikelihood`, `onChoose(hit)`, `onDepth(depth)` or null, and `chosenDepths`, a set.
 */
export function ranking(context) {
  const list = el("ol", { class: "hits" });
  const heads = el("div");
  const count = el("span", { class: "small" });
  const element = el(
    "section",
    { class: "ranking", "aria-label": context.title },
    el("header", {}, el("h2", {}, context.title), count),
    heads,
    list,
  );
  list.addEventListener("keydown", (event) => step(event, list));
  return {
    element,
    show(hits, threshold = undefined) {
      const places = settle(list);
      const scale = largest(hits.map((hit) => hit.influence));
      fill(count, hits.length ? `${hits.length} ${hits.length === 1 ? "sequence" : "sequences"}` : "no sequence");
      fill(heads, context.onDepth && depths(hits, context));
      list.classList.toggle("long", hits.length > LONG);
      fill(list, hits.length ? rowsOf(hits, scale, threshold, context) : nothing());
      places();
    },
    choose(id) {
      for (const row of list.querySelectorAll(".hit")) row.setAttribute("aria-current", String(row.dataset.id === id));
    },
  };
}

function rowsOf(hits, scale, threshold, context) {
  const edge = hits.findIndex((hit) => isSignificant(hit) === false);
  return hits.flatMap((hit, i) => [
    i === edge && noiseEdge(edge),
    el("li", { "data-key": hit.sequence.sequenceId }, row(hit, scale, threshold, context)),
  ]);
}

function nothing() {
  return el(
    "li",
    { class: "edge" },
    el("span", {}, "No sequence meets what was asked for: ask for more, or for less."),
  );
}

function noiseEdge(rank) {
  const text = rank ? `After rank ${rank} nothing is told from noise` : "Nothing here is told from noise";
  return el("li", { class: "edge" }, el("span", {}, text));
}

function row(hit, scale, threshold, context) {
  const { sequence } = hit;
  const sure = isSignificant(hit);
  const element = button(null, () => context.onChoose(hit), {
    class: `hit${sure === false ? " unsure" : ""}`,
    "data-id": sequence.sequenceId,
  });
  element.append(
    el("span", { class: "rank" }, String(hit.rank)),
    el(
      "span",
      { class: "size" },
      value(hit, context.logLikelihood),
      bar(hit.influence, scale, { signal: hit.signal, threshold }),
    ),
    el("span", { class: "body" }, origin(sequence), sequence.text ? shownPassage(hit) : null),
    hit.depths ? strip(hit.depths) : el("span"),
  );
  return element;
}

function value(hit, logLikelihood) {
  const ink = hit.influence < 0 ? "down-ink" : "up-ink";
  const small =
    hit.significance === undefined
      ? null
      : [el("small", {}, `signal ${signed(hit.signal ?? 0)}`), el("small", {}, `${percent(hit.significance)} sure`)];
  return el("span", { class: "value" }, el("span", { class: ink }, influenceOn(hit.influence, logLikelihood)), small);
}

function origin(sequence) {
  return el(
    "span",
    { class: "from" },
    sequence.source && el("b", {}, `${visible(sequence.source)} `),
    visible(sequence.sequenceId),
  );
}

function shownPassage(hit) {
  const length = characters(hit.sequence.text).length;
  return passage(hit.sequence.text, hit.tokens, excerpt(length, hit.tokens));
}

/** The sums over all hits by depth, as columns above the strips; each chooses its depth. */
function depths(hits, context) {
  const all = hits.filter((hit) => hit.depths);
  if (!all.length) return null;
  const sums = all[0].depths.map(([depth], i) => [depth, all.reduce((sum, hit) => sum + hit.depths[i][1], 0)]);
  const most = largest(sums.map(([, sum]) => sum));
  const columns = sums.map(([depth, sum]) =>
    button(
      el("i", { class: sum < 0 ? "down" : "", style: { height: `${most ? (100 * Math.abs(sum)) / most : 0}%` } }),
      () => context.onDepth(depth),
      {
        title: `${named(depth)}: ${signed(sum)} over these hits. Show influence through it alone.`,
        "aria-label": `Through ${named(depth)} alone`,
        "aria-pressed": String(context.chosenDepths.has(depth)),
      },
    ),
  );
  const ends = el(
    "div",
    { class: "ends" },
    el("span", {}, named(sums[0][0])),
    el("span", {}, sums.length > 1 ? sums.at(-1)[0] : ""),
  );
  return el(
    "div",
    { class: "strips" },
    el(
      "div",
      { class: "columns" },
      el("div", { class: "depths", role: "group", "aria-label": "Influence by layer" }, columns),
      ends,
    ),
  );
}

/** Depths that patterns of layers name whole. */
export function depthsOf(patterns, layers) {
  return new Set(layers.filter((name) => patterns.some((pattern) => matches(pattern, name))).map(depthOf));
}

/** The pattern that names all layers of a depth. */
export function patternOf(depth, layers) {
  const name = layers.find((layer) => depthOf(layer) === depth);
  if (name === depth) return name; // it has no depth
  const parts = name.split(".");
  const at = parts.indexOf(depth);
  return `${parts.slice(0, at + 1).join(".")}.*`;
}

function matches(pattern, name) {
  const expression = pattern
    .replace(/[.+^${}()|\\]/g, "\\$&")
    .replace(/\*/g, ".*")
    .replace(/\?/g, ".");
  try {
    return new RegExp(`^${expression}$`).test(name);
  } catch {
    return false;
  }
}

/** Notes where rows are; what it returns lets those that moved glide to their new places. */
function settle(list) {
  const before = new Map([...list.children].map((row) => [row.dataset.key, row.offsetTop]));
  return () => {
    if (!before.size || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    for (const row of list.children) glide(row, before.get(row.dataset.key));
  };
}

function glide(row, top) {
  if (top === undefined || top === row.offsetTop) return;
  row.style.setProperty("transform", `translateY(${top - row.offsetTop}px)`);
  requestAnimationFrame(() => {
    row.classList.add("settles");
    row.style.removeProperty("transform");
  });
}

function step(event, list) {
  const move = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 }[event.key];
  if (!move) return;
  const rows = [...list.querySelectorAll(".hit")];
  const next = rows[rows.indexOf(document.activeElement) + move];
  if (!next) return;
  event.preventDefault();
  next.focus();
  next.click();
}
