"""The compiled core, in the best variant that this machine runs, chosen once at import.

The core is compiled once per instruction-set level. The environment variable `SCHURSCOPE_SIMD`
overrides the choice. A level that is unknown, not built or not supported by this machine raises
ImportError, and so does a variant that is installed but cannot be loaded.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from . import _cpu
from ._internal.checks import nonnegative_int

LEVELS: tuple[str, ...] = _cpu.LEVELS
RUNNABLE_LEVELS: tuple[str, ...] = _cpu.RUNNABLE_LEVELS


def _variant_name(level: str) -> str:
    return f"{__package__}._core_{level.replace('-', '_')}"


BUILT_LEVELS: tuple[str, ...] = tuple(
    level for level in LEVELS if find_spec(_variant_name(level)) is not None
)


def _listed(levels: Collection[str]) -> str:
    return ", ".join(repr(level) for level in levels) if levels else "none"


def _choose_level(requested: str | None, built: Sequence[str], runnable: Collection[str]) -> str:
    """The level to load: `requested`, or the last of `built` (lowest first) that is `runnable`."""
    if requested is None:
        usable = [level for level in built if level in runnable]
        if not usable:
            raise ImportError(
                f"schurscope was built for the instruction-set levels {_listed(built)}, "
                f"but this machine runs {_listed(runnable)}: rebuild it for this machine"
            )
        return usable[-1]
    complaint = ""
    if requested not in LEVELS:
        complaint = f"is not an instruction-set level; choose one of {_listed(LEVELS)}"
    elif requested not in built:
        complaint = f"this installation was built without; it has {_listed(built)}"
    elif requested not in runnable:
        complaint = f"this machine cannot run; it runs {_listed(runnable)}"
    if complaint:
        raise ImportError(
            f"SCHURSCOPE_SIMD is {requested!r}, which {complaint} "
            f"(unset it for the best level that this machine runs)"
        )
    return requested


def _load(level: str) -> ModuleType:
    try:
        return import_module(_variant_name(level))
    except ImportError as error:
        raise ImportError(
            f"the core for the instruction-set level {level!r} is installed but cannot be loaded: "
            f"{error}"
        ) from error


_variant = _load(
    _choose_level(os.environ.get("SCHURSCOPE_SIMD") or None, BUILT_LEVELS, RUNNABLE_LEVELS)
)

LEVEL: str = _variant.LEVEL
ACTIVATIONS: tuple[str, ...] = _variant.ACTIVATIONS
MEASURES: tuple[str, ...] = _variant.MEASURES
build_info = _variant.build_info
active_threads = _variant.active_threads
block_starts = _variant.block_starts
sort_blocks = _variant.sort_blocks
reorder_schur = _variant.reorder_schur
ablated_matrix = _variant.ablated_matrix
removed_masses = _variant.removed_masses
run_ablations = _variant.run_ablations
rollout = _variant.rollout
activate = _variant.activate
cayley_matrix = _variant.cayley_matrix
coupling_features = _variant.coupling_features
adjoints = _variant.adjoints
train = _variant.train
loss_gradient = _variant.loss_gradient


def resolve_threads(n_threads: int) -> int:
    """The number of threads to use for an `n_threads` argument, at least 1.

    A positive `n_threads` is returned unchanged. 0 means automatic: `SCHURSCOPE_NUM_THREADS`, else
    `OMP_NUM_THREADS` (the first entry of a list), else the processors available to this process,
    minus the threads already running in the core, so that concurrent calls share the machine. An
    empty variable counts as unset.

    Raises
    ------
    TypeError
        `n_threads` is not an integer.
    ValueError
        `n_threads` is negative, or the variable consulted is not a positive integer.
    """
    given = nonnegative_int(n_threads, "n_threads")
    if given > 0:
        return given
    total = (
        _threads_from_environment("SCHURSCOPE_NUM_THREADS")
        or _threads_from_environment("OMP_NUM_THREADS")
        or _usable_processors()
    )
    return max(1, total - active_threads())


def _threads_from_environment(variable: str) -> int | None:
    text = os.environ.get(variable)
    if not text:
        return None
    # OpenMP's variable may list one number for each level of nesting; the core has one level.
    number = text.split(",")[0] if variable == "OMP_NUM_THREADS" else text
    if not (number.strip().isdecimal() and int(number) > 0):
        raise ValueError(
            f"the environment variable {variable} must be a positive integer, got {text!r}"
        )
    return int(number)


def _usable_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
