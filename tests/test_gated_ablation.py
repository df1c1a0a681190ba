"""Ablations of gated networks: against a plain reference, PyTorch modules, and the vanilla cell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import reference
import schurscope as ss
from schurscope.ablation.batch import Batch
from schurscope.ablation.names import default_names, joined_name, named_couplings
from schurscope.ablation.plan import Ablation, ablated_weights
from schurscope.coordinates.forms import Coordinates
from small_gated import KINDS, gated_network, kinds, torch_module

ALPHA = 0.6


def trials_of(network, rng, n_trials=37, n_steps=7):
    """Trials with states of their own, targets and weights."""
    sizes = (n_trials, n_steps)
    starts = {"h_0": rng.standard_normal((n_trials, network.n_hidden))}
    if network.cell.kind == "lstm":
        starts["c_0"] = rng.standard_normal((n_trials, network.n_hidden))
    return ss.Trials(
        rng.standard_normal((*sizes, network.n_inputs)),
        rng.standard_normal((*sizes, network.n_outputs)),
        rng.random(sizes) + 0.1,
        **starts,
    )


def removed_from(network, name):
    """Stacked W_hh without the named couplings, by the reference, and the masses by gate."""
    W_hh, masses = np.array(network.W_hh, float), {}
    for k, gate in enumerate(network.cell.gates):
        rows = slice(k * network.n_hidden, (k + 1) * network.n_hidden)
        parts = [part.rpartition(":") for part in name.split(",")]
        names = [couplings for of, _, couplings in parts if of in ("", gate)]
        if names and name != "full":
            W_hh[rows], masses[gate] = reference.ablated(W_hh[rows], names[0].split("+"), ALPHA)
    return W_hh, masses


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def network(request, rng):
    return gated_network(request.param, rng, sizes=(11, 3, 2))


@kinds
def test_names_say_what_is_removed_from_which_gate(cell):
    gates = cell.gates
    first, last = gates[0], gates[-1]
    assert named_couplings("CC+CR", gates) == dict.fromkeys(gates, ("CR", "CC"))
    assert named_couplings(f"{last}:BB,{first}:CR", gates) == {first: ("CR",), last: ("BB",)}
    assert named_couplings("full", gates) == {}
    assert joined_name(named_couplings(f"{last}:CC,{first}:CC+CR", gates), gates) == (
        f"{first}:CR+CC,{last}:CC"
    )
    every = ",".join(f"{gate}:RR" for gate in reversed(gates))
    assert joined_name(named_couplings(every, gates), gates) == "RR"
    names = default_names(gates)
    assert len(names) == len(set(names)) == 9 + 5 * len(gates)
    assert [joined_name(named_couplings(name, gates), gates) for name in names] == list(names)
    assert default_names(("",)) == names[:9]


def test_ablated_matrices_are_those_of_the_reference(network):
    gates = network.cell.gates
    coordinates = Coordinates.of(network, None, None)
    cuts = coordinates.sectors(ALPHA)
    joint = f"{gates[0]}:CR,{gates[-1]}:RR+BB"
    for name in (*default_names(gates), joint):
        row = Batch.of([Ablation.of(name, cuts)], coordinates.gates)
        W_hh = ablated_weights(coordinates, row, network.dtype)
        expected, masses = removed_from(network, name)
        np.testing.assert_allclose(W_hh, expected, atol=1e-12)
        untouched = [k for k, gate in enumerate(gates) if gate not in masses]
        for k in untouched:
            rows = slice(k * network.n_hidden, (k + 1) * network.n_hidden)
            assert W_hh[rows].tobytes() == network.W_hh[rows].tobytes()


def test_a_profile_is_that_of_reference_rollouts(network, rng):
    trials = trials_of(network, rng)
    gates = network.cell.gates
    names = [*default_names(gates), f"{gates[0]}:CR,{gates[1]}:CR+CC"]
    profile = ss.ablate(network, trials, alpha=ALPHA, ablations=names)
    assert profile.names == tuple(names)
    norms = {gate: np.linalg.norm(part.W_hh) for gate, part in network.gates.items()}
    for name in names:
        W_hh, masses = removed_from(network, name)
        other = replace(network, W_hh=W_hh)
        outputs, _ = reference.gated_rollout(other, trials.inputs, trials.h_0, trials.c_0)
        value = reference.fvu(outputs, trials.targets, trials.step_weights)
        assert profile[name].value == pytest.approx(value, rel=1e-10)
        removed = np.sqrt(sum((masses[gate] * norms[gate]) ** 2 for gate in masses))
        whole = np.sqrt(sum(norms[gate] ** 2 for gate in masses))
        expected = removed / whole if masses else 0.0
        assert profile[name].removed_mass == pytest.approx(expected, rel=1e-9, abs=1e-14)
        of_gates = {gate: mass[names.index(name)] for gate, mass in profile.gate_masses.items()}
        assert {gate for gate, mass in of_gates.items() if not np.isnan(mass)} == set(masses)
        for gate, mass in masses.items():
            assert of_gates[gate] == pytest.approx(mass, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_a_gate_is_ablated_as_in_its_pytorch_module(kind, rng):
    torch = pytest.importorskip("torch")
    network = replace(gated_network(ss.Cell(kind=kind), rng, sizes=(9, 3, 2)), h_0=None, c_0=None)
    module, readout = torch_module(network)
    inputs, targets = rng.standard_normal((23, 6, 3)), rng.standard_normal((23, 6, 2))
    x, y = torch.tensor(inputs), torch.tensor(targets)
    profile = ss.ablate(network, ss.Trials(inputs, targets), alpha=ALPHA)
    variance = np.square(targets - targets.mean(axis=(0, 1))).sum() / 23
    for gate in network.cell.gates:
        weight = ss.pytorch.RecurrentWeight(module, "weight_hh_l0", gate=gate)

        def evaluate(W, weight=weight):
            with weight.replaced(W), torch.no_grad():
                errors = (readout(module(x)[0]) - y).square().sum(dim=(1, 2))
            return errors.numpy() / variance

        alone = ss.ablate_with(weight.matrix(), evaluate, alpha=ALPHA)
        for name in ("full", "RR", "CR", "CC", "RR+CR+CC", "BB"):
            mine = profile["full" if name == "full" else f"{gate}:{name}"]
            assert mine.value == pytest.approx(alone[name].value, abs=1e-12)
            assert mine.removed_mass == pytest.approx(alone[name].removed_mass, abs=1e-14)


def test_profiles_have_the_same_bits_for_any_number_of_threads(network, rng):
    trials = trials_of(network, rng, n_trials=150)
    for dtype in (np.float32, np.float64):
        one, three = (
            ss.ablate(network.astype(dtype), trials, alpha=ALPHA, n_threads=n) for n in (1, 3)
        )
        for name in ("value", "per_trial", "per_step", "removed_mass"):
            assert getattr(one, name).tobytes() == getattr(three, name).tobytes()


def test_noise_is_the_same_for_every_ablation(rng):
    network = gated_network(ss.Cell(kind="gru", noise=0.2), rng, sizes=(9, 3, 2))
    trials = trials_of(network, rng)
    nothing = Ablation("nothing", ((0, 2, 3, 5),), (1.0,), gates="n")
    profile = ss.ablate(network, trials, alpha=ALPHA, ablations=["n:CR", nothing], rng=3)
    assert profile["nothing"].vacuous
    scaled = Ablation("scaled", ((0, 2, 3, 5),), (1 - 1e-12,), gates="n")
    again = ss.ablate(network, trials, alpha=ALPHA, ablations=[scaled], rng=3)
    assert again["scaled"].change == pytest.approx(0, abs=1e-9)
    assert again["full"].value == profile["full"].value


def test_rectangles_name_their_gates(network, rng):
    trials = trials_of(network, rng)
    first, last = network.cell.gates[0], network.cell.gates[-1]
    cuts = ss.ablate(network, trials, alpha=ALPHA, ablations=[]).gates
    n = network.n_hidden
    places = {gate: (0, cut.n_R, cut.n_R, n) for gate, cut in cuts.items()}
    joint = Ablation("mine", (places[first], places[last]), (0.0, 0.0), gates=(first, last))
    blocks = Ablation("normal", (), (), ((0, n),), (0.0,), block_gates=last)
    profile = ss.ablate(
        network,
        trials,
        alpha=ALPHA,
        ablations=[joint, f"{first}:CR,{last}:CR", blocks, f"{last}:BB", f"{first}:CC"],
    )
    assert profile["mine"].value == profile[f"{first}:CR,{last}:CR"].value
    assert profile["normal"].value == profile[f"{last}:BB"].value
    half = Ablation.of(f"{last}:CR", cuts, 0.5)
    assert half.name == f"0.5*{last}:CR"
    assert (half.gates, half.gains) == ((last,), (0.5,))
    assert half.named_gates == (last,)
    assert f"gates=('{last}',)" in repr(half)
    assert "gates" not in repr(Ablation("k", ((0, 1, 1, 2),), (0.0,)))


def test_forms_may_be_given(network, rng):
    trials = trials_of(network, rng)
    forms = {gate: ss.ordered_schur(network, gate=gate) for gate in network.cell.gates}
    for gate, form in forms.items():
        expected = ss.ordered_schur(network.gates[gate].W_hh)
        assert form.T.tobytes() == expected.T.tobytes()
    profile = ss.ablate(network, trials, alpha=ALPHA, schur=forms)
    assert all(cut.schur is forms[gate] for gate, cut in profile.gates.items())
    assert profile.value.tobytes() == ss.ablate(network, trials, alpha=ALPHA).value.tobytes()
    by_real_part = ss.ablate(network, trials, alpha=ALPHA, order="real_part")
    assert by_real_part.settings["tie_rule"] == "real-part-1"


def test_what_a_profile_tells_of_its_gates(network, rng):
    profile = ss.ablate(network, trials_of(network, rng), alpha=ALPHA)
    gates = network.cell.gates
    assert list(profile.gates) == list(gates)
    assert profile.settings["n_R"] == {gate: cut.n_R for gate, cut in profile.gates.items()}
    text = str(profile)
    assert f"alpha {ALPHA:g} of each gate's spectrum, which is not the network's" in text
    for gate, cut in profile.gates.items():
        assert f"\n  {gate}: n_R {cut.n_R} of N_h 11, gap {cut.gap:.3g}" in text
    assert f"gates={', '.join(gates)}" in repr(profile)
    for name in ("schur", "sectors"):
        with pytest.raises(AttributeError, match="a Schur form for each of the gates"):
            getattr(profile, name)
    frame = profile.to_dataframe().set_index("name")
    last = gates[-1]
    assert frame.loc[f"{last}:CR", "n_R"] == profile.gates[last].n_R
    assert frame["n_R"].isna().sum() == 9  # the full network and what all gates lose together
    assert frame.loc["CR", "gates"] == ",".join(gates)
    row = profile.names.index("RR+CC")
    masses = frame.loc["RR+CC", [f"removed_mass_{gate}" for gate in gates]]
    assert masses.tolist() == [mass[row] for mass in profile.gate_masses.values()]
    assert "<table" in profile._repr_html_()


def test_undetermined_cuts_name_their_gate(rng):
    network = gated_network(ss.Cell(kind="gru"), rng, np.float32, sizes=(12, 3, 2))
    W_hh = np.array(network.W_hh)
    W_hh[24:] = np.diag(np.ones(11, np.float32), 1)  # a chain, whose eigenvalues are rounding
    broken = replace(network, W_hh=W_hh)
    trials = trials_of(broken, rng)
    profile = ss.ablate(broken, trials, ablations=["CR"])
    assert not profile.determined
    assert profile.warning.startswith("the cut at alpha=0.9 is not determined in gate")
    assert not profile.settings["determined"]["n"]
    assert str(profile).startswith("warning: the cut")
    with pytest.raises(ValueError, match=r"is not determined in gate.*strict=True"):
        ss.ablate(broken, trials, ablations=["CR"], strict=True)


def test_shapley_values_of_what_all_gates_lose(network, rng):
    trials = trials_of(network, rng)
    profile = ss.ablate(network, trials, alpha=ALPHA)
    shapley = profile.shapley()
    assert shapley.names == ("RR", "CR", "CC")
    assert shapley.value.sum() == pytest.approx(profile["RR+CR+CC"].change)
    assert len(profile.interactions()) == 3
    first, last = network.cell.gates[0], network.cell.gates[-1]
    players = [f"{first}:CR", f"{last}:CR", f"{last}:BB"]
    with pytest.raises(ValueError, match=r"it lacks .*subset_game those of any groups"):
        profile.shapley(players)
    more = [players[1], f"{first}:CR,{players[1]}", f"{first}:CR,{players[2]}"]
    more += [players[0], players[2], f"{last}:CR+BB", f"{first}:CR,{last}:CR+BB"]
    profile = ss.ablate(network, trials, alpha=ALPHA, ablations=more)
    shapley = profile.shapley(reversed(players))
    assert shapley.names == tuple(players)
    assert shapley.value.sum() == pytest.approx(profile[f"{first}:CR,{last}:CR+BB"].change)
    game = ss.subset_game(network, trials, players, alpha=ALPHA)
    assert game.shapley.value == pytest.approx(shapley.value, rel=1e-9)
    with pytest.raises(ValueError, match="must not share entries of T, got"):
        profile.shapley(["CR", f"{first}:CR"])


def test_near_ties_are_shuffled_in_every_gate(network, rng):
    trials = trials_of(network, rng)
    gates = network.cell.gates
    names = ["CR", "RR", f"{gates[0]}:CC"]
    spread = ss.tie_spread(
        network, trials, alpha=ALPHA, ablations=names, tolerance=10.0, n_orders=3
    )
    assert spread.names == tuple(names)
    assert list(spread.clusters) == list(gates)
    reference_values = ss.ablate(network, trials, alpha=ALPHA, ablations=names).value[1:]
    assert spread.reference.tobytes() == reference_values.tobytes()
    # CR does not depend on the order inside R and C.
    assert spread.spread[0] < 1e-9
    assert spread.spread[1] > 1e-9
    assert all(gate in str(spread) for gate in gates)
    assert spread.n_admissible > 1


def test_wrong_arguments_name_the_gates(network, rng):
    trials, gates = trials_of(network, rng), network.cell.gates
    listed = ", ".join(map(repr, gates))
    with pytest.raises(ValueError, match=rf"gate must be one of {listed}, because"):
        ss.ordered_schur(network)
    with pytest.raises(ValueError, match=f"gate must be one of {listed}, got 'x'"):
        ss.ordered_schur(network, gate="x")
    with pytest.raises(ValueError, match="gate must be None for a matrix"):
        ss.ordered_schur(np.eye(3), gate="n")
    vanilla = ss.init_network(ss.tasks.FlipFlop(), 6, rng=0)
    assert ss.ordered_schur(vanilla).W.tolist() == vanilla.W_hh.astype(float).tolist()
    with pytest.raises(ValueError, match="gate must be None for the vanilla cell"):
        ss.ordered_schur(vanilla, gate="n")
    vanilla_trials = ss.tasks.FlipFlop().trials(4, 0)
    for name, message in [
        ("x:CR", f"ablations must name gates of {listed}, got 'x' in 'x:CR'"),
        (":CR", "ablations must name gates of"),
        (f"{gates[0]}:CX", f"ablations must be one of .*, also of gates as in '{gates[0]}:CR'"),
        (f"{gates[0]}:RC", "did you mean 'CR', the coupling from C to R"),
        (f"{gates[0]}:CR,{gates[0]}:CC", "ablations must name each gate once"),
        (f"{gates[0]}:CR,CC", "ablations must name gates of"),
    ]:
        with pytest.raises(ValueError, match=message):
            ss.ablate(network, trials, ablations=[name])
    with pytest.raises(ValueError, match="must name no gate, because the cell has none"):
        ss.ablate(vanilla, vanilla_trials, ablations=["n:CR"])
    with pytest.raises(ValueError, match="must have distinct names, got 'CR' twice"):
        ss.ablate(network, trials, ablations=["CR", ",".join(f"{g}:CR" for g in gates)])
    rectangle = ((0, 1, 1, 2),), (0.0,)
    with pytest.raises(ValueError, match=r"ablations must name gates of .*has the gate ''"):
        ss.ablate(network, trials, ablations=[Ablation("k", *rectangle)])
    with pytest.raises(ValueError, match="ablations must name no gate, 'k' has the gate 'n'"):
        ss.ablate(vanilla, vanilla_trials, ablations=[Ablation("k", *rectangle, gates="n")])
    outside = Ablation("k", ((0, 1, 1, 99),), (0.0,), gates=gates[0])
    with pytest.raises(ValueError, match="must lie inside T"):
        ss.ablate(network, trials, ablations=[outside])
    with pytest.raises(TypeError, match="sectors must be Sectors, or a mapping of gates to them"):
        Ablation.of("CR", ss.ablate(vanilla, vanilla_trials).gates)
    with pytest.raises(ValueError, match="gates must be the name of a gate, or one for each"):
        Ablation("k", *rectangle, gates=("n", "z"))
    with pytest.raises(TypeError, match=f"schur must map each of the gates {', '.join(gates)}"):
        ss.ablate(network, trials, schur=ss.ordered_schur(network, gate=gates[0]))
    forms = dict.fromkeys(gates, ss.ordered_schur(network, gate=gates[0]))
    with pytest.raises(ValueError, match=r"must be the Schur form of network.gates\['"):
        ss.ablate(network, trials, schur=forms)
    with pytest.raises(TypeError, match="schur must be an OrderedSchur or None, got a mapping"):
        ss.ablate(vanilla, vanilla_trials, schur=forms)
    with pytest.raises(ValueError, match="order must be 'modulus' or 'real_part' for a cell"):
        ss.ablate(network, trials, order="leaky_modulus")
