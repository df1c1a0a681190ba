"""Pages in Chromium: from a file, without a network, by pointer and by keyboard, and on paper."""

from __future__ import annotations

import base64
import csv
import io
import re
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import schurscope as ss
from browser import axe_source, chromium, require_browser, show
from made_diagnoses import enlarged, small, small_gated

require_browser()

import pypdf  # noqa: E402
from selenium.webdriver import ActionChains, Keys  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import Select  # noqa: E402

ATTACK = '</script><img src=x onerror="window.attacked = 1"><!-- <script> \'&'


@pytest.fixture(scope="module")
def found():
    return small()


@pytest.fixture(scope="module")
def gated():
    return small_gated("lstm")


@pytest.fixture(scope="module")
def folder(found, gated, tmp_path_factory):
    """The pages of all tests."""
    folder = tmp_path_factory.mktemp("pages")
    found.report(folder / "network.html")
    names = ("removable", "pairs_null", "partition_null", "account")
    names += ("trajectories", "trial_effects")
    bare = replace(found, curves={}, **dict.fromkeys(names))
    bare.report(folder / "bare.html")
    replace(found, profile=replace(found.profile, alpha=1e-3)).report(folder / "whole.html")
    found.report(folder / "strange.html", title=ATTACK, facts={ATTACK: ATTACK})
    found.profile.report(folder / "profile.html")
    ss.report([found, found], folder / "two.html", names=["b", "a"], links=["network.html", "x"])
    ss.report([found] * 14, folder / "many.html", groups=["a"] * 7 + ["b"] * 7)
    enlarged(found, 512, 1024).report(folder / "large.html")
    gated.report(folder / "gated.html")
    gated.profile.report(folder / "gated-profile.html")
    ss.report([found, gated], folder / "cells.html")
    (folder / "downloads").mkdir()
    return folder


@pytest.fixture(scope="module")
def browser(folder):
    with chromium(folder / "downloads") as driver:
        yield driver


@pytest.fixture
def driver(browser, folder):
    """The page of the network, opened; afterwards the console must be empty."""
    show(browser, folder / "network.html")
    yield browser
    assert browser.get_log("browser") == []


def at(driver, name):
    return driver.find_element(By.ID, name)


def fields(driver, table):
    """What a table of named cells shows."""
    cells = at(driver, table).find_elements(By.CSS_SELECTOR, "[data-field]")
    return {cell.get_attribute("data-field"): cell.get_attribute("textContent") for cell in cells}


def column(driver, place):
    """The exact values of a column of the visible rows of the table of pairs."""
    return driver.execute_script(
        "return [...document.querySelectorAll('#table-pairs tbody tr:not([hidden])')]"
        ".map((row) => row.cells[arguments[0]].dataset.v)",
        place,
    )


def number(text):
    return float(text.split()[0].replace("−", "-"))


def scrolled_to(driver, element):
    options = "{block: 'center', behavior: 'instant'}"
    driver.execute_script(f"arguments[0].scrollIntoView({options})", element)
    return element


@pytest.mark.parametrize(
    "name",
    [
        *("network", "bare", "whole", "strange", "profile", "two", "many", "large"),
        *("gated", "gated-profile", "cells"),
    ],
)
def test_pages_open_from_files_without_a_network_or_a_message(browser, folder, name):
    show(browser, folder / f"{name}.html")
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert browser.execute_script("return navigator.onLine") is False
    assert browser.get_log("browser") == []


def test_the_policy_stops_foreign_scripts_and_styles(browser, folder):
    page = (folder / "network.html").read_text(encoding="utf-8")
    evil = "<script>window.attacked = 1</script><p id=p style='color: red' onclick='attacked = 1'>x"
    (folder / "evil.html").write_text(page.replace("</body>", f"{evil}</body>"), encoding="utf-8")
    show(browser, folder / "evil.html")
    browser.execute_script("document.getElementById('p').click()")
    assert browser.execute_script("return window.attacked") is None
    messages = browser.get_log("browser")
    assert messages
    assert all("Content Security Policy" in message["message"] for message in messages)


