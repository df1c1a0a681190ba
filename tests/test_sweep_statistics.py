"""Statistics over networks against SciPy's and against their definitions, and their figures."""

from __future__ import annotations

import inspect
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import PathCollection

from schurscope import plotting
from schurscope.plotting.sweeps import save_sweep_figures
from schurscope.sweep import against_width, effects, paired_differences, summarize
from schurscope.sweep.statistics import holm

WIDTHS, SEEDS, ABLATIONS = (16, 32, 64), range(7), ("full", "RR", "CR", "CC")


@pytest.fixture(scope="module")
def rows():
    """Made-up rows of two tasks: RR vacuous in one of them, some networks below their gate."""
    rng = np.random.default_rng(5)
    made = []
    for task in ("flip-flop", "sine"):
        for width in WIDTHS:
            for seed in SEEDS:
                fragile = rng.normal(0, 0.5)  # shared by the ablations of a network
                for place, ablation in enumerate(ABLATIONS):
                    vacuous = ablation == "RR" and task == "sine"
                    change = 0.0 if place == 0 or vacuous else place + fragile + rng.normal(0, 0.1)
                    mass = np.nan if place == 0 or vacuous else 0.1 * place
                    made.append(
                        {
                            "task": task,
                            "N_h": width,
                            "recurrent": "orthogonal",
                            "seed": seed,
                            "alpha": 0.9,
                            "ablation": ablation,
                            "measure": "fvu",
                            "value": 0.01 + change,
                            "change": change * np.log2(width),
                            "removed_mass": mass,
                            "sensitivity": change / mass,
                            "vacuous": vacuous,
                            "diverged": False,
                            "n_R": int(width / 2 + rng.integers(3)),
                            "gap": 0.1,
                            "baseline": 0.01,
                            "passed": not (task == "sine" and seed == 3),
                            "loss": 0.01,
                        }
                    )
    return pd.DataFrame(made)


def chosen(rows, row, **more):
    mask = rows["passed"].copy()
    for name in ("task", "N_h", "ablation"):
        if name in row:
            mask &= rows[name] == row[name]
    for name, value in more.items():
        mask &= rows[name] == value
    return rows[mask]


def test_summaries_are_those_of_scipy(rows):
    table = summarize(rows, "change", level=0.9)
    assert len(table) == 2 * 3 * 4
    for _, row in table.iterrows():
        sample = chosen(rows, row)["change"].to_numpy()
        assert row["n"] == len(sample) == (7 if row["task"] == "flip-flop" else 6)
        assert row["below_gate"] == 7 - row["n"]
        assert row["mean"] == pytest.approx(np.mean(sample))
        assert row["sem"] == pytest.approx(scipy.stats.sem(sample))
        if row["sem"] > 0:
            interval = scipy.stats.t.interval(0.9, len(sample) - 1, row["mean"], row["sem"])
            assert (row["t_low"], row["t_high"]) == pytest.approx(interval)
        assert row["vacuous"] == 7 * (row["ablation"] == "RR" and row["task"] == "sine")
    everyone = summarize(rows, passed_only=False)
    assert set(everyone["n"]) == {7}


def test_bootstrap_intervals_are_those_of_scipy(rows):
    table = summarize(rows, "change", n_resamples=20000)
    # SciPy renamed it in 1.15.
    known = inspect.signature(scipy.stats.bootstrap).parameters
    stream = "rng" if "rng" in known else "random_state"
    for _, row in table[table["ablation"] == "CR"].iterrows():
        sample = chosen(rows, row)["change"].to_numpy()
        reference = scipy.stats.bootstrap(
            (sample,),
            np.mean,
            method="percentile",
            n_resamples=20000,
            **{stream: np.random.default_rng(1)},
        ).confidence_interval
        wide = reference.high - reference.low
        assert row["boot_low"] == pytest.approx(reference.low, abs=0.05 * wide)
        assert row["boot_high"] == pytest.approx(reference.high, abs=0.05 * wide)
    pd.testing.assert_frame_equal(summarize(rows, rng=3), summarize(rows, rng=3))


