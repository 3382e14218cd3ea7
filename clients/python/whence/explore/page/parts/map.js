// A map of influence: a canvas, a line that reads the cell under the pointer or the cursor keys, and the strongest cells
// as a table.

import { el, fill } from "../lib/dom.js";
import { signed } from "../lib/numbers.js";
import { largest } from "../lib/tensors.js";
import { characters, visible } from "../lib/text.js";

const LISTED = 10;
const ROW_PX = 14;

/** The map of an explanation: a row for each layer and a column for each token of `text`. */
export function tokenMap(layers, tokens, text, parts) {
  const letters = characters(text);
  const words = tokens.map((token) => visible(letters.slice(token.start, token.end).join("")));
  return map({ kind: ["layer", "token"], rows: layers, columns: words, parts });
}

/** The map of hits: a row for each sequence and a column for each layer. */
export function layerMap(hits, layers) {
  const known = hits.filter((hit) => hit.layers?.length === layers.length);
  const names = known.map((hit) => `${hit.rank}. ${visible(hit.sequence.sequenceId)}`);
  return map({ kind: ["sequence", "layer"], rows: names, columns: layers, parts: known.map((hit) => hit.layers) });
}

/** A map of `parts`, [rows][columns]; `kind` says what rows and columns are. */
function map({ kind, rows, columns, parts }) {
  const readout = el("p", { class: "readout" }, "Point at a cell, or move with the cursor keys.");
  const label = `Map of influence by ${kind[0]} (rows, the first at the top) and ${kind[1]} (columns). The table below has its strongest cells.`;
  const canvas = el("canvas", { class: "map", tabindex: 0, role: "img", "aria-label": label });
  canvas.width = columns.length;
  canvas.height = rows.length;
  canvas.style.setProperty("height", `${Math.min(420, Math.max(90, rows.length * ROW_PX))}px`);
  requestAnimationFrame(() => paint(canvas, parts));
  follow(canvas, rows.length, columns.length, (r, c) =>
    fill(readout, el("b", {}, signed(parts[r][c])), ` nats: ${rows[r]} · ${columns[c]}`),
  );
  return el("figure", { class: "stack" }, canvas, readout, table(kind, rows, columns, parts));
}

function paint(canvas, parts) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  const strongest = largest(parts.flat());
  const [up, down] = [ink(canvas, "--up"), ink(canvas, "--down")];
  parts.flat().forEach((value, i) => {
    const share = strongest ? Math.abs(value) / strongest : 0;
    image.data.set([...(value < 0 ? down : up), Math.round(255 * Math.sqrt(share))], 4 * i);
  });
  context.putImageData(image, 0, 0);
}

/** A colour of the style sheet as red, green and blue. */
function ink(element, name) {
  const probe = el("i", { style: { color: `var(${name})` } });
  element.after(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  const context = el("canvas").getContext("2d", { willReadFrequently: true });
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}

function follow(canvas, rows, columns, read) {
  let place = [0, 0];
  const clamp = (value, end) => Math.max(0, Math.min(end - 1, value));
  canvas.addEventListener("pointermove", (event) => {
    place = [
      clamp(Math.floor((rows * event.offsetY) / canvas.clientHeight), rows),
      clamp(Math.floor((columns * event.offsetX) / canvas.clientWidth), columns),
    ];
    read(...place);
  });
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    place = [clamp(place[0] + move[0], rows), clamp(place[1] + move[1], columns)];
    read(...place);
  });
}

function table(kind, rows, columns, parts) {
  const cells = parts.flatMap((row, r) => row.map((value, c) => ({ r, c, value })));
  const first = cells.sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, LISTED);
  const lines = first.map(({ r, c, value }) =>
    el("tr", {}, el("td", { class: "number" }, signed(value)), el("td", {}, rows[r]), el("td", {}, columns[c])),
  );
  const heads = el(
    "tr",
    {},
    ["nats", ...kind].map((name) => el("th", { scope: "col" }, name)),
  );
  return el(
    "div",
    { class: "wide", tabindex: 0, role: "region", "aria-label": `Strongest cells of the map by ${kind.join(" and ")}` },
    el("table", {}, el("thead", {}, heads), el("tbody", {}, lines)),
  );
}
