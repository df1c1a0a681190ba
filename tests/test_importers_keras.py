"""Importing Keras's networks: the model's own predictions are the oracle."""

from __future__ import annotations

import json
import os
import zipfile

import h5py
import numpy as np
import pytest

import reference
import schurscope as ss
from frameworks import framework
from schurscope.importers import import_network

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = framework("keras")

# Keras reads PyTorch's tensors in a way of which NumPy disapproves.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy"),
    pytest.mark.filterwarnings("ignore:assumed activation"),
]

ACTIVATIONS = {name: name for name in ("tanh", "relu", "softplus", "sigmoid")}
ACTIVATIONS["linear"] = "identity"
DTYPES = ("float32", "float64")
# Keras 3 multiplies matrices in float32 even where weights and inputs are float64 (seen with its
# PyTorch backend), so its forward pass can confirm no more; the weights are compared bit for bit.
TOLERANCE = 1e-6


def build(activation="tanh", output="linear", dtype="float32", use_bias=True, seed=1):
    """A SimpleRNN of 8 units and a Dense readout, biases not 0."""
    keras.utils.set_random_seed(seed)
    noise = keras.initializers.RandomNormal(stddev=0.3)
    options = {"dtype": dtype, "use_bias": use_bias, "bias_initializer": noise}
    # Contracting, so that a linear network stays small.
    recurrent = keras.initializers.Orthogonal(gain=0.7)
    return keras.Sequential(
        [
            keras.Input((None, 3), dtype=dtype),
            keras.layers.SimpleRNN(
                8, activation, recurrent_initializer=recurrent, return_sequences=True, **options
            ),
            keras.layers.Dense(2, output, **options),
        ]
    )


def assert_computes(network, model):
    dtype = network.dtype.name
    x = np.random.default_rng(2).standard_normal((5, 20, 3)).astype(dtype)
    wanted = keras.ops.convert_to_numpy(model(x))
    assert wanted.dtype == network.dtype
    np.testing.assert_allclose(network.rollout(x), wanted, rtol=0, atol=TOLERANCE)
    kernel, recurrent_kernel, *biases = model.layers[0].get_weights()
    assert network.W_xh.tobytes() == np.ascontiguousarray(kernel.T).tobytes()
    assert network.W_hh.tobytes() == np.ascontiguousarray(recurrent_kernel.T).tobytes()
    if biases:
        assert network.b_h.tobytes() == biases[0].tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_models_with_their_activations(tmp_path, activation, dtype):
    model = build(activation, "sigmoid", dtype)
    model.save(tmp_path / "model.keras")
    network = ss.load_network(tmp_path / "model.keras")
    assert network.cell == ss.Cell(ACTIVATIONS[activation], output="sigmoid")
    assert_computes(network, model)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", ["model.weights.h5", "model.h5", "model.keras"])
@pytest.mark.parametrize("trained", [False, True])
def test_files(tmp_path, name, trained):
    model = build()
    if trained:
        model.compile("adam", "mse")
        model.fit(np.ones((4, 5, 3)), np.ones((4, 5, 2)), verbose=0)
    path = tmp_path / name
    (model.save_weights if "weights" in name else model.save)(path)
    path = path.rename(tmp_path / "no_suffix")
    found = import_network(path)
    assert found.format == "keras"
    assert_computes(found.network, model)
    assert found.mapped["W_hh"].endswith("recurrent_kernelᵀ")
    assert set(found.mapped) == {"W_hh", "W_xh", "W_hy", "b_h", "b_y"}
    assert all(name.startswith("optimizer") for name in found.ignored)
    assert bool(found.ignored) == trained


def test_functional_models_and_wrapped_layers(tmp_path):
    inputs = keras.Input((None, 3))
    cell = keras.layers.SimpleRNNCell(8, "relu", bias_initializer="ones")
    states = keras.layers.RNN(cell, return_sequences=True)(inputs)
    dropped = keras.layers.Dropout(0.5)(states)
    outputs = keras.layers.TimeDistributed(keras.layers.Dense(2, "tanh"))(dropped)
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "model.keras")
    network = ss.load_network(tmp_path / "model.keras")
    assert network.cell == ss.Cell("relu", output="tanh")
    x = np.random.default_rng(2).standard_normal((5, 20, 3)).astype(np.float32)
    wanted = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(network.rollout(x), wanted, rtol=0, atol=TOLERANCE)


def test_weights_alone_do_not_say_the_activation(tmp_path):
    model = build("relu", use_bias=False)
    model.save_weights(tmp_path / "model.weights.h5")
    network = ss.load_network(tmp_path / "model.weights.h5", activation="relu")
    assert network.b_h is None
    assert_computes(network, model)
    assert "assumed activation='tanh'" in str(import_network(tmp_path / "model.weights.h5"))


@keras.saving.register_keras_serializable()
def own_activation(x):
    return keras.ops.tanh(2 * x)


