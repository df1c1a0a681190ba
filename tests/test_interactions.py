"""Shapley values, interactions and games of subsets."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
import schurscope as ss
from frameworks import framework
from schurscope.diagnosis.games import (
    Orders,
    all_coalitions,
    alone_and_last,
    interaction_coefficients,
    shapley_coefficients,
)
from schurscope.diagnosis.interactions import project, without_rounding
from schurscope.diagnosis.question import Question

NAMES = ("RR", "CR", "CC")


def members(number, n):
    return frozenset(player for player in range(n) if number >> player & 1)


def table(v, n):
    """The game as a function of sets."""
    values = {members(number, n): float(v[number]) for number in range(2**n)}
    return values.__getitem__


def games(largest):
    return st.integers(2, largest).flatmap(
        lambda n: st.tuples(st.just(n), st.integers(0, 2**32 - 1))
    )


@given(games(5))
@settings(max_examples=20)
def test_coefficients_are_those_of_all_orders(game):
    n, seed = game
    v = np.random.default_rng(seed).standard_normal(2**n)
    credit, interaction = reference.shapley(n, table(v, n))
    found = shapley_coefficients(n) @ v
    assert found == pytest.approx(credit, abs=1e-10)
    assert found.sum() == pytest.approx(v[-1] - v[0], abs=1e-10)
    pairs, B = interaction_coefficients(n)
    assert B @ v == pytest.approx([interaction[i, j] for i, j in pairs], abs=1e-10)
    v -= v[0]
    alone, last = np.split(alone_and_last(all_coalitions(n)) @ v, 2)
    assert alone == pytest.approx([v[1 << i] for i in range(n)])
    assert last == pytest.approx([v[-1] - v[-1 - (1 << i)] for i in range(n)])


@given(games(8))
@settings(max_examples=30)
def test_renaming_players_renames_their_values(game):
    n, seed = game
    rng = np.random.default_rng(seed)
    v, order = rng.standard_normal(2**n), rng.permutation(n)
    # Player i of the new game is player order[i] of the old one.
    numbers = all_coalitions(n).astype(int) @ (1 << order)
    assert shapley_coefficients(n) @ v[numbers] == pytest.approx(
        (shapley_coefficients(n) @ v)[order], abs=1e-10
    )
    pairs, B = interaction_coefficients(n)
    found = {
        frozenset(order[pair].tolist()): x for pair, x in zip(pairs, B @ v[numbers], strict=True)
    }
    expected = {frozenset(pair.tolist()): x for pair, x in zip(pairs, B @ v, strict=True)}
    assert found == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("n", [2, 4, 7])
def test_values_agree_with_shapiq(n, rng):
    shapiq = framework("shapiq")
    v = rng.standard_normal(2**n)
    v[0] = 0

    def game(coalitions):
        return v[np.atleast_2d(coalitions).astype(int) @ (1 << np.arange(n))]

    exact = shapiq.ExactComputer(game=game, n_players=n)
    assert shapley_coefficients(n) @ v == pytest.approx(
        exact("SV", 1).get_n_order_values(1), abs=1e-5
    )
    pairs, B = interaction_coefficients(n)
    theirs = exact("SII", 2).get_n_order_values(2)
    assert B @ v == pytest.approx(theirs[tuple(pairs.T)], abs=1e-5)


@given(n=st.integers(2, 6), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_sampled_orders_are_efficient_and_exact_without_interactions(n, seed):
    rng = np.random.default_rng(seed)
    orders = Orders.drawn(n, 3, rng)
    assert (orders.orders[1::2] == orders.orders[::2, ::-1]).all()
    v = rng.standard_normal(len(orders.coalitions))
    everyone, nobody = orders.coalitions.all(axis=1), ~orders.coalitions.any(axis=1)
    assert orders.coefficients().sum(axis=0) @ v == pytest.approx(
        float(v[everyone][0] - v[nobody][0]), abs=1e-10
    )
    # One order at a time.
    credit = np.zeros((len(orders.orders), n))
    lookup = {tuple(row): value for row, value in zip(orders.coalitions.tolist(), v, strict=True)}
    for row, order in enumerate(orders.orders):
        inside = [False] * n
        for player in order:
            before = lookup[tuple(inside)]
            inside[player] = True
            credit[row, player] = lookup[tuple(inside)] - before
    assert orders.coefficients() @ v == pytest.approx(credit.mean(axis=0), abs=1e-10)
    halves = credit.reshape(3, 2, n).mean(axis=1)
    assert orders.sampling_error(v) == pytest.approx(halves.std(axis=0, ddof=1) / math.sqrt(3))
    # Antithetic pairs also cancel every interaction of two players.
    weight = rng.standard_normal((n, n))
    quadratic = np.einsum("ci,ij,cj->c", orders.coalitions, weight, orders.coalitions)
    exact = (weight + weight.T).sum(axis=1) / 2
    assert orders.coefficients() @ quadratic == pytest.approx(exact, abs=1e-10)
    assert orders.sampling_error(quadratic) == pytest.approx(np.zeros(n), abs=1e-10)


def removal(network, trials, names, alpha=0.5):
    """FVU with these couplings removed, by the reference."""
    W, _ = reference.ablated(network.W_hh, names, alpha)
    arrays = (network.W_xh, network.W_hy, trials.inputs, *network.biases)
    return reference.fvu(reference.rollout(W, *arrays)[0], trials.targets, trials.step_weights)


def test_shapley_values_of_a_profile_are_those_of_the_reference(network, trials):
    profile = ss.ablate(network, trials, alpha=0.5, n_threads=1)
    shapley, interactions = profile.shapley(), profile.interactions()

    def value(S):
        return removal(network, trials, [NAMES[player] for player in S])

    credit, interaction = reference.shapley(3, value)
    assert shapley.names == NAMES
    assert shapley.value == pytest.approx(credit, abs=1e-8)
    assert shapley.value.sum() == pytest.approx(profile["RR+CR+CC"].change, abs=1e-12)
    assert shapley.total == profile["RR+CR+CC"].change
    assert shapley.alone == pytest.approx([profile[name].change for name in NAMES], abs=1e-12)
    everything = profile["RR+CR+CC"].change
    without = [profile[rest].change for rest in ("CR+CC", "RR+CC", "RR+CR")]
    assert shapley.last == pytest.approx(everything - np.array(without), abs=1e-12)
    off = ~np.eye(3, dtype=bool)
    assert interactions.matrix()[off] == pytest.approx(interaction[off], abs=1e-8)
    assert np.isnan(np.diag(interactions.matrix())).all()
    assert not shapley.sampling_error.any()
    assert (shapley.interval[:, 0] < shapley.value).all()
    assert (shapley.value < shapley.interval[:, 1]).all()
    assert "Shapley" in str(shapley)
    assert "RR × CR" in str(interactions)
    assert len(shapley.to_dataframe()) == len(interactions.to_dataframe()) == 3


def test_intervals_are_the_bootstrap_of_the_same_combination(network, trials):
    profile = ss.ablate(network, trials, alpha=0.5)
    shapley = profile.shapley(["CR", "RR"], level=0.8, n_resamples=80, rng=9)
    counts = np.random.default_rng(9).multinomial(7, np.full(7, 1 / 7), size=80)
    draws = []
    for row in counts:
        chosen = np.repeat(np.arange(7), row)
        again = ss.Trials(
            trials.inputs[chosen], trials.targets[chosen], trials.step_weights[chosen]
        )

        def value(S, again=again):
            return removal(network, again, [NAMES[player] for player in S])

        draws.append(reference.shapley(2, value)[0])
    ends = np.quantile(draws, [0.1, 0.9], axis=0).T
    assert shapley.names == ("RR", "CR")
    assert shapley.interval == pytest.approx(ends, abs=1e-8)
    assert shapley.standard_error == pytest.approx(np.std(draws, axis=0, ddof=1), abs=1e-8)


def test_a_profile_without_all_subsets(network, trials):
    profile = ss.ablate(network, trials, alpha=0.5, ablations=["RR", "CR", "RR+CR", "CC"])
    assert len(profile.shapley(("RR", "CR"))) == 2
    with pytest.raises(ValueError, match=r"it lacks 'RR\+CC', 'CR\+CC', 'RR\+CR\+CC'"):
        profile.shapley()
    with pytest.raises(ValueError, match="couplings must be one of"):
        profile.interactions(["RR", "XY"])
    with pytest.raises(ValueError, match="at least two"):
        profile.shapley(["RR"])
    with pytest.raises(TypeError, match="collection of names"):
        profile.shapley("RR")


def test_a_coupling_without_entries_gets_exactly_nothing(network, trials):
    profile = ss.ablate(network, trials, alpha=1.0)
    assert profile["RR"].vacuous
    shapley = profile.shapley()
    assert shapley.value[0] == shapley.alone[0] == shapley.last[0] == 0
    assert not shapley.interval[0].any()
    assert not profile.interactions().value[:2].any()


def test_scores_of_other_programs_have_shapley_values(network, trials):
    def score(W):
        arrays = (network.W_xh, network.W_hy, trials.inputs, *network.biases)
        return np.abs(reference.rollout(W, *arrays)[0] - trials.targets).mean(axis=(1, 2))

    profile = ss.ablate_with(network.W_hh, score, alpha=0.5)
    assert profile.shapley().value.sum() == pytest.approx(profile["RR+CR+CC"].change)


def pairs_of(schur, mask):
    """The pairs of blocks in a mask of T."""
    ends = schur.starts + schur.block_sizes
    return [
        (row, column)
        for row, column in itertools.combinations_with_replacement(range(len(schur.starts)), 2)
        if mask[schur.starts[row] : ends[row], schur.starts[column] : ends[column]].any()
    ]


def test_a_game_of_couplings_is_that_of_the_profile(network, trials):
    profile = ss.ablate(network, trials, alpha=0.5)
    sectors = profile.sectors
    groups = {
        "first": "RR",
        "second": ss.Ablation.of("CR", sectors),
        "third": np.array(pairs_of(profile.schur, sectors.mask("CC"))),
    }
    game = ss.subset_game(network, trials, groups, alpha=0.5, n_threads=1)
    assert game.exact
    assert len(game) == 8
    assert game.names == ("first", "second", "third")
    for subset, change in zip(game.coalitions, game.change, strict=True):
        name = "+".join(np.array(NAMES)[subset]) or "full"
        assert change == pytest.approx(profile[name].change, abs=1e-10)
    expected, pairwise = profile.shapley(), profile.interactions()
    assert game.shapley.value == pytest.approx(expected.value, abs=1e-10)
    assert game.interactions.value == pytest.approx(pairwise.value, abs=1e-10)
    assert game.shapley.standard_error == pytest.approx(expected.standard_error, rel=0.15)
    renamed = {name: groups[name] for name in ("third", "first", "second")}
    again = ss.subset_game(network, trials, renamed, alpha=0.5)
    assert again.shapley.value == pytest.approx(game.shapley.value[[2, 0, 1]], abs=1e-10)
    assert len(game.to_dataframe()) == 8
    assert "first × second" in str(game)


def split(schur, n):
    """All pairs of blocks and 2x2 blocks, dealt to n groups."""
    every = np.array(pairs_of(schur, np.triu(schur.T != 0, 1)))
    return {f"group {i}": every[i::n] for i in range(n)}


def test_many_groups_are_sampled_within_their_error(network, trials):
    schur = ss.ordered_schur(network.W_hh)
    groups = split(schur, 13)
    game = ss.subset_game(network, trials, groups, n_permutations=60, rng=2)
    assert not game.exact
    assert game.interactions is None
    assert len(game) < 60 * 12 + 28
    assert game.shapley.value.sum() == pytest.approx(game.shapley.total, abs=1e-10)
    # Everything of 12 groups is exact: merge two, whose credit is then not that of the parts, but
    # removals alone and of all others are the same.
    last = groups.pop("group 12")
    groups["group 11"] = np.concatenate([groups["group 11"], last])
    merged = ss.subset_game(network, trials, groups)
    assert merged.exact
    assert len(merged) == 4096
    assert game.shapley.alone[:11] == pytest.approx(merged.shapley.alone[:11], abs=1e-10)
    assert game.shapley.last[:11] == pytest.approx(merged.shapley.last[:11], abs=1e-10)
    error = game.shapley.sampling_error
    assert (error > 0).all()
    # Merging changes the credit of the others only through interactions of three and more.
    distance = np.abs(game.shapley.value - merged.shapley.value[[*range(12), 11]])[:11]
    assert (distance < 4 * error[:11] + 0.05 * np.abs(merged.shapley.value).max()).all()
    assert "sampled orders" in str(game)


def many_trials(network, n):
    """Trials whose targets are the network's outputs and noise."""
    rng = np.random.default_rng(11)
    inputs = rng.standard_normal((n, 6, 3))
    arrays = (network.W_hh, network.W_xh, network.W_hy, inputs, *network.biases)
    return ss.Trials(inputs, reference.rollout(*arrays)[0] + 0.1 * rng.standard_normal((n, 6, 2)))


