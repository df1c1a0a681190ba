"""TOML files, and the line numbers of their values."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["line_of", "toml_reader"]


def toml_reader() -> ModuleType:
    """The standard library's TOML reader, or its backport tomli."""
    try:
        return import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    except ImportError as error:
        raise ImportError('TOML files need tomli: pip install "schurscope[sweep]"') from error


def line_of(text: str, where: tuple[str | int, ...]) -> int:
    """The line where the value at `where` begins in a TOML text; 0 if it is absent.

    It follows the longest prefix of lines that is valid TOML without the value; parsing prefixes
    also handles arrays that span several lines.
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
