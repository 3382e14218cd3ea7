"""What every benchmark shares: a stopwatch that watches memory, the machine's name, and the last line."""

from __future__ import annotations

import os
import platform
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType


class Measured:
    """Wall seconds and peak resident memory, above what was resident before, of a ``with`` block."""

    def __init__(self) -> None:
        import psutil

        self._process = psutil.Process()
        self._done = threading.Event()
        self.seconds = 0.0
        self.peak_bytes = 0

    def __enter__(self) -> Measured:
        self._before = self._process.memory_info().rss
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        self._started = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._started
        self._done.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self.peak_bytes = max(self.peak_bytes, self._process.memory_info().rss - self._before)


def print_machine() -> None:
    """Print what the figures below were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    print(f"# {datetime.now(UTC):%Y-%m-%d} {model}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}")
    try:
        import torch
    except ImportError:
        return
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    print(f"# torch {torch.__version__}, {torch.get_num_threads()} threads, {device}")


def print_figures(**figures: float) -> None:
    """Print the figures as the last line: ``key=value`` pairs."""
    print(" ".join(f"{key}={value:.4g}" for key, value in figures.items()))
