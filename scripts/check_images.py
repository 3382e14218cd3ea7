"""Runs the images that ``make images`` built, as a cluster would, and prints what each is and weighs.

Every container has a read-only root, /tmp in memory, no capabilities and a user without rights, and Whence is its first
process. The jobs make artefacts of the demo's model, both workers serve them, the front end answers from both, and all
end on SIGTERM with exit code 0. Needs podman or docker.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc

import whence
from whence.cli.checks import health

DEMO: Final = Path(__file__).parents[1] / "backends" / "whence_backends" / "demo"
DOCUMENTS: Final = 200
# Each image with the packages of these that it has: torch, onnxruntime, numpy, pip, ensurepip.
IMAGES: Final = {
    "front-end": [],
    "worker": ["torch", "numpy"],
    "worker-onnx": ["onnxruntime", "numpy"],
    "jobs": ["torch", "onnxruntime", "numpy"],
}
FRONT_END: Final = "whence.v1.AttributionService"
WORKER: Final = "whence.worker.v1.WorkerService"
# podman would put writable file systems of its own over parts of a read-only root.
STRICTLY: Final = {"podman": ("--read-only-tmpfs=false",)}
CONFINED: Final = (
    "--read-only",
    "--tmpfs=/tmp",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--network=host",
)

# Runs inside an image, and prints what its user finds there.
LOOK_INSIDE: Final = """
import importlib.util, json, os
folders = [folder for folder, *_ in os.walk("/") if not folder.startswith(("/proc", "/sys", "/dev"))]
programs = [name for folder in ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/bin", "/sbin")
            if os.path.isdir(folder) for name in os.listdir(folder)]
packages = ("torch", "onnxruntime", "numpy", "pip", "ensurepip")
print(json.dumps({
    "user": os.getuid(),
    "process": os.getpid(),
    "writable": [folder for folder in folders if os.access(folder, os.W_OK)],
    "programs": sorted({name for name in programs if not name.startswith("python3")}),
    "packages": [name for name in packages if importlib.util.find_spec(name)],
}))
"""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """The program that runs containers, and the names of the images."""

    program: str
    repository: str
    tag: str
    data: Path

    def image(self, name: str) -> str:
        """Return the whole name of an image."""
        return f"{self.repository}/{name}:{self.tag}"

    def command(self, name: str, *arguments: str, options: tuple[str, ...] = ()) -> list[str]:
        """Return the command that runs a confined container of an image."""
        confined = (*CONFINED, *STRICTLY.get(Path(self.program).name, ()), f"--volume={self.data}:/data")
        return [self.program, "run", *confined, *options, self.image(name), *arguments]

    def run(self, name: str, *arguments: str, options: tuple[str, ...] = ()) -> str:
        """Run a container to its end and return its output; what it says on stderr is shown where it fails."""
        return _output(self.command(name, *arguments, options=("--rm", *options)))

    def inspect(self, name: str) -> dict[str, Any]:
        """Return the description of an image, in the words of the engine."""
        described: list[dict[str, Any]] = json.loads(_output([self.program, "image", "inspect", self.image(name)]))
        return described[0]

    @contextmanager
    def serving(self, name: str, service: str, *arguments: str) -> Iterator[tuple[str, float]]:
        """Give the address of a container that serves and the seconds that it took; it ends on SIGTERM with code 0."""
        address, begun = f"127.0.0.1:{_free_port()}", time.monotonic()
        command = self.command(name, *arguments, "--address", address, options=("--detach",))
        container = _output(command).strip()
        try:
            _wait(lambda: _health(address, service) == "SERVING", f"{name} serves", lambda: self.log(container))
            yield address, time.monotonic() - begun
            _output([self.program, "kill", "--signal=TERM", container])
            code = _output([self.program, "wait", container]).strip()
            log = self.log(container)
            _require(code == "0" and '"draining"' in log and '"stopped"' in log, f"{name} drains (code {code}): {log}")
        finally:
            subprocess.run([self.program, "rm", "--force", container], capture_output=True, check=False)

    def log(self, container: str) -> str:
        """Return the log of a container."""
        done = subprocess.run([self.program, "logs", container], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr


def check_contents(engine: Engine, name: str) -> None:
    """Check what an image says about itself, and what is in it."""
    config = engine.inspect(name)["Config"]
    _require(config.get("User") == "10001:10001", f"{name} has the user {config.get('User')}")
    _require(config.get("Entrypoint") == ["whence"], f"{name} starts {config.get('Entrypoint')}")
    labels = {key for key, value in config.get("Labels", {}).items() if value}
    missing = {f"org.opencontainers.image.{key}" for key in ("title", "version", "revision", "licenses")} - labels
    _require(not missing, f"{name} lacks the labels {missing}")
    inside = json.loads(engine.run(name, "-c", LOOK_INSIDE, options=("--entrypoint=python",)))
    expected = {"user": 10001, "process": 1, "writable": ["/tmp"], "programs": ["ldconfig"], "packages": IMAGES[name]}
    _require(inside == expected, f"{name} holds {inside}, and not {expected}")


def make_artefacts(engine: Engine) -> None:
    """Run the jobs on the first documents of the demo's corpus."""
    shutil.copytree(DEMO / "model", engine.data / "model")
    lines = (DEMO / "corpus.jsonl").read_text().splitlines(keepends=True)
    (engine.data / "documents.jsonl").write_text("".join(lines[:DOCUMENTS]))
    engine.data.chmod(0o777)
    made = ("--model", "model", "--corpus", "corpus")
    engine.run("jobs", "corpus", "documents.jsonl", "--model", "model", "--out", "corpus")
    engine.run("jobs", "fit", *made, "--out", "factors")
    engine.run("jobs", "index", *made, "--factors", "factors", "--out", "index")
    engine.run("jobs", "export", "--model", "model", "--factors", "factors", "--out", "exported")


