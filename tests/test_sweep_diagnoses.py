"""Sweeps that diagnose: what jobs store, what is collected, statistics and figures of them."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from click.testing import CliRunner
from matplotlib.collections import PathCollection

from schurscope import Diagnosis, Network, Sweep, diagnose, plotting
from schurscope.cli import main
from schurscope.diagnosis.account import KINDS
from schurscope.diagnosis.cuts import CutCurves
from schurscope.reporting.sweep import save_sweep_pages
from schurscope.sweep import (
    Store,
    SweepError,
    collect,
    cut_curves,
    diagnoses,
    load_result,
    mass_by_kind,
    plan,
    prediction_agreement,
    removable_against_width,
    removable_shares,
    summarize_cuts,
)
from schurscope.trials.tasks import FlipFlop
from small_sweeps import SMALL, records, run_here

PLAIN = replace(
    SMALL,
    tasks=[FlipFlop(n_steps=8)],
    widths=[6, 8],
    constructions=["orthogonal"],
    alphas=[0.8, 0.9],
)
DIAGNOSED = replace(PLAIN, diagnose=True)
TOML = """
widths = [6, 8]
seeds = 2
alphas = [0.8, 0.9]
ablations = ["RR", "CR", "CC"]
evaluation_trials = 32
diagnose = true
training = { epochs = 1, batches_per_epoch = 20, batch_size = 8, learning_rate = 5e-3 }

