// The service's methods, as JSON over HTTP (docs/http.md).

import { token } from "./session.js";

/** A call that failed: a google.rpc.Status. */
export class CallError extends Error {
  constructor(status) {
    super(status.message || "The server gave no reason.");
    this.code = status.code ?? 2;
    const details = status.details ?? [];
    this.info = details.find((detail) => detail["@type"]?.endsWith("google.rpc.ErrorInfo")) ?? {};
    this.fields = details.flatMap((detail) => detail.fieldViolations ?? []);
    this.requestId = details.find((detail) => detail["@type"]?.endsWith("google.rpc.RequestInfo"))?.requestId ?? "";
  }

  get reason() {
    return this.info.reason ?? "";
  }
}

/** The answer of a unary method, such as "get-model". Throws `CallError`; an `AbortError` if `signal` was aborted. */
export async function call(method, request = {}, signal = undefined) {
  const response = await send(method, request, signal);
  return response.json();
}

/** The messages of a streaming method, as they come. Throws as `call` does. */
export async function* stream(method, request, signal = undefined) {
  const response = await send(method, request, signal);
  for await (const line of lines(response.body)) {
    const message = JSON.parse(line);
    if (message.error) throw new CallError(message.error);
    yield message.result;
  }
}

async function send(method, request, signal) {
  const response = await reach(`/v1/${method}`, request, signal);
  if (!response.ok) throw new CallError(await status(response));
  return response;
}

/** The report of answers as one HTML file, a Blob. */
export async function report(request, signal = undefined) {
  const response = await reach("/page/report", request, signal);
  if (!response.ok) throw new CallError(await status(response));
  return response.blob();
}

async function reach(path, request, signal) {
  const headers = { "Content-Type": "application/json" };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  try {
    return await fetch(path, { method: "POST", headers, body: JSON.stringify(request), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new CallError({
      code: 14,
      message: "The process behind this page does not answer: whence explore may have been stopped. Start it again.",
    });
  }
}

async function status(response) {
  try {
    return await response.json();
  } catch {
    return { code: 2, message: `The server answered with HTTP ${response.status} and nothing that can be read.` };
  }
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    yield* parts.filter(Boolean);
  }
  if (rest) yield rest;
}
