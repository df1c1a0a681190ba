"""Profiles against the plain reference, and invariants of any profile."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import reference
from schurscope import (
    Ablation,
    Network,
    Trials,
    ablate,
    init_network,
    ordered_schur,
    tie_spread,
    train,
)
from schurscope.ablation.measures import Measure
from schurscope.ablation.names import SUBSETS
from schurscope.training import TrainingResult
from schurscope.trials.tasks import Copy, FlipFlop

ARRAYS = ("W_hh", "W_xh", "W_hy", "b_h", "b_y")
MEASURES = {"fvu": reference.fvu, "replay_accuracy": reference.replay_accuracy}


@pytest.fixture
def near_orthogonal(rng):
    """Forty units, moduli close together and far from normal: many near ties, two sectors."""
    Q, _ = np.linalg.qr(rng.standard_normal((40, 40)))
    W_hh = Q + 0.02 * rng.standard_normal((40, 40))
    W_hh[:, :12] *= 0.3
    return Network(W_hh, rng.standard_normal((40, 3)) / 3, rng.standard_normal((2, 40)) / 6)


def normal_network(dtype):
    return init_network(FlipFlop(), 16, "normal", 5, dtype=dtype)


def expected_profile(network, trials, measure, alpha):
    arrays = {name: getattr(network, name) for name in ARRAYS}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    return reference.profile(
        arrays,
        np.float64(trials.inputs),
        np.float64(trials.targets),
        np.float64(trials.step_weights),
        MEASURES[measure],
        alpha,
        np.finfo(network.dtype).eps,
    )


@pytest.mark.parametrize("alpha", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("measure", MEASURES)
def test_profile_agrees_with_the_reference(network, trials, sign_trials, dtype, measure, alpha):
    network = network.astype(dtype)
    trials = (trials if measure == "fvu" else sign_trials).astype(dtype)
    profile = ablate(network, trials, alpha=alpha, measure=measure)
    expected = expected_profile(network, trials, measure, alpha)
    tolerance = 1e-10 if dtype == np.float64 else 1e-4
    assert profile.names == SUBSETS
    for name, row in expected.items():
        mine = profile[name]
        got = (mine.value, mine.change, mine.removed_mass, mine.sensitivity)
        np.testing.assert_allclose(got, row, rtol=tolerance, atol=tolerance)
        assert mine.vacuous == (name != "full" and math.isnan(row[3]))


@pytest.mark.parametrize("measure", MEASURES)
def test_parts_add_up_to_the_value(network, sign_trials, measure):
    profile = ablate(network, sign_trials, measure=measure, alpha=0.6)
    np.testing.assert_allclose(profile.per_trial.mean(axis=1), profile.value, rtol=1e-13)
    weight = sign_trials.step_weights.sum(axis=0)
    counted = weight > 0
    assert np.array_equal(np.isfinite(profile.per_step[0]), counted)
    over_steps = np.average(profile.per_step[:, counted], axis=1, weights=weight[counted])
    np.testing.assert_allclose(over_steps, profile.value, rtol=1e-13)


def test_a_step_without_weight_has_no_value(network, trials):
    weights = trials.step_weights.copy()
    weights[:, 4] = 0
    profile = ablate(network, Trials(trials.inputs, trials.targets, weights))
    assert np.array_equal(np.flatnonzero(np.isnan(profile.per_step[0])), [4])


def test_same_bits_for_any_number_of_threads(near_orthogonal, rng, dtype):
    network = near_orthogonal.astype(dtype)
    trials = Trials(rng.standard_normal((53, 9, 3)), rng.standard_normal((53, 9, 2)))
    profiles = [ablate(network, trials, n_threads=n) for n in (1, 2, 3, 7)]
    for profile in profiles[1:]:
        for name in ("value", "change", "removed_mass", "sensitivity", "per_trial", "per_step"):
            assert getattr(profile, name).tobytes() == getattr(profiles[0], name).tobytes()


def test_ablations_of_a_normal_matrix_are_vacuous(dtype):
    network, trials = normal_network(dtype), FlipFlop().trials(20, 1, dtype)
    profile = ablate(network, trials, alpha=0.5)
    assert not profile.vacuous[0]
    assert profile.vacuous[1:].all()
    assert (profile.change == 0).all()
    assert np.isnan(profile.sensitivity).all()
    assert 0 < profile.removed_mass[1:].max() <= 16 * np.finfo(dtype).eps
    assert (profile.per_trial == profile.per_trial[0]).all()
    assert str(profile).count("vacuous") == len(SUBSETS) - 1
    intervals = profile.interval()
    assert (intervals.change == 0).all()
    assert np.isnan(intervals.sensitivity).all()


def test_an_empty_coupling_is_vacuous_and_the_others_are_not(network, trials):
    # The largest modulus belongs to one block: T_RR is empty at alpha = 1.
    profile = ablate(network, trials, alpha=1.0, ablations=["RR", "CR", "CC"])
    assert profile.vacuous.tolist() == [False, True, False, False]
    assert profile["RR"].removed_mass == 0
    assert profile["RR"].change == 0
    assert math.isnan(profile["RR"].sensitivity)


def test_the_zero_matrix_has_nothing_to_remove(trials):
    network = Network(np.zeros((4, 4)), np.ones((4, 3)), np.ones((2, 4)))
    profile = ablate(network, trials)
    assert profile.vacuous.tolist() == [False] + [True] * (len(SUBSETS) - 1)


def test_gains_and_rectangles(network, trials):
    schur = ordered_schur(network.W_hh)
    sectors = schur.sectors(0.6)
    r, n = sectors.n_R, network.n_hidden
    by_hand = Ablation("by hand", ((0, r, r, n),), (0.0,))
    half = Ablation.of("CC", sectors, gain=0.5)
    untouched = Ablation.of("RR+CR", sectors, gain=1.0)
    assert half.name == "0.5*CC"
    profile = ablate(network, trials, alpha=0.6, ablations=["CR", by_hand, half, untouched])
    assert profile.names == ("full", "CR", "by hand", "0.5*CC", "1*RR+CR")
    assert profile["by hand"][1:] == profile["CR"][1:]
    assert profile["1*RR+CR"].vacuous
    W_hh = schur.ablated({"CC"}, alpha=0.6, gain=0.5)
    alone = ablate(replace(network, W_hh=W_hh), trials, ablations=[])
    assert profile["0.5*CC"].value == pytest.approx(alone.value[0], rel=1e-12)
    assert profile["0.5*CC"].removed_mass > 0


def test_names_of_couplings_in_any_order(network, trials):
    profile = ablate(network, trials, ablations=["CC+RR", "full"])
    assert profile.names == ("full", "RR+CC")


def test_diverged_rollouts_are_flagged_and_kept(trials):
    # All units saturate with one sign, and the sum of what they send overflows.
    W_hh = np.array([[0.1, 0.5, 0], [0, 0.2, 1], [0, 0, -0.1]], np.float32)
    network = Network(W_hh, np.full((3, 3), 1e6, np.float32), np.full((2, 3), 3e38, np.float32))
    profile = ablate(network, trials.astype(np.float32))
    assert profile.diverged.all()
    assert not np.isfinite(profile.value[profile.diverged]).any()
    assert "diverged" in str(profile)
    assert np.isnan(profile.interval().value[profile.diverged]).all()


def test_nothing_given_is_changed(network, trials):
    before = [getattr(network, name).copy() for name in ARRAYS]
    schur = ordered_schur(network.W_hh)
    T = schur.T.copy()
    ablate(network, trials, schur=schur)
    assert all(
        np.array_equal(getattr(network, name), copy)
        for name, copy in zip(ARRAYS, before, strict=True)
    )
    assert np.array_equal(schur.T, T)


def test_trials_are_converted_to_the_dtype_of_the_network(network, trials):
    mixed = ablate(network.astype(np.float32), trials)
    same = ablate(network.astype(np.float32), trials.astype(np.float32))
    assert mixed.value.tobytes() == same.value.tobytes()
    assert mixed.settings["dtype"] == "float32"


def test_intervals_cover_what_all_trials_would_show():
    # Forty samples of 60 trials: the 95 % interval of each should hold the value of 20000 trials.
    task = FlipFlop(n_steps=10)
    untrained = init_network(task, 12, "default", 3, dtype=np.float64)
    network = train(
        untrained, task, epochs=1, batches_per_epoch=300, learning_rate=0.01, rng=4
    ).network
    truth = ablate(network, task.trials(20000, 0), ablations=["CR"])
    covered = np.zeros(2)
    for sample in range(40):
        profile = ablate(network, task.trials(60, 100 + sample), ablations=["CR"])
        intervals = profile.interval(n_resamples=500, rng=sample)
        for place, (ends, value) in enumerate(
            [(intervals.value[1], truth.value[1]), (intervals.change[1], truth.change[1])]
        ):
            covered[place] += ends[0] <= value <= ends[1]
    assert (covered >= 33).all()


def test_intervals_are_paired(network, rng):
    # An ablation that does next to nothing: paired, its change is far better known than its value.
    schur = ordered_schur(network.W_hh)
    little = Ablation.of("CC", schur.sectors(0.6), gain=0.999)
    wide = Trials(rng.standard_normal((60, 9, 3)), rng.standard_normal((60, 9, 2)))
    intervals = ablate(network, wide, alpha=0.6, ablations=[little]).interval()
    width = [np.ptp(ends[1]) for ends in (intervals.value, intervals.change)]
    assert 0 < width[1] < 0.05 * width[0]
    assert (intervals.change[0] == 0).all()


def test_intervals_follow_level_and_seed(network, trials):
    profile = ablate(network, trials)
    first, again = profile.interval(rng=3), profile.interval(rng=3)
    assert first.value.tobytes() == again.value.tobytes()
    assert profile.interval(rng=4).value.tobytes() != first.value.tobytes()
    assert (np.ptp(profile.interval(0.5, rng=3).value, axis=1) < np.ptp(first.value, axis=1)).all()
    np.testing.assert_allclose(
        first.sensitivity[1:], first.change[1:] / profile.removed_mass[1:, None]
    )


def test_rows_table_and_settings(network, trials):
    profile = ablate(network, trials)
    assert [row.name for row in profile] == list(SUBSETS)
    with pytest.raises(ValueError, match="did you mean 'RR'"):
        profile["RRR"]
    frame = profile.to_dataframe()
    assert frame["change"].tolist() == profile.change.tolist()
    assert frame.attrs["tie_rule"] == profile.settings["tie_rule"]
    text = str(profile)
    header = text.splitlines()[1]
    assert f"n_R {profile.sectors.n_R} of N_h 12" in header
    assert profile.settings["tie_rule"] in header
    assert all(name in text for name in SUBSETS)


BAD = [
    ({"alpha": 0.0}, ValueError, "alpha must be in"),
    ({"alpha": 1.1}, ValueError, "alpha must be in"),
    ({"alpha": "a"}, TypeError, "alpha must be"),
    ({"measure": "fuv"}, ValueError, "measure must be one of .*did you mean 'fvu'"),
    ({"measure": Measure}, TypeError, "measure must be the name of a measure.*got <class"),
    ({"measure": "replay_accuracy"}, ValueError, "targets must be -1 or \\+1"),
    ({"ablations": "RR"}, TypeError, "ablations must be an iterable"),
    ({"ablations": ["RC"]}, ValueError, "ablations must be one of .*got 'RC'; did you mean 'CR',"),
    ({"ablations": ["RR+RR"]}, ValueError, "ablations must be one of"),
    ({"ablations": ["RR", "RR"]}, ValueError, "'RR' twice"),
    ({"ablations": [3]}, TypeError, "ablations must be names or Ablation objects, got 3"),
    ({"ablations": [Ablation("far", ((0, 13, 0, 1),), (0.0,))]}, ValueError, "inside T.*'far'"),
    ({"n_threads": -1}, ValueError, "n_threads must be"),
    ({"schur": np.eye(12)}, TypeError, "schur must be an OrderedSchur"),
    (
        {"schur": ordered_schur(np.eye(12))},
        ValueError,
        "schur must be the Schur form of network.W_hh",
    ),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD)
def test_bad_options_are_named(network, trials, options, error, message):
    with pytest.raises(error, match=message):
        ablate(network, trials, **options)


def test_networks_and_trials_that_do_not_fit_are_named(network, trials):
    with pytest.raises(TypeError, match=r"network must be a schurscope\.Network, got ndarray"):
        ablate(network.W_hh, trials)
    result = TrainingResult(network, np.ones(1), {})
    with pytest.raises(TypeError, match="got TrainingResult; use its attribute network"):
        ablate(result, trials)
    with pytest.raises(TypeError, match=r"Trials, got ndarray; use ss\.Trials\(inputs"):
        ablate(network, trials.inputs)
    with pytest.raises(ValueError, match=r"n_inputs = 3, because W_xh has shape \(12, 3\), got 2"):
        ablate(network, Trials(trials.inputs[..., :2], trials.targets))
    with pytest.raises(ValueError, match=r"n_outputs = 2, because W_hy .* got 1"):
        ablate(network, Trials(trials.inputs, trials.targets[..., :1]))
    with pytest.raises(ValueError, match="variance is zero"):
        ablate(network, Trials(trials.inputs, np.ones_like(trials.targets)))


@pytest.mark.parametrize("size", [1e160, 1e300])
def test_targets_whose_variance_overflows_are_not_called_constant(network, trials, size):
    with pytest.raises(ValueError, match=r"a variance that float64 can hold.*divide them"):
        ablate(network, trials.with_targets(trials.targets * size))


def test_bad_ablations_are_named():
    with pytest.raises(ValueError, match="gains must hold one factor for each of the 1 rectangles"):
        Ablation("a", ((0, 1, 0, 1),), ())
    with pytest.raises(ValueError, match=r"rectangles must be .*first <= end"):
        Ablation("a", ((1, 0, 0, 1),), (0.0,))
    with pytest.raises(TypeError, match="rectangles must be an integer"):
        Ablation("a", ((0.5, 1, 0, 1),), (0.0,))
    with pytest.raises(ValueError, match="gains must be finite"):
        Ablation("a", ((0, 1, 0, 1),), (math.nan,))
    with pytest.raises(ValueError, match="name must be printable"):
        Ablation("", (), ())


def test_tie_spread_moves_what_depends_on_order_alone(near_orthogonal, rng):
    trials = Trials(rng.standard_normal((30, 8, 3)), rng.standard_normal((30, 8, 2)))
    spread = tie_spread(near_orthogonal, trials, alpha=0.8, tolerance=0.05, n_orders=8)
    profile = ablate(near_orthogonal, trials, alpha=0.8, ablations=spread.names)
    assert spread.names == ("RR", "CR", "CC")
    assert np.array_equal(spread.reference, profile.value[1:])
    assert spread.value.shape == (8, 3)
    assert spread.n_admissible > 100
    moved = dict(zip(spread.names, spread.spread, strict=True))
    assert moved["CR"] < 1e-9
    assert moved["RR"] > 1e-4
    assert "CR" in str(spread)


def test_tie_spread_shuffles_near_ties_on_one_side_of_the_cut(near_orthogonal, rng):
    trials = Trials(rng.standard_normal((5, 4, 3)), rng.standard_normal((5, 4, 2)))
    spread = tie_spread(near_orthogonal, trials, alpha=0.8, tolerance=10.0, n_orders=1)
    schur = ordered_schur(near_orthogonal.W_hh)
    in_R = schur.starts < schur.sectors(0.8).n_R
    # With such a tolerance everything is tied, but for the cut.
    assert [set(in_R[list(cluster)]) for cluster in spread.clusters] == [{True}, {False}]
    assert sum(map(len, spread.clusters)) == len(schur.starts)
    alone = tie_spread(near_orthogonal, trials, tolerance=0.0, n_orders=3)
    assert alone.clusters == ()
    assert (alone.spread == 0).all()


def test_tie_spread_names_bad_arguments(network, trials):
    with pytest.raises(ValueError, match="n_orders must be at least 1"):
        tie_spread(network, trials, n_orders=0)
    with pytest.raises(ValueError, match="tolerance must be at least 0"):
        tie_spread(network, trials, tolerance=-1.0)
    with pytest.raises(ValueError, match="ablations must be one of"):
        tie_spread(network, trials, ablations=["XX"])


def test_copy_task_profile_counts_generated_steps_only():
    task = Copy(n_symbols=3, dimension=2, horizon=7)
    network = init_network(task, 10, "orthogonal", 1)
    profile = ablate(network, task.trials(9, 2), measure="replay_accuracy")
    assert np.isnan(profile.per_step[:, :3]).all()
    assert np.isfinite(profile.per_step[:, 3:]).all()


def test_a_network_that_does_not_do_the_task_gets_a_caution(network, trials, sign_trials):
    lost = Network(network.W_hh, network.W_xh, 100 * network.W_hy)
    profile = ablate(lost, trials)
    assert profile.value[0] > 1
    assert "caution: the full network is no better than the mean target" in str(profile)
    outputs = network.rollout(trials.inputs)
    good = Trials(trials.inputs, outputs, trials.weights)
    assert "caution" not in str(ablate(network, good))
    wrong = Trials(sign_trials.inputs, -np.sign(outputs))
    caution = ablate(network, wrong, measure="replay_accuracy").caution
    assert caution.startswith("the full network is no better than chance")
