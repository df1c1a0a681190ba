"""Diagnoses of the paper's networks: files, tables, and the rule for the paper's claims."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from schurscope import Diagnosis, Network, ablate, diagnose, fvu
from schurscope.reproduce.claims import claims
from schurscope.reproduce.diagnoses import Diagnosed
from schurscope.reproduce.experiments import TITLES
from test_reproduce import QUICK, contents, run, table


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory):
    """Folder of a quick run, and what it printed."""
    out = tmp_path_factory.mktemp("quick") / "results"
    file, _ = run(out)
    return out, file.getvalue()


@pytest.fixture(scope="module")
def diagnosed_run(quick_run, tmp_path_factory):
    """A copy of the quick run's folder with diagnoses of its networks, and what was printed."""
    out = Path(shutil.copytree(quick_run[0], tmp_path_factory.mktemp("diagnosed") / "results"))
    file, _ = run(out, with_diagnoses=True, with_pages=True)
    return out, file.getvalue()


@pytest.mark.slow
def test_diagnoses_only_add_to_a_run(quick_run, diagnosed_run):
    before, after = contents(quick_run[0]), contents(diagnosed_run[0])
    before = {path.relative_to(quick_run[0]): text for path, text in before.items()}
    after = {path.relative_to(diagnosed_run[0]): text for path, text in after.items()}
    same = {path for path in before if path.suffix in (".csv", ".npz", ".npy", ".png")}
    assert same
    assert {path for path in same if before[path] != after[path]} == set()
    assert {path.parts[0] for path in after.keys() - before.keys()} == {"diagnosis"}
    tables = (
        quick_run[1].partition("QUICK Table 1")[2].rpartition(" s. Figures")[0].rpartition("\n")
    )
    assert tables[0] in diagnosed_run[1]