@pytest.mark.parametrize("n_groups", [5, 13])
def test_a_game_takes_the_trials_that_decide_it(network, n_groups):
    trials = many_trials(network, 1000)
    groups = split(ss.ordered_schur(network.W_hh), n_groups)
    options = {"n_permutations": 40, "rng": 3}
    whole = ss.subset_game(network, trials, groups, **options)
    used = {}
    for tolerance in (1e9, float(np.median(np.abs(whole.shapley.value)))):
        game = ss.subset_game(network, trials, groups, tolerance=tolerance, n_threads=1, **options)
        used[tolerance] = game.settings["n_trials"]
        assert game.shapley.value.sum() == pytest.approx(game.shapley.total, abs=1e-10)
        # It is the whole game on the trials used, the first ones in the order that is drawn.
        first = Question(network, trials, "fvu", None, None, 3, 1).shuffled()[: used[tolerance]]
        same = ss.subset_game(network, first, groups, **options)
        np.testing.assert_allclose(game.change, same.change, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(game.shapley.value, same.shapley.value, atol=1e-12)
        np.testing.assert_allclose(game.shapley.sampling_error, same.shapley.sampling_error)
        np.testing.assert_allclose(game.shapley.alone, same.shapley.alone, atol=1e-12)
        again = ss.subset_game(network, trials, groups, tolerance=tolerance, n_threads=2, **options)
        np.testing.assert_array_equal(again.shapley.interval, game.shapley.interval)
    assert list(used.values()) == [64, 1000]  # that tolerance is a value itself: never decided
    assert whole.settings["n_trials"] == 1000
    with pytest.raises(ValueError, match="tolerance must be"):
        ss.subset_game(network, trials, groups, tolerance=-1.0)


def test_a_game_that_stops_decides_as_all_trials_do(network):
    trials = many_trials(network, 4096)
    groups = split(ss.ordered_schur(network.W_hh), 4)
    value = ss.subset_game(network, trials, groups).shapley.value
    sizes = np.sort(np.abs(value))
    widest = int(np.argmax(np.diff(sizes)))
    tolerance = float(sizes[widest : widest + 2].mean())
    stopped = [
        ss.subset_game(network, trials, groups, tolerance=tolerance, rng=rng) for rng in range(12)
    ]
    assert all(64 <= game.settings["n_trials"] < 4096 for game in stopped)
    wrong = sum(
        ((np.abs(g.shapley.value) > tolerance) != (np.abs(value) > tolerance)).any()
        for g in stopped
    )
    assert wrong <= 1  # of 12, of which at most 4 % may be


def test_diverging_subsets_are_nan_only_where_they_count():
    coefficients = np.array([[1.0, 0.0], [1.0, 1.0]])
    differences = np.array([[1.0, 2.0], [np.inf, 0.0]])
    found, _ = project(coefficients, differences)
    assert found[0].tolist() == [1, 2]
    assert np.isnan(found[1]).all()


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        ("RR", TypeError, "groups must be a mapping"),
        ({"a": "RR"}, ValueError, "at least two entries, got 1"),
        ({"a": "RR", "b": "RR+CC"}, ValueError, "'a' and 'b' do"),
        ({"a": "RR", "b": [(0, 99)]}, ValueError, r"groups\['b'\] must hold pairs .*\(0, 99\)"),
        ({"a": "RR", "b": [(3, 1)]}, ValueError, r"groups\['b'\] must hold pairs"),
        ({"a": "RR", "b": [(0, 1), (0, 1)]}, ValueError, "each pair once"),
        ({"a": "RR", "b": [0, 1]}, ValueError, r"shape \(n, 2\), got \(2,\)"),
        ({"a": "RR", "b": [(0.5, 1)]}, TypeError, "pairs of block indices"),
        ({"a": "RR", "b": "CX"}, ValueError, "ablations must be one of"),
        (
            {"a": "RR", "b": ss.Ablation("b", ((0, 1, 5, 99),), (0.0,))},
            ValueError,
            "must lie inside T",
        ),
    ],
)
def test_bad_groups(network, trials, groups, error, message):
    with pytest.raises(error, match=message):
        ss.subset_game(network, trials, groups, alpha=0.5)


@pytest.mark.parametrize("n_permutations", [2, 7])
def test_orders_come_in_pairs(network, trials, n_permutations):
    with pytest.raises(ValueError, match="even and at least 4"):
        ss.subset_game(network, trials, {"a": "RR", "b": "CC"}, n_permutations=n_permutations)


@pytest.mark.parametrize("large", [1e12, 1e18, np.inf, np.nan])
def test_a_coalition_that_explodes_leaves_the_others_their_effects(large):
    """As a network whose rollout diverges without CR: what does not involve it keeps its digits."""
    v = np.array([0.0, 0.01, large, large, -0.03, -0.02, large, large])  # CR is in large ones
    differences = np.tile(v[:, None], (1, 4)) / 4
    alone_last = alone_and_last(all_coalitions(3))
    projected = without_rounding(*project(alone_last, differences)).sum(axis=1)
    assert projected[0] == pytest.approx(0.01)
    assert projected[2] == pytest.approx(-0.03)
