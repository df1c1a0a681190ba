"""Frameworks that networks are imported from: heavy, and not needed for the other tests."""

from __future__ import annotations

import importlib
import os

import pytest


def framework(name):
    """The module; its tests are skipped without it, unless SCHURSCOPE_REQUIRE_FRAMEWORKS is set."""
    if os.environ.get("SCHURSCOPE_REQUIRE_FRAMEWORKS"):
        return importlib.import_module(name)
    return pytest.importorskip(name)
