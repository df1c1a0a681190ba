"""Chromium without a display, for the tests of pages."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest


def require_browser():
    """Skip the module unless Selenium, axe-core, Chromium and its driver are there.

    With SCHURSCOPE_REQUIRE_BROWSER set, what is missing is an error.
    """
    packages = [
        name
        for name in ("selenium", "axe_playwright_python", "pypdf")
        if importlib.util.find_spec(name) is None
    ]
    programs = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if not packages and not programs:
        return
    missing = f"no {', '.join(packages + programs)}"
    if os.environ.get("SCHURSCOPE_REQUIRE_BROWSER"):
        raise RuntimeError(missing)
    pytest.skip(missing, allow_module_level=True)


@contextmanager
def chromium(downloads=None):
    """A Selenium driver; its console is kept, and it cannot reach a network."""
    webdriver = importlib.import_module("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options, service)
    try:
        driver.set_page_load_timeout(120)
        driver.set_script_timeout(120)
        offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        driver.execute_cdp_cmd("Network.enable", {})
        driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
        if downloads is not None:
            where = {"behavior": "allow", "downloadPath": str(downloads)}
            driver.execute_cdp_cmd("Browser.setDownloadBehavior", where)
        yield driver
    finally:
        driver.quit()


def show(driver, path, *, width=1280, height=900, dark=False, scale=1):
    """Open a page of a file, and wait until it is ready."""
    wait = importlib.import_module("selenium.webdriver.support.ui").WebDriverWait
    metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    driver.get(Path(path).resolve().as_uri())
    ready = "return 'ready' in document.documentElement.dataset"
    wait(driver, 120).until(lambda d: d.execute_script(ready))


def axe_source():
    """The script of axe-core, from the package that ships it."""
    (folder,) = importlib.util.find_spec("axe_playwright_python").submodule_search_locations
    return (Path(folder) / "axe.min.js").read_text(encoding="utf-8")
