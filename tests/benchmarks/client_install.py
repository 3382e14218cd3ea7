"""What `pip install whence` brings, and how long `import whence` takes: the client alone, in an environment of its own.

    python tests/benchmarks/client_install.py

The last line has the median of eleven imports, each in a fresh process, beside an interpreter that imports nothing;
and the size of everything that pip installed, in MiB, beside gRPC and protobuf alone.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from measure import print_figures, print_machine

ROOT = Path(__file__).parents[2]
GRPC = ("grpcio", "protobuf", "googleapis-common-protos")


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        ours, bare = installed(Path(name) / "ours", str(ROOT)), installed(Path(name) / "bare", *GRPC)
        nothing, imported = seconds(ours, "pass"), seconds(ours, "import whence")
        for path in sorted(path.name for path in site(ours).glob("*.dist-info")):
            print(path.removesuffix(".dist-info"))
        print_figures(
            import_s=imported - nothing,
            interpreter_s=nothing,
            installed_mib=mebibytes(ours),
            grpc_and_protobuf_mib=mebibytes(bare),
        )


def installed(folder: Path, *packages: str) -> Path:
    """Return a new environment with these packages, in the versions that we test with."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    target = ["--target", str(site(folder)), "--quiet", "--no-compile", "--constraint", str(ROOT / "constraints.txt")]
    subprocess.run([sys.executable, "-m", "pip", "install", *target, *packages], check=True)
    return folder


def site(folder: Path) -> Path:
    return next((folder / "lib").glob("python*/site-packages"))


def seconds(folder: Path, program: str) -> float:
    """Return the median of eleven runs, after one that writes the bytecode."""
    command, times = [folder / "bin" / "python", "-c", program], []
    for _ in range(12):
        began = time.perf_counter()
        subprocess.run(command, check=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def mebibytes(folder: Path) -> float:
    files = (path for path in site(folder).rglob("*") if path.is_file() and path.suffix != ".pyc")
    return sum(path.stat().st_size for path in files) / (1 << 20)


if __name__ == "__main__":
    main()
