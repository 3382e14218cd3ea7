// A text with its tokens on grounds as strong as their influence.

import { el } from "../lib/dom.js";
import { signed } from "../lib/numbers.js";
import { largest } from "../lib/tensors.js";
import { characters, visible } from "../lib/text.js";

// Weaker grounds cannot be seen.
const FAINTEST = 0.07;
// So many marks in a block, which the browser lays out only where it is in view.
const BLOCK = 400;

/** The passage of a text between `window.start` and `window.end`, code points; tokens may be null. */
export function passage(text, tokens, window) {
  const letters = characters(text);
  const strongest = largest((tokens ?? []).map((token) => token.influence));
  const parts = [];
  let plain = window.start;
  for (const token of tokens ?? []) {
    const start = Math.max(token.start, plain);
    const end = Math.min(token.end, window.end);
    const share = strongest ? Math.abs(token.influence) / strongest : 0;
    if (start >= end || !(share >= FAINTEST)) continue;
    const word = between(letters, start, end);
    const space = word.trim() ? word.slice(0, word.length - word.trimStart().length) : "";
    parts.push(between(letters, plain, start), space, marked(word.slice(space.length), token, share));
    plain = end;
  }
  parts.push(between(letters, plain, window.end));
  const shown = [window.start > 0 && "… ", ...parts, window.end < letters.length && " …"];
  return el("span", { class: looksLikeCode(text) ? "passage code" : "passage", dir: "auto" }, blocks(shown));
}

/** The whole of a text. */
export function wholePassage(text, tokens) {
  return passage(text, tokens, { start: 0, end: characters(text).length });
}

function between(letters, start, end) {
  return visible(letters.slice(start, end).join(""));
}

function marked(text, token, share) {
  const sign = token.influence < 0 ? "down" : "up";
  return el(
    "mark",
    { class: sign, "data-value": signed(token.influence), style: { "--share": share.toFixed(3) } },
    text,
  );
}

function blocks(parts) {
  const shown = parts.filter((part) => part !== false && part !== "");
  if (shown.length <= 2 * BLOCK) return shown;
  const count = Math.ceil(shown.length / BLOCK);
  return Array.from({ length: count }, (_, i) =>
    el("span", { class: "block" }, shown.slice(i * BLOCK, (i + 1) * BLOCK)),
  );
}

function looksLikeCode(text) {
  const lines = text.split("\n");
  const codelike = lines.filter((line) => /^(\s{2,}|\t)\S|[{};]\s*$|^\s*(def|class|import|#include)\b/.test(line));
  return lines.length > 3 && codelike.length > lines.length / 4;
}
