"""The effect of C→R at every cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
import schurscope as ss
from schurscope.ablation.resamples import Resamples
from schurscope.trials.tasks import FlipFlop

TASK = FlipFlop(n_steps=12)


def changed(network, trials, W_hh):
    """Change of the FVU when W_hh replaces the recurrent matrix."""
    arrays = (network.W_xh, network.W_hy, trials.inputs, *network.biases)
    targets, weights = np.float64(trials.targets), np.float64(trials.step_weights)
    new, full = (reference.rollout(W, *arrays)[0] for W in (W_hh, network.W_hh))
    return reference.fvu(new, targets, weights) - reference.fvu(full, targets, weights)


def test_every_cut_is_that_of_the_reference(network, trials):
    curve = ss.cut_curve(network, trials, n_threads=1)
    schur = curve.schur
    assert curve.cut.tolist() == schur.starts[1:].tolist()
    for place, k in enumerate(curve.cut):
        W_cut, mass = reference.cut_apart(network.W_hh, schur.eigenvalues[:k])
        assert curve.change[place] == pytest.approx(changed(network, trials, W_cut), abs=1e-8)
        assert curve.removed_mass[place] == pytest.approx(mass, rel=1e-8)
        keys = np.abs(schur.eigenvalues)
        gap = (keys[:k].min() - keys[k:].max()) / keys.max()
        assert curve.gap[place] == pytest.approx(gap)
        assert curve.key[place] == pytest.approx(keys[k - 1])


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(3, 14))
@settings(max_examples=25)
def test_order_within_sectors_and_signs_do_not_matter(seed, n):
    rng = np.random.default_rng(seed)
    network = ss.Network(
        rng.standard_normal((n, n)) / np.sqrt(n),
        rng.standard_normal((n, TASK.n_inputs)),
        rng.standard_normal((TASK.n_outputs, n)) / np.sqrt(n),
    )
    trials = TASK.trials(8, rng)
    curve = ss.cut_curve(network, trials, n_threads=1)
    schur, place = curve.schur, int(rng.integers(len(curve)))
    k, n_blocks = curve.cut[place], len(schur.starts)
    first = np.flatnonzero(schur.starts < k)
    rest = np.setdiff1d(np.arange(n_blocks), first)
    other = schur.reordered(np.concatenate([rng.permutation(first), rng.permutation(rest)]))
    signs = rng.choice([-1.0, 1.0], n)
    flipped = replace(schur, Q=schur.Q * signs, T=signs[:, None] * schur.T * signs)
    forms = [flipped] if len(other.refused) else [flipped, other]
    for form in forms:
        again = ss.cut_curve(network, trials, schur=form, n_threads=1)
        (same,) = np.flatnonzero(again.cut == k)
        assert again.change[same] == pytest.approx(curve.change[place], rel=1e-8, abs=1e-8)
        assert again.removed_mass[same] == pytest.approx(curve.removed_mass[place], rel=1e-8)


@pytest.mark.parametrize("alpha", [0.3, 0.7, 0.95])
def test_alpha_chooses_the_cut_of_ablate(network, trials, dtype, alpha):
    network, trials = network.astype(dtype), trials.astype(dtype)
    curve = ss.cut_curve(network, trials, rng=5, level=0.9, n_threads=1)
    profile = ss.ablate(network, trials, alpha=alpha, ablations=["CR"], n_threads=1)
    place = curve.at(alpha)
    assert curve.cut[place] == profile.sectors.n_R
    assert curve.change[place] == pytest.approx(profile.change[1], rel=1e-12)
    assert curve.gap[place] == pytest.approx(profile.sectors.gap)
    ends = profile.interval(0.9, rng=np.random.default_rng(8)).change[1]
    assert curve.interval[place] == pytest.approx(ends, abs=0.15 * np.ptp(ends))


def test_an_alpha_that_leaves_nothing_in_C(network, trials):
    curve = ss.cut_curve(network, trials)
    with pytest.raises(ValueError, match=r"alpha must leave an eigenvalue in C.*got 0\.001"):
        curve.at(0.001)


def test_resamples_are_multisets_of_the_trials(network, trials):
    """Values on a resample are those of the trials repeated as often as they were drawn."""
    curve = ss.cut_curve(network, trials)
    k = int(curve.cut[2])
    cut = ss.Ablation("cut", ((0, k, k, 12),), (0.0,))
    profile = ss.ablate(network, trials, ablations=[cut])
    resamples = Resamples(profile.denominator, 7, 300, np.random.default_rng(3))
    sums = profile.per_trial * (resamples.total / 7)
    found = resamples.values(sums[1:] - sums[:1])[0]
    counts = np.random.default_rng(3).multinomial(7, np.full(7, 1 / 7), size=300)
    W_cut, _ = reference.cut_apart(network.W_hh, curve.schur.eigenvalues[:k])
    arrays = (network.W_xh, network.W_hy, trials.inputs, *network.biases)
    new, full = (reference.rollout(W, *arrays)[0] for W in (W_cut, network.W_hh))
    expected = reference.bootstrap(new, full, trials.targets, trials.step_weights, counts)
    assert found == pytest.approx(expected, rel=1e-8)


def test_cuts_through_ties_and_cuts_that_rounding_decides(rng):
    Q, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    moduli = np.diag([1.0, 1.0 - 1e-9, 0.7, 0.7 - 1e-4, 0.4, 0.2])
    W = (Q @ moduli @ Q.T).astype(np.float32)
    network = ss.Network(W, np.float32(rng.standard_normal((6, 3))), W[:3])
    curve = ss.cut_curve(network, TASK.trials(8, rng, dtype="float32"))
    assert curve.cut.tolist() == [1, 2, 3, 4, 5]
    assert curve.tied.tolist() == [True, False, True, False, False]
    assert curve.determined.tolist() == [False, True, True, True, True]
    assert "tied, undetermined" in str(curve)
    # W is symmetric, so that nothing couples C to R.
    assert (curve.removed_mass < 1e-6).all()
    assert not curve.change.any()
    assert not curve.interval.any()
    tolerant = ss.cut_curve(network, TASK.trials(8, rng, dtype="float32"), tolerance=1e-5)
    assert tolerant.tied.tolist() == [True, False, False, False, False]


@pytest.mark.parametrize("order", ["modulus", "leaky_modulus", "real_part"])
def test_other_orders_cut_by_their_own_key(order, rng):
    cell = ss.Cell(leak=0.5)
    network = ss.init_network(TASK, 10, "default", 3, cell=cell, dtype="float64")
    curve = ss.cut_curve(network, TASK.trials(6, rng), order=order)
    assert curve.schur.order == order
    assert (np.diff(curve.key) <= 1e-9).all()
    assert len(curve.to_dataframe()) == len(curve)


def test_measures_and_noise(rng):
    network = ss.init_network(TASK, 8, "default", 3, cell=ss.Cell(noise=0.2))
    trials = TASK.trials(20, rng, dtype="float32")
    curves = [ss.cut_curve(network, trials, measure="fidelity", rng=seed) for seed in (4, 4, 5)]
    assert np.array_equal(curves[0].change, curves[1].change)
    assert not np.array_equal(curves[0].change, curves[2].change)

    def last_error(outputs, trials):
        return np.abs(outputs[:, -1] - trials.targets[:, -1]).mean(axis=1)

    assert np.isfinite(ss.cut_curve(network, trials, measure=last_error).change).all()


def test_bad_arguments(network, trials):
    turning = ss.Network([[0.0, 1.0], [-1.0, 0.0]], network.W_xh[:2], network.W_hy[:, :2])
    with pytest.raises(ValueError, match="two diagonal blocks"):
        ss.cut_curve(turning, trials)
    with pytest.raises(ValueError, match="level must be in"):
        ss.cut_curve(network, trials, level=2)
    with pytest.raises(ValueError, match="tolerance must be at least 0"):
        ss.cut_curve(network, trials, tolerance=-1)
    with pytest.raises(TypeError, match=r"network must be a schurscope\.Network"):
        ss.cut_curve(network.W_hh, trials)
