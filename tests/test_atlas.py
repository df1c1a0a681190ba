"""Features of couplings, the second-order model, and the atlas of pairs."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
import schurscope as ss
from frameworks import Lazily
from schurscope.ablation.evaluate import Evaluator
from schurscope.ablation.measures import measure_named
from schurscope.coordinates.forms import Coordinates
from schurscope.diagnosis.exact import Reference, decided, full_sums
from schurscope.diagnosis.pairs import Pairs
from schurscope.diagnosis.second_order import SecondOrder
from schurscope.trials.tasks import FlipFlop

torch = Lazily("torch")

TASK = FlipFlop(n_steps=10)
CELLS = [
    ss.Cell(),
    ss.Cell(activation="relu", leak=0.4),
    ss.Cell(activation="tanh", form="current", leak=0.3),
    ss.Cell(activation="tanh", form="current", leak=0.3, readout="hidden"),
]


def make(cell=CELLS[0], n_hidden=11, dtype="float64", seed=0):
    return ss.init_network(TASK, n_hidden, "default", seed, cell=cell, dtype=dtype)


def evaluator_of(network, trials, measure="fvu", n_threads=1):
    coordinates = Coordinates.of(network, None, None)
    return Evaluator(network, trials, coordinates, measure_named(measure), n_threads=n_threads)


def adjoints_of(network, trials, cotangents):
    """Adjoints of the products and the rates before each step, by PyTorch's autograd."""
    a, phi = network.cell.leak, {"tanh": torch.tanh, "relu": torch.relu}[network.cell.activation]
    arrays = (network.W_hh, network.W_xh, network.W_hy, *network.biases, trials.inputs)
    W, W_xh, W_hy, b_h, b_y, x = (torch.from_numpy(np.array(a, dtype=float)) for a in arrays)
    W.requires_grad_()
    rate = phi if network.cell.form == "current" else lambda h: h
    h = torch.zeros(len(x), len(W), dtype=torch.float64)
    total, products, rates = 0.0, [], []
    for t in range(x.shape[1]):
        rates.append(rate(h))
        z = rates[-1] @ W.T + x[:, t] @ W_xh.T + b_h
        z.retain_grad()
        products.append(z)
        h = (1 - a) * h + a * (z if network.cell.form == "current" else phi(z))
        read = h if network.cell.readout == "hidden" else rate(h)
        total = total + (torch.from_numpy(cotangents[:, t]) * (read @ W_hy.T + b_y)).sum()
    total.backward()
    gradients = [z.grad for z in products]
    return [torch.stack(parts, dim=1).detach().numpy() for parts in (gradients, rates)]


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize("n_hidden", [1, 4, 11])
def test_features_are_those_of_autograd(cell, n_hidden):
    network = make(cell, n_hidden)
    trials = TASK.trials(19, 1)
    evaluator = evaluator_of(network, trials)
    pairs = Pairs.of(evaluator.coordinates)
    cotangents = np.random.default_rng(2).standard_normal(trials.targets.shape)
    expected_adjoints, expected_rates = adjoints_of(network, trials, cotangents)
    rates, adjoints = evaluator.adjoints(0, cotangents)
    assert rates == pytest.approx(expected_rates, abs=1e-12)
    assert adjoints == pytest.approx(expected_adjoints, abs=1e-12)
    blocks, parts = reference.pair_labels(evaluator.coordinates.only.T)
    assert pairs.blocks.tolist() == [list(pair) for pair in blocks]
    if not parts:
        return
    found = evaluator.features(pairs.entries, len(pairs), cotangents)
    expected = reference.features(
        expected_adjoints, expected_rates, evaluator.coordinates.only.Q, parts
    )
    assert found == pytest.approx(expected, abs=1e-8 * np.abs(expected).max())
    assert pairs.squares == pytest.approx([np.square(D).sum() for D in parts])


