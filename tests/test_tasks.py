"""The four tasks: exact targets, distributions, dtypes, seeds and bad parameters.

Distribution checks are seeded and so deterministic. Their bounds are stated beside them: five
standard errors, or p > 0.001 of a Kolmogorov-Smirnov test.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import reference
from schurscope.trials.tasks import (
    TASKS,
    ContextIntegration,
    Copy,
    FlipFlop,
    SineGeneration,
    task_named,
)

sizes = st.integers(1, 6)
seeds = st.integers(0, 2**32)
dtypes = st.sampled_from([np.float32, np.float64])


def within_five_standard_errors(values, mean, variance):
    """Whether the average of independent values is near the mean of their distribution."""
    return abs(np.mean(values) - mean) < 5 * np.sqrt(variance / np.size(values))


@pytest.mark.parametrize("name", TASKS)
def test_trials_have_the_shape_that_the_task_states(name, dtype):
    task = task_named(name)
    trials = task.trials(5, 0, dtype)
    assert task.name == name
    assert (trials.n_trials, trials.n_inputs, trials.n_outputs) == (
        5,
        task.n_inputs,
        task.n_outputs,
    )
    for array in (trials.inputs, trials.targets, trials.step_weights):
        assert array.dtype == dtype
        assert array.flags.c_contiguous
        assert np.isfinite(array).all()
    assert not trials.inputs.flags.writeable
    assert not trials.targets.flags.writeable


def test_the_parameters_of_the_paper_are_the_defaults():
    sizes = {name: task_named(name).trials(1, 0).inputs.shape for name in TASKS}
    assert sizes == {
        "copy": (1, 8 + 16, 8),
        "flip-flop": (1, 25, 3),
        "sine": (1, 50, 1),
        "context-integration": (1, 48, 4),
    }
    assert FlipFlop().pulse_probability == 0.15
    assert ContextIntegration().noise == 2


@pytest.mark.parametrize("name", TASKS)
def test_the_seed_decides(name):
    task = task_named(name)
    first, second = task.trials(4, 11), task.trials(4, np.random.SeedSequence(11))
    assert first.inputs.tobytes() == second.inputs.tobytes()
    assert first.targets.tobytes() == second.targets.tobytes()
    assert not np.array_equal(first.inputs, task.trials(4, 12).inputs)
    generator = np.random.default_rng(11)
    assert first.inputs.tobytes() == task.trials(4, generator).inputs.tobytes()
    assert not np.array_equal(first.inputs, task.trials(4, generator).inputs)


@pytest.mark.parametrize("name", TASKS)
def test_both_dtypes_give_the_same_trials(name):
    task = task_named(name)
    single, double = (task.trials(50, 3, dtype) for dtype in (np.float32, np.float64))
    scale = np.abs(double.targets).max()
    np.testing.assert_allclose(single.inputs, double.inputs, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(single.targets, double.targets, rtol=0, atol=2e-6 * scale)


@given(n_trials=sizes, n_symbols=sizes, dimension=sizes, horizon=st.integers(1, 20), seed=seeds)
def test_copy_replays_its_symbols(n_trials, n_symbols, dimension, horizon, seed):
    trials = Copy(n_symbols, dimension, horizon).trials(n_trials, seed)
    assert trials.inputs.shape == (n_trials, n_symbols + horizon, dimension)
    assert set(np.unique(trials.inputs[:, :n_symbols])) <= {-1.0, 1.0}
    assert not trials.inputs[:, n_symbols:].any()
    targets, weights = reference.copy_targets(trials.inputs, n_symbols)
    np.testing.assert_array_equal(trials.targets, targets)
    np.testing.assert_array_equal(trials.weights, weights)


def test_copy_symbols_are_fair_and_independent():
    symbols = Copy().trials(2000, 1).inputs[:, :8].reshape(2000, 64)
    assert within_five_standard_errors(symbols, 0, 1)
    correlation = symbols.T @ symbols / len(symbols)
    # 2016 pairs of entries, each correlation with standard error 2000^(-1/2)
    assert np.abs(correlation - np.eye(64)).max() < 5 / np.sqrt(2000)


def test_a_longer_horizon_continues_the_same_trials():
    short, long = (Copy(horizon=horizon).trials(3, 5) for horizon in (16, 128))
    np.testing.assert_array_equal(short.targets, long.targets[:, : 8 + 16])


@given(
    n_trials=sizes,
    n_channels=sizes,
    n_steps=st.integers(1, 30),
    probability=st.floats(0, 1),
    seed=seeds,
)
def test_flip_flop_holds_the_last_pulse(n_trials, n_channels, n_steps, probability, seed):
    trials = FlipFlop(n_channels, n_steps, probability).trials(n_trials, seed)
    assert trials.inputs.shape == (n_trials, n_steps, n_channels)
    assert set(np.unique(trials.inputs)) <= {-1.0, 0.0, 1.0}
    assert (np.abs(trials.inputs).sum(axis=2) <= 1).all()
    np.testing.assert_array_equal(trials.targets, reference.flip_flop_targets(trials.inputs))
    assert trials.weights is None


def test_flip_flop_pulses_have_the_stated_distribution():
    inputs = FlipFlop().trials(4000, 2).inputs
    pulsed = np.abs(inputs).sum(axis=2)
    assert within_five_standard_errors(pulsed, 0.15, 0.15 * 0.85)
    for step in range(25):
        assert within_five_standard_errors(pulsed[:, step], 0.15, 0.15 * 0.85)
    counts = np.array([[(inputs[..., c] == sign).sum() for sign in (-1, 1)] for c in range(3)])
    # the six kinds of pulse are equally likely
    assert stats.chisquare(counts.ravel()).pvalue > 0.001
    # a pulse says nothing about the next step
    assert within_five_standard_errors(pulsed[:, 1:] * pulsed[:, :-1], 0.15**2, 0.15**2)


def test_flip_flop_probability_limits():
    assert not FlipFlop(pulse_probability=0).trials(20, 0).inputs.any()
    always = FlipFlop(pulse_probability=1).trials(20, 0).inputs
    np.testing.assert_array_equal(np.abs(always).sum(axis=2), 1)


@given(n_trials=sizes, n_steps=st.integers(1, 60), seed=seeds)
def test_sine_has_the_cued_frequency(n_trials, n_steps, seed):
    trials = SineGeneration(n_steps).trials(n_trials, seed)
    assert trials.inputs.shape == trials.targets.shape == (n_trials, n_steps, 1)
    np.testing.assert_array_equal(trials.inputs, trials.inputs[:, :1].repeat(n_steps, axis=1))
    np.testing.assert_allclose(
        trials.targets, reference.sine_targets(trials.inputs), rtol=0, atol=1e-14
    )
    assert trials.weights is None


def test_sine_in_float32_is_as_exact_as_float32():
    single, double = (SineGeneration().trials(500, 3, dtype) for dtype in (np.float32, np.float64))
    # three units in the last place of 1
    np.testing.assert_allclose(single.targets, double.targets, rtol=0, atol=3 * 2.0**-23)


def test_sine_cues_are_uniform():
    cues = SineGeneration().trials(5000, 4).inputs[:, 0, 0]
    assert stats.kstest(cues, "uniform").pvalue > 0.001


@given(n_trials=sizes, n_steps=st.integers(1, 60), noise=st.floats(0, 100), seed=seeds)
def test_integration_sums_the_cued_stimulus(n_trials, n_steps, noise, seed):
    trials = ContextIntegration(n_steps, noise).trials(n_trials, seed)
    assert trials.inputs.shape == (n_trials, n_steps, 4)
    context = trials.inputs[..., 2:]
    assert set(np.unique(context)) <= {0.0, 1.0}
    np.testing.assert_array_equal(context.sum(axis=2), 1)
    np.testing.assert_array_equal(context, context[:, :1].repeat(n_steps, axis=1))
    np.testing.assert_allclose(
        trials.targets, reference.integration_targets(trials.inputs), rtol=1e-12, atol=1e-12
    )
    assert trials.weights is None


def test_integration_without_noise_shows_the_coherence():
    stimuli = ContextIntegration(noise=0).trials(4000, 5).inputs[..., :2]
    np.testing.assert_array_equal(stimuli, stimuli[:, :1].repeat(48, axis=1))
    first, second = stimuli[:, 0].T
    for coherence in (first, second):
        assert stats.kstest(coherence, stats.uniform(-1, 2).cdf).pvalue > 0.001
    assert within_five_standard_errors(first * second, 0, 1 / 9)


def test_integration_contexts_are_fair_and_independent_of_the_stimuli():
    trials = ContextIntegration(noise=0).trials(4000, 6)
    second = trials.inputs[:, 0, 3]
    assert within_five_standard_errors(second, 0.5, 0.25)
    for channel in (0, 1):
        product = (2 * second - 1) * trials.inputs[:, 0, channel]
        assert within_five_standard_errors(product, 0, 1 / 3)


def test_integration_noise_is_normal_white_and_independent():
    stimuli = ContextIntegration(noise=2).trials(4000, 7).inputs[..., :2]
    # differences of neighbours are free of the coherence and N(0, 2 noise^2)
    normal = (stimuli[:, 0::2] - stimuli[:, 1::2]) / (2 * np.sqrt(2))
    first, second = normal[..., 0], normal[..., 1]
    for draws in (first, second):
        assert stats.kstest(draws.ravel(), "norm").pvalue > 0.001
        assert within_five_standard_errors(draws**2, 1, 2)
        assert within_five_standard_errors(draws**4, 3, 96)
        assert within_five_standard_errors(draws[:, 1:] * draws[:, :-1], 0, 1)
    # the two channels share neither sign nor size
    assert within_five_standard_errors(first * second, 0, 1)
    assert within_five_standard_errors((first**2 - 1) * (second**2 - 1), 0, 4)


def test_integration_noise_has_no_gaps_in_its_tails():
    noise = ContextIntegration(noise=1).trials(20_000, 8).inputs[..., 0]
    standard = noise - noise.mean(axis=1, keepdims=True)
    for bound in (2, 3, 4):
        expected = 2 * stats.norm.sf(bound / np.sqrt(1 - 1 / 48))
        assert within_five_standard_errors(np.abs(standard) > bound, expected, expected)


def test_integration_refuses_noise_that_overflows():
    with (
        np.errstate(over="ignore", invalid="ignore"),
        pytest.raises(ValueError, match="targets must be finite"),
    ):
        ContextIntegration(noise=1e38).trials(10, 0, np.float32)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("n_trials", [1, 3, 1000])
def test_any_number_of_trials(name, n_trials):
    assert task_named(name).trials(n_trials, 0).n_trials == n_trials


@pytest.mark.parametrize("name", TASKS)
def test_bad_arguments_of_trials_are_told(name):
    task = task_named(name)
    with pytest.raises(ValueError, match="n_trials must be at least 1, got 0"):
        task.trials(0, 0)
    with pytest.raises(TypeError, match=r"n_trials must be an integer, got 2\.0"):
        task.trials(2.0, 0)
    with pytest.raises(TypeError, match=r"rng must be a .*Generator.*, got 'seed'"):
        task.trials(2, "seed")
    with pytest.raises(TypeError, match=r"dtype must be float32 or float64, got .*float16"):
        task.trials(2, 0, np.float16)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Copy(n_symbols=0), "n_symbols must be at least 1, got 0"),
        (lambda: Copy(dimension=-1), "dimension must be at least 1, got -1"),
        (lambda: Copy(horizon=0), "horizon must be at least 1, got 0"),
        (lambda: FlipFlop(n_channels=0), "n_channels must be at least 1, got 0"),
        (lambda: FlipFlop(n_steps=0), "n_steps must be at least 1, got 0"),
        (
            lambda: FlipFlop(pulse_probability=1.2),
            r"pulse_probability must be in \[0, 1\], got 1.2",
        ),
        (lambda: FlipFlop(pulse_probability=np.nan), "pulse_probability must be finite, got nan"),
        (lambda: SineGeneration(n_steps=0), "n_steps must be at least 1, got 0"),
        (lambda: ContextIntegration(n_steps=0), "n_steps must be at least 1, got 0"),
        (lambda: ContextIntegration(noise=-1), "noise must be at least 0, got -1"),
        (lambda: task_named("flipflop"), "task must be one of .*; did you mean 'flip-flop'"),
        (lambda: task_named("Copy"), "got 'Copy'; did you mean 'copy'"),
    ],
)
def test_bad_parameters_are_told(make, told):
    with pytest.raises(ValueError, match=told):
        make()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Copy(horizon=1.5), r"horizon must be an integer, got 1\.5"),
        (lambda: FlipFlop(pulse_probability="0.1"), "pulse_probability must be a real number"),
        (lambda: ContextIntegration(noise=None), "noise must be a real number, got None"),
    ],
)
def test_bad_types_of_parameters_are_told(make, told):
    with pytest.raises(TypeError, match=told):
        make()


def test_tasks_are_values():
    assert Copy(horizon=np.int64(4)) == Copy(horizon=4)
    assert repr(Copy(horizon=np.int64(4))) == "Copy(n_symbols=8, dimension=8, horizon=4)"
    assert len({FlipFlop(), FlipFlop(), FlipFlop(n_steps=5)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        Copy().horizon = 3
    with pytest.raises(TypeError):
        TASKS["mine"] = Copy
