// Progress of a scan: how far it is, how fast, how long yet. Without figures, that it goes on.

import { el, fill } from "../lib/dom.js";
import { count, duration } from "../lib/numbers.js";

/** A line of progress. `update(done, total)` says how far it is; `stop` is what the button does. */
export function progress(stop) {
  const began = performance.now();
  const meter = el("progress", { "aria-label": "Progress of the search" });
  const words = el("span", { class: "small numbers" }, "Searching …");
  const element = el(
    "div",
    { class: "progress" },
    meter,
    words,
    el("button", { type: "button", on: { click: stop } }, "Stop"),
  );
  return {
    element,
    update(done, total) {
      const seconds = (performance.now() - began) / 1000;
      meter.max = total;
      meter.value = done;
      const left = done ? (seconds * (total - done)) / done : 0;
      fill(
        words,
        `${count(done)} of ${count(total)} sequences · ${count(Math.round(done / seconds))} a second · ${duration(left)} left`,
      );
    },
  };
}
