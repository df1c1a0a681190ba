"""Pages, without a browser: what they hold, how large they are, and that names stay text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import zlib
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from click.testing import CliRunner

import schurscope as ss
from made_diagnoses import TASK, enlarged, small, small_gated
from schurscope.cli import main
from schurscope.diagnosis.atlas import atlas_of
from schurscope.diagnosis.question import Question
from schurscope.diagnosis.single_trials import Record, trajectories_of, trial_effects_of
from schurscope.reporting.data import packed
from schurscope.reporting.svg import Scale, label_number, spanning
from schurscope.reporting.tables import shown

ATTACK = '</script><img src=x onerror="window.attacked = 1"><!-- <script> \'&'


class Elements(HTMLParser):
    """Tags with their attributes and texts."""

    def __init__(self, text):
        super().__init__()
        self.found, self._open = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs), []))
        if tag not in {"meta", "link", "input", "br"}:
            self._open.append(self.found[-1])

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag, tag

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs), []))

    def handle_data(self, data):
        for element in self._open:
            element[2].append(data)

    def all(self, tag):
        return [
            (attributes, "".join(texts)) for name, attributes, texts in self.found if name == tag
        ]


@pytest.fixture(scope="module")
def found():
    return small()


@pytest.fixture(scope="module", params=["gru", "lstm"])
def gated(request):
    return small_gated(request.param)


@pytest.fixture(scope="module")
def gated_page(gated, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "gated.html"
    gated.report(path)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(found, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "network.html"
    found.report(path)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def every_page(found, page, gated, gated_page, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    ss.report([found, gated], folder / "cells.html")
    found.profile.report(folder / "profile.html")
    ss.report([found, found], folder / "two.html")
    ss.report([found] * 14, folder / "many.html", groups=["a"] * 7 + ["b"] * 7)
    return [page, gated_page, *(path.read_text(encoding="utf-8") for path in folder.glob("*.html"))]


def data_of(page):
    (text,) = (text for attributes, text in Elements(page).all("script") if attributes)
    return json.loads(text)


def unpacked(value):
    planes = np.frombuffer(zlib.decompress(base64.b64decode(value["data"])), np.uint8)
    kind = np.dtype(f"<{value['packed']}")
    return planes.reshape(kind.itemsize, -1).T.copy().view(kind).reshape(value["shape"])


def rows_of(page, name):
    """The exact values of a table, row by row."""
    table = page[page.index(f'id="table-{name}"') :]
    body = table[table.index("<tbody>") : table.index("</tbody>")]
    return [re.findall(r'data-v="([^"]*)"', row) for row in body.split("<tr>")[1:]]


def test_a_page_says_what_the_diagnosis_says(found, page):
    texts = {tag: [text for _, text in Elements(page).all(tag)] for tag in ("li", "td", "h2")}
    for sentence in found.verdicts:
        assert any(sentence.split(": ", 1)[1] in text for text in texts["li"])
    for warning in found.warnings:
        assert any(warning in text for text in texts["li"])
    # Warnings and verdicts come first.
    assert page.index("<h2>Verdicts") < page.index("<h2>Couplings")
    assert found.settings["network_sha256"] in texts["td"]
    for row, name in zip(rows_of(page, "couplings"), found.couplings, strict=True):
        assert row[:2] == [name, found.decision(name)]
        assert float(row[2]) == found.profile[name].change
    cuts = np.array([[float(v) for v in row[:5]] for row in rows_of(page, "cuts")])
    np.testing.assert_array_equal(cuts[:, 0], found.cuts.cut)
    np.testing.assert_array_equal(cuts[:, 1], found.cuts.change)
    np.testing.assert_array_equal(cuts[:, 4], found.cuts.gap)


def test_the_data_are_those_of_the_diagnosis(found, page):
    every = data_of(page)
    (data,) = every["gates"].values()
    assert data["cuts"]["change"] == found.cuts.change.tolist()
    np.testing.assert_array_equal(unpacked(data["pairs"]["to"]), found.atlas.pairs[:, 0])
    np.testing.assert_array_equal(
        unpacked(data["pairs"]["effect"]), found.atlas.effect.astype(np.float32)
    )
    kinds = [data["pairs"]["kinds"][k] for k in unpacked(data["pairs"]["kind"])]
    assert kinds == found.account.kind.tolist()
    states = np.array(data["pairs"]["states"])[unpacked(data["pairs"]["state"])]
    assert (states == "core").sum() == found.removable.counts["core"]
    assert (states == "free").sum() == found.removable.counts["free"]
    kept = found.trial_effects
    scale = unpacked(data["trials"]["scale"])[:, None]
    effects = unpacked(data["trials"]["effect"]) / 32767 * scale
    assert (np.abs(effects - kept.effect) <= scale / 32767).all()
    np.testing.assert_array_equal(
        unpacked(every["trajectories"]["outputs"]), found.trajectories.outputs
    )
    T = found.profile.schur.T
    level = unpacked(data["schur"]["T"]["level"]).astype(float)
    decades = (level - 1) / 254 * 4 - 4
    large = np.abs(T) > 1e-3 * np.abs(T).max()
    approximate = 10.0 ** decades[large] * data["schur"]["T"]["largest"]
    np.testing.assert_allclose(approximate, np.abs(T[large]), rtol=0.02)
    assert (level[T == 0] == 0).all()


def test_the_alphas_of_a_page_make_its_cuts(found, page):
    cuts, schur = data_of(page)["gates"][""]["cuts"], found.profile.schur
    for k, low, high in zip(cuts["k"], cuts["alpha_low"], cuts["alpha_high"], strict=True):
        if high - low > 1e-9 and low > 0:
            assert schur.sectors((low + high) / 2).n_R == k
            assert schur.sectors(high).n_R == k


def test_only_our_own_script_and_style_take_effect(every_page):
    for page in every_page:
        elements = Elements(page)
        (policy,) = (
            attributes["content"]
            for attributes, _ in elements.all("meta")
            if attributes.get("http-equiv") == "Content-Security-Policy"
        )
        assert policy.startswith("default-src 'none'; ")
        assert "unsafe" not in policy
        code, style = elements.all("script")[-1], elements.all("style")[0]
        for kind, (attributes, text) in (("script-src", code), ("style-src", style)):
            assert attributes == {}
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"{kind} 'sha256-{digest}';" in policy
        for tag, attributes, _ in elements.found:
            assert tag not in {"img", "link", "iframe", "object", "embed"}
            for name, value in attributes.items():
                assert name not in {"style", "src", "srcset"}
                assert not name.startswith("on")
                assert name != "href" or value.startswith("#") or "//" not in value
        addresses = set(re.findall(r"https?://[^\s\"'<]+", page))
        assert addresses <= {"http://www.w3.org/2000/svg"}


def test_names_are_text_wherever_they_come_from(found, tmp_path):
    strange = tmp_path / "<img src=x onerror=alert(1)>.npz"
    strange.write_bytes(b"weights")
    measure = ss.measures.Score(ATTACK, lambda y, _: y[:, 0, 0])
    named = replace(found.profile, definition=measure)
    ablations = [ss.Ablation(ATTACK, ((0, 3, 0, 12),), (0.0,))]
    other = ss.ablate_with(np.eye(16, k=1), lambda W: W.sum(axis=1), ablations=ablations)
    facts = {ATTACK: ATTACK}
    pages = {"own": replace(found, profile=named), "profile": other}
    for name, result in pages.items():
        result.report(tmp_path / f"{name}.html", title=ATTACK, facts=facts, files=[strange])
    ss.report([found] * 2, tmp_path / "two.html", names=[ATTACK, "b"], groups=[ATTACK, ATTACK])
    for path in tmp_path.glob("*.html"):
        elements = Elements(path.read_text(encoding="utf-8"))
        assert len(elements.all("script")) == 2
        assert not elements.all("img")
        assert any(ATTACK in text for tag in ("h1", "th") for _, text in elements.all(tag))
    own = (tmp_path / "own.html").read_text(encoding="utf-8")
    assert hashlib.sha256(b"weights").hexdigest() in own
    assert ATTACK in data_of(own)["change"]


def test_addresses_of_pages_cannot_be_scripts(found, tmp_path):
    links = ["javascript:alert(1)", "a folder/b.html"]
    ss.report([found] * 2, tmp_path / "two.html", links=links)
    elements = Elements((tmp_path / "two.html").read_text(encoding="utf-8"))
    hrefs = [attributes["href"] for attributes, _ in elements.all("a")]
    assert "javascript%3Aalert%281%29" in hrefs
    assert "a%20folder/b.html" in hrefs


@pytest.mark.parametrize(("n_hidden", "megabytes"), [(64, 1), (512, 5)])
def test_pages_are_small(found, tmp_path, n_hidden, megabytes):
    path = tmp_path / "large.html"
    large = enlarged(found, n_hidden, 1024)
    large.report(path)
    assert path.stat().st_size < megabytes * 1e6
    page = path.read_text(encoding="utf-8")
    assert len(unpacked(data_of(page)["gates"][""]["pairs"]["listed"])) == min(
        2000, len(large.atlas)
    )
    assert len(unpacked(data_of(page)["gates"][""]["pairs"]["effect"])) == len(large.atlas)
    assert "effects of the 100 largest pairs on each of 1,024 trials" in page


def test_a_diagnosis_without_some_parts_has_a_page(found, tmp_path):
    names = ("removable", "pairs_null", "partition_null", "account")
    names += ("trajectories", "trial_effects")
    bare = replace(found, curves={}, **dict.fromkeys(names))
    bare.report(tmp_path / "bare.html")
    ss.report([bare, found], tmp_path / "two.html")
    ss.report([bare], tmp_path / "one.html")
    page = (tmp_path / "bare.html").read_text(encoding="utf-8")
    headings = {text for _, text in Elements(page).all("h2")}
    assert "Dose" in headings
    assert not headings & {"Trajectories", "How much can go at once", "More than chance?"}


def test_a_page_survives_a_file_and_rollouts_that_diverge(found, tmp_path):
    found.save(tmp_path / "diagnosis.npz")
    loaded = ss.Diagnosis.load(tmp_path / "diagnosis.npz")
    for path, one in ((tmp_path / "a.html", found), (tmp_path / "b.html", loaded)):
        one.report(path)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    effect = found.atlas.effect.copy()
    effect[0], effect[1] = np.inf, np.nan
    change = found.cuts.change.copy()
    change[0] = np.nan
    outputs = found.trajectories.outputs.copy()
    outputs[2] = np.nan
    wild = replace(
        found,
        atlas=replace(found.atlas, effect=effect),
        curves={"": replace(found.cuts, change=change)},
        trajectories=replace(found.trajectories, outputs=outputs),
        dose=replace(found.dose, change=found.dose.change * np.inf),
    )
    wild.report(tmp_path / "wild.html")
    data = data_of((tmp_path / "wild.html").read_text(encoding="utf-8"))
    assert data["gates"][""]["cuts"]["change"][0] is None


def test_the_profile_of_gates_has_a_spectrum_for_each(tmp_path, rng):
    gates = {"z": rng.standard_normal((6, 6)), "n": rng.standard_normal((6, 6))}
    ablations = ["n:CR", "z:CC"]
    profile = ss.ablate_with(gates, lambda W: (W["z"] @ W["n"]).sum(axis=1), ablations=ablations)
    assert list(profile.gates) == ["z", "n"]
    profile.report(tmp_path / "gru.html")
    page = (tmp_path / "gru.html").read_text(encoding="utf-8")
    assert [row[0] for row in rows_of(page, "gates")] == list(profile.gates)
    assert [row[0] for row in rows_of(page, "profile")] == list(profile.names)
    radii = [float(row[1]) for row in rows_of(page, "gates")]
    assert radii == [cut.schur.rho for cut in profile.gates.values()]
    for gate, cut in profile.gates.items():
        level = unpacked(data_of(page)["gates"][gate]["schur"]["T"]["level"])
        np.testing.assert_array_equal(level == 0, cut.schur.T == 0)


def test_the_page_of_a_gated_network_names_every_coupling_by_its_gate(gated, gated_page):
    rows = rows_of(gated_page, "couplings")
    assert [row[0] for row in rows] == list(gated.couplings)
    game = gated.game.shapley
    for row in rows:
        name = row[0]
        assert row[1] == gated.decision(name)
        assert float(row[2]) == gated.profile[name].change
        gate, _, coupling = name.rpartition(":")
        if coupling == "BB":
            assert row[4] == ""
        elif gate:
            assert float(row[4]) == game.value[game.names.index(name)]
        else:
            assert float(row[4]) == gated.shapley.value[gated.shapley.names.index(name)]
    sentences = [text for _, text in Elements(gated_page).all("li")]
    for sentence in gated.verdicts:
        assert any(sentence.split(": ", 1)[1] in text for text in sentences)
    assert "whose eigenvalues are the gate\N{RIGHT SINGLE QUOTATION MARK}s, not" in gated_page


def test_each_gate_has_its_own_cuts_pairs_and_T(gated, gated_page):
    data = data_of(gated_page)["gates"]
    assert list(data) == list(gated.profile.gates)
    kept = gated.trial_effects
    seen = 0
    for gate, of_gate in data.items():
        curve, cut = gated.curves[gate], gated.profile.gates[gate]
        assert (of_gate["n_R"], of_gate["N_h"]) == (cut.n_R, cut.n_hidden)
        assert of_gate["cuts"]["change"] == curve.change.tolist()
        table = [float(row[1]) for row in rows_of(gated_page, f"cuts-{gate}")]
        assert table == curve.change.tolist()
        pairs = of_gate["pairs"]
        to, source = unpacked(pairs["to"]), unpacked(pairs["from"])
        matrix = gated.atlas.matrix(gate)
        assert len(to) == np.isfinite(matrix).sum()
        effects = matrix[to, source]
        np.testing.assert_array_equal(unpacked(pairs["effect"]), effects.astype(np.float32))
        listed = np.abs(effects[unpacked(pairs["listed"])])
        assert (np.diff(listed) <= 0).all()
        state = np.array(pairs["states"])[unpacked(pairs["state"])]
        for name in ("core", "free"):
            of = getattr(gated.removable, name)[getattr(gated.removable, f"{name}_gates") == gate]
            marked = {
                (int(i), int(j))
                for i, j in zip(to, source, strict=True)
                if (i, j) in set(map(tuple, of))
            }
            shown_as = {
                (int(i), int(j))
                for i, j in zip(to[state == name], source[state == name], strict=True)
            }
            assert shown_as == marked
            assert len(marked) == len(of)
        # Trials of a pair are found by its number within the gate.
        trials = of_gate["trials"]
        scale = unpacked(trials["scale"])
        numbers = unpacked(trials["pair"])
        whole = [
            place for place in range(len(kept.pair)) if gated.atlas.gate[kept.pair[place]] == gate
        ]
        assert len(numbers) == len(whole)
        seen += len(numbers)
        for number, place, size in zip(numbers, whole, scale, strict=True):
            pair = gated.atlas.pairs[kept.pair[place]]
            assert (to[number], source[number]) == tuple(pair)
            assert size == np.abs(kept.effect[place]).max()
    assert seen == len(kept.pair)


def test_networks_of_several_cells_are_compared(found, gated, tmp_path):
    ss.report([found, gated], tmp_path / "two.html", names=["vanilla", "gated"])
    page = (tmp_path / "two.html").read_text(encoding="utf-8")
    head = page[page.index('id="table-networks"') :]
    names = re.findall(r'data-name="([^"]*)"', head[: head.index("</thead>")])
    first, last = [dict(zip(names, row, strict=True)) for row in rows_of(page, "networks")]
    assert int(first["n_R"]) == found.profile.sectors.n_R
    assert last["n_R"] == ""
    for gate, cut in gated.profile.gates.items():
        assert first[f"n_R_{gate}"] == ""
        assert int(last[f"n_R_{gate}"]) == cut.n_R
        assert float(last[f"change_{gate}:CR"]) == gated.profile[f"{gate}:CR"].change
        assert f"gated, {gate}" in page
    ss.report([gated] * 13, tmp_path / "many.html")
    page = (tmp_path / "many.html").read_text(encoding="utf-8")
    assert all(f"<h3>Gate {gate}</h3>" in page for gate in gated.profile.gates)


def test_what_cannot_be_compared_is_refused(found, tmp_path):
    path = tmp_path / "no.html"
    other = replace(found, profile=replace(found.profile, definition=ss.measures.Score("s", None)))
    cases = [
        (([], {}), ValueError, "at least one diagnosis, got none"),
        (([found, other], {}), ValueError, "must be of one measure, got fvu, s"),
        (([found] * 2, {"names": ["a", "a"]}), ValueError, "2 distinct names"),
        (([found] * 2, {"links": ["a"]}), ValueError, "links must be 2"),
        (([found] * 2, {"groups": ["a"]}), ValueError, "groups must be 2"),
        ((found, {"names": ["a"]}), ValueError, "belong to a comparison"),
        ((["a"], {}), TypeError, "must be diagnoses, got 'a'"),
        ((3, {}), TypeError, "a sequence of diagnoses, got 3"),
    ]
    for (results, options), error, message in cases:
        with pytest.raises(error, match=message):
            ss.report(results, path, **options)
    with pytest.raises(FileNotFoundError):
        ss.report(found, path, files=[tmp_path / "absent.npz"])
    assert not list(tmp_path.iterdir())


def test_single_trials_are_those_of_the_network(found):
    network = ss.train(ss.init_network(TASK, 16, "orthogonal", 0), TASK, rng=1).network
    trials = TASK.trials(120, 2)
    kept = found.trajectories
    shown_trials = trials.inputs[kept.trial]
    np.testing.assert_allclose(kept.outputs[0], network.rollout(shown_trials), atol=1e-6)
    np.testing.assert_array_equal(kept.targets, trials.targets[kept.trial])
    for name, outputs in zip(kept.names[1:], kept.outputs[1:], strict=True):
        W_hh = found.profile.schur.ablated({name}).astype(np.float32)
        ablated = replace(network, W_hh=W_hh).rollout(shown_trials)
        np.testing.assert_allclose(outputs, ablated, atol=2e-5)
    effects = found.trial_effects
    assert len(effects.trial) == 120
    assert not set(effects.pair) & set(effects.rest)
    assert len(effects.pair) + len(effects.rest) == len(found.atlas)
    np.testing.assert_allclose(
        effects.effect.mean(axis=1), found.atlas.effect[effects.pair], atol=1e-6
    )
    largest = np.abs(found.atlas.effect[effects.pair])
    assert (np.diff(largest) <= 0).all()


def test_effects_on_single_trials_are_those_of_another_run():
    network = ss.init_network(TASK, 16, "orthogonal", 0)
    trials = TASK.trials(600, 2)
    effects = []
    for recorded in (True, False):
        question = Question(network, trials, "fvu", None, None, 0, 0)
        record = Record(600, question.draws) if recorded else None
        seen = record.see if record else None
        atlas = atlas_of(
            Question(network, trials, "fvu", None, None, 1, 0), "exact", 0.9, None, seen=seen
        )
        effects.append(trial_effects_of(question, atlas, record))
    first, second = effects
    for name in ("pair", "trial", "rest"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    scale = np.abs(second.effect).max()
    np.testing.assert_allclose(first.effect, second.effect, atol=1e-6 * scale)
    np.testing.assert_allclose(first.quantiles, second.quantiles, atol=1e-6 * scale)


def test_single_trials_may_be_constant(rng):
    network = ss.init_network(TASK, 6, "orthogonal", 0)
    inputs = rng.standard_normal((600, 5, 3)).astype(np.float32)
    targets = np.zeros((600, 5, 3), np.float32)
    targets[17] = 1.0  # without this trial FVU is not defined
    trials = ss.Trials(inputs, targets)
    question = Question(network, trials, "fvu", None, None, 0, 0)
    trajectories = trajectories_of(question, ss.ablate(network, trials))
    assert trajectories.outputs.shape == (len(trajectories.names), 8, 5, 3)
    effects = trial_effects_of(question, ss.atlas(network, trials, method="exact"))
    assert len(effects.trial) == 512  # at most
    assert (np.diff(effects.trial) > 0).all()
    assert np.isfinite(effects.effect).all()


def test_hashes_and_seeds_tell_networks_apart(found):
    settings = found.settings
    assert settings["seed"] == "0"
    network = ss.train(ss.init_network(TASK, 16, "orthogonal", 0), TASK, rng=1).network
    rng = np.random.default_rng(5).spawn(2)[1]
    other = ss.diagnose(
        replace(network, W_xh=2 * network.W_xh), TASK.trials(120, 2), draws=1, repeats=1, rng=rng
    ).settings
    assert other["trials_sha256"] == settings["trials_sha256"]
    assert other["network_sha256"] != settings["network_sha256"]
    assert other["seed"] == "5, spawn key (1,)"


def test_the_command_writes_a_page(tmp_path):
    ss.init_network(TASK, 8, "orthogonal", 0).save(tmp_path / "network.npz")
    page = tmp_path / "new" / "network.html"
    options = ["--task", "flip-flop", "--n-trials", "32", "--draws", "5", "--repeats", "1"]
    command = ["diagnose", str(tmp_path / "network.npz"), *options, "--report", str(page)]
    run = CliRunner().invoke(main, command)
    assert run.exit_code == 0, run.output
    text = page.read_text(encoding="utf-8")
    digest = hashlib.sha256((tmp_path / "network.npz").read_bytes()).hexdigest()
    assert digest in text
    assert "FlipFlop(" in text


def test_the_function_is_not_hidden_by_a_folder():
    code = (
        "import schurscope as ss, schurscope.cli, schurscope.reporting.diagnosis, sys;"
        "assert callable(ss.report) and ss.report is schurscope.reporting.report"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=600).returncode == 0


def test_pages_say_what_to_install():
    code = (
        "import sys; sys.modules['jinja2'] = None\n"
        "from schurscope.reporting.render import environment; environment()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert 'ImportError: pages need Jinja2: pip install "schurscope[report]"' in run.stderr


def test_numbers_are_short_and_exact():
    values = [0, 1.5, -0.000123456, 0.0499999, 123456, -2.5e-7, 12345, np.nan, np.inf, 0.99999]
    assert [shown(v) for v in values] == [
        *("0", "1.50", "−0.000123", "0.0500", "1.23e5", "−2.50e−7", "12345", "–", "∞", "1.000"),
    ]
    assert shown(0.5, signed=True) == "+0.500"
    assert [label_number(v) for v in (0.0, -0.01, 1e-6, 2.5e7)] == ["0", "−0.01", "1e−6", "2.5e7"]


def test_scales_keep_order_and_their_ticks_lie_inside():
    values = np.array([-3.0, -1e-3, 0.0, 1e-3, 0.2, 7.0])
    for scale in (
        spanning(values),
        spanning(values, "symlog", threshold=1e-2),
        Scale(-1.0, 1.0),
        Scale(1e-5, 10.0, "log"),
        spanning(np.full(3, np.nan)),
    ):
        places = [scale(v) for v in values]
        assert places == sorted(places)
        assert 0 <= min(places) <= max(places) <= 1
        assert 1 <= len(scale.ticks()) <= 14
        assert all(scale.low <= tick <= scale.high for tick in scale.ticks())


def test_packing_is_undone_by_unpacking(rng):
    for kind, array in (
        ("u1", rng.integers(0, 255, (3, 5))),
        ("i2", rng.integers(-9999, 9999, 7)),
        ("i4", rng.integers(0, 2**30, (2, 2))),
        ("f4", rng.standard_normal((4, 3)).astype(np.float32)),
        ("f4", np.empty((0, 3), np.float32)),
    ):
        found = unpacked(packed(array, kind))
        np.testing.assert_array_equal(found, array)