def test_names_are_shown_as_text(browser, folder):
    show(browser, folder / "strange.html")
    assert browser.find_element(By.TAG_NAME, "h1").text == ATTACK
    assert browser.title == ATTACK
    assert ATTACK in at(browser, "table-provenance").text
    assert not browser.find_elements(By.TAG_NAME, "img")
    assert browser.execute_script("return window.attacked") is None
    assert browser.get_log("browser") == []


def cut_shown(driver, found):
    """The place in the cut curve that the page shows, whose numbers must agree."""
    shown = fields(driver, "table-cut")
    k = int(shown["n_R"].split()[0])
    place = found.cuts.cut.tolist().index(k)
    assert number(shown["change"]) == pytest.approx(found.cuts.change[place], rel=6e-3)
    assert number(shown["mass"]) == pytest.approx(found.cuts.removed_mass[place], rel=6e-3)
    assert number(shown["gap"]) == pytest.approx(found.cuts.gap[place], rel=6e-3, abs=1e-6)
    low = number(shown["interval"].split("…")[0])
    assert low == pytest.approx(found.cuts.interval[place, 0], rel=6e-3, abs=1e-6)
    in_R = driver.find_elements(By.CSS_SELECTOR, "#spectrum-figure .eigenvalue.in")
    assert len(in_R) == k
    return place


def test_the_line_of_alpha_is_dragged_and_all_follows(driver, found):
    home = found.cuts.at(0.9)
    assert cut_shown(driver, found) == home
    handle = driver.find_element(By.CSS_SELECTOR, "#cut-figure .cursor circle")
    scrolled_to(driver, handle)
    width = at(driver, "cut-figure").size["width"] * 404 / 480  # of the axis
    dimension = width / found.profile.schur.n_hidden
    steps = int(found.cuts.cut[-2] - found.cuts.cut[home])
    drag = ActionChains(driver, duration=50).click_and_hold(handle)
    drag.move_by_offset(round(steps * dimension), 0).release().perform()
    assert cut_shown(driver, found) == len(found.cuts) - 2
    # The couplings in the table of pairs are those at this cut.
    sectors = found.profile.schur.sectors(
        float((found.cuts.key[-2] - found.cuts.gap[-2] / 2) / found.profile.schur.rho)
    )
    named = np.sort(column(driver, 2))
    if sectors.n_R == found.cuts.cut[-2]:
        in_R = found.profile.schur.starts < sectors.n_R
        first, last = in_R[found.atlas.pairs].T
        diagonal = found.atlas.pairs[:, 0] == found.atlas.pairs[:, 1]
        names = np.where(last, "RR", np.where(first, "CR", "CC"))
        assert named.tolist() == sorted(np.where(diagonal, "BB", names).tolist())
    at(driver, "cut-reset").click()
    assert cut_shown(driver, found) == home


def test_the_slider_moves_the_line_by_keyboard(driver, found):
    slider = at(driver, "cut-slider")
    place = cut_shown(driver, found)
    slider.send_keys(Keys.ARROW_RIGHT)
    assert cut_shown(driver, found) == place + 1
    assert f"{found.cuts.cut[place + 1]} dimensions in R" in slider.get_attribute("aria-valuetext")
    slider.send_keys(Keys.HOME)
    assert cut_shown(driver, found) == 0


def test_an_alpha_that_makes_no_cut_is_shown_as_it_is(browser, folder, found):
    show(browser, folder / "whole.html")
    n_hidden = found.profile.schur.n_hidden
    assert fields(browser, "table-cut")["n_R"] == f"{n_hidden} of {n_hidden}"
    assert fields(browser, "table-cut")["remarks"] == "no eigenvalue in C"
    assert set(column(browser, 2)) == {"RR", "BB"}
    at(browser, "cut-slider").send_keys(Keys.HOME)
    assert cut_shown(browser, found) == 0
    scrolled_to(browser, at(browser, "cut-reset")).click()
    assert set(column(browser, 2)) == {"RR", "BB"}


def pair_shown(driver, found):
    """The pair that the panel shows, whose numbers must agree with the atlas."""
    shown = fields(driver, "table-pair")
    last, first = map(int, re.findall(r"\d+", shown["pair"]))
    (places,) = np.nonzero((found.atlas.pairs == (first, last)).all(axis=1))
    if places.size:
        place = places[0]
        assert number(shown["effect"]) == pytest.approx(found.atlas.effect[place], rel=6e-3)
        assert number(shown["mass"]) == pytest.approx(found.atlas.mass[place], rel=6e-3)
        assert shown["coupling"] == found.atlas.coupling[place]
        assert shown["kind"] == found.account.kind[place]
    else:
        assert shown["effect"] == "–"
    return first, last


