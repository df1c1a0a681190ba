"""`verify`: the change that was made to a network is the one that is suggested."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import schurscope as ss

CELLS = {
    "rate": ss.Cell("relu", leak=0.2),
    "current": ss.Cell("tanh", form="current", leak=0.5, output="sigmoid"),
    "plain": ss.Cell(),
}


@pytest.fixture(params=CELLS, ids=CELLS)
def original(request, network):
    """The network whose outputs are known; as many inputs as units, so that W_xh is square."""
    rng = np.random.default_rng(3)
    W_xh = rng.standard_normal((12, 12)) / 4
    h_0 = rng.standard_normal(12) / 4
    return replace(network, W_xh=W_xh, h_0=h_0, cell=CELLS[request.param])


@pytest.fixture
def reference(original):
    inputs = np.random.default_rng(4).standard_normal((20, 15, 12))
    return inputs, original.rollout(inputs)


def test_a_network_that_agrees(original, reference):
    found = ss.verify(original, *reference)
    assert found.agrees
    assert found.difference < 1e-12
    assert found.suggestions == ()
    assert str(found).startswith("agrees with the reference")
    single = ss.verify(original.astype(np.float32), *reference)
    assert single.agrees
    assert single.tolerance == 1e-4


def changed(network, **cell):
    return replace(network, cell=replace(network.cell, **cell))


WRONG = {
    "activation": lambda n: changed(
        n, activation="softplus" if n.cell.activation != "softplus" else "tanh"
    ),
    "form": lambda n: changed(n, form="rate" if n.cell.form == "current" else "current"),
    "leak": lambda n: changed(n, leak=0.77),
    "output": lambda n: changed(n, output="relu"),
    "W_hh": lambda n: replace(n, W_hh=n.W_hh.T),
    "W_xh": lambda n: replace(n, W_xh=n.W_xh.T),
    "residual": lambda n: replace(n, W_hh=n.W_hh - np.eye(12)),
}


@pytest.mark.parametrize("kind", WRONG)
def test_the_change_that_agrees_is_suggested(original, reference, kind):
    right = {
        "activation": f"activation={original.cell.activation!r}",
        "form": f"form={original.cell.form!r}",
        "leak": f"leak={original.cell.leak:g}",
        "output": f"output={original.cell.output!r}",
        "W_hh": "W_hh transposed",
        "W_xh": "W_xh transposed",
        "residual": "the identity added to W_hh (residual=True)",
    }[kind]
    found = ss.verify(WRONG[kind](original), *reference)
    assert not found.agrees
    assert right in found.suggestions
    assert f"would agree with {right}" in str(found)


def test_an_unusual_leak_is_found(network):
    inputs = np.random.default_rng(4).standard_normal((20, 40, 3))
    leaky = replace(network, cell=ss.Cell(leak=0.137))
    found = ss.verify(network, inputs, leaky.rollout(inputs))
    assert found.suggestions == ("leak=0.137",)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"form": "current"}, "readout='hidden'"),
        ({}, "form='current', readout='hidden'"),
    ],
    ids=["readout", "form and readout"],
)
def test_a_readout_of_the_hidden_state_is_found(network, trials, given, told):
    right = changed(network, form="current", leak=0.3, readout="hidden")
    wrong = replace(network, cell=ss.Cell(leak=0.3, **given))
    found = ss.verify(wrong, trials.inputs, right.rollout(trials.inputs))
    assert found.suggestions == (told,)
    again = ss.verify(right, trials.inputs, wrong.rollout(trials.inputs))
    assert again.suggestions == ("readout='rates'" if given else "form='rate'",)


def test_leaks_of_the_units_are_verified_too(network, trials):
    one, of_units = changed(network, leak=0.2), changed(network, leak=np.linspace(0.1, 1, 12))
    assert ss.verify(of_units, trials.inputs, of_units.rollout(trials.inputs)).agrees
    found = ss.verify(of_units, trials.inputs, one.rollout(trials.inputs))
    assert found.suggestions == ("leak=0.2",)


def test_a_bias_too_many_and_swapped_axes(network, trials):
    bare = ss.Network(network.W_hh, network.W_xh, network.W_hy, None, network.b_y)
    found = ss.verify(network, trials.inputs, bare.rollout(trials.inputs))
    assert found.suggestions == ("no b_h",)
    swapped = trials.inputs.swapaxes(0, 1)
    outputs = network.rollout(swapped).swapaxes(0, 1)
    assert "the first two axes of inputs and outputs swapped" in str(
        ss.verify(network, trials.inputs, outputs)
    )


def test_a_network_that_no_single_change_mends(network, trials):
    found = ss.verify(network, trials.inputs, trials.targets)
    assert not found.agrees
    assert found.suggestions == ()
    assert "no single change" in str(found)


def test_an_import_is_checked_against_a_reference(network, trials, tmp_path):
    path = tmp_path / "weights.npz"
    arrays = {name: getattr(network, name) for name in ("W_hh", "W_xh", "W_hy", "b_h", "b_y")}
    np.savez(path, **arrays)
    relu = replace(network, cell=ss.Cell("relu"))
    reference = (trials.inputs, relu.rollout(trials.inputs))
    loaded = ss.load_network(path, activation="relu", reference=reference)
    np.testing.assert_array_equal(loaded.rollout(trials.inputs), reference[1])
    told = r"(?s)the network disagrees .*would agree with activation='relu'"
    with pytest.raises(ValueError, match=told):
        ss.load_network(path, activation="tanh", reference=reference)
    with pytest.raises(TypeError, match="reference must be a pair"):
        ss.load_network(path, activation="tanh", reference=reference[0])


def test_wrong_arguments_are_named(network, trials):
    with pytest.raises(TypeError, match=r"network must be a schurscope\.Network, got ndarray"):
        ss.verify(network.W_hh, trials.inputs, trials.targets)
    with pytest.raises(ValueError, match=r"outputs must have shape \(7, 9, 2\) because"):
        ss.verify(network, trials.inputs, trials.targets[:, :3])
    with pytest.raises(ValueError, match=r"network must have no noise, got noise=0\.1"):
        ss.verify(replace(network, cell=ss.Cell(noise=0.1)), trials.inputs, trials.targets)
    with pytest.raises(ValueError, match="tolerance must be greater than 0"):
        ss.verify(network, trials.inputs, trials.targets, tolerance=0)


def test_a_missing_bias_is_suggested(original, reference):
    """The outputs of a network with biases, compared with the network without."""
    rng = np.random.default_rng(8)
    b_h, b_y = rng.standard_normal(12) / 3, np.array([0.25, -1.5])
    plain = replace(original, b_h=None, b_y=None, h_0=None)
    x = reference[0]
    found = ss.verify(plain, x, replace(plain, b_h=b_h).rollout(x))
    assert found.suggestions == ("a bias of the hidden units, b_h, which is missing",)
    found = ss.verify(plain, x, replace(plain, b_y=b_y).rollout(x))
    if plain.cell.output == "identity":
        assert found.suggestions == ("a bias of the outputs, b_y = [ 0.25 -1.5 ]",)
    transposed = replace(plain, b_h=b_h, W_hh=plain.W_hh.T).rollout(x)
    assert ss.verify(plain, x, transposed).suggestions == ()  # two mistakes that no bias hides


def test_activation_form_and_leak_together(original, reference):
    wrong = changed(original, activation="sigmoid", leak=0.01)
    cell = original.cell
    told = f"activation={cell.activation!r}, form={cell.form!r}, leak={cell.leak:g}"
    assert ss.verify(wrong, *reference).suggestions == (told,)


def test_unused_entries_are_tried_as_biases(network, trials):
    x = trials.inputs
    whole = replace(network, b_y=None, cell=ss.Cell("relu"), h_0=np.linspace(-1, 1, 12))
    names = {"W_hh": "W_hh", "W_xh": "W_xh", "W_hy": "W_hy", "b_h": "offset", "h_0": "start"}
    arrays = {own: getattr(whole, name) for name, own in names.items()}
    for part, missing, right in (("b_h", "h_0", "offset"), ("h_0", "b_h", "start")):
        outputs = replace(whole, **{missing: None}).rollout(x)
        told = (
            rf"would agree with keys=\{{'{part}': '{right}'\}} \(on the command line --key {part}="
        )
        with (
            pytest.warns(UserWarning, match="left out: offset .*, start"),
            pytest.raises(ValueError, match=told),
        ):
            ss.load_network(arrays, activation="relu", reference=(x, outputs))
