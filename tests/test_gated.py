"""Gated networks: how they are held, their files, and what refuses them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import schurscope as ss
from small_gated import KINDS, gated_network, kinds

ARRAYS = ("W_hh", "W_xh", "W_hy", "b_h", "b_y", "h_0", "b_hn", "c_0")


def same_bits(first, second):
    assert first.cell == second.cell
    for name in ARRAYS:
        a, b = getattr(first, name), getattr(second, name)
        assert (a is None) == (b is None)
        assert a is None or (a.dtype == b.dtype and a.tobytes() == b.tobytes())


def test_a_cell_is_vanilla_unless_it_says_otherwise():
    cell = ss.Cell("relu", "current", 0.2)
    assert (cell.kind, cell.reset, cell.gates) == ("vanilla", None, ())
    assert repr(cell) == (
        "Cell(activation='relu', form='current', leak=0.2, output='identity', noise=0.0)"
    )
    assert cell.names == ("relu", "current", 0.2, "identity", "rates")


def test_gated_cells_are_values():
    gru, before, lstm = KINDS.values()
    assert ss.Cell(kind="gru") == gru != before
    assert (gru.gates, lstm.gates) == (("r", "z", "n"), ("i", "f", "g", "o"))
    assert len({gru, before, lstm, ss.Cell(), ss.Cell(kind="gru", noise=0.1)}) == 5
    assert repr(before) == "Cell(kind='gru', reset='before', output='identity', noise=0.0)"
    assert repr(lstm) == "Cell(kind='lstm', output='identity', noise=0.0)"
    assert eval(repr(before), {"Cell": ss.Cell}) == before
    assert pickle.loads(pickle.dumps(lstm)) == lstm


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"kind": "gated"}, "kind must be one of 'vanilla', 'gru', 'lstm', got 'gated'"),
        ({"kind": "gru", "activation": "relu"}, "activation must be left out for kind='gru'"),
        ({"kind": "lstm", "form": "current"}, "form must be left out for kind='lstm'"),
        ({"kind": "gru", "leak": 0.1}, "leak must be left out for kind='gru', whose gates"),
        ({"kind": "gru", "leak": np.ones(3)}, "leak must be left out"),
        ({"kind": "lstm", "readout": "hidden"}, "readout must be left out for kind='lstm'"),
        ({"kind": "lstm", "reset": "after"}, "reset must be left out for kind='lstm'"),
        ({"reset": "before"}, "reset must be left out for kind='vanilla'"),
        ({"kind": "gru", "reset": "never"}, "reset must be one of 'after', 'before', got 'never'"),
    ],
)
def test_attributes_of_other_kinds_are_refused(options, told):
    with pytest.raises(ValueError, match=told):
        ss.Cell(**options)


@kinds
def test_gates_are_views_of_their_rows(rng, cell):
    network = gated_network(cell, rng, sizes=(5, 3, 2))
    assert (network.n_hidden, network.n_inputs, network.n_outputs) == (5, 3, 2)
    assert tuple(network.gates) == cell.gates
    for place, gate in enumerate(network.gates.values()):
        rows = slice(5 * place, 5 * place + 5)
        for name in ("W_hh", "W_xh", "b_h"):
            part, whole = getattr(gate, name), getattr(network, name)
            assert np.shares_memory(part, whole)
            assert not part.flags.writeable
            np.testing.assert_array_equal(part, whole[rows])
    bare = gated_network(cell, rng, biases=False)
    assert all(gate.b_h is None for gate in bare.gates.values())
    with pytest.raises(TypeError):
        network.gates["r"] = None


def test_the_vanilla_cell_has_no_gates(network):
    assert dict(network.gates) == {}


@kinds
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_files_keep_every_bit(tmp_path, rng, cell, suffix, dtype):
    for biases in (True, False):
        network = gated_network(cell, rng, dtype, biases=biases, starts=biases)
        network.save(tmp_path / f"gated{suffix}")
        same_bits(ss.Network.load(tmp_path / f"gated{suffix}"), network)
        same_bits(ss.load_network(tmp_path / f"gated{suffix}"), network)


@kinds
def test_astype_rounds_and_widens(rng, cell):
    network = gated_network(cell, rng)
    single = network.astype(np.float32)
    assert single.dtype == np.float32
    for name in ARRAYS:
        if getattr(network, name) is not None:
            np.testing.assert_array_equal(
                getattr(single, name), getattr(network, name).astype(np.float32)
            )
    same_bits(single.astype(np.float64).astype(np.float32), single)


@kinds
def test_the_parts_are_told(rng, cell):
    network = gated_network(cell, rng, sizes=(5, 3, 2))
    text = repr(network)
    assert text.startswith("Network(N_h=5, N_x=3, N_y=2, b_h, b_y, ")
    assert repr(cell) in text
    assert ("b_hn" in text) == (cell.reset == "after")
    assert ("c_0" in text) == (cell.kind == "lstm")
    assert f"({5 * len(cell.gates)}, 5)" in network._repr_html_()


def test_parts_that_do_not_fit_are_told(rng):
    gru, before, lstm = KINDS.values()
    W_hh, W_xh, W_hy, vector = (rng.standard_normal(s) for s in [(15, 5), (15, 3), (2, 5), (5,)])
    with pytest.raises(ValueError, match=r"W_hh must have shape \(4 N_h, N_h\).*got \(15, 5\)"):
        ss.Network(W_hh, W_xh, W_hy, cell=lstm)
    with pytest.raises(ValueError, match=r"W_hh must have shape \(N_h, N_h\), got \(15, 5\)"):
        ss.Network(W_hh, W_xh, W_hy)
    with pytest.raises(ValueError, match=r"W_xh must have shape \(15, N_x\)"):
        ss.Network(W_hh, W_xh[:5], W_hy, cell=gru)
    with pytest.raises(ValueError, match=r"b_h must have shape \(15,\)"):
        ss.Network(W_hh, W_xh, W_hy, vector, cell=gru)
    with pytest.raises(ValueError, match=r"b_hn must have shape \(5,\)"):
        ss.Network(W_hh, W_xh, W_hy, b_hn=vector[:3], cell=gru)
    with pytest.raises(ValueError, match=r"b_hn must be None for .*only a GRU whose reset comes"):
        ss.Network(W_hh, W_xh, W_hy, b_hn=vector, cell=before)
    with pytest.raises(ValueError, match=r"c_0 must be None for .*only an LSTM"):
        ss.Network(W_hh, W_xh, W_hy, c_0=vector, cell=gru)
    cayley = ss.init_network(ss.tasks.Copy(), 5, "cayley", rng=0).cayley
    with pytest.raises(ValueError, match=r"cayley must be None for .*one W_hh of the vanilla cell"):
        ss.Network(W_hh, W_xh, W_hy, cell=gru, cayley=cayley)
    network = ss.Network(W_hh, W_xh, W_hy, cell=gru)
    inputs = np.zeros((2, 4, 3))
    with pytest.raises(ValueError, match=r"c_0 must be None for .*which has no cell state"):
        network.rollout(inputs, c_0=np.zeros((2, 5)))
    lstm_network = gated_network(lstm, rng, sizes=(5, 3, 2))
    with pytest.raises(ValueError, match=r"c_0 must have shape \(2, 5\)"):
        lstm_network.states(inputs, c_0=np.zeros((3, 5)))


@pytest.mark.parametrize("recurrent", ["default", "orthogonal", "normal"])
@kinds
def test_init_network_draws_each_gate_by_the_construction(recurrent, cell):
    task = ss.tasks.FlipFlop()
    network = ss.init_network(task, 6, recurrent, rng=3, cell=cell, dtype=np.float64)
    assert network.cell == cell
    assert network.W_xh.shape == (6 * len(cell.gates), task.n_inputs)
    vanilla = ss.init_network(task, 6, recurrent, rng=3, dtype=np.float64)
    matrices = [gate.W_hh for gate in network.gates.values()]
    np.testing.assert_array_equal(matrices[0], vanilla.W_hh)
    assert len({matrix.tobytes() for matrix in matrices}) == len(matrices)
    for W in matrices:
        if recurrent == "orthogonal":
            np.testing.assert_allclose(W @ W.T, np.eye(6), atol=1e-14)
        elif recurrent == "normal":
            np.testing.assert_allclose(W @ W.T, W.T @ W, atol=1e-13)
        assert np.abs(W).max() <= (1.5 if recurrent == "normal" else 1)
    if cell.reset != "before":
        named = ss.init_network(task, 6, recurrent, rng=3, cell=cell.kind, dtype=np.float64)
        same_bits(named, network)


def test_init_network_refuses_what_has_no_gates():
    task = ss.tasks.FlipFlop()
    with pytest.raises(ValueError, match="needs the vanilla cell, got kind='gru'"):
        ss.init_network(task, 6, "cayley", cell="gru")
    with pytest.raises(ValueError, match="cell must be one of 'vanilla', 'gru', 'lstm', got 'gur'"):
        ss.init_network(task, 6, cell="gur")


def test_trials_keep_the_cell_state(tmp_path, rng):
    x, h, c = (rng.standard_normal(s) for s in [(7, 4, 3), (7, 5), (7, 5)])
    trials = ss.Trials(x, h_0=h, c_0=c)
    assert "c_0" in repr(trials)
    np.testing.assert_array_equal(trials[2:4].c_0, c[2:4])
    np.testing.assert_array_equal(trials.astype(np.float32).c_0, c.astype(np.float32))
    np.testing.assert_array_equal(trials.with_targets(x).c_0, c)
    np.testing.assert_array_equal(trials.with_weights(np.ones((7, 4))).c_0, c)
    trials.save(tmp_path / "trials.npz")
    np.testing.assert_array_equal(ss.Trials.load(tmp_path / "trials.npz").c_0, c)
    np.savez(tmp_path / "own.npz", x=x, y=x, h_0=h, c_0=c)
    np.testing.assert_array_equal(ss.Trials.load(tmp_path / "own.npz").c_0, c)
    for made in (
        ss.Trials.from_arrays(x.swapaxes(0, 1), c_0=c, axes="TBF"),
        ss.Trials.from_list(list(x), c_0=c),
        ss.Trials.from_classes(x, np.zeros((7, 4), int), 2, c_0=c),
    ):
        np.testing.assert_array_equal(made.c_0, c)
    with pytest.raises(ValueError, match=r"c_0 must have shape \(7, N_h\)"):
        ss.Trials(x, c_0=c[:3])
