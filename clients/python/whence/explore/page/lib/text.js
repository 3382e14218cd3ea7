// Texts of a corpus, which may hold anything: what could steer the reader is shown, not obeyed.

// Controls (C0 but for line breaks and tabs, C1), halves of surrogate pairs, separators, marks of writing direction.
const STEERING = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\p{Cs}/gu;
const EXCERPT = 320;

/** A text in which each character that could steer what is around it is replaced by a visible one. */
export function visible(text) {
  return text.replace(STEERING, (letter) => (letter === "\r" ? "" : "�"));
}

/** Code points of a text: the unit of the protocol's token offsets. */
export function characters(text) {
  return Array.from(text);
}

/** Tokens of a hit or an explanation: [{start, end, influence}], offsets in code points; null if it has none. */
export function tokens(offsets, influences) {
  if (!offsets || !influences) return null;
  return influences.map((influence, i) => ({ start: offsets[2 * i], end: offsets[2 * i + 1], influence }));
}

/** The window {start, end} of at most `limit` characters that has the most influence; without tokens, the beginning. */
export function excerpt(length, parts, limit = EXCERPT) {
  let best = { weight: 0, start: 0, end: 0 };
  let weight = 0;
  let first = 0;
  const sizes = (parts ?? []).map((token) => (Number.isFinite(token.influence) ? Math.abs(token.influence) : 0));
  for (let last = 0; last < sizes.length; last++) {
    weight += sizes[last];
    while (first < last && parts[last].end - parts[first].start > limit) weight -= sizes[first++];
    if (weight > best.weight) best = { weight, start: parts[first].start, end: parts[last].end };
  }
  const middle = (best.start + best.end) >> 1;
  const start = Math.max(0, Math.min(middle - (limit >> 1), length - limit));
  return { start, end: Math.min(start + limit, length) };
}

/** Influences summed over the layers of each depth, in order: [[depth or name, sum]] (whence/display/passages.py). */
export function byDepth(names, influences) {
  const sums = new Map();
  names.forEach((name, i) => sums.set(depth(name), (sums.get(depth(name)) ?? 0) + influences[i]));
  return [...sums];
}

/** The depth of a layer: the first number in its name; the name itself if it has none. */
export function depth(name) {
  return name.match(/(?:^|\.)(\d+)(?=\.|$)/)?.[1] ?? name;
}
