"""The process environment of a fair one-thread comparison, and a description of the machine.

Imports nothing that reads the environment: `restart_if_needed` must come before NumPy.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
# Settings for another machine than this one, which make NumPy slower than it is.
SLOWS_NUMPY = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def restart_if_needed() -> None:
    """Run the same command again if the environment must change, which it says."""
    removed = [name for name in SLOWS_NUMPY if name in os.environ]
    wanted = {name: value for name, value in os.environ.items() if name not in removed} | ONE_THREAD
    if wanted == dict(os.environ):
        return
    if removed:
        print(
            f"started again without {', '.join(removed)}, which would slow NumPy down", flush=True
        )
    os.execve(sys.executable, sys.orig_argv, wanted)


def users_environment() -> dict[str, str]:
    """The environment without the limits to one thread, for a command timed as a user runs it."""
    return {name: value for name, value in os.environ.items() if name not in ONE_THREAD}


@contextmanager
def one_processor() -> Iterator[None]:
    """Keep this thread, and all that it starts, on one processor, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def processors() -> int:
    """How many processors this thread may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def installed(package: str) -> str:
    """The version of a package, or "" if it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def description() -> list[tuple[str, str]]:
    """What the numbers depend on."""
    import threadpoolctl

    import schurscope._core as core

    build = core.build_info()
    # SciPy brings a BLAS of its own; both must be limited.
    import scipy.linalg  # noqa: F401

    pools = threadpoolctl.threadpool_info()
    busy = [pool["filepath"] for pool in pools if pool["num_threads"] != 1]
    assert not busy, f"these libraries use several threads: {busy}"
    blas = {
        f"{pool['internal_api']} {pool['version']} {pool['architecture']}"
        for pool in pools
        if pool["user_api"] == "blas"
    }
    packages = ("numpy", "scipy", "torch", "jax")
    return [
        ("processor", f"{_processor()}, {processors()} usable"),
        ("load before the start", f"{os.getloadavg()[0]:.2f}"),
        ("schurscope", f"{installed('schurscope')}, commit {_commit()}"),
        ("level", f"{build['level']} ({build['vector_bits']}-bit vectors)"),
        ("compiler", f"{build['compiler']}, Eigen {build['eigen']}"),
        ("python", platform.python_version()),
        *((package, installed(package) or "not installed: skipped") for package in packages),
        ("BLAS of NumPy, SciPy", ", ".join(sorted(blas))),
    ]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(
        (part.strip() for part in line.split(":", 1)) for line in reversed(lines) if ":" in line
    )
    model = facts.get("model name", platform.machine())
    numbers = [f"{name} {facts[name]}" for name in ("cpu family", "model") if name in facts]
    return f"{model} ({', '.join(numbers)})" if numbers else model


def _commit() -> str:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "cpp", "python", "CMakeLists.txt")
        return git("rev-parse", "--short", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