def test_features_of_some_trials_are_those_of_all():
    network = make(dtype="float32")
    evaluator = evaluator_of(network, TASK.trials(150, 1))
    pairs = Pairs.of(evaluator.coordinates)
    cotangents = np.ones(evaluator.trials.targets.shape, np.float32)
    entries, count = pairs.entries, len(pairs)
    whole = evaluator.features(entries, count, cotangents)
    part = evaluator.features(entries, count, cotangents[64:140], first=64)
    assert np.array_equal(part, whole[64:140])
    threaded = evaluator_of(network, TASK.trials(150, 1), n_threads=3)
    assert np.array_equal(threaded.features(entries, count, cotangents), whole)


@pytest.mark.parametrize("measure", ["fvu", "cross_entropy", "fidelity"])
def test_gradient_and_curvature_of_a_measure_are_its_differences(measure):
    definition = measure_named(measure)
    rng = np.random.default_rng(3)
    outputs = rng.standard_normal((4, 5, 3))
    targets = np.eye(3)[rng.integers(3, size=(4, 5))]
    direction, step = rng.standard_normal(outputs.shape), 1e-4

    def along(size):
        return definition.scores(outputs + size * direction, targets)

    slope = (along(step) - along(-step)) / (2 * step)
    curvature = (along(step) - 2 * along(0) + along(-step)) / step**2
    gradient = definition.gradient(outputs, targets)
    assert np.einsum("ntc,ntc->nt", gradient, direction) == pytest.approx(slope, abs=1e-6)
    # A column by column; ½ dᵀ H d = ‖Aᵀ d‖².
    columns = [
        definition.half_curvature(outputs, targets, np.broadcast_to(unit, outputs.shape))
        for unit in np.eye(3)
    ]
    squared = sum(np.einsum("ntc,ntc->nt", column, direction) ** 2 for column in columns)
    assert squared == pytest.approx(curvature / 2, abs=1e-5)


@pytest.mark.parametrize("measure", ["fvu", "cross_entropy"])
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_small_removals_are_predicted(cell, measure):
    """Removing a thousandth of every pair changes the measure as the model says."""
    network, trials = make(cell), TASK.trials(40, 5)
    if measure == "cross_entropy":
        classes = np.random.default_rng(0).integers(3, size=trials.targets.shape[:2])
        trials = ss.Trials(trials.inputs, np.eye(3)[classes])
    evaluator = evaluator_of(network, trials, measure)
    pairs = Pairs.of(evaluator.coordinates)
    model = SecondOrder.of(evaluator, pairs, np.random.default_rng(0), n_probes=1)
    gain = 1e-4
    gains = np.where(np.eye(len(pairs), dtype=bool), 1 - gain, 1.0)
    sums, _ = evaluator.sums(pairs.batch(gains))
    change = (sums - full_sums(evaluator)).sum(axis=1) / evaluator.total
    between = pairs.blocks[:, 0] < pairs.blocks[:, 1]  # gains on blocks are not linear
    largest = np.abs(model.linear).max()
    assert change[between] / gain == pytest.approx(model.linear[between], abs=2e-3 * largest)


