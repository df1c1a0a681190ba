"""The choice of a compiled variant, how the variants agree, and the number of threads.

Variants are chosen at import, so tests of the choice run in separate processes.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from schurscope import _core, _cpu, _internal
from schurscope.networks.cell import Cell

USABLE = [level for level in _core.BUILT_LEVELS if level in _core.RUNNABLE_LEVELS]
BEST = USABLE[-1]
OVERRIDES = ("SCHURSCOPE_SIMD", "SCHURSCOPE_NUM_THREADS", "OMP_NUM_THREADS")


def run_python(code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in OVERRIDES}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def output_of(code: str, *arguments: str, **variables: str) -> str:
    done = run_python(code, *arguments, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def import_error_of(code: str, *arguments: str, **variables: str) -> str:
    """The message of the ImportError that ends `code`."""
    done = run_python(code, *arguments, **variables)
    assert done.returncode == 1, done.stdout + done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: "), done.stderr
    return last.removeprefix("ImportError: ")


# --- Which variant is loaded ----------------------------------------------------------------------


def test_every_built_level_is_known_and_the_baseline_runs_everywhere():
    assert set(_core.BUILT_LEVELS) <= set(_core.LEVELS)
    assert _core.RUNNABLE_LEVELS[0] == "baseline"
    assert _core.LEVELS[: len(_core.RUNNABLE_LEVELS)] == _core.RUNNABLE_LEVELS


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="the system does not list CPU flags")
def test_the_runnable_levels_agree_with_the_flags_that_the_system_lists():
    flags = set()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            flags = set(line.split(":")[1].split())
            break
    v3 = {"avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"} <= flags
    v4 = v3 and {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"} <= flags
    assert ("x86-64-v3" in _core.RUNNABLE_LEVELS) == v3
    assert ("x86-64-v4" in _core.RUNNABLE_LEVELS) == v4


def test_the_best_level_is_the_default():
    code = "from schurscope._core import LEVEL; print(LEVEL)"
    assert output_of(code) == BEST
    assert output_of(code, SCHURSCOPE_SIMD="") == BEST


@pytest.mark.parametrize("level", USABLE)
def test_the_override_loads_the_level_that_it_names(level):
    code = "from schurscope._core import LEVEL, build_info; print(LEVEL, build_info()['level'])"
    assert output_of(code, SCHURSCOPE_SIMD=level) == f"{level} {level}"


def test_an_unknown_level_is_refused_with_the_choices():
    message = import_error_of("import schurscope", SCHURSCOPE_SIMD="avx9")
    assert message.startswith("SCHURSCOPE_SIMD is 'avx9', which is not an instruction-set level")
    for level in _core.LEVELS:
        assert repr(level) in message


def test_a_level_beyond_the_machine_is_refused():
    expected = "'x86-64-v4', which this machine cannot run; it runs 'baseline', 'x86-64-v3'"
    with pytest.raises(ImportError, match=expected):
        _core._choose_level("x86-64-v4", _core.LEVELS, ["baseline", "x86-64-v3"])


def test_no_level_for_this_machine_is_an_error():
    with pytest.raises(ImportError, match="but this machine runs 'baseline': rebuild it for"):
        _core._choose_level(None, ["x86-64-v4"], ["baseline"])


@pytest.mark.parametrize("runnable", [_core.LEVELS[: n + 1] for n in range(len(_core.LEVELS))])
def test_the_default_is_the_highest_runnable_level(runnable):
    assert _core._choose_level(None, _core.LEVELS, runnable) == runnable[-1]


def variant_file(level: str) -> Path:
    module = importlib.import_module(f"schurscope._core_{level.replace('-', '_')}")
    return Path(module.__file__)


@pytest.fixture
def package_copy(tmp_path):
    """A package `probe` with nothing but copies of the compiled modules and what chooses them."""
    package = tmp_path / "probe"
    package.mkdir()
    (package / "__init__.py").touch()
    for module in (_core, _cpu):
        shutil.copy(module.__file__, package)
    shutil.copytree(Path(_internal.__file__).parent, package / "_internal")
    for level in USABLE:
        shutil.copy(variant_file(level), package)
    return package


PROBE = "import sys; sys.path.insert(0, sys.argv[1]); from probe._core import LEVEL; print(LEVEL)"


def test_a_level_that_was_not_built_is_refused_by_name_and_not_missed_otherwise(package_copy):
    assert output_of(PROBE, str(package_copy.parent)) == BEST
    (package_copy / variant_file(BEST).name).unlink()
    rest = [level for level in USABLE if level != BEST]
    message = import_error_of(PROBE, str(package_copy.parent), SCHURSCOPE_SIMD=BEST)
    assert f"{BEST!r}, which this installation was built without; it has" in message
    if rest:
        assert output_of(PROBE, str(package_copy.parent)) == rest[-1]


def test_a_damaged_variant_is_an_error_and_not_passed_over(package_copy):
    (package_copy / variant_file(BEST).name).write_bytes(b"no library")
    message = import_error_of(PROBE, str(package_copy.parent))
    assert message.startswith(f"the core for the instruction-set level {BEST!r} is installed but")


# --- How the levels agree -------------------------------------------------------------------------

ROLLOUT = """
import sys
import numpy as np
from schurscope import _core
from schurscope.networks.cell import Cell

