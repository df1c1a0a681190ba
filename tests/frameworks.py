"""Frameworks for the importer tests: heavy, and not needed by other tests."""

from __future__ import annotations

import importlib
import os

import pytest


def framework(name):
    """The module; its tests are skipped without it, unless SCHURSCOPE_REQUIRE_FRAMEWORKS names it.

    The variable is a list of packages such as ``torch,safetensors``, or ``all``.
    """
    required = os.environ.get("SCHURSCOPE_REQUIRE_FRAMEWORKS", "").split(",")
    if "all" in required or name.partition(".")[0] in required:
        return importlib.import_module(name)
    return pytest.importorskip(name)