def test_a_pair_shows_its_numbers_under_the_pointer_and_by_keyboard(driver, found):
    canvas = scrolled_to(driver, driver.find_element(By.CSS_SELECTOR, "#atlas canvas"))
    blocks = len(found.profile.schur.starts)
    cell = canvas.size["width"] / blocks
    for first, last in ((0, blocks - 1), (2, 4), (4, 2)):
        x, y = ((place + 0.5) * cell - canvas.size["width"] / 2 for place in (last, first))
        ActionChains(driver, 0).move_to_element_with_offset(canvas, round(x), round(y)).perform()
        assert pair_shown(driver, found) == (first, last)
    stage = driver.find_element(By.CSS_SELECTOR, "#atlas .stage")
    stage.send_keys(Keys.HOME)
    stage.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    assert pair_shown(driver, found) == (1, 3)
    stage.send_keys(Keys.ENTER)
    chosen = driver.find_elements(By.CSS_SELECTOR, "#table-pairs tr.chosen")
    assert [row.text.split()[:2] for row in chosen] == [["1", "3"]]
    words = at(driver, "pair-trials-words").text
    assert "single trials" in words or "each of 120 trials" in words
    assert driver.find_elements(By.CSS_SELECTOR, "#pair-trials .row-bar")
    marked = driver.find_elements(By.CSS_SELECTOR, "#spectrum-figure .chosen")
    sizes = found.profile.schur.block_sizes
    assert len(marked) == sizes[1] + sizes[3]


