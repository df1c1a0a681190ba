"""The README's examples, run as they stand, against the output that the README shows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from frameworks import framework

README = Path(__file__).parents[1] / "README.md"


def rows(text):
    """Name → numbers of each row of a printed profile."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"((?:full|RR|CR|CC|BB)[+RC]*) +(\S.*)", line)
        if match:
            found[match[1]] = [float(number) for number in match[2].split()]
    return found


def example(place, folder):
    """What the README's example prints, and what the README shows."""
    text = README.read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[place]
    shown = re.findall(r"```text\n(.*?)```", text, re.DOTALL)[place]
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=600,
        cwd=folder,
    )
    assert run.stderr == ""
    return run.stdout, shown


def test_example_prints_what_the_readme_shows(tmp_path):
    printed, shown = example(0, tmp_path)
    printed, expected = rows(printed), rows(shown)
    assert list(printed) == list(expected)
    assert len(expected) == 9
    # Training rounds differently on another instruction-set level: the sizes agree, not the digits.
    for name, numbers in expected.items():
        assert printed[name][0] < 3 * numbers[0]
        assert numbers[0] < 3 * printed[name][0]


@pytest.mark.slow
def test_a_diagnosis_says_what_the_readme_shows(tmp_path):
    printed, shown = example(1, tmp_path)
    verdict = re.compile(
        r"^(?:RR|CR|CC|BB): (?:not needed|needed|a burden|undecided)", re.MULTILINE
    )
    assert verdict.findall(printed) == verdict.findall(shown)
    assert [line[:7] for line in printed.splitlines()[-5:]] == [
        line[:7] for line in shown.splitlines()[-5:]
    ]


def test_a_flip_flop_has_the_fixed_points_that_the_readme_shows(tmp_path):
    printed, shown = example(2, tmp_path)
    # Another instruction-set level may miss a saddle, but no memory.
    points = re.compile(r"FixedPoints\((\d+) points, 8 stable, 1 condition, 0 of 400 starts unconv")
    assert abs(int(points.match(printed)[1]) - int(points.match(shown)[1])) <= 2


def test_your_own_network_is_imported_as_the_readme_shows(tmp_path):
    framework("torch")
    printed, shown = example(3, tmp_path)
    assert printed == shown
