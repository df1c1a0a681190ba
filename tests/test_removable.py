"""Sets of pairs that can be removed at once, and the account of why pairs are harmless."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import reference
import schurscope as ss
from schurscope.ablation.batch import Batch
from schurscope.ablation.evaluate import Evaluator
from schurscope.ablation.measures import measure_named
from schurscope.coordinates.forms import Coordinates
from schurscope.diagnosis import walk as walk_module
from schurscope.diagnosis.account import KINDS, _kinds
from schurscope.diagnosis.atlas import atlas_of
from schurscope.diagnosis.pairs import Pairs
from schurscope.diagnosis.question import Question
from schurscope.diagnosis.search import Search
from schurscope.diagnosis.second_order import SecondOrder, probes
from schurscope.diagnosis.walk import Walk
from schurscope.trials.tasks import FlipFlop

TASK = FlipFlop()


@pytest.fixture(scope="module")
def trained():
    return ss.train(ss.init_network(TASK, 32, "orthogonal", 0), TASK, rng=1).network


@pytest.fixture(scope="module")
def found(trained):
    return ss.removable(trained, TASK.trials(256, 2), TASK.trials(256, 3), repeats=2, n_random=2)


def loss_without(network, trials, schur, pairs):
    """By the reference's rollout, of W with these pairs of blocks removed."""
    ends = schur.starts + schur.block_sizes
    normal, T = reference.normal_blocks(schur.T), schur.T.copy()
    for row, column in pairs:
        place = slice(schur.starts[row], ends[row]), slice(schur.starts[column], ends[column])
        T[place] = normal[place] if row == column else 0
    weights = np.ones(trials.inputs.shape[:2])
    losses = []
    for matrix in (schur.T, T):
        W = schur.Q @ matrix @ schur.Q.T
        outputs, _ = reference.rollout(
            W, network.W_xh, network.W_hy, trials.inputs, *network.biases
        )
        losses.append(reference.fvu(outputs, trials.targets, weights))
    return losses[1] - losses[0]


def test_a_removable_set_is_tolerable_on_fresh_trials(trained, found):
    schur, fresh = ss.ordered_schur(trained.W_hh), TASK.trials(256, 3)
    assert found.change == pytest.approx(
        loss_without(trained, fresh, schur, found.removed), abs=1e-5
    )
    assert found.interval[0] <= found.change <= found.interval[1] <= 0.01
    pairs = Pairs.of(Coordinates(("",), (schur,)))
    assert found.pair_share == len(found.removed) / len(pairs)
    assert found.pair_share > 5 * found.random_pair_share
    assert found.mass_share > found.random_mass_share
    assert found.area > 0
    assert found.completeness[0] > 0.05  # the task is lost without the kept pairs
    assert sum(found.counts.values()) == len(pairs)
    as_sets = {name: set(map(tuple, getattr(found, name))) for name in ("removed", "core", "free")}
    assert as_sets["free"] <= as_sets["removed"]
    assert not as_sets["core"] & as_sets["removed"]
    assert 0 < found.jaccard <= 1
    assert found.curve[0].tolist() == [0, 0, 0]
    assert found.curve[-1, :2] == pytest.approx([1, 1])
    everything = loss_without(trained, fresh, schur, pairs.blocks)
    assert found.curve[-1, 2] == pytest.approx(everything, abs=1e-4)
    assert f"{found.needed.sum()} of {len(found.minimality)} kept pairs" in str(found)
    added, error = found.minimality.T
    assert found.needed.tolist() == (added > 2 * error).tolist()
    assert len(found.to_dataframe()) == len(found.curve) + len(found.random_curve)


def test_the_same_seed_gives_the_same_set(trained, found):
    again = ss.removable(
        trained, TASK.trials(256, 2), TASK.trials(256, 3), repeats=2, n_random=2, n_threads=1
    )
    assert np.array_equal(again.removed, found.removed)
    assert np.array_equal(again.interval, found.interval)
    assert again.jaccard == found.jaccard


def test_more_pairs_go_by_count_than_by_mass(trained, found):
    by_count = ss.removable(
        trained, TASK.trials(256, 2), TASK.trials(256, 3), by="count", repeats=1, n_random=1
    )
    assert by_count.pair_share > found.pair_share - 0.05


def test_accuracy_is_searched_on_its_surrogate_and_accepted_by_itself(trained):
    trials = [TASK.trials(128, seed).with_weights(None) for seed in (2, 3)]
    found = ss.removable(trained, *trials, measure="sign_accuracy", repeats=1, n_random=1)
    assert found.settings["measure"] == "sign_accuracy"
    assert found.pair_share > 0.5  # signs hardly need N here
    assert found.interval[1] <= 0.01


@pytest.fixture(params=["products in memory", "products at each step"])
def small(request, monkeypatch):
    if request.param == "products at each step":
        monkeypatch.setattr(walk_module, "_MOST_PRODUCTS", 0)
    network = ss.init_network(TASK, 9, "default", 3, dtype="float64")
    schur, trials = ss.ordered_schur(network.W_hh), TASK.trials(20, 4)
    coordinates = Coordinates.of(network, schur, None)
    pairs = Pairs.of(coordinates)
    evaluator = Evaluator(network, trials, coordinates, measure_named("fvu"))
    return pairs, SecondOrder.of(evaluator, pairs, np.random.default_rng(5), 2)