def save(layers, path):
    keras.Sequential([keras.Input((None, 3)), *layers]).save(path)


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        (
            lambda layer: [layer.SimpleRNN(8, return_sequences=True), layer.SimpleRNN(8)],
            r"several recurrent matrices: .*simple_rnn/cell/.* \(8, 8\), .*simple_rnn_1/cell",
        ),
        (
            lambda layer: [layer.Bidirectional(layer.SimpleRNN(8))],
            r"is bidirectional \(.*backward_layer",
        ),
        (
            lambda layer: [layer.SimpleRNN(8), layer.Dense(4), layer.Dense(2)],
            r"several matrices that could be its readout: .*dense/kernel \(8, 4\), .*dense_1/kern",
        ),
        (lambda layer: [layer.SimpleRNN(8)], "has no readout"),
        (lambda layer: [layer.SimpleRNN(8, own_activation), layer.Dense(2)], "own_activation"),
        (lambda layer: [layer.SimpleRNN(8, "gelu"), layer.Dense(2)], "the activation 'gelu'"),
        (lambda layer: [layer.SimpleRNN(8, go_backwards=True), layer.Dense(2)], "runs backwards"),
        (lambda layer: [layer.Dense(2)], "has no W_hh and no W_xh"),
    ],
)
def test_other_models_are_refused(tmp_path, layers, told):
    save(layers(keras.layers), tmp_path / "model.keras")
    with pytest.raises(ValueError, match=told):
        ss.load_network(tmp_path / "model.keras")


def test_layers_that_are_not_imported_are_told(tmp_path):
    layers = keras.layers
    path = tmp_path / "model.keras"
    save([layers.SimpleRNN(8), layers.Dense(2), layers.Softmax(name="chances")], path)
    with pytest.warns(UserWarning, match=r"the layer 'chances' \(Softmax\) is not imported"):
        ss.load_network(path)
    assert any("last step's output only" in note for note in import_network(path).notes)


def test_layers_that_differ_are_told(tmp_path):
    inputs = keras.Input((None, 3))
    states = keras.layers.SimpleRNN(8, return_sequences=True)(inputs)
    heads = [keras.layers.Dense(n, name)(states) for n, name in ((2, "softmax"), (1, "linear"))]
    keras.Model(inputs, heads).save(tmp_path / "model.keras")
    keys = {"W_hy": "layers/dense_1/kernel"}
    with pytest.warns(UserWarning, match=r"differ in their activation \('linear', 'softmax'\)"):
        network = ss.load_network(tmp_path / "model.keras", keys=keys)
    assert network.n_outputs == 1


