"""Where the installed C++ headers are, for projects that build on them."""

from pathlib import Path

from .. import _cpu

__all__ = ["get_cmake_dir", "get_include"]

# What CMake installs lies together; of an editable installation, apart from the Python files.
_INSTALLED = Path(_cpu.__file__).parent


def get_include() -> str:
    """The folder to put on a C++ compiler's include path: ``#include <schurscope/schur.hpp>``.

    The headers need those of Eigen 3.4 as well, and GCC or Clang with C++17. Take
    `get_cmake_dir` where CMake builds: it knows of all that.
    """
    return str(_INSTALLED / "include")


def get_cmake_dir() -> str:
    """The folder of schurscope-config.cmake, for ``find_package(schurscope)``.

    Hand it to CMake as ``-Dschurscope_DIR=…``; the target to link is ``schurscope::schurscope``.
    Eigen 3.4 is looked for where this package is installed (``pip install "cmeel-eigen<4"``) and
    in the usual places.
    """
    return str(_INSTALLED / "cmake")
