// Parameters of the address as requests of the protocol.

const DIRECTIONS = { positive: "DIRECTION_POSITIVE", negative: "DIRECTION_NEGATIVE", both: "DIRECTION_BOTH" };
const SEARCHES = {
  "full-scan": "SEARCH_FULL_SCAN",
  index: "SEARCH_INDEX_RERANK",
  union: "SEARCH_UNION_RERANK",
  tfidf: "SEARCH_TFIDF_RERANK",
};

/** The query of parameters; `side` is "" or the suffix of the second output. Null if there is none yet. */
export function query(params, side = "") {
  const messages = params.get(`messages${side}`);
  if (messages) return { chat: { messages: parsed(messages) } };
  const completion = params.get(`completion${side}`) ?? "";
  const prompt = params.get(`prompt${side}`) ?? "";
  return completion || prompt ? { text: { prompt, completion } } : null;
}

function parsed(text) {
  try {
    const messages = JSON.parse(text);
    return Array.isArray(messages) ? messages : [];
  } catch {
    return [];
  }
}

/** The request of Attribute; `side` as in `query`. */
export function attribution(params, side = "") {
  const options = {
    topK: Number(params.get("k") ?? 10),
    direction: DIRECTIONS[params.get("direction") ?? "positive"],
    includeLayers: true,
    includeTokens: true,
    significantOnly: params.has("significant"),
    layers: params.getAll("layers"),
    ...search(params),
    ...filter(params),
    ...damping(params),
  };
  return { model: model(params, side), query: query(params, side), options };
}

/** The request of GroupInfluence. */
export function groups(params) {
  return {
    model: model(params),
    query: query(params),
    groupBy: params.get("by") ?? "source",
    samples: Number(params.get("samples") ?? 0),
    layers: params.getAll("layers"),
    ...filter(params),
    ...damping(params),
  };
}

/** The request of Explain. */
export function explanation(params, sequenceId) {
  return { model: model(params), query: query(params), sequence: { sequenceId }, ...damping(params) };
}

export function model(params, side = "") {
  return params.get(`model${side}`) ?? params.get("model") ?? "";
}

function search(params) {
  const kind = SEARCHES[params.get("search")];
  return kind ? { search: kind } : {};
}

function damping(params) {
  return params.get("damping") ? { dampingFactor: Number(params.get("damping")) } : {};
}

function filter(params) {
  const sources = params.getAll("source");
  const metadata = Object.fromEntries(params.getAll("meta").map((pair) => split(pair)));
  return sources.length || params.has("meta") ? { filter: { sources, metadata } } : {};
}

function split(pair) {
  const at = pair.indexOf("=");
  return at < 0 ? [pair, ""] : [pair.slice(0, at), pair.slice(at + 1)];
}
