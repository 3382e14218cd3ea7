// Starts the page: its head, and the view that the address names.

import { button, el, fill, select } from "./lib/dom.js";
import { forget, modelNamed, models } from "./lib/models.js";
import { address, changed, current, go } from "./lib/route.js";
import { keepTheme, keepToken, theme, token } from "./lib/session.js";
import { visible } from "./lib/text.js";
import { failure } from "./parts/failure.js";
import * as ask from "./views/ask.js";
import * as compare from "./views/compare.js";
import * as model from "./views/model.js";
import * as sources from "./views/sources.js";

const VIEWS = {
  ask: { name: "Ask", show: ask.show },
  sources: { name: "Sources", show: sources.show },
  compare: { name: "Compare", show: compare.show },
  model: { name: "Model", show: model.show },
};
const THEMES = { "": ["◐", "light"], light: ["☀", "dark"], dark: ["☾", ""] };
// What a view does not share with the others.
const OWN = ["hit", "edit"];

let leave = new AbortController();
let settings = null;

async function start() {
  keepTheme(theme());
  addEventListener("hashchange", render);
  settings = await loadSettings();
  await render();
}

async function loadSettings() {
  try {
    return await (await fetch("/page/settings.json")).json();
  } catch {
    return {};
  }
}

async function render() {
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  const { view, params } = current();
  const chosen = VIEWS[view] ?? VIEWS.ask;
  const main = document.getElementById("main");
  document.title = `${title(params) || chosen.name} · Whence`;
  try {
    const [served, named] = [await models(), await modelNamed(params.get("model") ?? "")];
    if (signal.aborted) return;
    head(view, params, served);
    await chosen.show(main, { params, model: named, settings, signal });
  } catch (error) {
    if (signal.aborted) return;
    head(view, params, []);
    fill(main, failure(error, again), error.code === 16 && keyForm());
  }
}

function again() {
  forget();
  return render();
}

function title(params) {
  return visible(`${params.get("prompt") ?? ""}${params.get("completion") ?? ""}`).slice(0, 60);
}

function head(view, params, served) {
  const shared = changed(params, Object.fromEntries(OWN.map((name) => [name, null])));
  const links = Object.entries(VIEWS).map(([name, { name: label }]) =>
    el("a", { href: address(name, shared), "aria-current": name === view && "page" }, label),
  );
  const brand = el("a", { class: "brand", href: "#/ask" }, el("img", { src: "/page/icon.svg", alt: "" }), "Whence");
  fill(
    document.getElementById("top"),
    brand,
    el("nav", { "aria-label": "Views" }, links),
    el("div", { class: "end" }, modelChoice(view, params, served), settings.needsToken && keyButton(), themeButton()),
  );
}

function modelChoice(view, params, served) {
  if (!served.length) return null;
  const chosen = params.get("model") || served[0].name;
  const control = select(
    served.map(({ name }) => [name, visible(name)]),
    chosen,
    { "aria-label": "Model" },
  );
  control.addEventListener("change", () => go(view, changed(params, { model: control.value, hit: null })));
  return control;
}

function themeButton() {
  const [sign, other] = THEMES[theme()] ?? THEMES[""];
  const act = (event) => {
    keepTheme(other);
    const next = themeButton();
    event.currentTarget.replaceWith(next);
    next.focus();
  };
  return button(sign, act, {
    class: "icon theme",
    "aria-label": `Colours: ${theme() || "the system's"}. Change to ${other || "the system's"}.`,
  });
}

function keyButton() {
  const act = () => fill(document.getElementById("main"), keyForm());
  return button(token() ? "Key ✓" : "Key", act);
}

/** The form for the key that the server asks for. The key stays in this tab. */
function keyForm() {
  const input = el("input", { type: "password", autocomplete: "off", name: "key", required: true });
  const form = el(
    "form",
    { class: "asker stack" },
    el("label", { class: "field" }, el("span", { class: "label" }, "API key or token"), input),
    el(
      "p",
      { class: "small" },
      "It is kept until this tab is closed, and sent with each call to this page's own server alone.",
    ),
    el("button", { type: "submit", class: "primary" }, "Use it"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    keepToken(input.value.trim());
    again();
  });
  return form;
}

start();