def test_a_walk_from_the_full_network_is_greedy_in_its_model(small):
    pairs, model = small
    walk = Walk(model, np.zeros(len(pairs), dtype=bool), pairs.squares)
    assert walk.remove().tolist() == reference.greedy(model.linear, model.samples, pairs.squares)
    assert walk.removed.all()
    assert walk.loss == pytest.approx(
        model.linear.sum() + np.square(model.samples.sum(axis=1)).sum()
    )


def test_a_walk_changes_the_side_of_the_best_pair(small):
    pairs, model = small
    start = np.arange(len(pairs)) % 3 != 0
    walk = Walk(model, start, pairs.squares)
    out, back = walk.restore(most_pairs=5), walk.remove()
    signs, changed = np.where(start, -1.0, 1.0), np.zeros(len(pairs), dtype=bool)
    losses = [0.0]
    for step, chosen in enumerate([*out, *back]):
        now_removed = start ^ changed
        candidates = np.flatnonzero(start & now_removed if step < 5 else ~now_removed)
        added = []
        for p in candidates:
            other = changed.copy()
            other[p] ^= True
            added.append(reference.model_loss(model, signs * other) - losses[-1])
        scores = np.array(added) / pairs.squares[candidates]
        assert chosen == candidates[np.argmin(scores)]
        changed[chosen] ^= True
        losses.append(reference.model_loss(model, signs * changed))
    assert walk.removed.all()
    assert walk.loss == pytest.approx(losses[-1])
    assert Walk(model, start, pairs.squares).restore().size == start.sum()
    assert Walk(model, start, pairs.squares).remove(-1.0).size == 0


def test_exchanges_find_more_than_the_greedy_search_within_the_tolerance(trained, monkeypatch):
    schur, trials = ss.ordered_schur(trained.W_hh), TASK.trials(256, 2)
    pairs = Pairs.of(Coordinates(("",), (schur,)))
    price = pairs.squares / pairs.squares.sum()
    found = []
    for rounds in (1, 8):
        monkeypatch.setattr("schurscope.diagnosis.search._ROUNDS", rounds)
        question = Question(trained, trials, "fvu", None, schur, 3, 1)
        search = Search(question, trials, pairs, price, 0.01)
        best = search.best()
        order = search.order(best)
        assert sorted(order) == list(range(len(pairs)))
        assert set(order[: best.sum()]) == set(np.flatnonzero(best))
        assert loss_without(trained, trials, schur, pairs.blocks[best]) <= 0.01 + 1e-5
        found.append(price[best].sum())
    assert found[1] > 1.02 * found[0]


def test_a_renewed_model_is_around_the_network_without_the_pairs():
    network = ss.init_network(TASK, 9, "default", 3, dtype="float64")
    schur, trials = ss.ordered_schur(network.W_hh), TASK.trials(20, 4)
    evaluator = Evaluator(
        network, trials, Coordinates.of(network, schur, None), measure_named("fvu")
    )
    W_ablated = schur.ablated({"CC"}, 0.7)
    around = evaluator.of_network(ss.Network(W_ablated, network.W_xh, network.W_hy))
    assert around.full_outputs() == pytest.approx(
        reference.rollout(W_ablated, network.W_xh, network.W_hy, trials.inputs)[0], abs=1e-12
    )
    assert evaluator.full_outputs() != pytest.approx(around.full_outputs(), abs=1e-3)


def test_wrong_arguments_are_named(trained):
    trials = TASK.trials(20, 1)
    with pytest.raises(ValueError, match="by must be one of 'mass', 'count'"):
        ss.removable(trained, trials, trials, by="norm")
    with pytest.raises(ValueError, match="tolerance must be"):
        ss.removable(trained, trials, trials, tolerance=0)
    with pytest.raises(TypeError, match=r"trials must be schurscope\.Trials"):
        ss.removable(trained, trials, "fresh")


# The account


@pytest.fixture(scope="module")
def case():
    network = ss.init_network(TASK, 12, "default", 1, dtype="float64")
    return network, TASK.trials(50, 2), ss.ordered_schur(network.W_hh)


def test_factors_multiply_to_the_exact_loss(case):
    network, trials, _ = case
    found = ss.account(network, trials, alpha=0.6)
    assert found.factors.prod(axis=1) == pytest.approx(found.exact, rel=1e-9)
    profile = ss.ablate(network, trials, alpha=0.6)
    exact = [profile[name].change for name in found.couplings]
    assert found.exact == pytest.approx(exact, abs=1e-12)
    assert sum(found.mass_share.values()) == pytest.approx(1)


