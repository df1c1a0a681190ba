"""Locations of the installed C++ headers, for projects that build on them."""

from pathlib import Path

from .. import _cpu

__all__ = ["get_cmake_dir", "get_include"]

# CMake installs its files together; in an editable installation, apart from the Python files.
_INSTALLED = Path(_cpu.__file__).parent


def get_include() -> str:
    """The folder for a C++ compiler's include path: ``#include <schurscope/schur.hpp>``.

    The headers also need Eigen 3.4 or 5, and GCC or Clang with C++17. With CMake, `get_cmake_dir`
    takes care of both.
    """
    return str(_INSTALLED / "include")


def get_cmake_dir() -> str:
    """The folder of schurscope-config.cmake, for ``find_package(schurscope)``.

    Pass it to CMake as ``-Dschurscope_DIR=…``; the target to link is ``schurscope::schurscope``.
    CMake looks for Eigen where this package is installed (``pip install "cmeel-eigen<4"``) and
    in the usual places.
    """
    return str(_INSTALLED / "cmake")
