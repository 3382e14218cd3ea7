// Builds elements. Texts become text nodes: nothing here, and nothing that uses this, parses a string as HTML.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element with properties and children.
 *
 * `props`: `class`; `on`, listeners by event; `style`, CSS properties by name, set through the object model, which a
 * content security policy allows; all others are attributes, left out where they are false, null or undefined.
 * Children are elements, texts, lists of these, or null.
 */
export function el(name, props = {}, ...children) {
  return furnish(document.createElement(name), props, children);
}

/** As `el`, for SVG. */
export function svg(name, props = {}, ...children) {
  return furnish(document.createElementNS(SVG, name), props, children);
}

function furnish(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === false || value === null || value === undefined) continue;
    if (name === "on") listen(element, value);
    else if (name === "style") dress(element, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

function listen(element, listeners) {
  for (const [event, listener] of Object.entries(listeners)) element.addEventListener(event, listener);
}

/** Sets CSS properties of an element, custom ones included. */
export function dress(element, style) {
  for (const [property, value] of Object.entries(style)) element.style.setProperty(property, value);
}

/** Replaces everything in an element. */
export function fill(element, ...children) {
  element.replaceChildren();
  return furnish(element, {}, children);
}

/** A button that does something. */
export function button(label, action, props = {}) {
  return el("button", { type: "button", on: { click: action }, ...props }, label);
}

/** A label above what it is for. */
export function field(label, control, hint = null) {
  return el("label", { class: "field" }, el("span", { class: "label" }, label), control, hint && el("small", {}, hint));
}

/** A select of [value, text] pairs. */
export function select(pairs, chosen, props = {}) {
  return el(
    "select",
    props,
    pairs.map(([value, text]) => el("option", { value, selected: value === chosen }, text)),
  );
}

/** A disclosure: a line that opens what is under it. */
export function disclosure(summary, ...children) {
  return el("details", {}, el("summary", {}, summary), ...children);
}
