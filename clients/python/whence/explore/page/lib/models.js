// The served models, asked for once.

import { call } from "./api.js";

let known = null;

/** All served models, ordered by name. */
export async function models() {
  known ??= load();
  try {
    return await known;
  } catch (error) {
    known = null;
    throw error;
  }
}

/** The model of that name; with an empty name, the first. Null if there is none. */
export async function modelNamed(name) {
  const all = await models();
  return (name ? all.find((model) => model.name === name) : all[0]) ?? null;
}

export function forget() {
  known = null;
}

async function load() {
  const all = [];
  let pageToken = "";
  do {
    const page = await call("list-models", { pageToken });
    all.push(...page.models);
    pageToken = page.nextPageToken;
  } while (pageToken);
  return all;
}
