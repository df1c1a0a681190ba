"""`ablate_with`, against `ablate` and the plain reference, and with a model in JAX."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

import reference
from frameworks import framework
from schurscope import Ablation, Trials, ablate, ablate_with, init_network, ordered_schur, plotting
from schurscope.ablation.measures import Score
from schurscope.ablation.names import SUBSETS
from schurscope.reporting.profile import print_profile, save_profile
from schurscope.trials.tasks import FlipFlop

torch = framework("torch")

ARRAYS = ("W_hh", "W_xh", "W_hy", "b_h", "b_y")


def outputs(network, W_hh, inputs):
    """Of the reference's rollout in float64, with another recurrent matrix."""
    arrays = {name: np.float64(getattr(network, name)) for name in ARRAYS}
    return reference.rollout(**{**arrays, "W_hh": np.float64(W_hh)}, inputs=inputs)[0]


def shares_of_fvu(network, trials):
    """evaluate: what each trial contributes to the FVU."""
    weights, targets = trials.step_weights, trials.targets
    mean = np.average(
        targets, axis=(0, 1), weights=np.broadcast_to(weights[..., None], targets.shape)
    )
    variance = (weights[..., None] * (targets - mean) ** 2).sum()

    def evaluate(W):
        errors = (outputs(network, W, trials.inputs) - targets) ** 2
        return len(targets) * (weights[..., None] * errors).sum(axis=(1, 2)) / variance

    return evaluate


@pytest.mark.parametrize("alpha", [0.3, 0.6, 0.9])
def test_the_same_numbers_as_ablate(network, trials, dtype, alpha):
    network = network.astype(dtype)
    ours = ablate_with(network.W_hh, shares_of_fvu(network, trials), alpha=alpha, measure="share")
    core = ablate(network, trials, alpha=alpha)
    tolerance = 1e-11 if dtype == np.float64 else 1e-4
    for name in ("value", "change", "removed_mass", "sensitivity", "per_trial"):
        mine, theirs = getattr(ours, name), getattr(core, name)
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance)
    assert ours.names == core.names == SUBSETS
    assert np.array_equal(ours.vacuous, core.vacuous)
    assert ours.sectors.n_R == core.sectors.n_R
    # What a function of the user's does not tell.
    untold = {"n_steps": 9, "cell": repr(network.cell), "trials_caution": ""}
    assert core.settings == {**ours.settings, **untold, "measure": "fvu"}


def test_the_same_intervals_as_ablate_where_trials_weigh_the_same(network, rng):
    signs = Trials(rng.standard_normal((40, 9, 3)), np.sign(rng.standard_normal((40, 9, 2))))

    def accuracy(W):
        return (np.sign(outputs(network, W, signs.inputs)) == signs.targets).mean(axis=(1, 2))

    ours = ablate_with(network.W_hh, accuracy, measure="accuracy").interval(0.9, rng=7)
    core = ablate(network, signs, measure="replay_accuracy").interval(0.9, rng=7)
    for mine, theirs in zip(ours, core, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-12)


def test_intervals_are_those_of_a_paired_mean(network, rng):
    # The normal approximation of the mean of many independent scores, and of their differences.
    noise, effect = rng.standard_normal((2, 4000))

    def evaluate(W):
        return noise if np.array_equal(W, network.W_hh) else noise + 0.1 * effect + 1

    profile = ablate_with(network.W_hh, evaluate, ablations=["CR"], alpha=0.6)
    intervals = profile.interval(n_resamples=4000)
    half = 1.96 / np.sqrt(4000)
    ends = np.array([-half, half])
    np.testing.assert_allclose(intervals.value[0], noise.mean() + ends, atol=0.15 * half)
    change = 1 + 0.1 * effect.mean() + 0.1 * ends
    np.testing.assert_allclose(intervals.change[1], change, atol=0.015 * half)
    mass = profile.removed_mass[1]
    np.testing.assert_allclose(intervals.sensitivity[1], intervals.change[1] / mass)
    assert (intervals.change[0] == 0).all()


