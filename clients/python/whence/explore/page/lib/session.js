// What this browser keeps: the key, until the tab is closed; the theme, for good.

const KEY = "whence-key";
const THEME = "whence-theme";

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
