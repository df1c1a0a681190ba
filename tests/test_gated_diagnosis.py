"""Diagnoses of gated networks: pairs, cuts, games, nulls, accounts and doses of every gate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import reference
import schurscope as ss
from schurscope.ablation.batch import Batch
from schurscope.ablation.evaluate import Evaluator
from schurscope.ablation.measures import measure_named
from schurscope.ablation.names import single_names
from schurscope.ablation.plan import Ablation, gate_masses
from schurscope.cli import main
from schurscope.coordinates.forms import Coordinates
from schurscope.diagnosis.chance import has_partition, pair_draws, partition_draws
from schurscope.diagnosis.pairs import Pairs
from schurscope.diagnosis.second_order import SecondOrder
from small_gated import KINDS, gated_network

ALPHA = 0.6
TASK = ss.tasks.FlipFlop(n_steps=8)


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def network(request, rng):
    return gated_network(request.param, rng, sizes=(7, 3, 2))


@pytest.fixture
def trials(rng):
    return ss.Trials(rng.standard_normal((40, 6, 3)), rng.standard_normal((40, 6, 2)))


def change_without(network, trials, W_hh):
    """By the reference's rollouts."""
    values = []
    for weights in (network.W_hh, W_hh):
        outputs, _ = reference.gated_rollout(replace(network, W_hh=weights), trials.inputs)
        values.append(reference.fvu(outputs, trials.targets, trials.step_weights))
    return values[1] - values[0]


def with_gate(network, gate, W):
    """The stacked W_hh with W in a gate's rows."""
    W_hh, n = np.array(network.W_hh), network.n_hidden
    k = network.cell.gates.index(gate)
    W_hh[k * n : (k + 1) * n] = W
    return W_hh


def test_exact_effects_of_pairs_are_those_of_one_rectangle_in_that_gate(network, trials):
    found = ss.atlas(network, trials, method="exact", alpha=ALPHA)
    gates = network.cell.gates
    assert list(dict.fromkeys(found.gate)) == list(gates)
    forms = {gate: ss.ordered_schur(network, gate=gate) for gate in gates}
    rows, places = [], np.arange(0, len(found), 5)
    for place in places:
        gate, (first, last) = str(found.gate[place]), found.pairs[place]
        schur = forms[gate]
        starts, ends = schur.starts, schur.starts + schur.block_sizes
        name = f"pair {place}"
        if first == last:
            block = ((int(starts[first]), int(ends[first])),)
            rows.append(Ablation(name, (), (), block, (0.0,), block_gates=gate))
        else:
            sides = (starts[first], ends[first], starts[last], ends[last])
            rows.append(Ablation(name, (tuple(map(int, sides)),), (0.0,), gates=gate))
    profile = ss.ablate(network, trials, alpha=ALPHA, ablations=rows)
    assert profile.change[1:] == pytest.approx(found.effect[places], abs=1e-12)
    assert profile.removed_mass[1:] == pytest.approx(found.mass[places], rel=1e-9, abs=1e-14)
    # One of each gate also by the reference: its T with zeros.
    for gate, schur in forms.items():
        place = np.flatnonzero((found.gate == gate) & (found.pairs[:, 0] < found.pairs[:, 1]))[0]
        first, last = found.pairs[place]
        starts, ends = schur.starts, schur.starts + schur.block_sizes
        T = schur.T.copy()
        T[starts[first] : ends[first], starts[last] : ends[last]] = 0
        W_hh = with_gate(network, gate, schur.Q @ T @ schur.Q.T)
        assert found.effect[place] == pytest.approx(
            change_without(network, trials, W_hh), abs=1e-11
        )
    matrix = found.matrix(gates[-1])
    assert np.nansum(matrix) == pytest.approx(found.effect[found.gate == gates[-1]].sum())
    with pytest.raises(ValueError, match="gate must be one of"):
        found.matrix()
    frame = found.to_dataframe()
    assert set(frame["gate"]) == set(gates)
    assert f"{frame['gate'][0]}:{frame['coupling'][0]}" in str(found)


def test_small_removals_in_any_gate_are_predicted(network, trials):
    """Removing a ten-thousandth of every pair changes the measure as the model says."""
    coordinates = Coordinates.of(network, None, None)
    evaluator = Evaluator(network, trials, coordinates, measure_named("fvu"), n_threads=1)
    pairs = Pairs.of(coordinates)
    model = SecondOrder.of(evaluator, pairs, np.random.default_rng(0), n_probes=1)
    gain = 1e-4
    gains = np.vstack(
        [np.where(np.eye(len(pairs), dtype=bool), 1 - gain, 1.0), np.ones(len(pairs))]
    )
    sums, _ = evaluator.sums(pairs.batch(gains))
    change = (sums[:-1] - sums[-1]).sum(axis=1) / evaluator.total
    between = pairs.blocks[:, 0] < pairs.blocks[:, 1]  # gains on blocks are not linear
    largest = np.abs(model.linear).max()
    assert change[between] / gain == pytest.approx(model.linear[between], abs=2e-3 * largest)