rng = np.random.default_rng(7)
n_hidden, n_inputs, n_outputs, trials, steps = 37, 3, 5, 11, 40
W_hh = rng.standard_normal((n_hidden, n_hidden)) / np.sqrt(n_hidden)
rest = [
    rng.standard_normal(shape)
    for shape in [(n_hidden, n_inputs), n_hidden, (n_outputs, n_hidden), n_outputs]
]
inputs = rng.standard_normal((trials, steps, n_inputs))
results = {}
for dtype in (np.float32, np.float64):
    outputs = np.empty((trials, steps, n_outputs), dtype)
    states = np.empty((trials, steps, n_hidden), dtype)
    *weights, x = [array.astype(dtype) for array in (W_hh, *rest, inputs)]
    cell = Cell().names
    _core.rollout((*weights, None, cell), (x, None, None, None, None), outputs, states, 1)
    results[f"outputs_{dtype.__name__}"] = outputs
    results[f"states_{dtype.__name__}"] = states
np.savez(sys.argv[1], **results)
"""


@pytest.mark.skipif(len(USABLE) < 2, reason="one level alone is usable here")
def test_the_levels_agree_on_a_rollout(tmp_path):
    results = []
    for level in USABLE:
        file = tmp_path / f"{level}.npz"
        output_of(ROLLOUT, str(file), SCHURSCOPE_SIMD=level)
        with np.load(file) as arrays:
            results.append({name: arrays[name] for name in arrays.files})
    first, *others = results
    for name, expected in first.items():
        assert np.abs(expected).max() > 0.5
        tolerance = 1e-4 if expected.dtype == np.float32 else 1e-12
        for other in others:
            np.testing.assert_allclose(other[name], expected, rtol=0, atol=tolerance, err_msg=name)


# --- Threads --------------------------------------------------------------------------------------

THREADS = "from schurscope._core import resolve_threads; print(resolve_threads(0))"


def test_a_positive_number_of_threads_is_taken_as_it_is(monkeypatch):
    monkeypatch.setenv("SCHURSCOPE_NUM_THREADS", "3")
    assert _core.resolve_threads(5) == 5
    assert _core.resolve_threads(np.int64(7)) == 7


@pytest.mark.parametrize("wrong", [True, np.True_, 2.0, np.float64(2), "2", None])
def test_a_number_of_threads_that_is_no_integer_is_refused(wrong):
    with pytest.raises(TypeError, match="n_threads must be an integer, got"):
        _core.resolve_threads(wrong)


def test_a_negative_number_of_threads_is_refused():
    with pytest.raises(ValueError, match="n_threads must be at least 0, got -1"):
        _core.resolve_threads(-1)


def test_the_environment_decides_the_automatic_number():
    assert output_of(THREADS, SCHURSCOPE_NUM_THREADS="7", OMP_NUM_THREADS="5") == "7"
    assert output_of(THREADS, SCHURSCOPE_NUM_THREADS="", OMP_NUM_THREADS="5") == "5"
    assert output_of(THREADS, OMP_NUM_THREADS="3,2") == "3"


@pytest.mark.parametrize("variable", ["SCHURSCOPE_NUM_THREADS", "OMP_NUM_THREADS"])
@pytest.mark.parametrize("wrong", ["0", "-2", "two", "1.5", "²", " "])
def test_a_wrong_environment_variable_is_named(monkeypatch, variable, wrong):
    monkeypatch.delenv("SCHURSCOPE_NUM_THREADS", raising=False)
    monkeypatch.setenv(variable, wrong)
    with pytest.raises(ValueError, match=f"{variable} must be a positive integer, got {wrong!r}"):
        _core.resolve_threads(0)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no processor affinity here")
def test_the_automatic_number_is_that_of_the_processors_this_process_may_use():
    usable = os.sched_getaffinity(0)
    assert output_of(THREADS) == str(len(usable))
    pinned = f"import os; os.sched_setaffinity(0, {{{min(usable)}}}); {THREADS}"
    assert output_of(pinned) == "1"


def test_threads_at_work_in_the_core_are_left_out_of_the_automatic_number(monkeypatch):
    rng = np.random.default_rng(3)
    n_hidden, trials, steps = 64, 64, 20000
    weights = [
        rng.standard_normal(shape) / 8
        for shape in [(n_hidden, n_hidden), (n_hidden, 1), n_hidden, (1, n_hidden), 1]
    ]
    inputs = rng.standard_normal((trials, steps, 1))
    outputs = np.empty((trials, steps, 1))
    network = (*weights, None, Cell().names)
    arguments = (network, (inputs, None, None, None, None), outputs, None, 2)
    worker = threading.Thread(target=_core.rollout, args=arguments)
    monkeypatch.setenv("SCHURSCOPE_NUM_THREADS", "64")
    observed = set()
    worker.start()
    while worker.is_alive():
        before, resolved, after = (
            _core.active_threads(),
            _core.resolve_threads(0),
            _core.active_threads(),
        )
        if before == after:
            observed.add((before, resolved))
    worker.join()
    assert (2, 62) in observed
    assert _core.resolve_threads(0) == 64
    monkeypatch.setenv("SCHURSCOPE_NUM_THREADS", "1")
    assert _core.resolve_threads(0) == 1