def test_evaluate_gets_the_ablated_matrices_to_keep(network, dtype):
    W_hh = network.W_hh.astype(dtype)
    seen = []

    def evaluate(W):
        seen.append(W.copy())
        W[:] = np.nan  # ours: what is done to it must not reach the next one
        return [1.0]

    profile = ablate_with(W_hh, evaluate, alpha=0.6)
    assert seen[0].tobytes() == W_hh.tobytes()
    for W, name in zip(seen[1:], profile.names, strict=True):  # the full network came twice
        expected, mass = reference.ablated(W_hh, () if name == "full" else name.split("+"), 0.6)
        assert W.dtype == dtype
        np.testing.assert_allclose(W, expected, atol=20 * np.finfo(dtype).eps)
        assert profile[name].removed_mass == pytest.approx(mass, abs=1e-12)


def test_vacuous_ablations_are_not_evaluated(dtype):
    W = init_network(FlipFlop(), 16, "normal", 5, dtype=dtype).W_hh
    calls = []

    def evaluate(W):
        calls.append(W)
        return np.random.default_rng(0).standard_normal(5)

    profile = ablate_with(W, evaluate, alpha=0.5)
    assert len(calls) == 2  # the full network, twice
    assert profile.vacuous.tolist() == [False] + [True] * (len(SUBSETS) - 1)
    assert (profile.per_trial == profile.per_trial[0]).all()
    assert (profile.change == 0).all()
    assert np.isnan(profile.sensitivity).all()
    assert (profile.interval().change == 0).all()
    assert str(profile).count("vacuous") == len(SUBSETS) - 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_a_result(network, bad):
    def evaluate(W):
        return [1.0, 2.0] if np.array_equal(W, network.W_hh) else [1.0, bad]

    profile = ablate_with(network.W_hh, evaluate, alpha=0.6)
    assert profile.diverged.tolist() == [False] + [True] * (len(SUBSETS) - 1)
    assert profile.value[0] == 1.5
    assert not np.isfinite(profile.change[1:]).any()
    assert np.isnan(profile.interval().value[1:]).all()
    assert str(profile).count("diverged") == len(SUBSETS) - 1
    assert [text.get_text() for text in profile.plot().texts] == ["  diverged"] * (len(SUBSETS) - 1)
    all_bad = ablate_with(network.W_hh, lambda _: [np.inf, -np.inf], alpha=0.6)
    assert all_bad.diverged.all()


def test_a_gain_beyond_the_range_of_the_dtype_gives_infinite_weights(network):
    W_hh = network.W_hh.astype(np.float32)
    huge = Ablation.of("CC", ordered_schur(W_hh).sectors(0.6), gain=1e300)
    finite = []
    profile = ablate_with(
        W_hh,
        lambda W: [finite.append(np.isfinite(W).all()) or np.abs(W).max()],
        ablations=[huge],
        alpha=0.6,
    )
    assert finite == [True, True, False]
    assert profile.diverged.tolist() == [False, True]


def test_what_evaluate_raises_is_passed_on(network):
    error = KeyError("theirs")

    def evaluate(W):
        if not np.array_equal(W, network.W_hh):
            raise error
        return [1.0]

    with pytest.raises(KeyError) as caught:
        ablate_with(network.W_hh, evaluate)
    assert caught.value is error


