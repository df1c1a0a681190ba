"""Dependencies of downstream programs: the headers, and the modules that an import loads."""

import subprocess
import sys
from pathlib import Path

import schurscope as ss

HEADERS = Path(__file__).parents[1] / "cpp" / "schurscope"


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in files}


def test_the_installed_headers_are_those_of_the_source_tree():
    installed = Path(ss.get_include()) / "schurscope"
    assert contents(installed) == {
        path: text for path, text in contents(HEADERS).items() if path.suffix == ".hpp"
    }


def test_the_package_configuration_is_where_cmake_is_sent():
    names = {file.name for file in Path(ss.get_cmake_dir()).iterdir()}
    assert names == {
        "schurscope-config.cmake",
        "schurscope-config-version.cmake",
        "schurscope-eigen.cmake",
        "schurscope-targets.cmake",
    }


IMPORT = """
import sys
import numpy, numpy.random, numpy.typing, scipy
before = set(sys.modules)
import schurscope
print(*(name for name in sys.modules if name not in before))
"""


def test_an_import_loads_no_other_project_and_nothing_slow():
    run = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    projects = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names
    assert projects == {"schurscope"}
    leaves = {f"schurscope.{leaf}" for leaf in ("cli", "plotting", "reproduce", "sweep")}
    assert not loaded & leaves
