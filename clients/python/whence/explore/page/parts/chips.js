// The conditions in force, each with a button that takes it away.

import { button, el } from "../lib/dom.js";
import { changed, go } from "../lib/route.js";
import { visible } from "../lib/text.js";

const NAMES = { source: "source", meta: "metadata", layers: "layers" };

/** Chips for the filters and layers of the parameters; null if there are none. */
export function chips(view, params) {
  const all = Object.keys(NAMES).flatMap((name) => params.getAll(name).map((value) => [name, value]));
  if (params.has("significant")) all.push(["significant", "told from noise"]);
  if (!all.length) return null;
  return el(
    "div",
    { class: "row chips" },
    el("span", { class: "soft" }, "Only"),
    all.map(([name, value]) => chip(view, params, name, value)),
  );
}

function chip(view, params, name, value) {
  const rest = name === "significant" ? null : params.getAll(name).filter((item) => item !== value);
  const text = visible(NAMES[name] ? `${NAMES[name]} ${value}` : value);
  const remove = button("×", () => go(view, changed(params, { [name]: rest, hit: null })), {
    "aria-label": `Without: ${text}`,
  });
  return el("span", { class: "chip" }, text, remove);
}
