// Sources, documents or values of a metadata field as wholes: how much of an output comes from each.

import { el, fill, select } from "../lib/dom.js";
import { answer as ask } from "../lib/answers.js";
import { count, many, signed } from "../lib/numbers.js";
import { address, changed } from "../lib/route.js";
import * as requests from "../lib/requests.js";
import { visible } from "../lib/text.js";
import { announce } from "../parts/announce.js";
import { asker, markFields } from "../parts/asker.js";
import { chips } from "../parts/chips.js";
import { exports } from "../parts/export.js";
import { failure } from "../parts/failure.js";
import { output } from "../parts/output.js";
import { warnings } from "../parts/summary.js";

const SHOWN = 200;

export function show(place, context) {
  const by = el("input", { name: "by", list: "groupings", value: context.params.get("by") ?? "source" });

  const samples = select(
    [
      ["", "400 drawn"],
      ["1000", "1,000 drawn"],
      ["4000", "4,000 drawn"],
      ["20000", "20,000 drawn"],
    ],
    context.params.get("samples") ?? "",
    { name: "samples" },
  );
  const form = asker("sources", context.params, context.model, {
    label: "Sum up",
    extra: [
      ["by", "Group by: source, document, metadata.NAME", by],
      ["samples", "Scored exactly", samples],
    ],
  });
  const below = el("div");
  fill(place, el("h1", { class: "unseen" }, "How much comes from each source?"), form, below);
  if (requests.query(context.params)) return run(below, form, context);
  return fill(
    below,
    el(
      "p",
      { class: "lead soft" },
      "Enter an output: Whence sums the signal of all sequences of each source, with intervals that were held against retraining. It needs a gradient index.",
    ),
  );
}

async function run(place, form, context) {
  const request = requests.groups(context.params);
  fill(place, output(request.query), el("p", { class: "soft", role: "status" }, "Summing up …"));
  try {
    const answer = await ask("group-influence", request, context.signal);
    present(place, request, answer, context);
  } catch (error) {
    if (context.signal.aborted) return;
    fill(
      place,
      output(request.query),
      failure(error, () => run(place, form, context)),
    );
    markFields(form, error);
  }
}

function present(place, request, answer, { params }) {
  const groups = answer.groups;
  const scale = range(groups);
  const heads = ["group", "signal", "", "95 % interval", "sequences", "influence, with its error"];
  const faults = el("div");
  const by = params.get("by") ?? "source";
  fill(
    place,
    output(request.query),
    chips("sources", params),
    warnings(answer.metadata.warnings),
    el(
      "div",
      { class: "wide", tabindex: 0, role: "region", "aria-label": "Groups" },
      el(
        "table",
        { class: "groups" },
        el("caption", { class: "unseen" }, "Signal and influence of each group, in nats"),
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            heads.map((head) => el("th", { scope: "col" }, head || el("span", { class: "unseen" }, "picture"))),
          ),
        ),
        el(
          "tbody",
          {},
          groups.slice(0, SHOWN).map((group) => line(group, scale, by, params)),
          total(answer.total),
        ),
      ),
    ),
    groups.length > SHOWN &&
      el("p", { class: "small" }, `The first ${SHOWN} of ${count(groups.length)}; an export has all.`),
    el(
      "p",
      { class: "small" },
      "The bar is the sum of signals, the line its interval of 95 % for what is lost without the group; open at the right where the group has half of the positive signal or more. Influence sums noise, too.",
    ),
    faults,
    exports([{ request, answer }], null, (error) => fill(faults, failure(error))),
  );
  announce(`${groups.length} groups`);
}

function effect(group) {
  return group.signal ?? group.influence;
}

function range(groups) {
  const ends = groups
    .flatMap((group) => [effect(group), group.signalLow ?? 0, group.signalHigh ?? 0])
    .filter(Number.isFinite);
  const low = Math.min(0, ...ends);
  const high = Math.max(0, ...ends);
  return { low, span: high - low || 1 };
}

function line(group, scale, by, params) {
  const name = visible(group.name) || "(none)";
  const narrowed =
    by === "source" && group.name
      ? address("ask", changed(params, { source: [group.name], by: null, samples: null }))
      : null;
  const error = group.standardError ? `± ${signed(group.standardError).slice(1)}` : "exact";
  return el(
    "tr",
    {},
    el(
      "th",
      { scope: "row", class: "name" },
      narrowed ? el("a", { href: narrowed, title: "Show its sequences" }, name) : name,
    ),
    el(
      "td",
      { class: "number" },
      group.signal === undefined
        ? "unknown"
        : el("b", { class: group.signal < 0 ? "down-ink" : "up-ink" }, signed(group.signal)),
    ),
    el("td", {}, whisker(group, scale)),
    el("td", { class: "number soft" }, interval(group)),
    el("td", { class: "number" }, count(group.sequences)),
    el("td", { class: "number soft" }, `${signed(group.influence)} ${error}`),
  );
}

function total(group) {
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, "all"),
    el("td", { class: "number" }, group.signal === undefined ? "unknown" : signed(group.signal)),
    el("td", { class: "small" }, `${many(group.sampled, "sequence")} scored exactly`),
    el("td", { class: "number soft" }, interval(group)),
    el("td", { class: "number" }, count(group.sequences)),
    el("td", { class: "number soft" }, signed(group.influence)),
  );
}

function interval(group) {
  if (group.signalLow === undefined) return "";
  return `${signed(group.signalLow)} to ${group.signalHigh === undefined ? "…" : signed(group.signalHigh)}`;
}

function whisker(group, { low, span }) {
  const at = (value) => (100 * (value - low)) / span;
  const value = effect(group);
  const open = group.signalLow !== undefined && group.signalHigh === undefined;
  const end = open ? low + span : group.signalHigh;
  return el(
    "div",
    { class: "whisker", role: "presentation" },
    el("span", { class: "zero", style: { left: `${at(0)}%` } }),
    el("span", {
      class: value < 0 ? "size down" : "size",
      style: { left: `${at(Math.min(0, value))}%`, width: `${Math.abs(at(value) - at(0))}%` },
    }),
    group.signalLow !== undefined &&
      el("span", {
        class: open ? "reach open" : "reach",
        style: { left: `${at(group.signalLow)}%`, width: `${at(end) - at(group.signalLow)}%` },
      }),
  );
}
