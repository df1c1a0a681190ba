"""Parts of SciPy that load at their first use, in a process that forks."""

from __future__ import annotations

import os
from importlib import import_module

__all__ = ["load_before_forks"]

_late: list[str] = []


def load_before_forks(name: str) -> None:
    """Say that a call may load the module `name`, which is too slow to load with this package.

    A fork while another thread loads it would copy the module's lock, held by a thread that the
    child does not have, and the child would wait for it forever. So a fork first loads the module,
    or waits until the other thread has.
    """
    _late.append(name)


def _load() -> None:
    for name in _late:
        import_module(name)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_load)
