// What this browser keeps: the key, until the tab is closed; the theme and that the guide was read, for good.

const KEY = "whence-key";
const THEME = "whence-theme";
const GUIDE = "whence-guide";

/** The key that goes with every call; empty for none. */
export function token() {
  return sessionStorage.getItem(KEY) ?? "";
}

export function keepToken(value) {
  sessionStorage.setItem(KEY, value);
}

/** "light", "dark", or "" for the system's. */
export function theme() {
  return localStorage.getItem(THEME) ?? "";
}

export function keepTheme(value) {
  localStorage.setItem(THEME, value);
  document.documentElement.dataset.theme = value;
}

/** Whether the guide to the first answer was put away. */
export function guideIsDone() {
  return localStorage.getItem(GUIDE) === "done";
}

export function keepGuideDone() {
  localStorage.setItem(GUIDE, "done");
}
