"""The screenshot of a page in the README.

    python tests/page_screenshot.py .readme/page.png

trains a flip-flop network, diagnoses it, writes its page and shows the page in Chromium. Needs
`pip install ".[browser-test]"`, chromium and chromedriver.
"""

from __future__ import annotations

import base64
import sys
import tempfile
from pathlib import Path

import schurscope as ss
from browser import chromium, show


def main(path: str) -> None:
    """Write the screenshot to `path`."""
    task = ss.tasks.FlipFlop()
    network = ss.train(ss.init_network(task, 64, "orthogonal", rng=0), task, rng=1).network
    diagnosis = ss.diagnose(network, task.trials(1024, rng=2))
    with tempfile.TemporaryDirectory() as folder, chromium() as driver:
        page = Path(folder) / "network.html"
        diagnosis.report(page, title="Flip-flop, 64 units")
        show(driver, page, width=1240, scale=1.25)
        top, bottom = driver.execute_script(
            "const box = (name) => document.getElementById(name).getBoundingClientRect();"
            "return [0, box('pair-filter').top + scrollY - 8];"
        )
        clip = {"x": 0, "y": top, "width": 1240, "height": bottom - top, "scale": 1}
        options = {"format": "png", "captureBeyondViewport": True, "clip": clip}
        shot = driver.execute_cdp_cmd("Page.captureScreenshot", options)
    Path(path).write_bytes(base64.b64decode(shot["data"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
