"""Results as standard JSON, written atomically; and JSON from strangers."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .files import atomic_path

__all__ = ["parse_json", "plain", "without_repeats", "write_json"]

MAX_NUMBERS = 16_000_000
"""Entries of all lists and objects of a text: a matrix of 4000 × 4000 numbers."""

MAX_CONTAINERS = 500_000
"""Strings, lists and objects of a text, which cost most of the time."""


def parse_json(text: bytes) -> Any:
    """The content of a JSON text in UTF-8.

    ValueError if it is not JSON, if a name occurs twice in one object, or if its size would make
    reading it take long; RecursionError if it is nested too deeply.
    """
    for marks, most, what in (
        (b",", MAX_NUMBERS, "entries"),
        (b'"[{', MAX_CONTAINERS, "strings, lists and objects"),
    ):
        if sum(text.count(mark) for mark in (bytes([code]) for code in marks)) > most:
            raise ValueError(f"it has more than {most} {what}; use .safetensors or .npz instead")
    return json.loads(text.decode("utf-8"), object_pairs_hook=without_repeats)


def without_repeats(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """The dictionary of these pairs; ValueError if a name occurs twice."""
    pairs = list(pairs)
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, times in Counter(n for n, _ in pairs).items() if times > 1)
        raise ValueError(f"the name {twice!r} occurs twice in one object")
    return found


def plain(value: Any) -> Any:
    """`value` with arrays as lists and non-finite numbers as None, for JSON."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write `content` to exactly `path`, atomically, in the form that `plain` gives it."""
    text = json.dumps(plain(content), indent=1, allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
