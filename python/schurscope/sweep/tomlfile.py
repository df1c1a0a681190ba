"""TOML files, and the lines on which their values are."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["line_of", "toml_reader"]


def toml_reader() -> ModuleType:
    """Python's own reader of TOML, or the package that it came from."""
    try:
        return import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    except ImportError as error:
        raise ImportError('TOML files need tomli: pip install "schurscope[sweep]"') from error


def line_of(text: str, where: tuple[str | int, ...]) -> int:
    """The line of a TOML text on which the value at `where` begins; 0 if there is none.

    It is the first line after the longest head of the text that is TOML and lacks the value; so
    the one TOML reader decides, also about arrays over several lines.
    """
    if not where:
        return 0
    lines = text.splitlines(keepends=True)
    toml = toml_reader()
    before = 0
    for count in range(1, len(lines) + 1):
        try:
            value: Any = toml.loads("".join(lines[:count]))
        except toml.TOMLDecodeError:
            continue
        try:
            for key in where:
                value = value[key]
        except (KeyError, IndexError, TypeError):
            before = count
        else:
            return before + 1
    return 0