def test_the_quadratic_part_is_that_of_gauss_and_newton():
    network, trials = make(), TASK.trials(12, 5)
    evaluator = evaluator_of(network, trials)
    pairs = Pairs.of(evaluator.coordinates)
    model = SecondOrder.of(evaluator, pairs, np.random.default_rng(0), n_probes=4000)
    step = 1e-5
    expected = np.empty(len(pairs))
    for p, part in enumerate(reference.pair_labels(evaluator.coordinates.only.T)[1]):
        moved = [
            reference.rollout(
                network.W_hh
                + sign
                * step
                * evaluator.coordinates.only.Q
                @ part
                @ evaluator.coordinates.only.Q.T,
                network.W_xh,
                network.W_hy,
                trials.inputs,
                *network.biases,
            )[0]
            for sign in (-1, 1)
        ]
        expected[p] = np.square((moved[1] - moved[0]) / (2 * step)).sum() / evaluator.total
    assert model.quadratic == pytest.approx(expected, rel=0.15)
    assert np.median(model.quadratic / expected) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_exact_atlas_is_ablate_with_one_rectangle(dtype):
    network, trials = make(dtype=dtype), TASK.trials(30, 3)
    found = ss.atlas(network, trials, method="exact", alpha=0.7)
    schur = found.schur
    ends = schur.starts + schur.block_sizes
    rows = []
    for row, column in found.pairs:
        name, span = f"{row} {column}", (schur.starts[row], ends[row])
        if row == column:
            rows.append(ss.Ablation(name, (), (), (span,), (0.0,)))
        else:
            rectangle = (*span, schur.starts[column], ends[column])
            rows.append(ss.Ablation(name, (rectangle,), (0.0,)))
    profile = ss.ablate(network, trials, alpha=0.7, ablations=rows)
    assert found.effect == pytest.approx(profile.change[1:], abs=1e-12)
    assert found.mass == pytest.approx(profile.removed_mass[1:], rel=1e-9, abs=1e-15)
    spread = (profile.per_trial[1:] - profile.per_trial[0]).std(axis=1, ddof=1)
    assert found.standard_error == pytest.approx(spread / np.sqrt(30), rel=1e-6)
    for name in ("RR", "CR", "CC", "BB"):
        mask = schur.sectors(0.7).mask(name)
        inside = [
            mask[schur.starts[row] : ends[row], schur.starts[column] : ends[column]].any()
            for row, column in found.pairs
        ]
        assert [coupling == name for coupling in found.coupling] == inside


@pytest.fixture(scope="module")
def trained():
    task = FlipFlop()
    network = ss.train(ss.init_network(task, 32, "orthogonal", 0), task, rng=1).network
    return network, task.trials(512, rng=2)


def test_predicted_effects_order_the_exact_ones(trained):
    found = ss.atlas(*trained, n_probes=4)
    assert found.exact.all()
    spearman = scipy.stats.spearmanr(found.effect, found.predicted).statistic
    assert found.agreement.spearman == pytest.approx(spearman)
    assert spearman > 0.97
    predicted = ss.atlas(*trained, method="predicted", n_probes=4)
    assert not predicted.exact.any()
    assert predicted.agreement is None
    assert np.array_equal(predicted.effect, found.predicted)
    assert np.isnan(predicted.standard_error).all()


def test_large_networks_are_predicted_and_confirmed(trained, monkeypatch):
    monkeypatch.setattr("schurscope.diagnosis.atlas._EXACT_COST", 1.0)
    found = ss.atlas(*trained, confirm=15)
    assert found.exact.sum() == 30
    assert found.agreement.n == 30
    largest = np.argsort(-np.abs(found.predicted))[:15]
    assert found.exact[largest].all()
    every = ss.atlas(*trained, method="exact")
    assert found.effect[found.exact] == pytest.approx(every.effect[found.exact], abs=1e-12)
    assert found.effect[~found.exact] == pytest.approx(found.predicted[~found.exact])


def test_runs_stop_when_they_are_decided(trained):
    network, trials = trained
    tolerance = 1e-3
    every = ss.atlas(network, trials, method="exact")
    found = ss.atlas(network, trials, method="exact", tolerance=tolerance, rng=4)
    again = ss.atlas(network, trials, method="exact", tolerance=tolerance, rng=4, n_threads=1)
    assert np.array_equal(found.effect, again.effect)
    assert found.work < 0.5
    assert set(found.trials_used) <= {64, 128, 256, 512}
    early = found.trials_used < 512
    far = np.abs(np.abs(every.effect) - tolerance) > 3 * every.standard_error
    sides = [np.sign(e) * (np.abs(e) > tolerance) for e in (every.effect, found.effect)]
    assert (sides[0] == sides[1])[early & far].mean() > 0.99


