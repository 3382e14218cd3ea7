// Makes the calls of the first argument, JSON, with the client whose modules lie in the folder of the second, and prints
// what came of each as JSON: its answer, or its events, or its error.
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [plan, folder] = process.argv.slice(2);
const { Client, WhenceError, rows, values } = await import(pathToFileURL(join(folder, "index.js")));
const { target, options, calls } = JSON.parse(plan);

function ofError(error) {
  if (!(error instanceof WhenceError)) return { kind: error.name, message: error.message };
  return { ...error, message: error.message };
}

function written(_, value) {
  if (typeof value === "bigint") return Number(value);
  if (value?.$typeName === "whence.v1.Tensor") return { values: values(value), rows: rows(value) };
  return value;
}

async function ask(client, { method, request, call = {}, abortAfterMs, stopAfter }) {
  const signal = abortAfterMs === undefined ? {} : { signal: AbortSignal.timeout(abortAfterMs) };
  if (method !== "streamAttribute") return { answer: await client[method](request, { ...call, ...signal }) };
  const events = [];
  for await (const event of client[method](request, { ...call, ...signal })) {
    events.push(event);
    if (events.length === stopAfter) break;
  }
  return { events };
}

async function run() {
  const client = new Client(target, options);
  const results = [];
  for (const call of calls) results.push(await ask(client, call).catch((error) => ({ error: ofError(error) })));
  client.close();
  return results;
}

const results = await run().catch((error) => [{ error: ofError(error) }]);
console.log(JSON.stringify(results, written));
