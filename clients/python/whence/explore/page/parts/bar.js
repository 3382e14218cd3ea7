// The size of an influence as a bar: the part that is signal, the rest, and where noise ends.

import { el } from "../lib/dom.js";

/** A bar for `value` on a scale that ends at `largest`; `signal` and `threshold` may be undefined. */
export function bar(value, largest, { signal = undefined, threshold = undefined } = {}) {
  const width = (size) => `${largest ? Math.min(100, (100 * Math.abs(size)) / largest) : 0}%`;
  return el(
    "span",
    { class: value < 0 ? "bar down" : "bar", role: "presentation" },
    el("i", { class: signal === undefined ? "" : "rest", style: { width: width(value) } }),
    signal !== undefined && el("i", { class: "signal", style: { width: width(signal) } }),
    threshold !== undefined &&
      threshold <= largest &&
      el("span", { class: "threshold", style: { left: width(threshold) } }),
  );
}
