// What is shown, to keep: a link, JSON, CSV, a report.

import { report } from "../lib/api.js";
import { button, el } from "../lib/dom.js";
import { announce } from "./announce.js";

const COLUMNS = [
  "rank",
  "influence",
  "signal",
  "significance",
  "raw_influence",
  "sequence_id",
  "document_id",
  "source",
  "text",
];

/** A row of buttons. `answers`: [{request, answer}], as the protocol has them; `hits`, for CSV. */
export function exports(answers, hits, onFailure) {
  const name = `whence-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}`;
  return el(
    "div",
    { class: "row export" },
    button("Copy link", (event) => copyLink(event.currentTarget)),
    button("JSON", () =>
      save(`${name}.json`, "application/json", JSON.stringify(answers.length === 1 ? answers[0] : answers, null, 1)),
    ),
    hits && button("CSV", () => save(`${name}.csv`, "text/csv", csv(hits))),
    button("Report", async () => {
      try {
        download(`${name}.html`, await report({ answers }));
      } catch (error) {
        onFailure(error);
      }
    }),
  );
}

async function copyLink(target) {
  try {
    await navigator.clipboard.writeText(location.href);
    target.textContent = "Link copied";
    announce("Link copied");
  } catch {
    prompt("The link of this view:", location.href);
  }
}

/** Hits as CSV. A value that a spreadsheet would run as a formula is quoted with an apostrophe. */
export function csv(hits) {
  const lines = hits.map((hit) => {
    const { sequence } = hit;
    return [
      hit.rank,
      hit.influence,
      hit.signal,
      hit.significance,
      hit.rawInfluence,
      sequence.sequenceId,
      sequence.documentId,
      sequence.source,
      sequence.text,
    ];
  });
  return [COLUMNS, ...lines].map((line) => line.map(cell).join(",")).join("\r\n");
}

function cell(value) {
  if (typeof value !== "string") return value ?? "";
  const harmless = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

function save(name, type, text) {
  download(name, new Blob([text], { type }));
}

function download(name, blob) {
  const url = URL.createObjectURL(blob);
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
