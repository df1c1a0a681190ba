"""Frameworks that tests compare with: heavy, and not needed by other tests."""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest


def framework(name):
    """The module; its tests are skipped without it, unless SCHURSCOPE_REQUIRE_FRAMEWORKS names it.

    The variable is a list of packages such as ``torch,safetensors``, or ``all``.
    """
    required = os.environ.get("SCHURSCOPE_REQUIRE_FRAMEWORKS", "").split(",")
    package = name.partition(".")[0]
    if "all" in required or package in required:
        return importlib.import_module(name)
    reason = f"needs {package}, of pyproject.toml's [reference] or [frameworks]"
    return pytest.importorskip(name, reason=reason)


class Lazily:
    """A framework that only some tests of a file need: skips those, at the first use."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(framework(self._name), attribute)