def test_the_map_has_the_colours_of_the_effects(driver, found):
    colors = driver.execute_script(
        "const c = document.querySelector('#atlas canvas');"
        "return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )
    blocks = len(found.profile.schur.starts)
    pixels = np.array(colors).reshape(blocks, blocks, 4)
    shown = pixels[..., 3] == 255
    expected = np.zeros((blocks, blocks), np.bool_)
    expected[tuple(found.atlas.pairs.T)] = True
    np.testing.assert_array_equal(shown, expected)
    effects, largest = found.atlas.effect, np.abs(found.atlas.effect).max()
    strong = np.abs(effects) > largest / 10
    rows = pixels[tuple(found.atlas.pairs[strong].T)].astype(int)
    np.testing.assert_array_equal(rows[:, 0] > rows[:, 2], effects[strong] > 0)  # red or blue


def test_classes_are_outlined(driver, found):
    Select(at(driver, "map-class")).select_by_visible_text("core")
    path = driver.find_element(By.CSS_SELECTOR, "#atlas .overlay .class").get_attribute("d")
    blocks = len(found.profile.schur.starts)
    inside = np.zeros((blocks + 2, blocks + 2), np.int64)
    inside[tuple(found.removable.core.T + 1)] = 1
    edges = np.abs(np.diff(inside, axis=0)).sum() + np.abs(np.diff(inside, axis=1)).sum()
    assert path.count("M") == edges


def test_rows_are_sorted_and_filtered(driver, found):
    table = at(driver, "table-pairs")
    buttons = table.find_elements(By.CSS_SELECTOR, "thead button")
    mass = next(place for place, button in enumerate(buttons) if button.text.startswith("mass"))
    scrolled_to(driver, buttons[mass]).send_keys(Keys.ENTER)
    values = np.array(column(driver, mass), dtype=float)
    np.testing.assert_allclose(values, np.sort(found.atlas.mass)[::-1], rtol=1e-6)
    heading = buttons[mass].find_element(By.XPATH, "..")
    assert heading.get_attribute("aria-sort") == "descending"
    buttons[mass].click()
    values = np.array(column(driver, mass), dtype=float)
    np.testing.assert_allclose(values, np.sort(found.atlas.mass), rtol=1e-6)
    assert heading.get_attribute("aria-sort") == "ascending"

    Select(at(driver, "filter-coupling")).select_by_visible_text("CR")
    at(driver, "filter-effect").send_keys("0.005")
    kept = (found.atlas.coupling == "CR") & (np.abs(found.atlas.effect) >= 0.005)
    assert 0 < kept.sum() < len(found.atlas)
    assert len(column(driver, 0)) == kept.sum()
    assert at(driver, "filter-count").text == f"{kept.sum()} of {len(found.atlas)} rows"
    Select(at(driver, "filter-class")).select_by_visible_text("free")
    free = {tuple(pair) for pair in found.removable.free}
    kept &= [tuple(pair) in free for pair in found.atlas.pairs]
    assert len(column(driver, 0)) == kept.sum()


def downloaded(folder, name):
    """The rows of a file that Chromium downloads."""
    path = folder / "downloads" / name
    for _ in range(600):
        if path.exists():
            text = path.read_text(encoding="utf-8")
            path.unlink()
            return list(csv.DictReader(io.StringIO(text)))
        time.sleep(0.05)
    raise AssertionError(f"{name} was not downloaded")


def test_tables_are_downloaded_and_copied_with_all_digits(driver, found, folder):
    scrolled_to(driver, driver.find_element(By.CSS_SELECTOR, "[data-csv=couplings]")).click()
    rows = downloaded(folder, "couplings.csv")
    assert [row["coupling"] for row in rows] == list(found.couplings)
    assert [float(row["change"]) for row in rows] == [
        found.profile[name].change for name in found.couplings
    ]
    assert [float(row["change_low"]) for row in rows] == [
        found.change_interval(name)[0] for name in found.couplings
    ]
    scrolled_to(driver, driver.find_element(By.CSS_SELECTOR, "[data-csv=pairs]")).click()
    rows = downloaded(folder, "pairs.csv")
    matrix = found.atlas.matrix()
    for row in rows:
        effect = matrix[int(row["to_block"]), int(row["from_block"])]
        assert float(row["effect"]) == np.float32(effect)
    assert len(rows) == len(found.atlas)

    kept = found.trial_effects
    scrolled_to(driver, at(driver, "pair-csv")).click()  # of the largest pair, chosen at first
    to_block, from_block = found.atlas.pairs[kept.pair[0]]
    rows = downloaded(folder, f"pair-{to_block}-{from_block}.csv")
    assert [int(row["trial"]) for row in rows] == kept.trial.tolist()
    effects = np.array([float(row["effect"]) for row in rows])
    np.testing.assert_allclose(effects, kept.effect[0], atol=np.abs(kept.effect[0]).max() / 3e4)

    grant = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    driver.execute_cdp_cmd("Browser.grantPermissions", grant)
    scrolled_to(driver, driver.find_element(By.CSS_SELECTOR, "[data-copy=account]")).click()
    text = driver.execute_async_script(
        "navigator.clipboard.readText().then(arguments[0], (error) => arguments[0](String(error)))"
    )
    assert text.splitlines()[0].split("\t")[:2] == ["coupling", "mass"]
    assert float(text.splitlines()[1].split("\t")[1]) == found.account.factors[0, 0]


def test_a_gate_is_chosen_and_all_sections_show_it(browser, folder, gated):
    show(browser, folder / "gated.html")

    def shown():
        parts = browser.find_elements(By.CSS_SELECTOR, "[data-gate]")
        return [part.get_attribute("data-gate") for part in parts if part.is_displayed()]

    first, *_, last = gated.profile.gates
    assert shown() == [first] * 3  # cuts, pairs, spectrum
    choice = scrolled_to(browser, at(browser, "pairs-gate"))
    before = choice.rect["y"] - browser.execute_script("return scrollY")
    Select(choice).select_by_visible_text(last)
    assert shown() == [last] * 3
    assert choice.rect["y"] - browser.execute_script("return scrollY") == pytest.approx(
        before, abs=2
    )
    assert at(browser, "cuts-gate").get_property("value") == last
    # The cut and the pair of this gate, and no other, follow its slider and its map.
    curve, untouched = gated.curves[last], fields(browser, f"table-cut-{first}")
    at(browser, f"cut-slider-{last}").send_keys(Keys.HOME, Keys.ARROW_RIGHT)
    row = fields(browser, f"table-cut-{last}")
    assert int(row["n_R"].split()[0]) == curve.cut[1]
    assert number(row["change"]) == pytest.approx(curve.change[1], rel=6e-3)
    assert fields(browser, f"table-cut-{first}") == untouched
    in_R = browser.find_elements(By.CSS_SELECTOR, f"#spectrum-figure-{last} .eigenvalue.in")
    assert len(in_R) == curve.cut[1]
    stage = browser.find_element(By.CSS_SELECTOR, f"#atlas-{last} .stage")
    stage.send_keys(Keys.HOME)
    stage.send_keys(Keys.ARROW_RIGHT)
    row = fields(browser, f"table-pair-{last}")
    assert number(row["effect"]) == pytest.approx(gated.atlas.matrix(last)[0, 1], rel=6e-3)
    scrolled_to(browser, browser.find_element(By.CSS_SELECTOR, f"[data-csv=pairs-{last}]")).click()
    rows = downloaded(folder, f"pairs-{last}.csv")
    assert len(rows) == (gated.atlas.gate == last).sum()
    assert browser.get_log("browser") == []


def test_the_colours_of_gates_compare(browser, folder, gated):
    show(browser, folder / "gated.html")
    largest = {
        browser.find_element(By.CSS_SELECTOR, f"#atlas-{gate} .colorbar .high").get_attribute(
            "textContent"
        )
        for gate in gated.profile.gates
    }
    assert len(largest) == 1
    assert number(largest.pop()) == pytest.approx(np.abs(gated.atlas.effect).max(), rel=6e-3)


def test_the_trial_is_chosen(driver, found, folder):
    kept = found.trajectories
    before = at(driver, "trajectory-figure").get_attribute("innerHTML")
    Select(at(driver, "trial")).select_by_index(len(kept.trial) - 1)
    Select(at(driver, "channel")).select_by_index(1)
    figure = at(driver, "trajectory-figure")
    assert figure.get_attribute("innerHTML") != before
    assert f"channel 1 on trial {kept.trial[-1]}" in figure.get_attribute("aria-label")
    scrolled_to(driver, at(driver, "trajectory-csv")).click()
    rows = downloaded(folder, f"trial-{kept.trial[-1]}-channel-1.csv")
    np.testing.assert_array_equal([float(row["target"]) for row in rows], kept.targets[-1, :, 1])
    np.testing.assert_array_equal(
        np.array([row["without_CR"] for row in rows], np.float32),
        kept.outputs[kept.names.index("CR"), -1, :, 1],
    )


@pytest.mark.parametrize(
    ("name", "dark"),
    [
        *(("network", 0), ("network", 1), ("bare", 0), ("profile", 0), ("two", 1), ("many", 0)),
        *(("gated", 0), ("cells", 0)),
    ],
)
def test_axe_finds_nothing(browser, folder, name, dark):
    show(browser, folder / f"{name}.html", dark=dark)
    browser.execute_script(
        "for (const details of document.querySelectorAll('details')) details.open = true"
    )
    browser.execute_script(axe_source())
    result = browser.execute_async_script("axe.run().then(arguments[0])")
    assert len(result["passes"]) > 20
    violations = [
        (rule["id"], [node["html"][:200] for node in rule["nodes"][:3]])
        for rule in result["violations"]
    ]
    assert violations == []
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") is not bool(dark)


def test_everything_is_reached_by_keyboard(driver):
    reached = []
    for _ in range(200):
        ActionChains(driver, 0).send_keys(Keys.TAB).perform()
        active = driver.switch_to.active_element
        if active.tag_name == "body":
            break
        reached.append(active.get_attribute("id") or active.get_attribute("class"))
    for wanted in ("skip", "cut-slider", "cut-reset", "map-color", "filter-text", "trial"):
        assert wanted in reached
    assert reached.count("stage") == 2


def test_a_printed_page_has_every_gate(browser, folder, gated):
    show(browser, folder / "gated.html")
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})
    pages = pypdf.PdfReader(io.BytesIO(base64.b64decode(printed["data"]))).pages
    text = " ".join(" ".join(page.extract_text() for page in pages).split())
    for gate in gated.profile.gates:
        assert f"C→R of the gate {gate} removed at every cut" in text
        assert f"of the gate {gate}: ΔFVU without the pair" in text
    assert sum(len(page.images) for page in pages) >= 2 * len(gated.profile.gates)


