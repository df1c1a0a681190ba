"""Results in one file: their arrays as they are, everything else as JSON."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from .._internal.files import MAX_BYTES, Array, load_npz, read_npz, save_npz
from ..ablation.measures import MEASURES, Measure, Score

__all__ = ["load_result", "save_result"]

_CONTENT = "content"


def save_result(path: str | os.PathLike[str], file_format: str, result: object) -> None:
    """Write a result, a dataclass of arrays, plain values and other results, atomically."""
    arrays: dict[str, Array] = {}
    content = _Writer(arrays).encoded(result, "result")
    arrays[_CONTENT] = np.array(json.dumps(content, allow_nan=False))
    save_npz(path, file_format, arrays)


def load_result(
    path: str | os.PathLike[str],
    file_format: str,
    types: Mapping[str, type],
    max_bytes: int = MAX_BYTES,
) -> Any:
    """The result that `save_result` wrote, of these types; nothing is unpickled.

    OSError if the file cannot be read; ValueError if it is damaged or of another format.
    """
    names = tuple(read_npz(path, max_bytes)[0])
    arrays = load_npz(path, file_format, (_CONTENT,), names, max_bytes)
    try:
        return _Reader(arrays, types).decoded(json.loads(arrays[_CONTENT].item()))
    except (AttributeError, KeyError, IndexError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not hold a valid result: {error!r}") from error


_DESCRIBED = ("heading", "label", "unit", "better", "baseline")


def _described(measure: Measure) -> dict[str, Any]:
    """What a loaded result must know of a measure. Its scores are not written."""
    own = (
        {}
        if MEASURES.get(measure.name) is measure
        else {name: getattr(measure, name) for name in _DESCRIBED}
    )
    return {"name": measure.name, **own}


def _measure(described: dict[str, Any]) -> Measure:
    """The measure of that name, or one with what is written of a user's."""
    if len(described) == 1:
        return MEASURES[described["name"]]
    measure = Score(described["name"])
    for name in _DESCRIBED:
        setattr(measure, name, described[name])
    return measure


class _Writer:
    """Encodes values. A result that occurs twice, such as a Schur form, is written once."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        self._arrays = arrays
        self._written: dict[int, str] = {}

    def encoded(self, value: Any, name: str) -> Any:
        """`value` as JSON, with its arrays under names that begin with `name`."""
        if isinstance(value, np.ndarray):
            self._arrays[name] = value
            return {"array": name}
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, float) and not math.isfinite(value):
            return {"float": repr(value)}
        if isinstance(value, Measure):
            return {"measure": _described(value)}
        if isinstance(value, Mapping):
            return {"mapping": {key: self.encoded(v, f"{name}.{key}") for key, v in value.items()}}
        if hasattr(value, "_fields") or is_dataclass(value):
            return self._record(value, name)
        if isinstance(value, (list, tuple)):
            return {"tuple": [self.encoded(v, f"{name}.{i}") for i, v in enumerate(value)]}
        return value

    def _record(self, value: Any, name: str) -> Any:
        if id(value) in self._written:
            return {"same": self._written[id(value)]}
        self._written[id(value)] = name
        keys = (
            [item.name for item in fields(value) if item.init]
            if is_dataclass(value)
            else value._fields
        )
        parts = {key: self.encoded(getattr(value, key), f"{name}.{key}") for key in keys}
        return {"type": type(value).__name__, "name": name, "fields": parts}


class _Reader:
    def __init__(self, arrays: Mapping[str, Array], types: Mapping[str, type]) -> None:
        self._arrays, self._types = arrays, types
        self._read: dict[str, Any] = {}

    def decoded(self, content: Any) -> Any:
        """The value that was encoded."""
        if not isinstance(content, dict):
            return content
        if "type" in content:
            make: Callable[..., Any] = self._types[content["type"]]
            parts = {key: self.decoded(part) for key, part in content["fields"].items()}
            self._read[content["name"]] = make(**parts)
            return self._read[content["name"]]
        ((kind, value),) = content.items()
        readers: dict[str, Callable[[Any], Any]] = {
            "array": lambda name: self._arrays[name],
            "float": float,
            "measure": _measure,
            "mapping": lambda parts: {key: self.decoded(part) for key, part in parts.items()},
            "tuple": lambda parts: tuple(self.decoded(part) for part in parts),
            "same": lambda name: self._read[name],
        }
        return readers[kind](value)