def test_a_cut_curve_is_that_of_its_gate_alone(network, trials):
    for gate in network.cell.gates:
        curve = ss.cut_curve(network, trials, gate=gate)
        assert curve.gate == gate
        assert f"C→R of the gate {gate} removed" in str(curve)
        place = len(curve) // 2
        k, schur = int(curve.cut[place]), curve.schur
        W_cut, mass = reference.cut_apart(network.gates[gate].W_hh, schur.eigenvalues[:k])
        W_hh = with_gate(network, gate, W_cut)
        expected = change_without(network, trials, W_hh)
        assert curve.change[place] == pytest.approx(expected, abs=1e-9)
        assert curve.removed_mass[place] == pytest.approx(mass, abs=1e-9)
    with pytest.raises(ValueError, match="gate must be one of"):
        ss.cut_curve(network, trials)


def test_shapley_values_of_every_gates_couplings_add_up(network, trials):
    gates = network.cell.gates
    small = trials[:16]
    game = ss.subset_game(network, small, alpha=ALPHA)
    names = tuple(f"{gate}:{coupling}" for gate in gates for coupling in ("RR", "CR", "CC"))
    assert game.names == names
    assert len(game) == 2 ** (3 * len(gates))
    profile = ss.ablate(network, small, alpha=ALPHA)
    assert game.shapley.total == pytest.approx(profile["RR+CR+CC"].change, rel=1e-9)
    assert game.shapley.value.sum() == pytest.approx(game.shapley.total, rel=1e-9)
    assert game.shapley.alone == pytest.approx([profile[name].change for name in names], abs=1e-10)
    # The coalition of all gates' CR is the joint ablation.
    joint = game.coalitions == [name.endswith(":CR") for name in names]
    assert game.change[joint.all(axis=1)] == pytest.approx(profile["CR"].change, rel=1e-9)
    first = gates[0]
    groups = {"a": {first: [(0, 1)]}, "b": {first: [(0, 2)], gates[1]: [(0, 1)]}}
    mine = ss.subset_game(network, small, groups, alpha=ALPHA)
    assert mine.shapley.value.sum() == pytest.approx(mine.shapley.total)
    with pytest.raises(ValueError, match=r"groups\['b'\] must be a mapping of gates"):
        ss.subset_game(network, small, {"a": "CR", "b": [(0, 1)]}, alpha=ALPHA)
    with pytest.raises(ValueError, match="must not share entries of T, 'CR' and"):
        ss.subset_game(network, small, ["CR", f"{first}:CR"], alpha=ALPHA)


class Captured:
    """An ablation to compare with, and the random ones that are compared."""

    def __init__(self, row):
        self.row, self.made = row, []

    def changes(self, batch, n, coordinates=None):
        self.made.append((batch(np.arange(n)), coordinates))
        return np.zeros(n)

    def change_of(self, row, coordinates):
        return self.changes(lambda _: row, 1, coordinates)[0]

    def is_common(self, *_):
        return False


def test_random_pairs_take_from_each_gate_what_the_ablation_takes(network):
    coordinates = Coordinates.of(network, None, None)
    cuts, gates = coordinates.sectors(ALPHA), network.cell.gates
    for name in (f"{gates[0]}:CR", f"{gates[0]}:RR,{gates[-1]}:CC", "CR"):
        row = Batch.of([Ablation.of(name, cuts)], gates)
        taken = gate_masses(coordinates, row)
        one = Captured(row)
        _, pool, drawn, made = pair_draws([one], coordinates, 20, np.random.default_rng(0))
        assert pool.tolist() == ["N", "outside"]
        assert len(one.made) == np.isfinite(drawn).any(axis=1).sum() > 0
        assert made.tolist() == np.isfinite(drawn).sum(axis=1).tolist()
        for batch, _ in one.made:
            assert gate_masses(coordinates, batch) == pytest.approx(np.repeat(taken, 20, axis=0))
        if np.isfinite(drawn[1]).any():
            outside = zip(
                one.made[-1][0].masks(coordinates.schurs),
                row.masks(coordinates.schurs),
                strict=True,
            )
            assert not any((random & mask).any() for random, mask in outside)