def test_a_printed_page_has_every_section(driver):
    headings = [heading.text for heading in driver.find_elements(By.TAG_NAME, "h2")]
    assert len(headings) == 11
    printed = driver.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})
    pages = pypdf.PdfReader(io.BytesIO(base64.b64decode(printed["data"]))).pages
    text = " ".join(" ".join(page.extract_text() for page in pages).split())
    for heading in headings:
        assert heading in text
    # The closed tables are there, and the controls are not.
    assert "Shapley interaction indices" in text
    assert "Download CSV" not in text
    assert 5 <= len(pages) <= 20
    # Maps are images; the details are closed again.
    assert sum(len(page.images) for page in pages) >= 2
    assert not driver.find_elements(By.CSS_SELECTOR, "details[open]")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(
    "name", ["network", "strange", "profile", "two", "many", "gated", "gated-profile", "cells"]
)
def test_the_layout_fits(browser, folder, name, width):
    show(browser, folder / f"{name}.html", width=width)
    wide = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1]
    boxes = browser.execute_script(
        "return [...document.querySelectorAll('section')].map((part) => {"
        " const box = part.getBoundingClientRect(); return [box.top, box.bottom]; })"
    )
    for (_, bottom), (top, _) in pairwise(boxes):
        assert top >= bottom - 1
    figures = browser.execute_script(
        "return [...document.querySelectorAll('svg.figure, .stage canvas')].map((drawn) => {"
        " const box = drawn.getBoundingClientRect(); return [box.left, box.right, box.height]; })"
        ".filter(([left, right]) => right > left)"  # of the gate that is shown
    )
    for left, right, height in figures:
        assert left >= 0
        assert right <= width
        assert right - left > 240
        assert height > 40
    columns = browser.execute_script(
        "return [...document.querySelectorAll('.columns')]"
        ".filter((columns) => columns.offsetParent).map((columns) =>"
        " new Set([...columns.children].map((part) => part.getBoundingClientRect().left)).size)"
    )
    assert set(columns) <= {2 if width == 1280 else 1}