def test_bombs_and_damage_are_refused(tmp_path):
    path = tmp_path / "bomb.weights.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/rnn/cell/vars/0", (2**20, 2**20), "f8", chunks=(8, 8))
    with pytest.raises(ValueError, match=rf"bomb.*would unpack from \d+ to {2**43} bytes"):
        ss.load_network(path)
    whole = tmp_path / "whole.keras"
    build().save(whole)
    content = whole.read_bytes()
    for length in range(1, len(content), 997):
        (tmp_path / "short.keras").write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"short\.keras"):
            ss.load_network(tmp_path / "short.keras")
    with zipfile.ZipFile(tmp_path / "zip.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps({}))
        archive.writestr("model.weights.h5", bytes(2**24))
    with pytest.raises(ValueError, match=r"zip\.keras.*more than max_bytes = 1000000"):
        ss.load_network(tmp_path / "zip.keras", max_bytes=10**6)
    with pytest.raises(ValueError, match=r"zip\.keras is damaged"):
        ss.load_network(tmp_path / "zip.keras")


def test_links_out_of_the_file_are_not_followed(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["W_hh"] = np.eye(2)
    with h5py.File(tmp_path / "links.h5", "w") as file:
        file["W_hh"] = h5py.ExternalLink("other.h5", "W_hh")
        file.create_dataset("W_xh", (2, 2), "f8", external=[(str(tmp_path / "raw"), 0, 32)])
        file["W_hy"] = np.eye(2)
    (tmp_path / "raw").write_bytes(bytes(32))
    with pytest.raises(ValueError, match=r"no W_hh and no W_xh .*it holds W_hy \(2, 2\)\."):
        ss.load_network(tmp_path / "links.h5")


# GRU and LSTM


def build_gated(kind="GRU", dtype="float32", seed=1, **options):
    """A gated layer of 8 units and a Dense readout, biases not 0."""
    keras.utils.set_random_seed(seed)
    noise = keras.initializers.RandomNormal(stddev=0.3)
    layer = getattr(keras.layers, kind)
    common = {"dtype": dtype, "bias_initializer": noise}
    return keras.Sequential(
        [
            keras.Input((None, 3), dtype=dtype),
            layer(8, return_sequences=True, **common, **options),
            keras.layers.Dense(2, **common),
        ]
    )


GATED = [("GRU", {"reset_after": after}) for after in (True, False)] + [("LSTM", {})]


def assert_gates_compute(network, model, kind, options):
    """As `assert_computes`, and in float64 against the equations with Keras's own arrays."""
    reset = {True: "after", False: "before"}.get(options.get("reset_after"))
    assert network.cell == ss.Cell(kind=kind.lower(), reset=reset)
    x = np.random.default_rng(2).standard_normal((5, 20, 3)).astype(network.dtype)
    wanted = keras.ops.convert_to_numpy(model(x))
    assert wanted.dtype == network.dtype
    np.testing.assert_allclose(network.rollout(x), wanted, rtol=0, atol=TOLERANCE)
    plain = reference.gated_rollout(network, x)[0]
    np.testing.assert_allclose(plain, wanted, rtol=0, atol=TOLERANCE)
    kernel, recurrent_kernel = model.layers[0].get_weights()[:2]
    order = "zrn" if kind == "GRU" else "ifgo"  # Keras's own; it calls n h, and g c
    for gate, W_xh, W_hh in zip(
        order,
        np.split(kernel, len(order), 1),
        np.split(recurrent_kernel, len(order), 1),
        strict=True,
    ):
        assert np.array_equal(network.gates[gate].W_hh, W_hh.T)
        assert np.array_equal(network.gates[gate].W_xh, W_xh.T)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kind", "options"), GATED)
def test_gates_in_models(tmp_path, kind, options, dtype, bias):
    model = build_gated(kind, dtype, use_bias=bias, **options)
    for path in (tmp_path / "model.keras", tmp_path / "model.h5"):
        model.save(path)
        network = ss.load_network(path)
        assert (network.b_h is not None) == bias
        assert (network.b_hn is not None) == (bias and options.get("reset_after", False))
        assert_gates_compute(network, model, kind, options)


@pytest.mark.parametrize(("kind", "options"), GATED)
def test_gates_in_weights_alone(tmp_path, kind, options):
    model = build_gated(kind, **options)
    model.save_weights(tmp_path / "model.weights.h5")
    found = import_network(tmp_path / "model.weights.h5")
    assert_gates_compute(found.network, model, kind, options)
    assert any("assumed tanh and, for the gates, sigmoid" in note for note in found.notes)
    arrays = {
        f"layer.{name}": array
        for name, array in zip(
            ("kernel", "recurrent_kernel", "bias"), model.layers[0].get_weights(), strict=True
        )
    }
    kernel, bias = model.layers[1].get_weights()
    network = ss.load_network({**arrays, "out.kernel": kernel, "out.bias": bias})
    assert_gates_compute(network, model, kind, options)


def test_without_biases_only_the_caller_knows_the_reset(tmp_path):
    model = build_gated("GRU", use_bias=False, reset_after=False)
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    with pytest.raises(ValueError, match=r"does not state its reset; give reset=.*reset_after"):
        ss.load_network(path)
    network = ss.load_network(path, reset="before")
    assert_gates_compute(network, model, "GRU", {"reset_after": False})
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="states reset='before', got reset='after'"):
        ss.load_network(tmp_path / "model.keras", reset="after")


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_cells_of_keras(tmp_path, kind):
    cell = getattr(keras.layers, f"{kind}Cell")(8, bias_initializer="normal")
    layers = [keras.layers.RNN(cell, return_sequences=True), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((None, 3)), *layers])
    model.save(tmp_path / "model.keras")
    network = ss.load_network(tmp_path / "model.keras")
    x = np.random.default_rng(2).standard_normal((5, 20, 3)).astype(np.float32)
    wanted = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(network.rollout(x), wanted, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["backward_layer", "forward_layer"])
def test_one_direction_of_keras(tmp_path, name):
    gru = keras.layers.GRU(8, return_sequences=True, bias_initializer="normal")
    model = keras.Sequential([keras.Input((None, 3)), keras.layers.Bidirectional(gru)])
    path = tmp_path / "model.keras"
    model.save(path)
    with pytest.raises(ValueError, match=r"is bidirectional.*layer='layers/bidirectional/backward"):
        ss.load_network(path)
    network = ss.load_network(path, layer=name, keys={"W_hy": np.eye(8, dtype=np.float32)})
    x = np.random.default_rng(2).standard_normal((5, 20, 3)).astype(np.float32)
    wanted = keras.ops.convert_to_numpy(model(x))
    is_backward = name == "backward_layer"
    outputs = network.rollout(x[:, ::-1])[:, ::-1] if is_backward else network.rollout(x)
    half = wanted[..., 8:] if is_backward else wanted[..., :8]
    np.testing.assert_allclose(outputs, half, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"recurrent_activation": "hard_sigmoid"}, "gates 'hard_sigmoid'.*ablate_with"),
        ({"activation": "relu"}, "a GRU with the activation 'relu'"),
        ({"activation": own_activation}, "a GRU with the activation .*own_activation"),
    ],
)
def test_other_functions_of_gates_are_refused(tmp_path, options, told):
    build_gated("GRU", **options).save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match=told):
        ss.load_network(tmp_path / "model.keras")
