// Answers of this tab: going back to a view asks nothing twice.

import { call, stream } from "./api.js";

const KEPT = 30;
const answers = new Map();

/** The answer of a unary method, from what is kept or from the server. */
export async function answer(method, request, signal) {
  return kept(method, request, () => call(method, request, signal));
}

/** The answer of an attribution; `onPartial` gets what a scan knows on its way. */
export async function attribution(request, onPartial, signal) {
  return kept("attribute", request, async () => {
    for await (const message of stream("stream-attribute", request, signal)) {
      if (message.result) return message.result;
      onPartial(message.partial);
    }
    throw new Error("The answer ended before it was complete. Ask again.");
  });
}

async function kept(method, request, ask) {
  const key = `${method} ${JSON.stringify(request)}`;
  if (!answers.has(key)) {
    const value = await ask();
    answers.set(key, value);
    if (answers.size > KEPT) answers.delete(answers.keys().next().value);
  }
  return answers.get(key);
}