def test_random_cuts_move_the_gates_that_are_named(network):
    coordinates = Coordinates.of(network, None, None)
    cuts, gates = coordinates.sectors(ALPHA), network.cell.gates
    name = f"{gates[-1]}:CR"
    row = Captured(Batch.of([Ablation.of(name, cuts)], gates))
    drawn, made = partition_draws([row], cuts, [name], 12, np.random.default_rng(0))
    assert has_partition(cuts, name)
    assert np.isfinite(drawn).sum() == len(row.made) > 6
    assert made.tolist() == [12]
    moved = 0
    for batch, forms in row.made:
        assert batch.named.tolist() == [[gate == gates[-1] for gate in gates]]
        for gate, form in forms:
            same = form is coordinates[gate]
            assert same or gate == gates[-1]
            moved += not same
            np.testing.assert_allclose(form.Q @ form.T @ form.Q.T, form.W, atol=1e-12)
    assert moved > 0


def test_nulls_are_of_the_rows_of_a_profile(network, trials):
    profile = ss.ablate(network, trials, alpha=ALPHA)
    first, last = network.cell.gates[0], network.cell.gates[-1]
    names = [f"{first}:CR", f"{last}:CR", "CR"]
    found = ss.null(profile, network, trials, ablations=names, draws=20)
    assert dict.fromkeys(found.names) == dict.fromkeys(names)
    # Holm's families are the ablations in the same gates, here one each.
    np.testing.assert_array_equal(found.p_holm, found.p)
    every = ss.null(profile, network, trials, draws=10)
    expected = {x for x in profile.names if not profile[x].vacuous} - {"full"}
    assert set(every.names) == expected
    partition = ss.null(
        profile, network, trials, kind="partition", ablations=[f"{last}:CR"], draws=10
    )
    assert np.isfinite(partition.draws).any()
    with pytest.raises(ValueError, match="ablations must be one of"):
        ss.null(profile, network, trials, ablations=["x:CR"], draws=5)
    vanilla = ss.init_network(ss.tasks.FlipFlop(), 6, rng=0)
    gates = network.cell.gates
    with pytest.raises(ValueError, match=f"with no gates, as given, got {', '.join(gates)}"):
        ss.null(profile, vanilla, trials)


def test_an_account_explains_every_gate(network, trials):
    account = ss.account(network, trials, alpha=ALPHA, tolerance=1e-3)
    gates = network.cell.gates
    names = tuple(f"{gate}:{name}" for gate in gates for name in ("RR", "CR", "CC", "BB"))
    assert account.couplings == names
    profile = ss.ablate(network, trials, alpha=ALPHA, ablations=names)
    assert account.exact == pytest.approx(profile.change[1:], abs=1e-10)
    product = account.factors.prod(axis=1)
    run = ~profile.vacuous[1:] & np.isfinite(product)
    assert product[run] == pytest.approx(account.exact[run], rel=1e-9)
    assert sum(account.mass_share.values()) == pytest.approx(1)
    assert set(account.state_share) == {f"{gate}:{sector}" for gate in gates for sector in "RC"}
    assert account.components.shape == (len(gates), 3, 2)
    assert "R of " in str(account)


def mean_operands(network, trials):
    """The mean operand of each gate's recurrent product over trials and steps, step by step."""
    _, states = reference.gated_rollout(network, trials.inputs)
    start = np.zeros((trials.n_trials, 1, network.n_hidden)) + network.h_0
    before = np.concatenate([start, states[:, :-1]], axis=1)
    found = dict.fromkeys(network.cell.gates, before.mean(axis=(0, 1)))
    if network.cell.reset == "before":
        part, b_h = network.gates["r"], network.biases[0][: network.n_hidden]
        drive = before @ part.W_hh.T + trials.inputs @ part.W_xh.T + b_h
        found["n"] = (before / (1 + np.exp(-drive))).mean(axis=(0, 1))
    return found


def test_the_mean_drive_stays_as_a_bias_of_its_gate(network, trials):
    account = ss.account(network, trials, alpha=ALPHA)
    means = mean_operands(network, trials)
    n = network.n_hidden
    for gate in network.cell.gates:
        W = network.gates[gate].W_hh
        W_without, _ = reference.ablated(W, ["CR"], ALPHA)
        drive = (W - W_without) @ means[gate]
        other = replace(network, W_hh=with_gate(network, gate, W_without))
        if network.cell.reset == "after" and gate == "n":
            other = replace(other, b_hn=network.b_hn + drive)
        else:
            b_h = np.array(network.b_h)
            k = network.cell.gates.index(gate)
            b_h[k * n : (k + 1) * n] += drive
            other = replace(other, b_h=b_h)
        values = [
            reference.fvu(
                reference.gated_rollout(one, trials.inputs)[0], trials.targets, trials.step_weights
            )
            for one in (network, other)
        ]
        place = account.couplings.index(f"{gate}:CR")
        assert account.mean_ablated[place] == pytest.approx(values[1] - values[0], abs=1e-10)


