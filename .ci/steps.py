"""What the sessions of noxfile.py share."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import nox

ROOT = Path(__file__).parents[1]


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


def is_up_to_date(session: nox.Session) -> bool:
    """Whether there is a wheel that is younger than everything in it."""
    wheels = list((session.cache_dir / "dist" / "published").glob("*.whl"))
    sources = [ROOT / "pyproject.toml", ROOT / "CMakeLists.txt", ROOT / "README.md"]
    for folder in ("cpp", "python"):
        sources += [p for p in (ROOT / folder).rglob("*.*") if "__pycache__" not in p.parts]
    youngest = max(path.stat().st_mtime for path in sources)
    return bool(wheels) and wheels[0].stat().st_mtime > youngest


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
    parallel = ["--parallel", os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", str(os.cpu_count()))]
    failure = ["--output-on-failure", "--no-tests=error"]
    session.run("ctest", "--test-dir", str(build), *parallel, *failure)


def cpp_tests(
    session: nox.Session, name: str, build_type: str, level: str, *arguments: str
) -> Path:
    """Build and run the C++ tests for this level."""
    build = scratch(session, f"cpp-{name}")
    cmake(
        session,
        ".",
        build,
        f"-DCMAKE_BUILD_TYPE={build_type}",
        f"-DCMAKE_PREFIX_PATH={prefix(session)}",
        "-DSCHURSCOPE_BUILD_TESTS=ON",
        f"-DSCHURSCOPE_TEST_LEVELS={level}",
        f"-DSCHURSCOPE_TEST_HEADERS={name == 'release'}",
        *arguments,
    )
    ctest(session, build)
    return build


def sanitized(
    session: nox.Session,
    compiler: str,
    sanitizers: str,
    runtime: str,
    flags: str,
    test_flags: str = "",
) -> Path:
    """Run the C++ tests under these sanitizers, and the extension; the folder of the former.

    On the best level that the machine runs, or on the one that the session was given.
    """
    needs(session, compiler)
    session.chdir(ROOT)
    install_wheel(session, "[dev]")
    name = sanitizers.split(",")[0]
    options = [f"-DCMAKE_CXX_COMPILER={compiler}", "-DSCHURSCOPE_WARNINGS_AS_ERRORS=ON"]
    instrumented = [
        f"-DCMAKE_CXX_FLAGS={flags} {test_flags}",
        f"-DSCHURSCOPE_SANITIZE={sanitizers}",
    ]
    level = (session.posargs or levels(session))[-1]
    build = cpp_tests(session, name, "None", level, *options, *instrumented)

    flags = f"-DCMAKE_CXX_FLAGS={flags} -fsanitize={sanitizers} -fno-sanitize-recover=all"
    package = extension(session, name, *options, flags)
    found = [f"-print-file-name={library}" for library in (runtime, "libstdc++.so")]
    paths = [str(session.run(compiler, f, external=True, silent=True)).strip() for f in found]
    env = {
        "PYTHONPATH": package,
        "LD_PRELOAD": " ".join(paths),  # with the C++ library, whose exceptions are intercepted
        # Python leaks on purpose; it is not instrumented, but its locks are seen.
        "ASAN_OPTIONS": "detect_leaks=0",
        "TSAN_OPTIONS": "ignore_noninstrumented_modules=1 halt_on_error=1",
    }
    session.run("python", "tests/threaded.py", env=env)
    return build


def extension(session: nox.Session, name: str, *arguments: str) -> str:
    """Build the extension, baseline, into a copy of the package; the folder to import it from."""
    build, package = scratch(session, f"extension-{name}"), scratch(session, f"package-{name}")
    pybind11 = printed(session, "import pybind11; print(pybind11.get_cmake_dir())")[0]
    cmake(
        session,
        ".",
        build,
        "-DCMAKE_BUILD_TYPE=None",
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
