"""Importing Flax's networks, linen and nnx: the modules' own steps are the oracle."""

from __future__ import annotations

import numpy as np
import pytest

import reference
import schurscope as ss
from frameworks import framework
from schurscope.importers import import_network

jax = framework("jax")
linen = framework("flax.linen")
nnx = framework("flax.nnx")
serialization = framework("flax.serialization")
msgpack = framework("msgpack")
jnp = jax.numpy

# Most sources here do not say their activation, of which `test_importers_warnings` has the tests.
pytestmark = pytest.mark.filterwarnings("ignore:assumed activation")

TOLERANCE = {"float32": 1e-6, "float64": 1e-12}
ACTIVATIONS = {"tanh": jnp.tanh, "relu": jax.nn.relu, "softplus": jax.nn.softplus}
ACTIVATIONS["sigmoid"] = jax.nn.sigmoid
NOISE = jax.nn.initializers.normal(0.3)


@pytest.fixture(autouse=True)
def double_precision():
    """Lets JAX compute in float64 where it is asked to."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


class LinenModel(linen.Module):
    """A SimpleCell of 8 units, unrolled, and a Dense readout."""

    activation: str = "tanh"
    residual: bool = False
    dtype: str = "float32"

    @linen.compact
    def __call__(self, x):
        cell = linen.SimpleCell(
            8,
            ACTIVATIONS[self.activation],
            recurrent_kernel_init=jax.nn.initializers.normal(0.2),
            bias_init=NOISE,
            dtype=self.dtype,
            param_dtype=self.dtype,
            residual=self.residual,
        )
        h = linen.RNN(cell)(x)
        return linen.Dense(2, dtype=self.dtype, param_dtype=self.dtype, bias_init=NOISE)(h)


class NnxModel(nnx.Module):
    """The same."""

    def __init__(self, activation="tanh", residual=False, dtype="float32"):
        options = {"dtype": dtype, "param_dtype": dtype, "bias_init": NOISE, "rngs": nnx.Rngs(3)}
        cell = nnx.SimpleCell(
            3,
            8,
            residual=residual,
            activation_fn=ACTIVATIONS[activation],
            recurrent_kernel_init=jax.nn.initializers.normal(0.2),
            **options,
        )
        self.rnn, self.readout = nnx.RNN(cell), nnx.Linear(8, 2, **options)

    def __call__(self, x):
        return self.readout(self.rnn(x))


def inputs(dtype="float32"):
    return np.random.default_rng(2).standard_normal((5, 12, 3)).astype(dtype)


def assert_computes(network, wanted, residual=False):
    wanted, dtype = np.asarray(wanted), network.dtype.name
    assert wanted.dtype == network.dtype
    # h may double with each residual step, and its rounding error with it.
    tolerance = TOLERANCE[dtype] * (max(1, np.abs(wanted).max()) if residual else 1)
    x = inputs(dtype)
    np.testing.assert_allclose(network.rollout(x), wanted, rtol=0, atol=tolerance)
    plain = reference.cell_rollout(network, x)[0]
    np.testing.assert_allclose(plain, wanted, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("activation", "residual"), [*((name, False) for name in ACTIVATIONS), ("tanh", True)]
)
def test_linen_params(activation, residual, dtype):
    model, x = LinenModel(activation, residual, dtype), inputs(dtype)
    variables = model.init(jax.random.key(1), x)
    network = ss.load_network(variables, activation=activation, residual=residual)
    assert_computes(network, model.apply(variables, x), residual)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("activation", "residual"), [*((name, False) for name in ACTIVATIONS), ("tanh", True)]
)
def test_nnx_modules_say_all(activation, residual, dtype):
    model = NnxModel(activation, residual, dtype)
    network = ss.load_network(model)
    assert network.cell.activation == activation
    assert_computes(network, model(inputs(dtype)), residual)


def test_nnx_states_and_pure_dictionaries():
    model = NnxModel()
    state = nnx.state(model, nnx.Param)
    for source in (state, nnx.to_pure_dict(state)):
        found = import_network(source, residual=False)
        assert found.format == "flax"
        assert found.mapped["W_hh"] == "rnn.cell.dense_h.kernelᵀ"
        assert found.mapped["b_h"] == "rnn.cell.dense_i.bias"
        assert_computes(found.network, model(inputs()))


def test_the_record_of_linen_params():
    variables = LinenModel().init(jax.random.key(1), inputs())
    found = import_network(variables)
    assert found.mapped == {
        "W_hh": "params.SimpleCell_0.h.kernelᵀ",
        "W_xh": "params.SimpleCell_0.i.kernelᵀ",
        "b_h": "params.SimpleCell_0.i.bias",
        "W_hy": "params.Dense_0.kernelᵀ",
        "b_y": "params.Dense_0.bias",
    }
    assert found.notes[0].startswith("assumed residual=False")
    residual = import_network(variables, residual=True)
    assert residual.mapped["W_hh"].endswith("h.kernelᵀ + I")


def test_a_contradiction_is_told():
    with pytest.raises(ValueError, match="has residual=True, got residual=False"):
        ss.load_network(NnxModel(residual=True), residual=False)
    with pytest.raises(ValueError, match="residual is an option of Flax's cells, got it for"):
        ss.load_network({"W_hh": np.eye(2), "W_xh": np.eye(2), "W_hy": np.eye(2)}, residual=True)


def test_bfloat16_parameters_are_widened_with_a_notice():
    variables = LinenModel().init(jax.random.key(1), inputs())
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), variables)
    with pytest.warns(UserWarning, match=r"widened to float32.*h\.kernel \(bfloat16\)"):
        network = ss.load_network(half)
    kernel = half["params"]["SimpleCell_0"]["h"]["kernel"]
    assert np.array_equal(network.W_hh, np.asarray(kernel, np.float32).T)


# GRU and LSTM

GATED = ["GRUCell", "LSTMCell", "OptimizedLSTMCell"]


class GatedLinen(linen.Module):
    """A gated cell of 8 units, unrolled, and a Dense readout, biases not 0."""

    cell: str
    dtype: str = "float32"

    @linen.compact
    def __call__(self, x):
        options = {"bias_init": NOISE, "dtype": self.dtype, "param_dtype": self.dtype}
        h = linen.RNN(getattr(linen, self.cell)(8, **options))(x)
        return linen.Dense(2, **options)(h)


class GatedNnx(nnx.Module):
    """The same."""

    def __init__(self, cell, dtype="float32", **more):
        options = {"dtype": dtype, "param_dtype": dtype, "bias_init": NOISE, "rngs": nnx.Rngs(3)}
        self.rnn = nnx.RNN(getattr(nnx, cell)(3, 8, **options, **more))
        self.readout = nnx.Linear(8, 2, **options)

    def __call__(self, x):
        return self.readout(self.rnn(x))


def assert_gates_compute(network, wanted, cell):
    wanted, dtype = np.asarray(wanted), network.dtype.name
    assert wanted.dtype == network.dtype
    assert network.cell == ss.Cell(kind="gru" if "GRU" in cell else "lstm")
    x = inputs(dtype)
    for outputs in (network.rollout(x), reference.gated_rollout(network, x)[0]):
        np.testing.assert_allclose(outputs, wanted, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("cell", GATED)
def test_gates_of_linen(cell, dtype):
    model, x = GatedLinen(cell, dtype), inputs(dtype)
    variables = model.init(jax.random.key(1), x)
    found = import_network(variables)
    assert_gates_compute(found.network, model.apply(variables, x), cell)
    assert found.ignored == {}
    assert any("assumed tanh and, for the gates, sigmoid" in note for note in found.notes)
    prefix = f"params.{cell}_0."
    first = "r" if cell == "GRUCell" else "i"
    assert found.mapped["W_hh"].startswith(f"{prefix}h{first}.kernelᵀ, {prefix}h")


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("cell", GATED)
def test_gates_of_nnx(cell, dtype):
    model = GatedNnx(cell, dtype)
    wanted = model(inputs(dtype))
    found = import_network(model)
    assert_gates_compute(found.network, wanted, cell)
    assert not any("tanh" in note for note in found.notes)  # the module says it
    assert_gates_compute(ss.load_network(nnx.state(model, nnx.Param)), wanted, cell)


@pytest.mark.parametrize("cell", ["GRUCell", "LSTMCell"])
def test_gates_in_messagepack(tmp_path, cell):
    model = GatedLinen(cell)
    variables = model.init(jax.random.key(1), inputs())
    path = tmp_path / "model.msgpack"
    path.write_bytes(serialization.to_bytes(variables))
    assert_gates_compute(ss.load_network(path), model.apply(variables, inputs()), cell)


def test_one_of_several_cells_of_flax():
    options = {"bias_init": NOISE, "rngs": nnx.Rngs(3)}
    cells = [nnx.RNN(nnx.GRUCell(3, 8, **options)) for _ in range(2)]
    model = nnx.Bidirectional(*cells)
    with pytest.raises(ValueError, match=r"is bidirectional.*layer='backward_rnn\.cell'"):
        ss.load_network(model)
    keys = {"W_hy": np.eye(8, dtype=np.float32)}
    network = ss.load_network(model, layer="backward_rnn", keys=keys)
    wanted = np.asarray(model(inputs()))[..., 8:]
    outputs = network.rollout(inputs()[:, ::-1])[:, ::-1]
    np.testing.assert_allclose(outputs, wanted, rtol=0, atol=1e-6)


def test_other_gates_of_flax_are_refused():
    model = linen.RNN(linen.MGUCell(8))
    variables = model.init(jax.random.key(1), inputs())
    with pytest.raises(
        ValueError, match=r"holds gates .*hf\.kernel.*neither a GRU's nor an LSTM's"
    ):
        ss.load_network(variables)
    for options, told in (
        ({"gate_fn": jax.nn.hard_sigmoid}, "gates 'hard_sigmoid'"),
        ({"activation_fn": jax.nn.relu}, "activation 'relu'"),
    ):
        with pytest.raises(ValueError, match=rf"has a LSTM with .*{told}.*ablate_with"):
            ss.load_network(GatedNnx("LSTMCell", **options))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_messagepack_as_flax_writes(tmp_path, rng, dtype):
    model = LinenModel(dtype=dtype)
    x = rng.standard_normal((4, 9, 3)).astype(dtype)
    params = model.init(jax.random.key(3), x)
    path = tmp_path / "params.msgpack"
    path.write_bytes(serialization.to_bytes(params))
    network = ss.load_network(path)
    wanted = model.apply(params, x)
    np.testing.assert_allclose(network.rollout(x), wanted, rtol=0, atol=TOLERANCE[dtype])
    state = {"params": params["params"], "opt_state": {"0": {"mu": params["params"]}}, "step": 5}
    path.write_bytes(serialization.msgpack_serialize(state))
    found = import_network(path)
    assert set(found.ignored.values()) == {"of the optimiser", "int, not an array"}
    np.testing.assert_array_equal(found.network.W_hh, network.W_hh)


def test_messagepack_of_other_dtypes_and_chunks(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(serialization, "MAX_CHUNK_SIZE", 64)
    arrays = {"W_hh": rng.standard_normal((6, 6)).astype("f4"), "n": np.arange(3)}
    arrays |= {"W_xh": jnp.asarray(rng.standard_normal((6, 3)), jnp.bfloat16)}
    arrays |= {"W_hy": rng.standard_normal((2, 6)).astype("f4"), "b_y": np.float32([1, 2])}
    path = tmp_path / "params.msgpack"
    path.write_bytes(serialization.msgpack_serialize(dict(arrays)))
    with pytest.warns(UserWarning, match=r"widened to float32.*: W_xh \(bfloat16\)"):
        network = ss.load_network(path)
    for name in ("W_hh", "W_xh", "W_hy", "b_y"):
        np.testing.assert_array_equal(getattr(network, name), np.asarray(arrays[name], "f4"))


def test_damaged_messagepack_is_refused(tmp_path, rng):
    whole = serialization.to_bytes({"W_hh": rng.standard_normal((5, 5)), "b_h": np.ones(5)})
    path = tmp_path / "net.msgpack"
    for length in range(1, len(whole), 17):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"net\.msgpack"):
            ss.load_network(path)
    huge = msgpack.packb(((2**40,), "float32", b"1234"))
    path.write_bytes(msgpack.packb({"W_hh": msgpack.ExtType(1, huge)}))
    with pytest.raises(ValueError, match=r"damaged.*\(1099511627776,\) float32 of 4 bytes"):
        ss.load_network(path)
    with path.open("r+b") as stream:  # holes take no space on disk
        stream.truncate(2**22)
    with pytest.raises(ValueError, match="more than max_bytes = 100"):
        ss.load_network(path, max_bytes=100)