@pytest.mark.parametrize("name", ["network", "gated"])
def test_no_text_of_a_figure_lies_on_another(browser, folder, name):
    show(browser, folder / f"{name}.html")
    overlaps = browser.execute_script(
        """
        const found = [];
        for (const figure of document.querySelectorAll("svg.figure")) {
          const texts = [...figure.querySelectorAll("text")].map((text) =>
            [text.textContent, text.getBoundingClientRect()]);
          texts.forEach(([a, one], place) => texts.slice(place + 1).forEach(([b, other]) => {
            const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
            const down = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
            if (across > 2 && down > 4) found.push([figure.id, a, b]);
          }));
        }
        return found;
        """
    )
    assert overlaps == []


def test_a_large_network_stays_in_the_hand(browser, folder):
    # CPU time of the main thread: hardly depends on what else the machine does.
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    show(browser, folder / "large.html")
    metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    browser.execute_cdp_cmd("Performance.disable", {})
    (work,) = (metric["value"] for metric in metrics if metric["name"] == "TaskDuration")
    assert work < 2.0
    assert len(column(browser, 0)) == 2000
    canvas = scrolled_to(browser, browser.find_element(By.CSS_SELECTOR, "#atlas canvas"))
    before = fields(browser, "table-pair")
    ActionChains(browser, 0).move_to_element_with_offset(canvas, 150, -150).perform()
    assert fields(browser, "table-pair") != before
    at(browser, "filter-effect").send_keys("0.01")
    assert 0 < len(column(browser, 0)) < 2000
    assert browser.get_log("browser") == []


def test_networks_are_sorted_and_lead_to_their_pages(browser, folder):
    show(browser, folder / "two.html")
    first = "return document.querySelector('#table-networks tbody th').textContent"
    assert browser.execute_script(first) == "b"
    browser.find_element(By.CSS_SELECTOR, "#table-networks thead button").click()
    assert browser.execute_script(first) == "a"
    browser.find_element(By.LINK_TEXT, "b").click()
    assert browser.find_element(By.TAG_NAME, "h1").text == "What this network needs"