def test_another_order_and_progress(network):
    schur = ordered_schur(network.W_hh)
    order = np.arange(len(schur.starts))
    order[[0, -1]] = order[[-1, 0]]
    other = schur.reordered(order)
    matrices, told = [], []
    profile = ablate_with(
        network.W_hh,
        lambda W: [matrices.append(W) or 1.0],
        ablations=["RR"],
        schur=other,
        progress=lambda done, total: told.append((done, total)),
    )
    assert profile.schur is other
    np.testing.assert_allclose(matrices[2], other.ablated({"RR"}), atol=1e-15)
    assert told == [(1, 2), (2, 2)]
    by_real_part = ordered_schur(network.W_hh, "real_part")
    profile = ablate_with(network.W_hh, lambda _: [1.0], alpha=0.3, schur=by_real_part)
    assert profile.settings["tie_rule"] == "real-part-1"


@pytest.mark.parametrize("given", ["list", "tensor"])
def test_anything_that_numpy_reads_is_a_matrix(network, given):
    W = network.W_hh.tolist() if given == "list" else torch.tensor(network.W_hh)
    profile = ablate_with(W, lambda W: torch.from_numpy(W).sum(dim=1))
    same = ablate_with(network.W_hh, lambda W: W.sum(axis=1))
    np.testing.assert_allclose(profile.per_trial, same.per_trial, atol=1e-14)
    assert np.array_equal(W, network.W_hh)


def test_sums_are_in_double_precision(network):
    scores = np.full(1001, 2**24, np.float32)
    scores[0] = 1
    profile = ablate_with(network.W_hh, lambda _: scores, ablations=["CR"])
    assert profile.per_trial.dtype == np.float64
    assert profile.value.tolist() == [(1000 * 2**24 + 1) / 1001] * 2


def test_whether_trials_are_right_is_a_score(network):
    profile = ablate_with(network.W_hh, lambda W: W.sum(axis=1) > 0, measure="accuracy")
    assert profile.value[0] == (network.W_hh.sum(axis=1) > 0).mean()


def test_a_model_in_jax(network, trials):
    jax = framework("jax")
    jnp = jax.numpy
    inputs, targets = jnp.asarray(trials.inputs), jnp.asarray(trials.targets)
    W_xh, W_hy, b_h, b_y = (jnp.asarray(getattr(network, name)) for name in ARRAYS[1:])

    @jax.jit
    def evaluate(W):
        def step(h, x):
            h = jnp.tanh(x @ W_xh.T + h @ W.T + b_h)
            return h, h @ W_hy.T + b_y

        start = jnp.zeros((len(inputs), len(W)))
        answers = jax.lax.scan(step, start, jnp.swapaxes(inputs, 0, 1))[1]
        return jnp.square(jnp.swapaxes(answers, 0, 1) - targets).mean(axis=(1, 2))

    W_hh = jnp.asarray(network.W_hh)
    profile = ablate_with(W_hh, evaluate, alpha=0.6, measure="mean squared error")
    assert profile.settings["dtype"] == "float32"  # JAX's own default
    for row in profile:
        names = () if row.name == "full" else row.name.split("+")
        W, _ = reference.ablated(network.W_hh, names, 0.6)
        errors = (outputs(network, W, trials.inputs) - trials.targets) ** 2
        assert row.value == pytest.approx(errors.mean(), rel=1e-4)
    assert not profile.vacuous.any()


def test_tables_figures_and_files_name_the_score(network, tmp_path, capsys):
    profile = ablate_with(
        network.W_hh, lambda W: W.sum(axis=1), measure="reward", alpha=0.6, ablations=["CR", "CC"]
    )
    assert repr(profile) == "AblationProfile(measure='reward', rows=3, alpha=0.6)"
    assert str(profile).startswith("reward over 12 trials, float64\n")
    assert str(profile).splitlines()[2].split()[:3] == ["ablation", "reward", "Δreward"]
    assert profile.plot().get_ylabel() == "Δ reward"
    assert plotting.value_bars(profile).get_ylabel() == "reward"
    assert profile.to_dataframe().attrs["measure"] == "reward"
    with pytest.raises(ValueError, match="profiles must be of an accuracy, got 'reward'"):
        plotting.accuracy_per_lag(profile)

    intervals = profile.interval()
    print_profile(profile, intervals)
    assert "reward over 12 trials, float64; n_R" in capsys.readouterr().out
    print_profile(replace(profile, definition=Score("x [rad]")), intervals)
    assert capsys.readouterr().out.count("x [rad]") == 3
    print_profile(replace(profile, definition=Score("angle [rad]")), intervals)
    shown = capsys.readouterr().out
    assert shown.startswith("angle [rad] over 12 trials")
    assert "Δscore" in shown
    assert "…" not in shown.replace(" … ", "")  # no number cut short
    save_profile(tmp_path, profile, intervals, profile.settings)
    with open(tmp_path / "profile.csv", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["change"]) for row in rows] == profile.change.tolist()
    assert json.loads((tmp_path / "settings.json").read_text())["measure"] == "reward"
    figures = {path.stem for path in tmp_path.glob("*.png")}
    assert figures == {"schur_matrix", "spectrum", "change"}


