// The address is the state: #/view?name=value&… A link to a view is a link to what it shows. Behind the # nothing is
// sent to a server, so that prompts are in no log.

/** The view and its parameters. */
export function current() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { view: path || "ask", params: new URLSearchParams(search) };
}

/** The address of a view. */
export function address(view, params) {
  const search = params.toString();
  return `#/${view}${search ? `?${search}` : ""}`;
}

/** Shows a view: a new entry in the history or, with `replace`, in the place of this one. */
export function go(view, params, { replace = false } = {}) {
  const target = address(view, params);
  if (target === location.hash) return dispatchEvent(new HashChangeEvent("hashchange"));
  if (!replace) return (location.hash = target);
  history.replaceState(null, "", target);
}

/** Parameters with changes: a list sets several, null or "" removes. */
export function changed(params, changes) {
  const result = new URLSearchParams(params);
  for (const [name, value] of Object.entries(changes)) {
    result.delete(name);
    for (const item of [value].flat()) if (item !== null && item !== "" && item !== false) result.append(name, item);
  }
  return result;
}
