"""Opening a page in the user's browser."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser


def show(url: str, *, wanted: bool | None) -> None:
    """Open a page in a browser, without waiting. ``wanted``: ``None`` for where there is a display and a terminal."""
    if _has_display() if wanted is None else wanted:
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


def _has_display() -> bool:
    if not sys.stdout.isatty():
        return False
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