@settings(max_examples=30)
@given(st.integers(0, 1000), st.sampled_from([5e-4, 2e-3]))
def test_decisions_without_an_effect_are_right_at_the_stated_rate(seed, tolerance):
    """Rows whose differences are drawn with a known mean are rarely put on the wrong side."""
    rng = np.random.default_rng(seed)
    means = np.repeat([0.0, 3 * tolerance, -3 * tolerance], 40)

    class Drawn:
        n_trials, total = 1024, 1024.0
        coordinates = Coordinates(("",), ())

        def sums(self, rows, first=0, end=None):
            shape = (len(rows), end - first)
            if not isinstance(rows, np.ndarray):
                return np.zeros(shape), None
            return means[rows][:, None] + 5 * tolerance * rng.standard_normal(shape), None

    effects = decided(Drawn(), lambda rows: rows, len(means), tolerance=tolerance)
    truth = np.sign(means) * (np.abs(means) > tolerance)
    found = np.sign(effects.change) * (np.abs(effects.change) > tolerance)
    assert (truth != found).mean() < 0.1


def test_a_reference_known_on_all_trials_decides_sooner_and_no_less_surely(rng):
    """Where its noise hides the difference, rows without noise of their own need few trials."""
    n_trials, n_rows = 1024, 200
    control = 0.1 + rng.standard_normal(n_trials)
    effects = np.where(np.arange(n_rows) % 2, 0.0, 0.2) + control.mean() - 0.1
    values = effects[:, None] + 0.1 * rng.standard_normal((n_rows, n_trials))
    values += 0.3 * (control - control.mean())

    class Drawn:
        def __init__(self):
            self.n_trials, self.total, self.run = n_trials, float(n_trials), 0
            self.coordinates = Coordinates(("",), ())

        def sums(self, rows, first=0, end=None):
            self.run += len(rows) * (end - first)
            return values[rows, first:end], None

    drawn = Drawn()
    found = decided(
        drawn, lambda rows: rows, n_rows, tolerance=0.0, reference=Reference(control, control)
    )
    truth = values.mean(axis=1) - control.mean()
    assert (np.sign(found.change) != np.sign(truth)).mean() <= 0.02
    assert (np.abs(found.change - truth) < 5 * found.standard_error + 1e-12).all()
    assert drawn.run < 0.15 * n_rows * n_trials
    every = found.n_trials == n_trials
    assert found.change[every] == pytest.approx(truth[every], abs=1e-12)


def test_wrong_arguments_are_named(trained):
    network, trials = trained
    with pytest.raises(ValueError, match=r"method must be one of .*got 'fast'"):
        ss.atlas(network, trials, method="fast")
    with pytest.raises(ValueError, match="tolerance must be"):
        ss.atlas(network, trials, tolerance=-1)

    class Odd(ss.measures.Measure):
        name, heading, better = "odd", "odd", "lower"

        def scores(self, outputs, targets):
            return np.abs(outputs - targets).sum(axis=2)

    with pytest.raises(ValueError, match="measure must have a second derivative"):
        ss.atlas(network, trials, measure=Odd(), method="predicted")
    assert ss.atlas(network, trials[:40], measure=Odd(), method="exact").exact.all()
    frame = ss.atlas(network, trials[:40]).to_dataframe()
    assert frame.effect.abs().is_monotonic_decreasing
    assert "Spearman" in str(ss.atlas(network, trials[:40]))


@pytest.mark.parametrize("measure", ["fvu", "cross_entropy"])
def test_targets_at_steps_without_weight_do_not_matter(measure):
    network, trials = make(dtype="float32"), TASK.trials(30, 3)
    classes = np.eye(3)[np.random.default_rng(0).integers(3, size=trials.targets.shape[:2])]
    weights = np.ones(classes.shape[:2])
    weights[:, 6:] = 0
    padded = classes.copy()
    padded[:, 6:] = -1
    found = [
        ss.atlas(network, ss.Trials(trials.inputs, targets, weights), measure=measure)
        for targets in (classes, padded)
    ]
    assert np.isfinite(found[1].predicted).all()
    assert np.array_equal(found[0].predicted, found[1].predicted)
    sets = ss.Trials(trials.inputs, padded, weights)
    removed = ss.removable(network, sets, sets, measure=measure, repeats=1, n_random=1).removed
    assert len(np.unique(removed, axis=0)) == len(removed)