def test_a_quantity_without_numbers_has_no_mean(rows):
    table = summarize(rows, "sensitivity").set_index(["task", "N_h", "ablation"])
    nothing = table.loc[("sine", 16, "RR")]
    assert nothing["n"] == 0
    assert nothing[["mean", "sem", "t_low", "boot_high"]].isna().all()
    one = summarize(rows[rows["seed"] == 0]).iloc[1]
    assert one["n"] == 1
    assert np.isfinite(one["mean"])
    assert one[["sd", "sem", "t_low", "t_high", "boot_low", "boot_high"]].isna().all()


def test_rollouts_that_diverged_are_counted(rows):
    broken = rows.copy()
    place = broken.index[(broken["ablation"] == "CR") & (broken["task"] == "flip-flop")][0]
    broken.loc[place, "change"] = np.inf
    broken.loc[place, "diverged"] = True
    row = summarize(broken).set_index(["task", "N_h", "ablation"]).loc[("flip-flop", 16, "CR")]
    assert (row["n"], row["diverged"]) == (6, 1)
    assert np.isfinite(row["mean"])


def test_effects_are_scipys_t_tests_with_holms_correction(rows):
    table = effects(rows)
    assert len(table) == 2 * 3 * 3 - 3  # RR is vacuous in one task
    for _, row in table.iterrows():
        found = scipy.stats.ttest_1samp(chosen(rows, row)["change"], 0)
        assert (row["t"], row["p"]) == pytest.approx((found.statistic, found.pvalue))
    np.testing.assert_array_equal(table["p_holm"], holm(table["p"]))
    assert (table["p_holm"] >= table["p"]).all()


def test_paired_differences_are_scipys_paired_t_tests(rows):
    table = paired_differences(rows)
    assert len(table) == 2 * 3 * 3
    for _, row in table.iterrows():
        first = chosen(rows, row, ablation=row["first"]).sort_values("seed")["change"].to_numpy()
        second = chosen(rows, row, ablation=row["second"]).sort_values("seed")["change"].to_numpy()
        assert row["n"] == len(first)
        assert row["mean"] == pytest.approx(np.mean(first - second))
        found = scipy.stats.ttest_rel(first, second)
        assert (row["t"], row["p"]) == pytest.approx((found.statistic, found.pvalue))
        interval = found.confidence_interval(0.95)
        assert (row["t_low"], row["t_high"]) == pytest.approx((interval.low, interval.high))
    # What makes a network fragile cancels: pairs see what the two groups would not.
    cr_cc = table[(table["first"] == "CR") & (table["task"] == "flip-flop")].iloc[0]
    unpaired = scipy.stats.ttest_ind(
        *(chosen(rows, cr_cc, ablation=name)["change"] for name in ("CR", "CC"))
    )
    assert cr_cc["p"] < unpaired.pvalue / 10


def test_slopes_against_width_are_those_of_scipy(rows):
    table = against_width(rows, "change")
    assert len(table) == 2 * 4
    for _, row in table[table["ablation"].isin(["CR", "CC"])].iterrows():
        mine = chosen(rows, row)
        found = scipy.stats.linregress(np.log2(mine["N_h"]), mine["change"])
        assert (row["n"], row["n_widths"]) == (len(mine), 3)
        assert (row["slope"], row["p"]) == pytest.approx((found.slope, found.pvalue))
        reach = scipy.stats.t.ppf(0.975, len(mine) - 2) * found.stderr
        ends = (found.slope - reach, found.slope + reach)
        assert (row["slope_low"], row["slope_high"]) == pytest.approx(ends)
    one_width = against_width(rows[rows["N_h"] == 16])
    assert one_width["slope"].isna().all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_holm_is_the_closed_test_of_bonferroni(p):
    # The corrected p of a hypothesis is the largest Bonferroni p of all intersections with it.
    places = range(len(p))
    expected = [
        max(
            min(1.0, len(group) * min(p[place] for place in group))
            for size in range(1, len(p) + 1)
            for group in combinations(places, size)
            if mine in group
        )
        for mine in places
    ]
    np.testing.assert_allclose(holm(p), expected, rtol=1e-12)