def test_doses_of_every_gate(network, trials):
    doses = ss.dose(network, trials, alpha=ALPHA, gains=[0.0, 0.5])
    assert doses.names == single_names(network.cell.gates)
    profile = ss.ablate(network, trials, alpha=ALPHA)
    removed = [profile[name].change for name in doses.names]
    assert doses.change[:, 0] == pytest.approx(removed, abs=1e-10)
    half = doses.removed_mass[:, 1] / np.where(
        doses.removed_mass[:, 0] > 0, doses.removed_mass[:, 0], 1
    )
    assert half[:3] == pytest.approx(0.5, rel=1e-9)  # BB is not linear in its gain


@pytest.fixture(scope="module", params=["gru", "lstm"])
def diagnosed(request):
    network = ss.init_network(TASK, 8, "orthogonal", 0, cell=request.param)
    network = ss.train(network, TASK, epochs=3, rng=1).network
    trials = TASK.trials(80, 2)
    return network, trials, ss.diagnose(network, trials, alpha=ALPHA, draws=10, repeats=1, rng=3)


def test_a_removable_set_is_found_in_all_gates_at_once(diagnosed):
    network, _, found = diagnosed
    removable, gates = found.removable, network.cell.gates
    pairs = Pairs.of(found.profile.coordinates)
    assert removable.settings["n_pairs"] == len(pairs)
    assert len(removable.removed) == len(removable.removed_gates) > 0
    assert removable.interval[1] <= 0.01
    shares = [share for share, _ in removable.gate_shares.values()]
    counts = [(pairs.gate_names == gate).sum() for gate in gates]
    assert np.average(shares, weights=counts) == pytest.approx(removable.pair_share)
    assert "of each gate's pairs and mass: " in str(removable)


def test_a_diagnosis_tells_all_gates_and_each(diagnosed, tmp_path):
    network, trials, found = diagnosed
    gates = network.cell.gates
    assert found.couplings == single_names(gates)
    assert list(found.curves) == list(gates)
    assert found.game.exact
    text = str(found)
    for name, sentence in zip(found.couplings, found.verdicts, strict=True):
        gate, _, coupling = name.rpartition(":")
        assert sentence.startswith(f"{coupling} of {gate or 'all gates'}: ")
        assert (sentence in text) == (not gate)
    assert "of each gate's spectrum, which is not the network's" in text
    row = next(line for line in text.splitlines() if line.startswith(f"{gates[0]}:CC"))
    assert found.decision(f"{gates[0]}:CC") in row
    # What the parts say is what they say alone.
    alone = ss.cut_curve(network, trials, gate=gates[1], rng=9)
    np.testing.assert_array_equal(found.curves[gates[1]].change, alone.change)
    known = [found.chance(name)[0] for name in found.couplings]
    assert np.isfinite(known).any()
    assert np.nanmax(known) <= 1
    frame = found.to_dataframe().set_index("coupling")
    assert frame["verdict"].tolist() == list(found.verdicts)
    found.save(tmp_path / "found.npz")
    loaded = ss.Diagnosis.load(tmp_path / "found.npz")
    assert str(loaded) == text
    assert str(loaded.game) == str(found.game)
    with pytest.raises(AttributeError, match="has a cut curve for each"):
        _ = found.cuts
    for method in (found.chance, found.credit, found.shapley_of, found.change_interval):
        with pytest.raises(ValueError, match=r"coupling must be one of .*, got 'RC'"):
            method("RC")
    found.report(tmp_path / "page.html")
    assert f"CR of {gates[0]}" in (tmp_path / "page.html").read_text(encoding="utf-8")
    figure = found.plot()
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    for gate in gates:
        assert f"removing CR at every cut of {gate}" in titles
        assert f"every pair of blocks of {gate}" in titles


def test_the_command_diagnoses_gates(diagnosed, tmp_path):
    network, _, _ = diagnosed
    network.save(tmp_path / "net.npz")
    out = tmp_path / "out"
    asked = ["diagnose", tmp_path / "net.npz", "--task", "flip-flop", "--n-trials", "40"]
    asked += ["--draws", "5", "--repeats", "1", "--out", out, "--gate", network.cell.gates[0]]
    result = CliRunner().invoke(main, [str(word) for word in asked])
    assert result.exit_code == 0, result.output
    assert "CR of all gates: " in result.output
    assert f"CR of {network.cell.gates[0]}: " in result.output
    header = (out / "cuts.csv").read_text().splitlines()[0]
    assert header.startswith("gate,cut,")
    assert (out / "pairs.csv").read_text().startswith("gate,")
    bad = CliRunner().invoke(main, [str(word) for word in [*asked[:-1], "x"]])
    assert bad.exit_code != 0
    assert "gate must be one of" in bad.output
    page = CliRunner().invoke(main, [str(word) for word in [*asked, "--report", out / "x.html"]])
    assert page.exit_code == 0, page.output
    assert f"CR of {network.cell.gates[0]}" in (out / "x.html").read_text(encoding="utf-8")
