"""Arithmetic in `keys`: NumPy's own operators are the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schurscope as ss
from schurscope.importers import import_network
from schurscope.importers.expressions import UnknownSize, evaluate

N_H, N_X, N_Y = 6, 3, 2


@pytest.fixture
def entries(rng):
    shapes = {
        "m": (N_H, 2),
        "n": (N_H, 2),
        "w": (N_H, N_H),
        "w_out": (N_H, N_Y),
        "rnn/cell/kernel": (N_X + N_H, N_H),
        "layers.0.weight": (N_H, N_X),
        "my mask": (N_H,),
        "w_out_scale": (1,),
        "stack": (2, N_H, N_H),
        "2": (N_H, N_H),
    }
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def value(text, entries, **sizes):
    return evaluate(text, entries, entries.__getitem__, sizes)


def test_expressions_are_what_numpy_computes(entries):
    m, n, w, w_out = (entries[name] for name in ("m", "n", "w", "w_out"))
    kernel, mask = entries["rnn/cell/kernel"], entries["my mask"]
    wanted = {
        "m @ n.T / n_h": m @ n.T / N_H,
        "m@n.T/6": m @ n.T / 6,
        "-w.T + 2*w": -w.T + 2 * w,
        "w - w / 4 - 1e-1": w - w / 4 - 0.1,
        "abs(w) * 'my mask'": np.abs(w) * mask,
        'relu(w) @ diag("my mask")': np.maximum(w, 0) @ np.diag(mask),
        "maximum(w, 0) - maximum(-w, .5)": np.maximum(w, 0) - np.maximum(-w, 0.5),
        "rnn/cell/kernel[:n_x].T": kernel[:N_X].T,
        "rnn/cell/kernel[n_x:, :]": kernel[N_X:],
        "rnn/cell/kernel[-n_h:]": kernel[-N_H:],
        "rnn/cell/kernel[n_x + 1 : n_x + n_h - 1, 0:2].T": kernel[N_X + 1 : N_X + N_H - 1, :2].T,
        "stack[1].T": entries["stack"][1].T,
        "w_out * w_out_scale": w_out * entries["w_out_scale"],
        "layers.0.weight.T": entries["layers.0.weight"].T,
        "((w))@(w + w)": w @ (w + w),
        "--w": w,
        "w * 2": 2 * w,  # a number, although an entry has that name
        "'2'": entries["2"],
        "w_out.T[0]": w_out[:, 0],
        "my mask * 2": 2 * mask,
    }
    for text, array in wanted.items():
        np.testing.assert_array_equal(value(text, entries, n_x=N_X, n_h=N_H), array, err_msg=text)


def test_sizes_that_a_matrix_tells(entries):
    kernel = entries["rnn/cell/kernel"]
    np.testing.assert_array_equal(value("rnn/cell/kernel[n_x:]", entries), kernel[N_X:])
    np.testing.assert_array_equal(value("rnn/cell/kernel.T[:, :n_x]", entries), kernel.T[:, :N_X])
    for text in ("w[:n_x]", "n_h * w", "rnn/cell/kernel[:n_y]"):
        with pytest.raises(UnknownSize, match=r"n_[hxy] is not known"):
            value(text, entries)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "expected an entry, a number or a parenthesis, at its end"),
        ("m @", r"expected an entry.*position 3"),
        ("m @ n", r"\(6, 2\) @ \(6, 2\) do not fit, before '@ n' \(position 2\)"),
        ("1 / (1 - 1)", "divides by zero"),
        ("w + w_out", r"\(6, 6\) \+ \(6, 2\) do not fit"),
        ("(m @ n.T", r"expected '\)', at its end"),
        ("w[:3", r"expected '\]'"),
        ("w[]", r"expected an integer, n_x, n_h, n_y"),
        ("w[:m]", r"expected an integer, n_x, n_h, n_y, before 'm\]'"),
        ("w[1:2:3]", r"expected '\]', before ':3\]'"),
        ("w[9]", r"index beyond an array of shape \(6, 6\)"),
        ("w[0, 0, 0]", r"3 slices for an array of shape \(6, 6\)"),
        ("w w", r"expected an operator .*, before 'w' \(position 2\)"),
        ("w ** 2", r"expected an entry.*got '\*'"),
        ("wout * 2", r"has no entry 'wout'; did you mean 'w_out'\?, before 'wout"),
        ("sin(w)", "has no function 'sin', only abs, relu, maximum, diag"),
        ("abs(w, w)", "abs takes 1 argument,"),
        ("maximum(w)", "maximum takes 2 arguments,"),
        ("diag(stack)", "diag takes a vector or a matrix"),
        ("'w", "expected a closing '"),
        ("__import__('os')", "has no function '__import__'"),
        ("w.__class__", r"expected an operator"),
        ("(" * 60 + "w" + ")" * 60, "more than 40 parentheses"),
        ("lambda: w", "has no entry 'lambda'"),
    ],
)
def test_what_is_no_expression_is_told(entries, text, told):
    with pytest.raises(ValueError, match=told):
        value(text, entries)


def test_no_array_is_made_that_is_far_larger_than_the_file():
    entries = {"a": np.ones((100_000, 1)), "b": np.ones((1, 100_000))}
    with pytest.raises(ValueError, match="would make a matrix of 100000 rows"):
        value("diag(a[:, 0])", entries)
    for text in ("a @ b", "a * b"):
        with pytest.raises(ValueError, match=r"would make an array of shape \(100000, 100000\)"):
            value(text, entries)


@given(st.text("mnw_outT.@*/+-()[]:, 0123n_xh'\"", max_size=30))
def test_any_text_gives_an_array_or_a_value_error(text):
    entries = {"m": np.ones((3, 2)), "n": np.ones((3, 2)), "w_out": np.ones((3, 3))}
    try:
        found = value(text, entries, n_h=3)
    except ValueError as error:
        assert repr(text) in str(error)  # noqa: PT017 - no error is fine too
    else:
        assert isinstance(found, np.ndarray)


def test_a_low_rank_network(rng):
    """h ← (1 - a) h + a (m nᵀ φ(h) / N + u w_in),  y = s φ(h) w_out / N, in single precision."""
    shapes = {"m": (N_H, 2), "n": (N_H, 2), "w_in": (N_X, N_H), "w_out": (N_H, N_Y)}
    own = {name: rng.standard_normal(shape).astype("f4") for name, shape in shapes.items()}
    keys = {"W_hh": "m @ n.T / n_h", "W_xh": "w_in.T", "W_hy": "(w_out * scale).T / n_h"}
    found = import_network(
        {**own, "scale": 4.23}, keys=keys, activation="tanh", form="current", leak=0.2
    )
    assert found.network.dtype == np.float32
    assert found.mapped["W_hh"] == "m @ n.T / n_h"
    assert found.ignored == {}
    x = rng.standard_normal((4, 9, N_X))
    h, wanted = np.zeros((4, N_H)), []
    for u in x.swapaxes(0, 1):
        drive = np.tanh(h) @ own["n"] @ own["m"].T / N_H + u @ own["w_in"]
        h = 0.8 * h + 0.2 * drive
        wanted.append(4.23 * np.tanh(h) @ own["w_out"] / N_H)
    np.testing.assert_allclose(found.network.rollout(x), np.stack(wanted, 1), rtol=0, atol=1e-6)


def test_dales_law_with_an_integer_mask(rng):
    own = {
        "w": rng.standard_normal((N_H, N_H)).astype("f4"),
        "sign": np.array([1, 1, 1, 1, -1, -1]),
    }
    own |= {"i": np.ones((N_H, N_X), "f4"), "o": np.ones((N_Y, N_H), "f4")}
    keys = {"W_hh": "abs(w) * sign", "W_xh": "i", "W_hy": "o"}
    network = ss.load_network(own, keys=keys, activation="relu")
    assert network.dtype == np.float32
    np.testing.assert_array_equal(network.W_hh, np.abs(own["w"]) * own["sign"])


def test_a_kernel_for_inputs_and_states_together(rng):
    kernel = rng.standard_normal((N_X + N_H, N_H))
    own = {"cell.kernel": kernel, "out": rng.standard_normal((N_Y, N_H))}
    keys = {"W_hh": "cell.kernel[n_x:].T", "W_xh": "cell.kernel[:n_x].T", "W_hy": "out"}
    for sizes in ({}, {"n_x": N_X}):
        network = ss.load_network(own, keys={**keys, **sizes}, activation="tanh")
        np.testing.assert_array_equal(network.W_hh, kernel[N_X:].T)
        np.testing.assert_array_equal(network.W_xh, kernel[:N_X].T)
    with pytest.raises(ValueError, match=r"keys\['n_x'\] must be an integer|n_x.* at least 1"):
        ss.load_network(own, keys={**keys, "n_x": 0})


def test_sizes_come_from_other_parts_or_the_caller(rng):
    own = {
        "both": rng.standard_normal((2 * N_H, N_H)),
        "in": np.ones((N_H, N_H)),
        "o": np.ones((1, 6)),
    }
    keys = {"W_hh": "both[n_x:] / n_y", "W_xh": "in", "W_hy": "o"}
    network = ss.load_network(own, keys=keys, activation="tanh")
    np.testing.assert_array_equal(network.W_hh, own["both"][N_H:])
    with pytest.raises(ValueError, match=r"does not tell all sizes: 'y\.weight \* n_y': n_y is"):
        ss.load_network({**own, "y.weight": own["o"]}, keys={**keys, "W_hy": "y.weight * n_y"})


def test_errors_name_the_part_and_the_entries(entries):
    with pytest.raises(
        ValueError,
        match=r"cannot give W_hh: 'm @ n': \(6, 2\) @ \(6, 2\) do not fit.*it holds m \(6",
    ):
        ss.load_network(entries, keys={"W_hh": "m @ n", "W_xh": "m", "W_hy": "w_out.T"})
    with pytest.raises(ValueError, match=r"W_hh = 'w \* 9e999' must be finite"):
        ss.load_network(entries, keys={"W_hh": "w * 9e999", "W_xh": "m", "W_hy": "w_out.T"})


def test_a_masked_matrix_of_a_known_layout(rng):
    state = {"rnn.weight_hh_l0": rng.standard_normal((N_H, N_H)), "mask": np.tri(N_H)}
    state |= {"rnn.weight_ih_l0": rng.standard_normal((N_H, N_X)), "rnn.bias_hh_l0": np.ones(N_H)}
    state |= {"rnn.bias_ih_l0": np.ones(N_H), "out.weight": rng.standard_normal((N_Y, N_H))}
    state |= {name.replace("_l0", "_l1"): a for name, a in state.items() if "_l0" in name}
    keys = {"W_hh": "rnn.weight_hh_l1 * mask", "W_hy": "out.weight"}
    found = import_network(state, keys=keys, activation="relu")
    assert found.format == "torch"
    np.testing.assert_array_equal(found.network.W_hh, state["rnn.weight_hh_l0"] * np.tri(N_H))
    assert found.mapped["W_xh"] == "rnn.weight_ih_l1"
    np.testing.assert_array_equal(found.network.b_h, np.full(N_H, 2))