[[tasks]]
task = "flip-flop"
n_steps = 8
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of the sweep with diagnoses and the same one without."""
    root = tmp_path_factory.mktemp("diagnosed") / "store"
    assert run_here(PLAIN, root).ran == run_here(DIAGNOSED, root).ran == 4
    return root


@pytest.fixture(scope="module")
def found(store):
    """The collection, every network taken to have passed."""
    collection = collect(DIAGNOSED, store)
    return replace(collection, jobs=collection.jobs.assign(passed=True))


def test_a_job_keeps_the_diagnosis_of_its_network_on_its_trials(found, store):
    for job in plan(DIAGNOSED)[::3]:
        streams = job.streams()
        trials = job.setting.evaluation.trials(32, streams["evaluation"], np.float32)
        network = Network.load(Store(store).network_path(job.key))
        expected = diagnose(network, trials, alpha=0.8, rng=streams["diagnosis"])
        kept = found.diagnosis(job)
        assert str(kept) == str(expected)
        for name in ("change", "interval"):
            np.testing.assert_array_equal(getattr(kept.cuts, name), getattr(expected.cuts, name))
        result = load_result(Store(store), job.key)
        assert str(result.diagnosis) == str(expected)
        assert result.provenance["seconds"]["diagnose"] > 0
        np.testing.assert_array_equal(result.profiles[0]["CR"].change, kept.profile["CR"].change)


def test_every_row_of_a_table_has_its_diagnosis(found):
    of_job, of_row = found.jobs.iloc[1], found.rows.iloc[-1]
    assert str(found.diagnosis(of_job)) == str(found.diagnosis(of_job["key"]))
    assert found.diagnosis(of_row).profile.schur.n_hidden == of_row["N_h"]


def test_all_other_numbers_and_jobs_are_as_without_diagnoses(store):
    before = collect(PLAIN, store)
    numbers = before.rows.columns.drop("key")
    pd.testing.assert_frame_equal(before.rows[numbers], collect(DIAGNOSED, store).rows[numbers])
    assert not {job.key for job in plan(PLAIN)} & {job.key for job in plan(DIAGNOSED)}
    assert "diagnose" not in plan(PLAIN)[0].configuration()["setting"]
    assert plan(DIAGNOSED)[0].configuration()["setting"]["diagnose"] is True
    assert load_result(Store(store), plan(PLAIN)[0].key).diagnosis is None
    assert all(len(Store(store).index()[job.key].sizes) == 2 for job in plan(PLAIN))
    with pytest.raises(ValueError, match="of must be a finished job of a sweep with diagnose"):
        before.diagnosis(before.jobs.iloc[0])


@pytest.mark.parametrize("harm", ["absent", "shorter", "flipped"])
def test_a_damaged_diagnosis_is_found_and_its_job_done_again(store, tmp_path, harm):
    root = shutil.copytree(store, tmp_path / "copy")
    key = plan(DIAGNOSED)[2].key
    path = Store(root).diagnosis_path(key)
    content = bytearray(path.read_bytes())
    before = Diagnosis.load(path)
    content[len(content) // 2] ^= 1
    path.write_bytes(content if harm == "flipped" else content[:1000])
    if harm == "absent":
        path.unlink()
    verify = harm == "flipped"
    assert set(Store(root).contents(verify=verify).damaged) == {key}
    assert run_here(DIAGNOSED, root, verify=verify).ran == 1
    assert Store(root).contents(verify=True).damaged == {}
    assert str(Diagnosis.load(path)) == str(before)


def test_what_a_log_lost_is_found_with_the_diagnosis(store, tmp_path):
    root = shutil.copytree(store, tmp_path / "copy")
    for log in root.glob("index/*.log"):
        log.write_bytes(b"")
    assert run_here(DIAGNOSED, root).ran == 0
    assert all(len(Store(root).index()[job.key].sizes) == 3 for job in plan(DIAGNOSED))
    (records(root)[0].parent / f"{'0' * 32}-diagnosis.npz").write_bytes(b"")  # killed before record
    assert Store(root).contents(verify=True).damaged == {}


def test_cut_curves_alone_are_those_of_the_diagnoses(found, tmp_path):
    sweep = replace(DIAGNOSED, diagnose="cuts")
    assert run_here(sweep, tmp_path / "store").ran == 4
    alone = collect(sweep, tmp_path / "store", verify=True)
    assert (alone.jobs["state"] == "done").all()
    for job, other in zip(plan(sweep), plan(DIAGNOSED), strict=True):
        assert job.key != other.key
        kept, expected = alone.cuts(job), found.cuts(other)
        assert isinstance(load_result(alone.store, job.key).diagnosis, CutCurves)
        for name in ("cut", "change", "removed_mass", "gap", "tied", "determined"):
            np.testing.assert_array_equal(getattr(kept, name), getattr(expected, name))
        with pytest.raises(ValueError, match='this one has diagnose = "cuts": see cuts'):
            alone.diagnosis(job)
    both = [cut_curves(one).drop(columns=["key", "passed"]) for one in (alone, found)]
    pd.testing.assert_frame_equal(*both)


def test_a_setting_that_is_no_truth_value_and_no_part_is_refused():
    with pytest.raises(SweepError, match="diagnose must be true, false or \"cuts\", got 'yes'"):
        replace(PLAIN, diagnose="yes")
    assert Sweep.from_table({"tasks": [{"task": "sine"}], "widths": [8]}).diagnose is False


# Statistics.


def test_the_table_has_what_the_diagnoses_say(found):
    table = diagnoses(found)
    assert list(table["key"]) == [job.key for job in plan(DIAGNOSED)]
    for row in table.itertuples():
        one = found.diagnosis(row)
        assert row.pair_share == one.removable.pair_share
        assert row.random_mass_share == one.removable.random_mass_share
        assert row.spearman == one.atlas.agreement.spearman
        exact = scipy.stats.spearmanr(one.atlas.predicted, one.atlas.effect).statistic
        assert row.spearman == pytest.approx(exact)
        np.testing.assert_allclose(sum(getattr(row, kind) for kind in KINDS), 1.0)


def test_cuts_are_aligned_by_dimensions_and_by_the_largest_gap(found):
    curves = cut_curves(found)
    for key, mine in curves.groupby("key", observed=True):
        curve = found.diagnosis(key).cuts
        np.testing.assert_array_equal(mine["cut"], curve.cut)
        np.testing.assert_array_equal(mine["change"], curve.change)
        widest = mine.loc[mine["gap"].idxmax()]
        assert widest["from_gap"] == 0
        np.testing.assert_array_equal(mine["from_gap"], curve.cut - widest["cut"])
    with pytest.raises(ValueError, match="by must be one of"):
        summarize_cuts(curves, by="alpha")


@pytest.mark.parametrize("by", ["cut", "from_gap"])
def test_mean_cut_curves_are_those_of_scipy(by):
    rng = np.random.default_rng(3)
    curves = made_curves(rng)
    table = summarize_cuts(curves, by, level=0.9)
    assert list(table[by]) == sorted(curves[curves["passed"]][by].unique())
    for row in table.itertuples():
        mine = curves[curves["passed"] & (curves[by] == getattr(row, by))]["change"]
        sample = mine[np.isfinite(mine)].to_numpy()
        assert row.n == len(sample)
        if row.n > 1:
            interval = scipy.stats.t.interval(
                0.9, row.n - 1, sample.mean(), scipy.stats.sem(sample)
            )
            np.testing.assert_allclose((row.t_low, row.t_high), interval)
            assert row.boot_low <= row.mean <= row.boot_high
    assert len(summarize_cuts(curves, by, passed_only=False)) >= len(table)


def test_shares_and_slopes_are_those_of_scipy():
    table = made_table(np.random.default_rng(4))
    passed = table[table["passed"]]
    for summary, names in (
        (removable_shares, ["pair_share", "mass_share", "random_pair_share", "random_mass_share"]),
        (mass_by_kind, list(KINDS)),
        (prediction_agreement, ["spearman", "overlap", "ratio"]),
    ):
        frame = summary(table)
        assert list(frame["quantity"]) == names * 3
        for row in frame.itertuples():
            sample = passed[passed["N_h"] == row.N_h][row.quantity].dropna().to_numpy()
            interval = scipy.stats.t.interval(
                0.95, len(sample) - 1, sample.mean(), scipy.stats.sem(sample)
            )
            np.testing.assert_allclose((row.t_low, row.t_high), interval)
            assert (row.lowest, row.median, row.highest) == (
                sample.min(),
                np.median(sample),
                sample.max(),
            )
    slopes = removable_against_width(table).set_index("quantity")
    fit = scipy.stats.linregress(np.log2(passed["N_h"]), passed["pair_share"])
    assert slopes.loc["pair_share", "slope"] == pytest.approx(fit.slope)
    assert slopes.loc["pair_share", "p"] == pytest.approx(fit.pvalue)


def made_curves(rng):
    """Cut curves of seven networks, one below its gate, with one rollout that diverged."""
    rows = []
    for seed in range(7):
        cuts = np.sort(rng.choice(np.arange(1, 12), 8, replace=False))
        widest = rng.choice(cuts)
        for cut in cuts:
            change = np.inf if (seed, cut) == (2, cuts[0]) else float(np.exp(-((cut - 4) ** 2) / 8))
            rows.append({"seed": seed, "cut": cut, "from_gap": cut - widest, "change": change})
    frame = pd.DataFrame(rows).assign(task="sine", recurrent="orthogonal", N_h=12, measure="fvu")
    frame["change"] += rng.normal(0, 0.1, len(frame))
    return frame.assign(passed=frame["seed"] != 3, key=frame["seed"].map("key{}".format))


def made_table(rng):
    """Diagnoses of five networks at each of three widths."""
    seeds, widths = np.tile(np.arange(5), 3), np.repeat([16, 32, 64], 5)
    frame = pd.DataFrame({"seed": seeds, "N_h": widths, "passed": seeds != 1})
    names = ["pair_share", "mass_share", "random_pair_share", "random_mass_share", *KINDS]
    for name in [*names, "spearman", "overlap", "ratio"]:
        frame[name] = rng.uniform(0, 1, len(frame))
    frame.loc[3, "spearman"] = np.nan
    return frame.assign(task="sine", recurrent="orthogonal", measure="fvu", tolerance=0.01)


# Figures.


def test_every_network_has_a_line_and_their_mean_a_band():
    curves = made_curves(np.random.default_rng(3))
    for by in ("cut", "from_gap"):
        ax = plotting.network_cuts(curves, by)
        lines = [line for line in ax.lines if len(line.get_xdata()) > 2]
        assert len(lines) == 6 + 1
        np.testing.assert_array_equal(
            lines[1].get_xdata(), curves[curves["key"] == "key1"][by].to_numpy()
        )
        mean = summarize_cuts(curves, by)
        mean = mean[mean["n"] >= 3]
        np.testing.assert_allclose(lines[-1].get_ydata(), mean["mean"])
        assert len(ax.collections) == 1
        assert ax.get_ylabel() == "ΔFVU without CR"
    none = plotting.network_cuts(curves.assign(passed=False))
    assert [text.get_text() for text in none.texts] == ["no network passed its gate"]
    with pytest.raises(ValueError, match="must be of one N_h, got 2"):
        plotting.network_cuts(pd.concat([curves, curves.assign(N_h=14)]))


def test_removable_shares_have_a_point_for_each_network_and_run_through_the_means():
    table = made_table(np.random.default_rng(4))
    ax = plotting.removable_by_width(table)
    points = [item for item in ax.collections if isinstance(item, PathCollection)]
    assert [len(item.get_offsets()) for item in points] == [12, 12, 12, 12]
    passed = table[table["passed"]]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), passed.groupby("N_h")["pair_share"].mean())
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["pairs", "mass", "pairs, random", "mass, random"]


def test_every_network_has_a_page_that_the_comparison_links(found, tmp_path):
    assert save_sweep_pages(found, tmp_path) == ["flip-flop-orthogonal.html"]
    page = (tmp_path / "flip-flop-orthogonal.html").read_text(encoding="utf-8")
    links = re.findall(r'href="([^"#]+)"', page)
    names = {path.name for path in tmp_path.iterdir()} - {"flip-flop-orthogonal.html"}
    assert set(links) == names
    assert len(links) == 4
    for row in found.jobs.itertuples():
        own = tmp_path / f"flip-flop-orthogonal-N{row.N_h}-seed{row.seed}.html"
        text = own.read_text(encoding="utf-8")
        assert found.diagnosis(row).settings["network_sha256"] in text
        assert row.key in text
    # Distributions have a row for each width, and leave out networks that did not pass.
    assert "CR, N_h 6" in page
    assert "CR, N_h 8" in page
    failed = replace(found, jobs=found.jobs.assign(passed=found.jobs["N_h"] == 8))
    save_sweep_pages(failed, tmp_path)
    page = (tmp_path / "flip-flop-orthogonal.html").read_text(encoding="utf-8")
    assert "CR, N_h 6" not in page


def test_the_command_line_plots_cut_curves_alone(tmp_path):
    config, store, out = tmp_path / "sweep.toml", tmp_path / "store", tmp_path / "figures"
    config.write_text(TOML.replace("diagnose = true", 'diagnose = "cuts"'))
    assert run_here(Sweep.load(config), store).ran == 4
    words = ["sweep", "plot", str(config), "--store", str(store), "--out", str(out)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    names = {path.name for path in out.iterdir()}
    assert names >= {"cut_curves.csv", "mean_cuts.csv", "flip-flop-orthogonal-cuts.png"}
    assert not any("removable" in name or "diagnoses" in name for name in names)


@pytest.mark.slow
def test_the_command_line_runs_collects_and_plots_diagnoses(tmp_path):
    config, store, out = tmp_path / "sweep.toml", tmp_path / "store", tmp_path / "figures"
    config.write_text(TOML)
    for words in (
        ["run", config, "--store", store, "--workers", 1],
        ["status", config, "--store", store],
        ["plot", config, "--store", store, "--out", out, "--report"],
    ):
        result = CliRunner().invoke(main, ["sweep", *map(str, words)])
        assert result.exit_code == 0, result.output
    assert "no network passed its gate, so there are no pages" in result.output
    names = {path.name for path in out.iterdir()}
    assert names >= {
        "diagnoses.csv",
        "cut_curves.csv",
        "mean_cuts.csv",
        "mean_cuts-from_gap.csv",
        "removable_shares.csv",
        "removable_against_width.csv",
        "mass_by_kind.csv",
        "prediction_agreement.csv",
        "flip-flop-orthogonal-removable.png",
        "flip-flop-orthogonal-cuts.png",
    }
    assert len(pd.read_csv(out / "diagnoses.csv")) == 4
    assert Sweep.load(config) == DIAGNOSED
