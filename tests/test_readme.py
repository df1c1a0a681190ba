"""The README's example, run as it stands, against the output that the README shows."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def rows(text):
    """Name → numbers of each row of a printed profile."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"((?:full|RR|CR|CC)[+RC]*) +(\S.*)", line)
        if match:
            found[match[1]] = [float(number) for number in match[2].split()]
    return found


def test_example_prints_what_the_readme_shows():
    text = README.read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    shown = re.search(r"```text\n(.*?)```", text, re.DOTALL)[1]
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True, timeout=120
    )
    assert run.stderr == ""
    printed, expected = rows(run.stdout), rows(shown)
    assert list(printed) == list(expected)
    assert len(expected) == 8
    # Training rounds differently on another instruction-set level: the sizes agree, not the digits.
    for name, numbers in expected.items():
        assert printed[name][0] < 3 * numbers[0]
        assert numbers[0] < 3 * printed[name][0]
