// Tells what has changed to those who listen instead of look.

export function announce(text) {
  document.getElementById("announcer").textContent = text;
}
