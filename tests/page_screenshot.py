"""The screenshots of a page in the README.

    python tests/page_screenshot.py .readme

trains a flip-flop network, diagnoses it, shows its page in Chromium and writes what is seen,
page.png and page-pairs.png. Needs `pip install ".[browser-test]"`, chromium and chromedriver.
"""

from __future__ import annotations

import base64
import sys
import tempfile
from pathlib import Path

import schurscope as ss
from browser import chromium, show

WIDTH = 1240  # CSS pixels
# From the top of one element to the bottom of another.
PARTS = {
    "page": ("header", "#couplings .columns"),
    "page-pairs": ("#cuts", "#pairs .columns"),
}


def main(folder: str) -> None:
    """Write the screenshots into `folder`."""
    task = ss.tasks.FlipFlop()
    network = ss.train(ss.init_network(task, 64, "orthogonal", rng=0), task, rng=1).network
    diagnosis = ss.diagnose(network, task.trials(1024, rng=2))
    with tempfile.TemporaryDirectory() as temporary, chromium() as driver:
        page = Path(temporary) / "network.html"
        diagnosis.report(page, title="Flip-flop, 64 units")
        show(driver, page, width=WIDTH, scale=1.25)
        for name, (first, last) in PARTS.items():
            top, bottom = driver.execute_script(
                "const box = (found) => document.querySelector(found).getBoundingClientRect();"
                "return [box(arguments[0]).top + scrollY, box(arguments[1]).bottom + scrollY];",
                first,
                last,
            )
            clip = {"x": 0, "y": top, "width": WIDTH, "height": bottom - top, "scale": 1}
            options = {"format": "png", "captureBeyondViewport": True, "clip": clip}
            shot = driver.execute_cdp_cmd("Page.captureScreenshot", options)
            (Path(folder) / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