BAD = [
    ({"W": np.ones((3, 4))}, ValueError, r"W must have shape \(N_h, N_h\), got \(3, 4\)"),
    ({"W": np.full((3, 3), np.nan)}, ValueError, "W must be finite"),
    ({"W": torch.ones(3, 3, requires_grad=True)}, TypeError, r"W cannot be read .*detach\(\)"),
    ({"evaluate": 3}, TypeError, "evaluate must be callable, got 3"),
    ({"alpha": 0}, ValueError, "alpha must be in"),
    ({"measure": ""}, ValueError, "measure must be printable text"),
    ({"measure": 3}, ValueError, "measure must be printable text, got 3"),
    ({"measure": "fvu"}, ValueError, "measure must be a name of your own, got 'fvu'"),
    ({"ablations": ["RC"]}, ValueError, "ablations must be one of"),
    ({"ablations": [Ablation("far", ((0, 13, 0, 1),), (0.0,))]}, ValueError, "inside T.*'far'"),
    ({"schur": np.eye(12)}, TypeError, "schur must be an OrderedSchur or None, got ndarray"),
    ({"schur": ordered_schur(np.eye(12))}, ValueError, "schur must be the Schur form of W, got"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD)
def test_bad_arguments_are_named_before_anything_is_evaluated(network, options, error, message):
    calls = []
    given = {"W": network.W_hh, "evaluate": calls.append, **options}
    with pytest.raises(error, match=message):
        ablate_with(**given)
    assert not calls


@pytest.mark.parametrize(
    ("scores", "error", "message"),
    [
        (1.0, ValueError, r"evaluate returns for 'full' must have shape \(trials,\), got \(\)"),
        (np.ones((3, 2)), ValueError, r"must have shape \(trials,\), got \(3, 2\)"),
        ([], ValueError, "evaluate returns for 'full' must have at least one entry"),
        (None, TypeError, "evaluate returns for 'full' must be float32 or float64, got dtype obj"),
        (["a"], TypeError, "evaluate returns for 'full' must be float32 or float64"),
        ([1j], TypeError, "got dtype complex128"),
        (torch.ones(3, requires_grad=True), TypeError, r"evaluate returns .*detach\(\)"),
    ],
)
def test_other_scores_are_refused(network, scores, error, message):
    with pytest.raises(error, match=message):
        ablate_with(network.W_hh, lambda _: scores)


def test_scores_left_to_chance_are_refused(network, rng):
    with pytest.raises(ValueError, match=r"same scores for the same matrix.*model\.eval\(\)"):
        ablate_with(network.W_hh, lambda _: rng.standard_normal(9))


def test_the_number_of_scores_must_stay(network):
    sizes = iter([3, 3, 3, 2])
    with pytest.raises(
        ValueError,
        match=r"for 'CR' must have shape \(3,\) because it returned 3 scores for 'full', got \(2,",
    ):
        ablate_with(network.W_hh, lambda _: np.ones(next(sizes)), alpha=0.6)
