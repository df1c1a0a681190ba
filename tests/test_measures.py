"""FVU, replay accuracy, sensitivity, and the per-trial statistics behind them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
from schurscope.ablation.measures import Variance, Weight, fvu, replay_accuracy, sensitivity


@st.composite
def data(draw, signs=False):
    """Outputs, targets and weights; at least two steps with weight, on which the targets vary."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(st.tuples(st.integers(1, 4), st.integers(2, 5), st.integers(1, 3)))
    outputs, targets = rng.standard_normal((2, *shape))
    weights = rng.integers(0, 3, shape[:2]) / 2
    weights[0, :2] = 1
    return outputs, np.sign(targets) if signs else targets, weights


# FVU


@given(data())
def test_fvu_agrees_with_the_reference(case):
    assert fvu(*case) == pytest.approx(reference.fvu(*case), rel=1e-12)


def test_fvu_without_weights_weighs_all_steps_alike():
    rng = np.random.default_rng(0)
    outputs, targets = rng.standard_normal((2, 3, 4, 2))
    assert fvu(outputs, targets) == fvu(outputs, targets, np.ones((3, 4)))


@given(data())
def test_fvu_of_perfect_and_of_mean_outputs(case):
    _, targets, weights = case
    assert fvu(targets, targets, weights) == 0
    mean = np.average(targets.reshape(-1, targets.shape[2]), axis=0, weights=weights.ravel())
    assert fvu(np.broadcast_to(mean, targets.shape), targets, weights) == pytest.approx(1)


