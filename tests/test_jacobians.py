"""Jacobians of a network's step, against PyTorch's autograd, central differences and NumPy."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
import schurscope as ss
from frameworks import framework
from schurscope.networks.cell import ACTIVATIONS

LEAKS = {"none": 1.0, "one": 0.3, "each": np.linspace(0.1, 1, 12)}
CELLS = [
    pytest.param(ss.Cell(activation, form, leak), id=f"{activation}-{form}-{name}")
    for activation, form, (name, leak) in product(ACTIVATIONS, ("rate", "current"), LEAKS.items())
]


@pytest.fixture
def states(rng):
    return rng.standard_normal((6, 12))


@pytest.fixture
def inputs(rng):
    return rng.standard_normal((6, 3))


def torch_step(network, torch):
    """h_(t-1), x_t → h_t by the equations of `Cell`, in PyTorch."""
    functional = torch.nn.functional
    phi = {
        "tanh": torch.tanh,
        "relu": torch.relu,
        "sigmoid": torch.sigmoid,
        "softplus": functional.softplus,
        "identity": lambda x: x,
    }[network.cell.activation]
    W_hh, W_xh, b_h = (
        torch.tensor(np.float64(part)) for part in (network.W_hh, network.W_xh, network.b_h)
    )
    a = torch.tensor(np.float64(network.cell.leak))

    def step(h, x):
        if network.cell.form == "rate":
            return (1 - a) * h + a * phi(W_hh @ h + W_xh @ x + b_h)
        return (1 - a) * h + a * (W_hh @ phi(h) + W_xh @ x + b_h)

    return step


@pytest.mark.parametrize("cell", CELLS)
def test_the_jacobian_is_that_of_autograd(network, cell, states, inputs):
    torch = framework("torch")
    network = replace(network, cell=cell)
    step = torch_step(network, torch)
    found = ss.jacobians(network, inputs, states=states)
    for place, jacobian in enumerate(found):
        x = torch.tensor(inputs[place])
        wanted = torch.autograd.functional.jacobian(
            lambda h, x=x: step(h, x), torch.tensor(states[place])
        ).numpy()
        np.testing.assert_allclose(jacobian.matrix, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_the_jacobian_is_the_slope_of_the_rollout_in_the_core(network, cell, states, inputs):
    network = replace(network, cell=cell)
    found = ss.jacobians(network, inputs, states=states)
    width = 1e-6
    for place, jacobian in enumerate(found):
        moved = states[place] + width * np.concatenate([np.eye(12), -np.eye(12)])
        x = np.tile(inputs[place], (24, 1, 1))
        after = network.states(x, h_0=moved)[:, 0]
        slopes = (after[:12] - after[12:]).T / (2 * width)
        np.testing.assert_allclose(jacobian.matrix, slopes, atol=1e-8)


@pytest.mark.parametrize("form", ["rate", "current"])
def test_along_a_trajectory_their_product_is_the_slope_of_its_end(network, rng, form):
    network = replace(network, cell=ss.Cell("tanh", form, 0.4))
    x, h_0 = rng.standard_normal((2, 5, 3)), rng.standard_normal((2, 12))
    found = ss.jacobians(network, x, h_0=h_0)
    assert found.places.tolist() == [[trial, step] for trial in range(2) for step in range(5)]
    np.testing.assert_array_equal(found.states.reshape(2, 5, 12)[:, 0], h_0)
    np.testing.assert_array_equal(found.inputs.reshape(2, 5, 3), x)
    width = 1e-6
    for trial in range(2):
        chain = np.linalg.multi_dot([found[5 * trial + step].matrix for step in reversed(range(5))])
        for unit in range(12):
            ends = []
            for side in (width, -width):
                moved = h_0[[trial]]
                moved[0, unit] += side
                ends.append(network.states(x[[trial]], h_0=moved)[0, -1])
            np.testing.assert_allclose(chain[:, unit], (ends[0] - ends[1]) / (2 * width), atol=1e-8)


def test_the_schur_form_and_its_sectors_are_those_of_the_matrix(network, states, inputs):
    found = ss.jacobians(network, inputs, states=states, alpha=0.6)
    for place, jacobian in enumerate(found):
        J, Q, T = jacobian.matrix, jacobian.Q, jacobian.T
        np.testing.assert_allclose(Q @ T @ Q.T, J, atol=1e-13)
        np.testing.assert_allclose(Q @ Q.T, np.eye(12), atol=1e-13)
        moduli = np.sort(np.abs(np.linalg.eigvals(J)))[::-1]
        np.testing.assert_allclose(np.abs(jacobian.eigenvalues), moduli, atol=1e-12)
        np.testing.assert_array_equal(found.eigenvalues[place], jacobian.eigenvalues)
        assert found.spectral_radii[place] == pytest.approx(moduli[0], rel=1e-12)
        departure = np.sqrt(np.square(J).sum() - np.square(moduli).sum())
        assert jacobian.departure == pytest.approx(departure, rel=1e-9)
        assert found.departures[place] == jacobian.departure
        assert jacobian.nonnormality == pytest.approx(departure / np.linalg.norm(J), rel=1e-9)
        assert found.nonnormality[place] == pytest.approx(jacobian.nonnormality, rel=1e-12)
        assert jacobian.n_R == found.n_R[place] == reference.n_slow(T, 0.6)
        for i, (name, mass) in enumerate(jacobian.masses.items()):
            _, wanted = reference.ablated(J, (name,), 0.6)
            assert mass == found.masses[place, i] == pytest.approx(wanted, abs=1e-12)


@given(leak=st.floats(0.01, 1), seed=st.integers(0, 1000))
def test_of_a_linear_network_it_is_the_same_at_all_states(leak, seed):
    rng = np.random.default_rng(seed)
    W_hh = rng.standard_normal((5, 5))
    cell = ss.Cell("identity", str(rng.choice(["rate", "current"])), leak)
    network = ss.Network(W_hh, np.ones((5, 2)), np.ones((1, 5)), cell=cell)
    for jacobian in ss.jacobians(network, states=rng.standard_normal((3, 5))):
        wanted = (1 - leak) * np.eye(5) + leak * W_hh
        np.testing.assert_allclose(jacobian.matrix, wanted, rtol=1e-14, atol=1e-14)


def test_an_orthogonal_linear_network_is_normal(rng):
    Q = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    cell = ss.Cell("identity", leak=0.2)
    network = ss.Network(Q, np.ones((8, 1)), np.ones((1, 8)), cell=cell)
    (jacobian,) = ss.jacobians(network, states=np.zeros((1, 8)))
    assert jacobian.nonnormality < 1e-14
    shift = replace(network, W_hh=np.eye(8, k=1), cell=ss.Cell("identity"))
    (jacobian,) = ss.jacobians(shift, states=np.zeros((1, 8)))
    assert jacobian.nonnormality == pytest.approx(1)
    assert jacobian.spectral_radius == 0


def test_at_its_kink_relu_has_the_slope_0_and_the_result_says_so(network):
    network = replace(network, b_h=None, cell=ss.Cell("relu", leak=0.25))
    states = np.zeros((2, 12))
    states[1, 0] = 1
    found = ss.jacobians(network, states=states)
    assert found.kinks.tolist() == [12, 0]
    np.testing.assert_array_equal(found[0].matrix, 0.75 * np.eye(12))
    assert "at 1 of 2 states the argument of some relu is 0" in str(found)
    assert "at this state the argument of some relu is 0" in str(found[0])
    assert "caution" not in str(found[1])
    current = replace(network, cell=ss.Cell("relu", "current"))
    assert ss.jacobians(current, states=states).kinks.tolist() == [12, 11]
    assert not ss.jacobians(replace(network, cell=ss.Cell()), states=states).kinks.any()


def test_a_jacobian_of_zeros_has_no_nonnormality():
    network = ss.Network([[1.0]], [[1.0]], [[1.0]], cell=ss.Cell("relu"))
    found = ss.jacobians(network, [-1.0], states=[[0.0]])
    assert found[0].matrix == found[0].nonnormality == found.nonnormality[0] == 0


def test_weights_in_float32_are_widened_and_noise_is_left_out(network, states, inputs):
    single = replace(network.astype(np.float32), cell=ss.Cell(noise=0.5))
    found = ss.jacobians(single, inputs, states=states)
    quiet = ss.jacobians(replace(single.astype(np.float64), cell=ss.Cell()), inputs, states=states)
    assert found.network.dtype == np.float64
    assert found[2].matrix.tobytes() == quiet[2].matrix.tobytes()
    along = ss.jacobians(single, inputs[:, None])
    np.testing.assert_array_equal(along.states, np.zeros((6, 12)))


def test_states_are_drawn_without_replacement(network, rng):
    x = rng.standard_normal((4, 5, 3))
    every = ss.jacobians(network, x)
    some = ss.jacobians(network, x, n_states=7, rng=3)
    again = ss.jacobians(network, x, n_states=7, rng=np.random.default_rng(3))
    assert len(some) == 7
    assert len(np.unique(some.places, axis=0)) == 7
    np.testing.assert_array_equal(some.places, again.places)
    rows = some.places @ [5, 1]
    np.testing.assert_array_equal(some.eigenvalues, every.eigenvalues[rows])
    assert len(ss.jacobians(network, x, n_states=100)) == 20


def test_states_and_inputs_of_trajectories_may_be_given(network, rng):
    x = rng.standard_normal((3, 4, 3))
    h = np.concatenate([np.zeros((3, 1, 12)), network.states(x)[:, :-1]], axis=1)
    along, given_states = ss.jacobians(network, x), ss.jacobians(network, x, states=h)
    np.testing.assert_array_equal(along.eigenvalues, given_states.eigenvalues)
    assert given_states.places is None
    one_input = ss.jacobians(network, x[0, 0], states=h[0])
    np.testing.assert_array_equal(one_input.inputs, np.tile(x[0, 0], (4, 1)))
    assert not ss.jacobians(network, states=h[0]).inputs.any()


def test_it_is_marked_as_a_description_and_no_ablation_takes_it(network, trials, states):
    found = ss.jacobians(network, states=states)
    for description in (found, found[0]):
        assert "not ablatable" in str(description)
        assert "not ablatable" in description._repr_html_()
        assert "not ablatable" in type(description).__doc__
        with pytest.raises(TypeError, match=r"network must be a schurscope\.Network, got Jacobian"):
            ss.ablate(description, trials)
        with pytest.raises(TypeError, match=r"W cannot be read.*not ablatable.*ablate the network"):
            ss.ablate_with(description, lambda _: [0.0])
    with pytest.raises(TypeError, match="schur must be an OrderedSchur or None, got Jacobian"):
        ss.ablate(network, trials, schur=found[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "inputs must be given, of trajectories or with states"),
        ({"inputs": np.zeros((2, 3))}, r"inputs must have shape \(trials, steps, 3\)"),
        ({"states": np.zeros((2, 11))}, r"states must have shape \(n, 12\)"),
        ({"states": np.zeros((2, 12)), "inputs": np.zeros((3, 3))}, r"shape \(2, 3\) because"),
        ({"states": np.zeros((2, 12)), "inputs": np.zeros(4)}, r"inputs must have shape \(3,\)"),
        ({"states": np.zeros((2, 12)), "h_0": np.zeros((2, 12))}, "h_0 must be None where states"),
        ({"states": np.full((2, 12), np.nan)}, "states must be finite"),
        ({"states": np.zeros((2, 12)), "n_states": 0}, "n_states must be at least 1"),
        ({"states": np.zeros((2, 12)), "alpha": 0}, r"alpha must be in \(0, 1\]"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(network, arguments, message):
    with pytest.raises(ValueError, match=message):
        ss.jacobians(network, **arguments)


def test_only_networks_have_jacobians():
    with pytest.raises(TypeError, match=r"network must be a schurscope\.Network"):
        ss.jacobians(np.eye(3))