@pytest.mark.slow
def test_every_diagnosed_number_follows_from_the_network_and_the_seed(diagnosed_run):
    out, _ = diagnosed_run
    rows = {
        (row["experiment"], row["seed"], row["measure"]): row
        for row in table(out / "diagnosis" / "networks.csv")
    }
    asked = {
        ("copy-orthogonal", seed, name) for seed in "01" for name in ("replay_accuracy", "fvu")
    }
    others = ("flip-flop", "sine", "context-integration")
    assert rows.keys() == asked | {(name, seed, "fvu") for name in others for seed in "01"}
    _, job = QUICK["sine-seed1"]
    network = Network.load(out / "networks" / "sine-seed1.npz")
    setting, streams = job.setting, job.streams()
    trials = setting.evaluation.trials(
        setting.evaluation_trials, streams["evaluation"], dtype=setting.dtype
    )
    expected = diagnose(network, trials, rng=streams["diagnosis"])
    folder, row = out / "diagnosis" / "sine-seed1", rows["sine", "1", "fvu"]
    assert str(Diagnosis.load(folder / "diagnosis.npz")) == str(expected)
    assert (folder / "page.png").stat().st_size > 10_000
    assert float(row["spearman"]) == expected.atlas.agreement.spearman
    assert float(row["mass_share"]) == expected.removable.mass_share
    assert float(row["CR"]) == expected.profile["CR"].change
    place = expected.cuts.at(0.9)
    reach = max(2, len(expected.cuts) // 4)
    near = expected.cuts.change[max(0, place - reach) : place + reach + 1]
    assert float(row["CR_largest_near"]) == near.max()
    tests = expected.pairs_null
    at = (tests.names == "CR") & (tests.pool == "N")
    np.testing.assert_array_equal(float(row["p_N"]), tests.p[at])
    for alpha in (0.75, 0.95):
        change = ablate(network, trials, alpha=alpha, ablations=["CC"])["CC"].change
        assert float(row[f"CC_at_alpha{alpha:g}"]) == change


@pytest.mark.slow
def test_a_complete_diagnosis_is_reused_and_a_damaged_one_done_again(diagnosed_run, tmp_path):
    out = Path(shutil.copytree(diagnosed_run[0], tmp_path / "results"))
    before = contents(out / "diagnosis")
    damaged = out / "diagnosis" / "flip-flop-seed0" / "diagnosis.npz"
    kept = out / "diagnosis" / "sine-seed0" / "page.png"
    touched = kept.stat().st_mtime_ns
    damaged.write_bytes(damaged.read_bytes()[:500])
    file, _ = run(out, "neuroscience", with_diagnoses=True)
    after = contents(out / "diagnosis")
    assert kept.stat().st_mtime_ns == touched
    assert {path for path in before if before[path] != after[path]} <= {
        damaged,
        out / "diagnosis" / "networks.csv",
        out / "diagnosis" / "claims.csv",
    }
    assert str(Diagnosis.load(damaged)).startswith(("warning", "fvu"))
    assert "copy" not in file.getvalue().partition("Diagnosis at")[2].partition("Rule")[0]


@pytest.mark.slow
def test_every_network_has_a_page_that_the_page_of_its_task_links(diagnosed_run):
    folder = diagnosed_run[0] / "diagnosis"
    linked = set()
    for name in ("copy-orthogonal", "copy-orthogonal-fvu", "flip-flop", "sine"):
        page = (folder / f"{name}.html").read_text(encoding="utf-8")
        links = re.findall(r'href="([^"#]+)"', page)
        assert len(links) == 2
        linked |= {folder / link for link in links}
    assert linked <= set(folder.glob("*/page.html"))
    assert len(list(folder.glob("*.html"))) == 5
    page = (folder / "sine-seed1" / "page.html").read_text(encoding="utf-8")
    network = diagnosed_run[0] / "networks" / "sine-seed1.npz"
    assert hashlib.sha256(network.read_bytes()).hexdigest() in page


def diagnosed(
    experiment="sine", *, decision="needed", p=0.01, quantile=1.0, at=(1.0,) * 5, near=1.0
):
    """A network with these results for CR."""
    found = SimpleNamespace(
        chance=lambda _: (p, quantile),
        profile=SimpleNamespace(definition=fvu),
    )
    one = Diagnosed(experiment, 0, "fvu", found, dict.fromkeys(("RR", "CR", "CC"), at))
    decisions = {f"decision_{name}": decision for name in ("RR", "CR", "CC")}
    vars(one)["numbers"] = {"CR": at[3], "CR_largest_near": near, **decisions}
    return one


def claim_about(coupling, networks):
    (found,) = (one for one in claims(networks) if one.coupling == coupling)
    return found


def test_a_claim_survives_where_three_quarters_of_the_networks_say_so():
    good, chance = diagnosed(), diagnosed(p=0.2)
    less, alpha = diagnosed(quantile=0.0), diagnosed(at=(1.0, 0.001, 1.0, 1.0, 1.0))
    assert claim_about("CR", [good] * 4).survives
    assert claim_about("CR", [good] * 3 + [chance]).survives
    for bad in (chance, less, alpha, diagnosed(decision="undecided")):
        assert not claim_about("CR", [good] * 2 + [bad] * 2).survives
    mixed = claim_about("CR", [good, chance, alpha, diagnosed(near=4.0)])
    counts = (mixed.holds, mixed.beats_null, mixed.at_every_alpha, mixed.size_by_alpha)
    assert counts == (4, 3, 3, 1)
    assert "needs CR (paper: ΔFVU +1.73): holds (4 of 4), survives its null (3 of 4)" in str(mixed)


def test_a_claim_that_a_coupling_is_not_needed_wants_less_than_chance():
    harmless = {"decision": "not needed", "at": (0.0,) * 5}
    below, above = diagnosed(**harmless, quantile=0.0), diagnosed(**harmless)
    assert claim_about("RR", [below]).survives
    assert not claim_about("RR", [above]).survives
    assert not claim_about("RR", [above]).is_needed
    nothing = claim_about("RR", [diagnosed(decision="vacuous")] * 2)
    assert (nothing.networks, nothing.vacuous, nothing.survives) == (0, 2, False)
    assert "untested, nothing to remove" in str(nothing)


def test_the_claims_are_those_of_the_paper():
    needed = {
        (one.experiment, one.coupling): one.is_needed
        for experiment in TITLES
        if experiment != "copy-cayley"
        for one in claims([diagnosed(experiment)])
    }
    assert needed == {
        ("copy-orthogonal", "RR"): True,
        ("copy-orthogonal", "CR"): True,
        ("copy-orthogonal", "CC"): False,
        ("flip-flop", "RR"): False,
        ("flip-flop", "CR"): True,
        ("flip-flop", "CC"): True,
        ("sine", "RR"): False,
        ("sine", "CR"): True,
        ("sine", "CC"): True,
        ("context-integration", "CR"): True,
        ("context-integration", "CC"): True,
    }