@given(data(), st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_fvu_is_invariant(case, shift, scale, weight):
    outputs, targets, weights = case
    moved = fvu(shift + scale * outputs, shift + scale * targets, weight * weights)
    # the shift costs (shift / scale)^2 of the digits at most, here 1e12 in the worst case
    assert moved == pytest.approx(fvu(*case), rel=1e-13 * (1 + (shift / scale) ** 2) + 1e-10)


@given(data())
def test_steps_without_weight_do_not_matter(case):
    outputs, targets, weights = case
    expected = fvu(*case)
    outputs[weights == 0] = 1e9
    targets[weights == 0] = -1e9
    assert fvu(outputs, targets, weights) == pytest.approx(expected, rel=1e-12)


def test_fvu_uses_one_mean_per_channel_over_trials_and_steps():
    targets = np.array([[[0.0, 10.0], [2.0, 10.0]], [[4.0, 10.0], [6.0, 14.0]]])
    # channel means 3 and 11: variances 9 + 1 + 1 + 9 and 1 + 1 + 1 + 9; errors 8 ones
    assert fvu(targets + 1, targets) == 8 / 32


def test_fvu_keeps_its_digits_far_from_zero():
    rng = np.random.default_rng(1)
    outputs, targets = rng.integers(-8, 9, (2, 5, 6, 2)).astype(float)
    assert fvu(outputs + 2.0**40, targets + 2.0**40) == pytest.approx(
        fvu(outputs, targets), rel=1e-12
    )


def test_fvu_sums_float32_in_float64():
    targets = np.zeros((1, 2**18, 1), np.float32)
    targets[:, ::2] = 1
    outputs = targets + np.float32(0.1)
    expected = float(np.float64(np.float32(1) + np.float32(0.1)) - 1) ** 2
    expected = (expected + float(np.float32(0.1)) ** 2) / 2 / 0.25
    assert fvu(outputs, targets) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("constant", [0, 1, 0.1, -1e-30, 1e9])
def test_targets_that_do_not_vary_are_refused(constant, dtype):
    targets = np.full((7, 11, 2), constant, dtype)
    targets[..., 1] *= 3
    with pytest.raises(
        ValueError, match=r"targets must vary over the weighted steps: .* undefined"
    ):
        fvu(np.zeros((7, 11, 2)), targets)


def test_weights_near_the_largest_number_are_not_called_constant_targets(rng):
    targets = rng.choice([-1.0, 1.0], (4, 5, 2))
    with pytest.raises(ValueError, match="got targets or weights so large"):
        fvu(0.5 * targets, targets, np.full((4, 5), 1e300))


def test_targets_that_vary_only_without_weight_are_refused():
    targets = np.array([[[0.1], [0.1], [5.0]]])
    with pytest.raises(ValueError, match="targets must vary over the weighted steps"):
        fvu(targets, targets, [[1, 1, 0]])


def test_tiny_variation_is_variation():
    targets = np.array([[[0.0], [1e-150]]])
    assert fvu(np.zeros((1, 2, 1)), targets) == 2


def test_diverged_outputs_are_a_result():
    targets = np.array([[[0.0], [1.0]]])
    assert np.isnan(fvu([[[np.nan], [0.0]]], targets))
    assert fvu([[[-np.inf], [0.0]]], targets) == np.inf
    assert fvu([[[1e200], [0.0]]], targets) == np.inf


# Replay accuracy


@given(data(signs=True))
def test_accuracy_agrees_with_the_reference(case):
    assert replay_accuracy(*case) == pytest.approx(reference.replay_accuracy(*case), rel=1e-12)


def test_accuracy_weighs_steps():
    outputs = np.array([[[2.0, -1e-300], [0.0, -3.0]]])
    targets = np.array([[[1.0, -1.0], [1.0, -1.0]]])
    assert replay_accuracy(outputs, targets) == 3 / 4  # 0 has no sign
    assert replay_accuracy(outputs, targets, [[3, 1]]) == 7 / 8
    assert replay_accuracy(-outputs, targets) == 0


def test_accuracy_of_diverged_outputs():
    targets = np.ones((1, 2, 1))
    assert replay_accuracy([[[np.inf], [-np.inf]]], targets) == 1 / 2
    assert np.isnan(replay_accuracy([[[np.nan], [1.0]]], targets))


def test_accuracy_needs_signs_where_there_is_weight():
    targets = np.array([[[0.0], [1.0], [-1.0]]])
    assert replay_accuracy(targets, targets, [[0, 1, 1]]) == 1
    with pytest.raises(
        ValueError,
        match=r"targets must be -1 or \+1 .* for replay accuracy, got targets\[0, 0, 0\] = 0",
    ):
        replay_accuracy(targets, targets)


# Arguments


@pytest.mark.parametrize("measure", [fvu, replay_accuracy])
@pytest.mark.parametrize(
    ("outputs", "targets", "weights", "told"),
    [
        (
            np.ones((2, 3, 1)),
            np.ones((2, 3, 2)),
            None,
            r"outputs must have shape \(2, 3, 2\) because targets has shape \(2, 3, 2\), got",
        ),
        (np.ones(3), np.ones(3), None, r"targets must have shape \(trials, steps, N_y\), got \(3,"),
        (np.ones((0, 3, 1)), np.ones((0, 3, 1)), None, "targets must have at least one entry"),
        (np.ones((1, 1, 1)), np.full((1, 1, 1), np.nan), None, "targets must be finite"),
        (
            np.ones((2, 3, 1)),
            np.ones((2, 3, 1)),
            np.ones((3, 2)),
            r"weights must have shape \(2, 3\) because targets has shape \(2, 3, 1\), got \(3, 2\)",
        ),
        (np.ones((1, 2, 1)), np.ones((1, 2, 1)), [[0, 0]], "weights must have a positive entry"),
        (np.ones((1, 2, 1)), np.ones((1, 2, 1)), [[1, -1]], "weights must be at least 0, got -1"),
        (np.ones((1, 2, 1)), np.ones((1, 2, 1)), [[1, np.nan]], "weights must be finite"),
    ],
)
def test_bad_arguments_are_told(measure, outputs, targets, weights, told):
    with pytest.raises(ValueError, match=told):
        measure(outputs, targets, weights)


@pytest.mark.parametrize("measure", [fvu, replay_accuracy])
@pytest.mark.parametrize("name", ["outputs", "targets", "weights"])
@pytest.mark.parametrize("dtype", [np.float16, complex, object])
def test_other_dtypes_are_refused(measure, name, dtype):
    arguments = {"outputs": np.ones((1, 2, 1)), "targets": np.ones((1, 2, 1))}
    arguments["weights"] = np.ones((1, 2))
    arguments[name] = arguments[name].astype(dtype)
    with pytest.raises(TypeError, match=f"{name} must be float32 or float64, got dtype"):
        measure(**arguments)


@pytest.mark.parametrize("measure", [fvu, replay_accuracy])
def test_arguments_are_left_alone(measure):
    targets = np.array([[[1.0], [-1.0]], [[-1.0], [1.0]]])
    arguments = {"outputs": targets / 3, "targets": targets, "weights": np.ones((2, 2))}
    kept = {name: array.copy() for name, array in arguments.items()}
    measure(**arguments)
    for name, array in arguments.items():
        np.testing.assert_array_equal(array, kept[name])


# Per-trial statistics


@given(data(), st.integers(0, 2**32))
def test_statistics_give_the_measures_of_any_multiset_of_trials(case, seed):
    outputs, targets, weights = case
    n_trials = len(targets)
    statistics = Variance.of(targets, weights)
    squared_error = np.einsum("nt,ntc->n", weights, (outputs - targets) ** 2)
    chosen = np.random.default_rng(seed).integers(n_trials, size=(5, n_trials))
    chosen[:, 0] = 0  # the trial with weight
    multiplicity = np.array([np.bincount(row, minlength=n_trials) for row in chosen])
    expected = [fvu(outputs[row], targets[row], weights[row]) for row in chosen]
    np.testing.assert_allclose(
        multiplicity @ squared_error / statistics.total(multiplicity), expected, rtol=1e-9
    )
    signs = np.where(targets > 0, 1.0, -1.0)
    weight = replay_accuracy.denominator(signs, weights)
    np.testing.assert_allclose(
        weight.total(multiplicity),
        [weights[row].sum() * targets.shape[2] for row in chosen],
        rtol=1e-12,
    )
    once = np.ones(n_trials, int)
    assert statistics.total() == statistics.total(once)
    assert weight.total() == weight.total(once)


def test_a_multiset_of_equal_trials_has_no_variance():
    targets = np.array([[[0.1], [0.1]], [[0.3], [0.3]]])
    statistics = Variance.of(targets, np.ones((2, 2)))
    variances = statistics.total(np.array([[2, 0], [0, 2], [1, 1]]))
    np.testing.assert_allclose(variances, [0, 0, 0.04], atol=1e-16)
    assert (variances >= 0).all()


def test_a_multiset_without_weight_is_undefined():
    statistics = Variance.of(np.array([[[0.0], [1.0]]] * 2), np.array([[0, 0], [1, 1]]))
    variances = statistics.total(np.array([[2, 0], [0, 2]]))
    assert np.isnan(variances[0])
    assert variances[1] == 1
    weight = Weight(np.array([0.0, 2.0]))
    assert weight.total(np.array([2, 0])) == 0
    with pytest.raises(ValueError, match="targets must have a counted entry of positive"):
        Weight(np.zeros(2)).total()


# Sensitivity


def test_sensitivity_is_change_per_mass():
    np.testing.assert_array_equal(
        sensitivity([0.0, 0.5, np.nan, np.inf], [0.0, 0.25, 0.5, 0.5]), [np.nan, 2, np.nan, np.inf]
    )
    assert sensitivity(0.5, 0.25) == 2


def test_vacuous_ablations_have_no_sensitivity():
    result = sensitivity([0.0, 1.0], [1e-17, 0.5], [True, False])
    np.testing.assert_array_equal(result, [np.nan, 2])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (([1.0], [0.1, 0.2]), r"removed_mass must have shape \(1,\) because change has shape"),
        (([1.0], [-0.1]), r"removed_mass must be at least 0, got -0\.1"),
        (([1.0], [np.nan]), "removed_mass must be finite"),
        (([1.0], [0.0], [False]), "removed_mass must be positive where vacuous is false, got 0"),
        (
            ([1.0], [0.5], [0]),
            r"vacuous must be boolean of shape \(1,\) because .* got int\d+ \(1,\)",
        ),
        (([1.0], [0.5], [True, False]), r"vacuous must be boolean .* got bool \(2,\)"),
    ],
)
def test_bad_arguments_of_sensitivity_are_told(arguments, told):
    with pytest.raises(ValueError, match=told):
        sensitivity(*arguments)