def test_levels_of_the_account_are_those_of_plain_loops(case):
    network, trials, schur = case
    found = ss.account(network, trials, alpha=0.6, rng=7)
    # The same probes, from the same stream.
    evaluator = Evaluator(
        network, trials, Coordinates.of(network, schur, None), measure_named("fvu")
    )
    question = Question(network, trials, "fvu", None, None, 7, 1)
    atlas_of(question, "auto", 0.6, None)  # draws its own probes first
    (part,) = probes(evaluator, question.probes)
    rates, deltas = evaluator.adjoints(0, part.signs[0])
    z, d = rates @ schur.Q, deltas @ schur.Q
    count, n = z.shape[0] * z.shape[1], 12
    total = evaluator.total
    state, adjoint = np.square(z).mean(), np.square(d).mean()
    masks = {name: schur.sectors(0.6).mask(name) for name in found.couplings}
    removed = schur.T - np.where(masks["BB"], reference.normal_blocks(schur.T), schur.T)
    for place, name in enumerate(found.couplings):
        D = removed if name == "BB" else np.where(masks[name], schur.T, 0)
        drive = incoherent = coherent = 0.0
        for trial in range(len(z)):
            whole = 0.0
            for t in range(z.shape[1]):
                y = D @ z[trial, t]
                drive += y @ y
                incoherent += (d[trial, t] @ y) ** 2
                whole += d[trial, t] @ y
            coherent += whole**2
        mass = np.square(D).sum() * count * state * adjoint / total
        levels = [mass, drive * adjoint / total, incoherent / total, coherent / total]
        ratios = [levels[0], *(b / a for a, b in itertools.pairwise(levels))]
        assert found.factors[place, :4] == pytest.approx(ratios, rel=1e-8)
    blocks, parts = reference.pair_labels(schur.T)
    for p, D in enumerate(parts):
        assert found.potential[p] == pytest.approx(
            np.square(D).sum() * count * state * adjoint / total, rel=1e-8
        )
        driven = np.einsum("ij,btj->bti", D, z)
        assert found.drive[p] == pytest.approx(np.square(driven).sum() * adjoint / total, rel=1e-8)
    covariance = np.cov(z.reshape(-1, n).T, bias=True)
    in_R = np.arange(n) < schur.sectors(0.6).n_R
    assert found.state_share["R"] == pytest.approx(
        np.diag(covariance)[in_R].sum() / np.trace(covariance)
    )
    assert len(blocks) == len(found.kind)
    # Singular vectors of the centred states, not eigenvectors of their covariance.
    centred = z.reshape(-1, n) - z.reshape(-1, n).mean(axis=0)
    leading = np.linalg.svd(centred, full_matrices=False)[2][:3]
    in_components = np.square(leading[:, in_R]).sum(axis=1)
    assert found.components[:, 0] == pytest.approx(in_components, abs=1e-8)
    assert found.components.sum(axis=1) == pytest.approx(1)
    read = np.square(network.W_hy @ schur.Q).sum(axis=0)
    assert found.readout_share["R"] == pytest.approx(read[in_R].sum() / read.sum(), rel=1e-8)


def test_a_mean_drive_stays_as_a_bias(case):
    network, trials, schur = case
    found = ss.account(network, trials, alpha=0.6)
    states = reference.rollout(network.W_hh, network.W_xh, network.W_hy, trials.inputs)[1]
    before = np.concatenate([np.zeros_like(states[:, :1]), states[:, :-1]], axis=1)
    mean = before.mean(axis=(0, 1))
    weights = np.ones(trials.inputs.shape[:2])
    full = reference.fvu(
        reference.rollout(network.W_hh, network.W_xh, network.W_hy, trials.inputs)[0],
        trials.targets,
        weights,
    )
    for place, name in enumerate(found.couplings):
        W = schur.ablated({name}, 0.6)
        bias = (network.W_hh - W) @ mean
        outputs, _ = reference.rollout(W, network.W_xh, network.W_hy, trials.inputs, bias)
        loss = reference.fvu(outputs, trials.targets, weights) - full
        assert found.mean_ablated[place] == pytest.approx(loss, abs=1e-8)


def test_kinds_are_decided_in_order():
    table = np.array(
        [
            [1.0, 1, 1, 1],  # needed
            [-1.0, 1, 1, 1],  # helps
            [0, 0.1, 0.1, 0.1],  # small
            [0, 1, 0.1, 0.1],  # silent
            [0, 1, 1, 0.1],  # unread
            [0, 1, 1, 1],  # compensated
        ]
    )
    assert _kinds(*table.T, 0.5).tolist() == list(KINDS)


def test_removing_every_pair_is_removing_every_coupling(trained):
    schur = ss.ordered_schur(trained.W_hh)
    pairs = Pairs.of(Coordinates(("",), (schur,)))
    evaluator = Evaluator(
        trained, TASK.trials(20, 5), Coordinates.of(trained, schur, None), measure_named("fvu")
    )
    every, _ = evaluator.sums(pairs.batch(np.zeros((1, len(pairs)))))
    sectors = schur.sectors(0.9)
    named, _ = evaluator.sums(Batch.of([ss.Ablation.of("RR+CR+CC+BB", sectors)]))
    assert every == pytest.approx(named, rel=1e-5)
