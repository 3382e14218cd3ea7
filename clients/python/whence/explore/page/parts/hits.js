// Hits of the protocol as the page needs them.

import { rows, values } from "../lib/tensors.js";
import { byDepth, tokens } from "../lib/text.js";

/** A hit with its tokens and the sums over depths decoded; either is null if the answer has none. */
export function decoded(hit, layers) {
  const parts = values(hit.layerInfluence);
  const sequence = { sequenceId: "", documentId: "", source: "", text: "", ...hit.sequence };
  return {
    ...hit,
    sequence,
    tokens: tokens(values(sequence.tokenOffsets), values(hit.tokenInfluence)),
    layers: parts,
    depths: parts && parts.length === layers.length ? byDepth(layers, parts) : null,
  };
}

/** All hits of an attribution: the positive ones, then the negative ones. */
export function hitsOf(attribution, layers) {
  return [...attribution.positive, ...attribution.negative].map((hit) => decoded(hit, layers));
}

/** The parts of an explanation: a row for each layer, a column for each token. */
export function explained(answer) {
  const parts = rows(answer.parts);
  const sums = parts.length ? parts[0].map((_, t) => parts.reduce((sum, row) => sum + row[t], 0)) : [];
  return { parts, tokens: tokens(values(answer.sequence.tokenOffsets), sums) };
}
