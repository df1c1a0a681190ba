"""Ablations judged by every measure, by measures from outside the package, and by functions."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import reference
import schurscope as ss
from schurscope.ablation.measures import MEASURES
from schurscope.ablation.measures.fixation import fixation_of

NAMES = ("RR", "CR", "CC", "RR+CR+CC")


@pytest.fixture
def classes(rng, network):
    """Classes of seven trials of nine steps."""
    return rng.integers(network.n_outputs, size=(7, 9))


@pytest.fixture
def class_trials(trials, classes, network):
    return ss.Trials.from_classes(trials.inputs, classes, network.n_outputs, trials.weights)


@pytest.fixture
def masked_trials(trials):
    """Targets with signs and of any size, every third of them masked."""
    targets = trials.targets.copy()
    targets.reshape(-1)[::3] = 0
    return trials.with_targets(targets)


def outputs_of(network, trials, name, alpha=0.6):
    """Outputs of an ablated network, by the plain reference in float64."""
    W_hh, _ = reference.ablated(network.W_hh, name.split("+") if name != "full" else [], alpha)
    arrays = (W_hh, network.W_xh, network.W_hy, trials.inputs, network.b_h, network.b_y)
    return reference.rollout(*(np.float64(array) for array in arrays))[0]


def check_values(profile, expected, tolerance=1e-11):
    """Values, and that trials and steps add up to them."""
    for name, value in expected.items():
        assert profile[name].value == pytest.approx(value, rel=tolerance, abs=tolerance), name
    np.testing.assert_allclose(profile.per_trial.mean(axis=1), profile.value, rtol=1e-12)


@pytest.mark.parametrize("measure", ["accuracy", "cross_entropy"])
def test_measures_of_classes_agree_with_the_reference(network, class_trials, classes, measure):
    target = classes if measure == "accuracy" else class_trials.targets
    function = getattr(reference, measure)
    profile = ss.ablate(network, class_trials, alpha=0.6, ablations=NAMES, measure=measure)
    expected = {
        name: function(outputs_of(network, class_trials, name), target, class_trials.weights)
        for name in ("full", *NAMES)
    }
    check_values(profile, expected)
    weight = class_trials.weights.sum(axis=0)
    np.testing.assert_allclose(
        np.average(profile.per_step, axis=1, weights=weight), profile.value, rtol=1e-12
    )
    object_ = getattr(ss.measures, measure)
    outputs = network.rollout(class_trials.inputs)
    for given in (classes, class_trials.targets):
        value = object_(outputs, given, class_trials.weights)
        assert value == pytest.approx(expected["full"], rel=1e-11)


def test_sign_accuracy_leaves_out_masked_entries(network, masked_trials):
    profile = ss.ablate(network, masked_trials, alpha=0.6, measure="sign_accuracy")
    targets, weights = masked_trials.targets, masked_trials.weights
    expected = {
        name: reference.sign_accuracy(outputs_of(network, masked_trials, name), targets, weights)
        for name in ("full", *NAMES)
    }
    check_values(profile, expected)
    counted = (weights[..., None] * (targets != 0)).sum(axis=(0, 2))
    np.testing.assert_allclose(
        np.average(profile.per_step, axis=1, weights=counted), profile.value, rtol=1e-12
    )
    outputs = network.rollout(masked_trials.inputs)
    assert ss.measures.sign_accuracy(outputs, targets, weights) == pytest.approx(expected["full"])


def test_fidelity_needs_no_targets(network, trials):
    profile = ss.ablate(network, ss.Trials(trials.inputs), alpha=0.6, measure="fidelity")
    full = outputs_of(network, trials, "full")
    ones = np.ones(full.shape[:2])
    expected = {
        name: reference.fvu(outputs_of(network, trials, name), full, ones) for name in NAMES
    }
    check_values(profile, {"full": 0.0, **expected})
    assert profile["full"].value == 0.0
    again = ss.ablate(
        network, ss.Trials(trials.inputs, trials.targets), alpha=0.6, measure="fidelity"
    )
    np.testing.assert_array_equal(again.value, profile.value)


def test_measures_that_need_targets_say_so(network, trials):
    bare = ss.Trials(trials.inputs)
    for measure in ("fvu", "accuracy"):
        with pytest.raises(ValueError, match=rf"targets for measure='{measure}', got only inputs"):
            ss.ablate(network, bare, measure=measure)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("measure", sorted(MEASURES))
def test_kernels_agree_with_the_definition(network, class_trials, dtype, measure):
    """The core's sums against `Measure.scores` on the outputs of the same rollouts."""
    network, trials = network.astype(dtype), class_trials.astype(dtype)
    if "sign" in measure or "replay" in measure:
        trials = trials.with_targets(2 * trials.targets - 1)
    definition = MEASURES[measure]
    plain = copy.copy(definition)
    plain.kernel = None
    fast, slow = (ss.ablate(network, trials, alpha=0.6, measure=m) for m in (definition, plain))
    tolerance = 1e-12 if dtype == np.float64 else 2e-5
    for array in ("value", "change", "per_trial", "per_step"):
        np.testing.assert_allclose(
            getattr(fast, array), getattr(slow, array), rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize("measure", sorted(MEASURES))
def test_a_rollout_that_diverges_is_marked(network, class_trials, measure):
    wild = ss.Ablation("wild", ((0, 12, 0, 12),), (1e200,))
    hot = ss.Network(network.W_hh, network.W_xh, network.W_hy, cell=ss.Cell("identity"))
    trials = class_trials
    if "sign" in measure or "replay" in measure:
        trials = trials.with_targets(2 * trials.targets - 1)
    profile = ss.ablate(hot, trials, ablations=[wild], measure=measure)
    assert profile.diverged.tolist() == [False, True]
    assert "diverged" in str(profile)


# Measures from outside


class MaximalError(ss.measures.Measure):
    """Mean over steps of the largest error of any channel."""

    name = "maximal_error"
    heading = "max error"
    unit = "V"
    better = "lower"

    def scores(self, outputs, targets):
        """The largest |ŷ - y| of a step."""
        return np.abs(outputs - targets).max(axis=2)


def test_a_measure_from_outside_the_package(network, trials):
    measure = MaximalError()
    profile = ss.ablate(network, trials, alpha=0.6, ablations=NAMES, measure=measure)
    expected = {
        name: np.average(
            np.abs(outputs_of(network, trials, name) - trials.targets).max(axis=2),
            weights=trials.weights,
        )
        for name in ("full", *NAMES)
    }
    check_values(profile, expected)
    assert profile.measure == "maximal_error"
    assert "max error" in str(profile)
    assert profile.plot().get_ylabel() == "Δ max error (V)"
    intervals = profile.interval()
    assert (intervals.value[:, 0] <= profile.value).all()
    assert (profile.value <= intervals.value[:, 1]).all()
    outputs = network.rollout(trials.inputs)
    assert measure(outputs, trials.targets, trials.weights) == pytest.approx(expected["full"])


def test_a_measure_of_the_wrong_shape_is_told(network, trials):
    class Flat(MaximalError):
        def scores(self, outputs, targets):
            return super().scores(outputs, targets).sum(axis=1)

    with pytest.raises(ValueError, match=r"the scores of maximal_error must have shape \(7, 9\)"):
        ss.ablate(network, trials, measure=Flat())


def test_a_function_scores_whole_trials(network, trials):
    seen = []

    def last_output(outputs, given):
        seen.append(given.n_trials)
        return outputs[:, -1, 0]

    profile = ss.ablate(network, trials, alpha=0.6, ablations=NAMES, measure=last_output)
    expected = {
        name: outputs_of(network, trials, name)[:, -1, 0].mean() for name in ("full", *NAMES)
    }
    check_values(profile, expected)
    assert seen == [7] * 5
    assert profile.measure == "last_output"
    assert profile.per_step.shape == (5, 0)
    assert profile.caution == ""
    own = ss.ablate_with(
        network.W_hh,
        lambda W: ss.Network(W, network.W_xh, network.W_hy, network.b_h, network.b_y).rollout(
            trials.inputs
        )[:, -1, 0],
        alpha=0.6,
        ablations=NAMES,
    )
    np.testing.assert_allclose(profile.per_trial, own.per_trial, rtol=1e-12)
    assert not ss.ablate(network, ss.Trials(trials.inputs), measure=last_output).diverged.any()


def test_wrong_measures_are_told(network, trials, class_trials):
    with pytest.raises(ValueError, match=r"measure must be one of .*did you mean 'accuracy'"):
        ss.ablate(network, trials, measure="acuracy")
    with pytest.raises(TypeError, match=r"measure must be the name of a measure, .* got 3"):
        ss.ablate(network, trials, measure=3)
    with pytest.raises(ValueError, match=r"one-hot vectors .* for accuracy, got targets\[0, "):
        ss.ablate(network, trials, measure="accuracy")
    with pytest.raises(ValueError, match=r"one-hot vectors or probabilities .* cross entropy"):
        ss.ablate(network, trials, measure="cross_entropy")
    with pytest.raises(ValueError, match=r"targets must be -1 or \+1 .* sign_accuracy masks"):
        ss.ablate(network, class_trials, measure="replay_accuracy")
    with pytest.raises(ValueError, match="targets must be classes 0 … 1, because there are 2"):
        ss.measures.accuracy(np.ones((1, 2, 2)), np.array([[0, 2]]))
    with pytest.raises(
        ValueError, match=r"the scores that lambda returns for 'full' must have shape \(7,\)"
    ):
        ss.ablate(network, trials, measure=lambda outputs, _: outputs[:, -1])


# What a measure knows


def test_chance_is_what_an_answer_without_inputs_reaches(rng):
    targets = np.eye(3)[rng.choice(3, size=(5, 8), p=[0.6, 0.3, 0.1])]
    weights = rng.random((5, 8))
    shares = np.average(targets.reshape(-1, 3), axis=0, weights=weights.ravel())
    logits = np.broadcast_to(np.log(shares), targets.shape)
    for measure in (ss.measures.accuracy, ss.measures.cross_entropy):
        assert measure(logits, targets, weights) == pytest.approx(measure.chance(targets, weights))
    mean = np.broadcast_to(shares, targets.shape)
    chance = ss.measures.fvu.chance(targets, weights)
    assert ss.measures.fvu(mean, targets, weights) == pytest.approx(chance)


@pytest.mark.parametrize("measure", sorted(set(MEASURES) - {"fidelity"}))
def test_a_network_no_better_than_chance_is_cautioned(network, class_trials, measure):
    silent = ss.Network(network.W_hh, network.W_xh, 0 * network.W_hy, b_y=[0.5, 0.5])
    trials = class_trials
    if "sign" in measure or "replay" in measure:
        trials = trials.with_targets(2 * trials.targets - 1)
    profile = ss.ablate(silent, trials, measure=measure)
    assert profile.caution.startswith("the full network is no better than ")


def test_what_counts_as_trained():
    for measure in MEASURES.values():
        good, bad = (0.0, 1e3) if measure.better == "lower" else (1.0, 0.0)
        assert measure.passes(good)
        assert not measure.passes(bad)
        assert not measure.passes(np.nan)


def test_profiles_are_read_only_also_when_unpickled(network, trials):
    profile = ss.ablate(network, trials)
    for mine in (profile, pickle.loads(pickle.dumps(profile)), copy.deepcopy(profile)):
        assert str(mine) == str(profile)
        with pytest.raises(ValueError, match="read-only"):
            mine.value[0] = 0
        with pytest.raises(TypeError, match="does not support item assignment"):
            mine.settings["alpha"] = 0


def test_tie_spread_of_a_noisy_network_shares_the_noise(network, trials):
    noisy = ss.Network(
        network.W_hh, network.W_xh, network.W_hy, cell=ss.Cell(noise=0.3, activation="tanh")
    )
    spread = ss.tie_spread(noisy, trials, tolerance=0.3, n_orders=3, rng=5)
    # CR does not depend on the order: what is left of its spread is rounding, so the noise is one.
    assert spread.spread[spread.names.index("CR")] < 1e-10
    other = ss.tie_spread(noisy, trials, tolerance=0.3, n_orders=3, rng=6)
    assert not np.allclose(other.reference, spread.reference)


# Cautions


def fixation_trials(rng, n_trials=60, n_steps=20, n_decision=4):
    """Fixation, class 0, then a decision between two classes that the inputs show, as neurogym."""
    classes = np.zeros((n_trials, n_steps), int)
    classes[:, -n_decision:] = rng.integers(1, 3, (n_trials, 1))
    return ss.Trials.from_classes(rng.standard_normal((n_trials, n_steps, 3)), classes, 3)


@pytest.fixture
def fixating(network):
    """A network that always answers class 0."""
    return ss.Network(network.W_hh, network.W_xh, np.zeros((3, 12)), b_y=[1.0, 0.0, 0.0])


@pytest.mark.parametrize("measure", ["accuracy", "cross_entropy", "fvu"])
def test_trials_that_mostly_ask_for_fixation_are_cautioned(fixating, rng, measure):
    every = fixation_trials(rng)
    profile = ss.ablate(fixating, every, measure=measure)
    assert profile.cautions[-1].startswith("80 % of the weighted steps have the same target, [1, ")
    assert profile.cautions[-1] in str(profile)
    decisions = every.with_weights(every.targets[..., 0] == 0)
    assert ss.ablate(fixating, decisions, measure=measure).settings["trials_caution"] == ""


def test_the_share_of_variance_of_a_fixation_is_that_of_the_answer_it_describes(rng):
    trials = fixation_trials(rng)
    targets, weights = trials.targets.astype(float), rng.integers(1, 4, (60, 20)).astype(float)
    found = fixation_of(targets, weights)
    is_fixed = targets[..., 0] == 1
    assert found.share == pytest.approx(weights[is_fixed].sum() / weights.sum())
    mean = np.average(targets[~is_fixed], axis=0, weights=weights[~is_fixed])
    answer = np.where(is_fixed[..., None], targets, mean)
    assert found.variance == pytest.approx(1 - ss.measures.fvu(answer, targets, weights))


def test_no_fixation_where_the_answer_at_most_steps_differs_between_trials(rng):
    whole = np.zeros((40, 9), int)  # a decision at every step
    whole[:25] = 1
    assert fixation_of(np.eye(2)[whole], np.ones((40, 9))) is None
    many = rng.choice(2, (40, 30), p=[0.4, 0.6])  # decisions of many trials in one sequence
    assert fixation_of(np.eye(2)[many], np.ones((40, 30))) is None
    quiet = np.zeros((40, 9, 1))  # 0 until the last steps, which have all the variance
    quiet[:, -3:] = rng.choice([-1, 1], (40, 1, 1))
    found = fixation_of(quiet, np.ones((40, 9)))
    assert found.share == pytest.approx(2 / 3)
    assert not ss.measures.fvu.is_dominated(found)


@pytest.mark.parametrize("task", ss.tasks.TASKS)
def test_no_task_of_the_package_is_mostly_fixation(task, rng):
    made = ss.task_named(task)
    trials = made.trials(64, rng)
    assert fixation_of(trials.targets, trials.step_weights.astype(float)) is None


def test_a_network_nearer_to_chance_than_to_its_task_is_cautioned():
    for measure, far, near in (("fvu", 0.7, 0.3), ("accuracy", 0.6, 0.8), ("fidelity", 0.7, 0.0)):
        definition, chance = MEASURES[measure], 0.5 if measure == "accuracy" else 1.0
        assert definition.caution(far, chance).startswith("the full network is far from doing")
        assert f"{definition.required:g}" in definition.caution(far, chance)
        assert definition.caution(near, chance) == ""
        assert definition.caution(np.nan, chance) == definition.caution(far, np.nan) == ""
    # Where doing nothing suffices, the trials are to blame.
    assert MEASURES["accuracy"].caution(0.97, 0.95) == ""
