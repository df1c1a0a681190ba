"""Ablations against random removals and random cuts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
import schurscope as ss
from schurscope.diagnosis.draws import drawn_blocks, drawn_gains, has_choice
from schurscope.sweep.statistics import holm
from schurscope.trials.tasks import FlipFlop

ALPHA = 0.7


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 30), share=st.floats(0.001, 0.999))
@settings(max_examples=60)
def test_gains_remove_random_pairs_of_a_given_mass(seed, n, share):
    squares = np.random.default_rng(seed).exponential(size=n) * (np.arange(n) % 5 != 1)
    target = share * squares.sum()
    gains = drawn_gains(squares, target, 6, np.random.default_rng(seed))
    order = np.argsort(np.random.default_rng(seed).random((6, n)), axis=1)
    for row, pairs in zip(gains, order, strict=True):
        # A pair without mass may have any gain: it changes nothing.
        expected = reference.random_gains(squares, target, [p for p in pairs if squares[p] > 0])
        assert row == pytest.approx(expected, abs=1e-6)
        assert ((1 - row) ** 2 * squares).sum() == pytest.approx(target, rel=1e-9)
        assert ((row > 1e-9) & (row < 1 - 1e-9)).sum() <= 1


def test_sets_of_blocks_are_uniform(rng):
    sizes = np.array([1, 2, 1, 1, 2, 1, 2])
    possible = [
        subset
        for count in range(8)
        for subset in itertools.combinations(range(7), count)
        if sizes[list(subset)].sum() == 4
    ]
    assert has_choice(sizes, 4)
    assert not has_choice(sizes, 10)
    assert not has_choice(np.array([1, 2, 2]), 1)
    assert has_choice(np.array([2, 1, 1]), 2)
    counts = dict.fromkeys(possible, 0)
    for _ in range(4000):
        counts[tuple(drawn_blocks(sizes, 4, rng).tolist())] += 1
    assert scipy.stats.chisquare(list(counts.values())).pvalue > 0.001


@pytest.fixture
def profile(network, trials):
    return ss.ablate(network, trials, alpha=ALPHA, n_threads=1)


def fvu(network, trials, W_hh):
    arrays = (network.W_xh, network.W_hy, trials.inputs, *network.biases)
    return reference.fvu(reference.rollout(W_hh, *arrays)[0], trials.targets, trials.step_weights)


def check_tests(found):
    """The p-values of every test, from its draws."""
    for place, change in enumerate(found.change):
        draws = found.draws[place, : found.made[place]]
        assert np.isnan(found.draws[place, found.made[place] :]).all()
        if np.isnan(draws).all():
            assert np.isnan(found.p[place])
            assert np.isnan(found.quantile[place])
            continue
        above, below, both = reference.permutation_test(change, draws)
        assert found.p_above[place] == pytest.approx(above, abs=1e-12)
        assert found.p_below[place] == pytest.approx(below, abs=1e-12)
        assert found.p[place] == pytest.approx(both, abs=1e-12)
        assert found.quantile[place] == pytest.approx(np.mean(draws < change))
        assert found.median[place] == pytest.approx(np.median(draws))
    for pool in set(found.pool):
        mine = found.pool == pool
        assert np.array_equal(found.p_holm[mine], holm(found.p[mine]), equal_nan=True)


def test_pairs_are_those_of_the_reference(network, trials, profile):
    found = ss.null(profile, network, trials, draws=15, rng=6, n_threads=1)
    schur = profile.schur
    pairs, parts = reference.pair_labels(schur.T)
    inside = [p for p, (I, J) in enumerate(pairs) if I < J]  # noqa: E741
    full = fvu(network, trials, network.W_hh)
    stream = np.random.default_rng(6).spawn(4)[1]
    masks = reference.couplings(schur.T, ALPHA)
    n_drawn = 0
    for place, (name, pool) in enumerate(zip(found.names, found.pool, strict=True)):
        W, mass = reference.ablated(network.W_hh, name.split("+"), ALPHA)
        assert found.change[place] == pytest.approx(fvu(network, trials, W) - full, abs=1e-8)
        taken = np.zeros_like(schur.T, dtype=bool)
        for coupling in set(name.split("+")) - {"BB"}:
            taken |= masks[coupling]
        chosen = [p for p in inside if pool == "N" or not (taken & (parts[p] != 0)).any()]
        squares = np.array([np.square(parts[p]).sum() for p in chosen])
        target = (mass * np.linalg.norm(schur.T)) ** 2
        if squares.sum() <= target * (1 + 1e-9):
            assert np.isnan(found.draws[place]).all()
            continue
        n_drawn += 1
        orders = np.argsort(stream.random((15, len(chosen))), axis=1)
        for draw, order in zip(found.draws[place], orders, strict=True):
            gains = reference.random_gains(squares, target, order)
            taken_away = sum((1 - g) * parts[p] for g, p in zip(gains, chosen, strict=True))
            W = network.W_hh - schur.Q @ taken_away @ schur.Q.T
            assert draw == pytest.approx(fvu(network, trials, W) - full, abs=1e-8)
    assert n_drawn >= 6
    tests = list(zip(found.names.tolist(), found.pool.tolist(), strict=True))
    of_N = [name for name in profile.names[1:] if name != "BB"]
    assert tests == [*itertools.product(of_N, ("N", "outside")), ("BB", "N")]
    check_tests(found)
    assert len(found.to_dataframe()) == len(found)
    assert "too little mass" in str(found)


def test_partitions_are_those_of_the_reference(network, trials, profile):
    found = ss.null(profile, network, trials, kind="partition", draws=25, rng=6, n_threads=1)
    schur, n_R = profile.schur, profile.sectors.n_R
    stream = np.random.default_rng(6).spawn(4)[1]
    full = fvu(network, trials, network.W_hh)
    (row,) = np.flatnonzero(found.names == "CR")
    for draw in found.draws[row]:
        blocks = drawn_blocks(schur.block_sizes, n_R, stream)
        rows = [
            r
            for b in blocks
            for r in range(schur.starts[b], schur.starts[b] + schur.block_sizes[b])
        ]
        W, _ = reference.cut_apart(network.W_hh, schur.eigenvalues[rows])
        assert draw == pytest.approx(fvu(network, trials, W) - full, abs=1e-8)
    assert "BB" not in found.names
    assert set(found.pool) == {"partition"}
    check_tests(found)


def test_the_modulus_cut_itself_is_among_the_partitions(network, trials, profile):
    """Where few sets of blocks exist, some draws are the cut itself, and tie with it."""
    found = ss.null(profile, network, trials, kind="partition", ablations=["CR"], draws=300)
    same = np.isclose(found.draws[0], found.change[0], rtol=1e-9)
    assert same.any()
    assert not same.all()


def test_draws_are_reproducible_and_the_same_for_any_threads(network, trials, profile, dtype):
    network, trials = network.astype(dtype), trials.astype(dtype)
    profile = ss.ablate(network, trials, alpha=ALPHA, ablations=["CR"])
    one, two, other = (
        ss.null(profile, network, trials, draws=40, rng=seed, n_threads=threads)
        for seed, threads in ((1, 1), (1, 3), (2, 1))
    )
    assert np.array_equal(one.draws, two.draws, equal_nan=True)
    assert not np.array_equal(one.draws, other.draws, equal_nan=True)


def test_a_planted_coupling_matters_more_than_chance(rng):
    """One strong path from C to R is what the outputs need; the rest of N is unread."""
    n = 12
    T = np.diag(np.concatenate([np.full(2, 0.9), np.linspace(0.3, 0.1, n - 2)]))
    T[:2, :2] += np.triu(np.full((2, 2), 1e-3), 1)
    T[0, 5] = 0.5
    T[2:, 2:] += np.triu(rng.standard_normal((n - 2, n - 2)), 1) * 0.1
    Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    network = ss.Network(Q @ T @ Q.T, 0.1 * Q[:, 5:6], Q[:, :1].T)
    inputs = rng.standard_normal((40, 8, 1))
    trials = ss.Trials(inputs, network.rollout(ss.Trials(inputs).inputs))
    profile = ss.ablate(network, trials, alpha=0.8)
    assert profile.sectors.n_R == 2
    found = ss.null(profile, network, trials, draws=200, ablations=["CR"])
    outside = found.pool == "outside"
    assert found.p[outside] == pytest.approx(2 / 201)
    assert (found.change > found.median).all()


def test_a_noisy_cell_runs_the_ablations_again(rng):
    task = FlipFlop(n_steps=8)
    network = ss.init_network(task, 10, "default", 1, cell=ss.Cell(noise=0.3))
    trials = task.trials(16, rng, dtype="float32")
    profile = ss.ablate(network, trials, alpha=ALPHA, rng=5)
    found = ss.null(profile, network, trials, draws=12, rng=9, ablations=["CR"])
    assert np.isfinite(found.draws[0]).all()
    assert found.change[0] != profile["CR"].change


def test_higher_is_better_and_own_scores(network, sign_trials):
    profile = ss.ablate(network, sign_trials, alpha=ALPHA, measure="replay_accuracy")
    check_tests(ss.null(profile, network, sign_trials, draws=12))

    def last(outputs, trials):
        return (outputs[:, -1] * trials.targets[:, -1]).sum(axis=1)

    profile = ss.ablate(network, sign_trials, alpha=ALPHA, measure=last)
    found = ss.null(profile, network, sign_trials, draws=12, ablations=["CR"])
    assert found.change[0] == pytest.approx(profile["CR"].change)


def test_refusals(network, trials, profile):
    other = trials.with_targets(trials.targets + 1 * (trials.inputs[..., :1] > 0))
    with pytest.raises(ValueError, match="network and trials must be those of the profile"):
        ss.null(profile, network, other)
    with pytest.raises(ValueError, match="trials must be the profile's 7, got 3"):
        ss.null(profile, network, trials[:3])
    with pytest.raises(ValueError, match="schur must be the Schur form of network"):
        ss.null(profile, ss.Network(network.W_hh.T, network.W_xh, network.W_hy), trials)
    with pytest.raises(ValueError, match="kind must be one of 'pairs', 'partition'"):
        ss.null(profile, network, trials, kind="pair")
    with pytest.raises(ValueError, match="ablations must be one of"):
        ss.null(profile, network, trials, ablations=["C"])
    with pytest.raises(ValueError, match="ablations must be one of"):
        ss.null(profile, network, trials, kind="partition", ablations=["BB"])
    with pytest.raises(ValueError, match="one or more distinct"):
        ss.null(profile, network, trials, ablations=["CR", "CR"])
    with pytest.raises(TypeError, match="iterable of names"):
        ss.null(profile, network, trials, ablations="CR")
    everything = ss.ablate(network, trials, alpha=0.001)
    with pytest.raises(
        ValueError, match="another set of eigenvalues could make, got n_R = 12 of 12"
    ):
        ss.null(everything, network, trials, kind="partition")
    with pytest.raises(TypeError, match="profile must be an AblationProfile"):
        ss.null("CR", network, trials)
    scores = ss.ablate_with(network.W_hh, lambda W: np.abs(W).sum(axis=1)[:7], alpha=ALPHA)
    with pytest.raises(ValueError, match="must come from ablate"):
        ss.null(scores, network, trials)


def test_draws_stop_when_they_are_decided():
    task = FlipFlop()
    network = ss.train(ss.init_network(task, 32, "orthogonal", 0), task, rng=1).network
    trials = task.trials(512, 2)
    profile = ss.ablate(network, trials)
    for kind in ("pairs", "partition"):
        options = {"kind": kind, "draws": 60, "ablations": ["CR", "CC"], "rng": 5}
        every = ss.null(profile, network, trials, **options)
        stopped = ss.null(profile, network, trials, error_rate=0.01, **options)
        again = ss.null(profile, network, trials, error_rate=0.01, n_threads=1, **options)
        assert np.array_equal(stopped.draws, again.draws, equal_nan=True)
        assert stopped.change == pytest.approx(every.change, rel=1e-4)
        check_tests(stopped)
        # A test ends early only where all draws would not have been rare either.
        early = (stopped.made < 60) & (stopped.made > 0)
        assert early.any()
        assert (stopped.p[early] > 0.2).all()
        assert (every.p[early] > 0.15).all()
        assert (every.made[~early & (every.made > 0)] == 60).all()
        known = np.isfinite(stopped.draws)
        sides = [found.draws > found.change[:, None] for found in (every, stopped)]
        assert (sides[0] == sides[1])[known].mean() > 0.97
        assert stopped.p[~early] == pytest.approx(every.p[~early], abs=0.1, nan_ok=True)
    with pytest.raises(ValueError, match="error_rate must be"):
        ss.null(profile, network, trials, error_rate=2.0)