def test_holm_leaves_out_what_is_no_test():
    np.testing.assert_allclose(holm([0.02, np.nan, 0.04]), [0.04, np.nan, 0.04])
    assert holm([]).shape == (0,)


def test_unknown_quantities_are_named(rows):
    with pytest.raises(ValueError, match=r"quantity must be one of.*did you mean 'change'"):
        summarize(rows, "chnge")
    with pytest.raises(ValueError, match=r"level must be in \(0, 1\]"):
        summarize(rows, level=95)


# Figures.


def one_kind(rows, task="flip-flop"):
    return rows[rows["task"] == task]


def scatters(ax):
    return [item for item in ax.collections if isinstance(item, PathCollection)]


def test_every_network_is_a_point(rows):
    mine = one_kind(rows)
    ax = plotting.effect_distributions(mine, paper={"CR": (1.0, 0.1)})
    points = np.concatenate([np.asarray(item.get_offsets())[:, 1] for item in scatters(ax)])
    expected = mine[mine["ablation"] != "full"]["change"]
    np.testing.assert_allclose(np.sort(points), np.sort(expected))
    assert [text.get_text() for text in ax.get_xticklabels()] == ["−RR", "−CR", "−CC"]
    medians = [line.get_ydata()[0] for line in ax.lines if len(set(line.get_ydata())) == 1]
    expected = mine[(mine["ablation"] == "CC") & (mine["N_h"] == 64)]["change"].median()
    assert np.isclose(medians, expected).any()


def test_networks_below_their_gate_are_open_points_and_vacuous_ablations_are_named(rows):
    ax = plotting.effect_distributions(one_kind(rows, "sine"))
    assert [text.get_text().strip() for text in ax.texts] == ["vacuous"]
    faces = np.concatenate([item.get_facecolors() for item in scatters(ax)])
    assert (faces == 1).all(axis=1).sum() == 6


def test_lines_against_width_run_through_the_means(rows):
    ax = plotting.quantity_against_width(one_kind(rows, "sine"), "n_R")
    mine = rows[(rows["task"] == "sine") & (rows["ablation"] == "full") & rows["passed"]]
    line = ax.lines[0]
    np.testing.assert_allclose(line.get_xdata(), WIDTHS)
    np.testing.assert_allclose(line.get_ydata(), mine.groupby("N_h")["n_R"].mean())
    none = plotting.quantity_against_width(one_kind(rows, "sine").assign(passed=False), "change")
    assert [text.get_text() for text in none.texts] == ["no network passed its gate"]


def test_spectra_are_sorted_and_scaled():
    ax = plotting.spectra_against_width({4: [np.array([1.0, 4.0, 2.0, 3.0])] * 2})
    np.testing.assert_allclose(ax.lines[-2].get_ydata(), [1.0, 0.75, 0.5, 0.25])
    np.testing.assert_allclose(ax.lines[-2].get_xdata(), [0.125, 0.375, 0.625, 0.875])


def test_figures_do_not_mix_kinds(rows):
    for draw in (plotting.effect_distributions, plotting.quantity_against_width):
        with pytest.raises(ValueError, match="rows must be of one task, got 2"):
            draw(rows)


def test_figures_are_written_for_every_kind(rows, tmp_path):
    moduli = {width: [np.linspace(1, 2, width)] for width in WIDTHS}
    spectra = {(task, "orthogonal"): moduli for task in ("flip-flop", "sine")}
    names = save_sweep_figures(rows, spectra, tmp_path)
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 4
