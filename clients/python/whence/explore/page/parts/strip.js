// Influence by depth: a strip of cells for each hit, aligned, so that a list of hits is a map of layers.

import { dress, el } from "../lib/dom.js";
import { signed } from "../lib/numbers.js";
import { largest } from "../lib/tensors.js";

/** A strip with a cell for each [depth, influence]. It is one element: cells are the stops of a gradient. */
export function strip(depths) {
  const strongest = largest(depths.map(([, value]) => value));
  const width = 100 / depths.length;
  const stops = depths.map(([, value], i) => `${ground(value, strongest)} ${i * width}% ${(i + 1) * width}%`);
  const element = el("span", { class: "strip", role: "img", "aria-label": `By depth: ${spoken(depths)}` });
  dress(element, { "background-image": `linear-gradient(90deg, ${stops.join(", ")})` });
  element.addEventListener("pointermove", (event) => {
    const at = Math.min(depths.length - 1, Math.floor((depths.length * event.offsetX) / element.clientWidth));
    if (depths[at]) element.title = `${named(depths[at][0])}: ${signed(depths[at][1])}`;
  });
  return element;
}

/** "layer 3", or the name of a layer that has no depth. */
export function named(depth) {
  return /^\d+$/.test(depth) ? `layer ${depth}` : depth;
}

/** The colour of a value, as strong as its share of the strongest. */
export function ground(value, strongest) {
  const share = strongest && Number.isFinite(value) ? Math.abs(value) / strongest : 0;
  return `color-mix(in oklab, var(--${value < 0 ? "down" : "up"}) ${(100 * share).toFixed(1)}%, var(--well))`;
}

function spoken(depths) {
  const most = [...depths].sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, 3);
  return most.map(([depth, value]) => `${named(depth)} ${signed(value)}`).join(", ");
}