def check_service(engine: Engine) -> dict[str, float]:
    """Serve what the jobs made with both engines, ask the front end, and return the seconds until each served."""
    made = ("--factors", "factors", "--corpus", "corpus", "--index", "index")
    by_torch = ("worker", "--model", "model", "--name", "by-torch", *made)
    by_onnx = ("worker", "--model", "exported", "--name", "by-onnx", *made)
    with ExitStack() as stack:
        worker, worker_s = stack.enter_context(engine.serving("worker", WORKER, *by_torch))
        worker_onnx, worker_onnx_s = stack.enter_context(engine.serving("worker-onnx", WORKER, *by_onnx))
        workers = ("serve", "--worker", worker, "--worker", worker_onnx)
        front_end, front_end_s = stack.enter_context(engine.serving("front-end", FRONT_END, *workers))
        check_answers(engine, front_end)
    return {"worker": worker_s, "worker-onnx": worker_onnx_s, "front-end": front_end_s}


def check_answers(engine: Engine, address: str) -> None:
    """Ask the front end from containers of its own image: is all well, and do the engines agree on the best hits?"""
    verdict = json.loads(engine.run("front-end", "doctor", "--json", "--server", address))
    _require(verdict["ok"], f"doctor: {verdict}")
    query = ("--prompt", "The capital of Myrrenland is", "--completion", " Marrford", "--top-k", "3", "--json")

    def best(model: str) -> list[str]:
        answer = json.loads(engine.run("front-end", "attribute", *query, "--model", model, "--server", address))
        return [hit["sequence_id"] for hit in answer["positive"]]

    by_torch, by_onnx = best("by-torch"), best("by-onnx")
    _require(len(by_torch) == 3 and by_torch == by_onnx, f"the engines agree: {by_torch} and {by_onnx}")


def main() -> None:
    """Check the images, and print a table of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=shutil.which("podman") or "docker")
    parser.add_argument("--repository", default="whence")
    parser.add_argument("--tag", default=whence.__version__)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(program=given.program, repository=given.repository, tag=given.tag, data=Path(folder))
        for name in IMAGES:
            check_contents(engine, name)
        _write("Each image holds what it should, and its user can write nothing.")
        make_artefacts(engine)
        _write("The jobs made a corpus, factors, an index and an export.")
        seconds = check_service(engine)
        _write("The workers and the front end served, agreed, and drained on SIGTERM.", "")
    _write("| Image | Size | Serves after |", "| --- | --- | --- |")
    for name in IMAGES:
        size = engine.inspect(name)["Size"] / 1e6
        _write(f"| `{name}` | {size:,.0f} MB | {f'{seconds[name]:.1f} s' if name in seconds else ''} |")


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    _require(done.returncode == 0, f"{' '.join(command)} (code {done.returncode}): {done.stdout}{done.stderr}")
    return done.stdout


def _require(holds: bool, statement: str) -> None:
    if not holds:
        sys.exit(f"does not hold: {statement}")


def _wait(condition: Callable[[], bool], statement: str, log: Callable[[], str], timeout_s: float = 120) -> None:
    give_up = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > give_up:
            sys.exit(f"not within {timeout_s} s: {statement}: {log()}")
        time.sleep(0.1)


def _health(address: str, service: str) -> str:
    with grpc.insecure_channel(address) as channel:
        try:
            return health.check(channel, service, 1)
        except grpc.RpcError as error:
            return str(error)


def _free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _write(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
