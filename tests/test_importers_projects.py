"""Importing from the projects of the field: their forward passes, written in NumPy, are the oracle.

nn4n writes its own files where it is installed. The other projects are repositories without a
package; the tests lay out their files as their code does.
"""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import scipy.io

import schurscope as ss
from frameworks import framework
from schurscope.importers import import_network

pytestmark = pytest.mark.filterwarnings("ignore:assumed activation")

N_H, N_X, N_Y = 10, 3, 2


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def draw(request, rng):
    """Draws an array of the dtype of the files."""
    return lambda *shape: (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(request.param)


@pytest.fixture
def inputs(rng):
    return rng.standard_normal((4, 15, N_X))


def wide(arrays):
    return {n: np.asarray(a, float) for n, a in arrays.items() if np.asarray(a).dtype.kind in "fiu"}


def assert_computes(network, inputs, wanted):
    tolerance = 1e-6 if network.dtype == np.float32 else 1e-12
    scale = max(1.0, np.abs(wanted).max())
    outputs = network.rollout(inputs.astype(network.dtype))
    np.testing.assert_allclose(outputs, wanted, rtol=0, atol=tolerance * scale)


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def current(x, inputs, leak, phi, drive, readout):
    """x ← (1 - a) x + a drive(φ(x), u), and the outputs of φ(x)."""
    outputs = []
    for u in inputs.swapaxes(0, 1):
        x = (1 - leak) * x + leak * drive(phi(x), u)
        outputs.append(readout(phi(x)))
    return np.stack(outputs, 1)


# trainRNNbrain


def trainrnnbrain(draw, **more):
    return {
        "W_out": draw(N_Y, N_H),
        "W_inp": draw(N_H, N_X),
        "W_rec": draw(N_H, N_H),
        "y_init": draw(N_H),
        "N": N_H,
        "dt": 1,
        "tau": 10,
        **more,
    }


def save_json(path, params):
    kept = {n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in params.items()}
    path.write_text(json.dumps(kept))
    return path


TRAINRNNBRAIN = {
    "first": {"bias_rec": None},
    "bias": {"bias_rec": np.linspace(-1, 1, N_H)},
    "newest": {
        "bias": np.linspace(-1, 1, N_H),
        "gamma": 0.0,
        "dale_mask": np.ones(N_H),
        "activation_args": {"name": "tanh", "slope": 1.5},
        "input_mask": np.ones((N_H, N_X)),
    },
}


@pytest.mark.parametrize("kind", TRAINRNNBRAIN)
def test_trainrnnbrain(tmp_path, draw, inputs, kind):
    params = trainrnnbrain(draw, **TRAINRNNBRAIN[kind])
    found = import_network(save_json(tmp_path / "0.97_params_CDDM.json", params))
    assert found.format == "trainrnnbrain"
    assert found.network.cell.leak == 0.1
    assert any(note == "leak=0.1, which is dt / tau = 1 / 10" for note in found.notes)
    assert not {name for name in found.ignored if name != "bias_rec"}
    assert found.network.cell.activation == ("tanh" if kind == "newest" else "relu")
    phi = (lambda x: np.tanh(1.5 * x)) if kind == "newest" else relu
    bias = next((params[n] for n in ("bias", "bias_rec") if params.get(n) is not None), 0)
    y, states = np.tile(params["y_init"].astype(float), (len(inputs), 1)), []
    W_rec, W_inp, W_out = (params[n].astype(float) for n in ("W_rec", "W_inp", "W_out"))
    for t in range(inputs.shape[1]):
        states.append(y)
        y = y + 0.1 * (-y + phi(y @ W_rec.T + inputs[:, t] @ W_inp.T + bias))
    wanted = np.stack(states, 1) @ W_out.T
    outputs = found.network.rollout(inputs)
    np.testing.assert_allclose(outputs[:, :-1], wanted[:, 1:], rtol=0, atol=1e-12)
    assert any("those at the step before here" in note for note in found.notes)


def test_trainrnnbrain_that_does_not_fit(tmp_path, draw):
    def load(**more):
        return ss.load_network(save_json(tmp_path / "net.json", trainrnnbrain(draw, **more)))

    with pytest.raises(ValueError, match=r"has gamma = 0\.1, a cubic damping"):
        load(gamma=0.1)
    with pytest.raises(ValueError, match=r"a softplus of beta = 2"):
        load(activation_args={"name": "softplus", "slope": 1.0, "beta": 2.0})
    with pytest.raises(ValueError, match=r"states the activation 'leaky_relu'"):
        load(activation_args={"name": "leaky_relu", "slope": 1.0})
    with pytest.raises(
        ValueError, match=r"a leak of \[10\.0\], dt / tau = 1 / 0\.1, which must lie"
    ):
        load(tau=0.1)
    with pytest.raises(ValueError, match="does not state its leak; give leak=, which is dt / tau"):
        load(tau=None)


# mackelab/smc_rnns, py_rnn


PARAMS = {
    "nonlinearity": "tanh",
    "n_inp": N_X,
    "n_rec": N_H,
    "n_out": N_Y,
    "dt": 10,
    "cov": None,
    "tau_lims": [50],
    "project_taus": "sigmoid",
    "conn_mask": None,
    "dale_mask": None,
}


@pytest.fixture
def save_rnn(tmp_path):
    """As save_rnn does: a state dict by torch.save, and the parameters as a pickle."""
    torch = framework("torch")

    def save(state, params):
        path = tmp_path / "osc_rnn_state_dict.pkl"
        torch.save({name: torch.tensor(array) for name, array in state.items()}, path)
        if params is not None:
            (tmp_path / "osc_rnn_params.pkl").write_bytes(pickle.dumps(params))
        return path

    return save


def smc_state(draw, rank):
    state = {"x0": draw(1, N_H), "rnn.w_inp": draw(N_X, N_H), "rnn.w_out": draw(N_H, N_Y)}
    state |= {"rnn.w_inp_scale": 2 + draw(1), "rnn.w_out_scale": 4 + draw(1)}
    zeros = np.zeros(N_H, state["x0"].dtype)
    if rank:
        return state | {"rnn.m": draw(N_H, rank), "rnn.n": draw(rank, N_H), "rnn.b_rec": zeros}
    taus = np.full(1, 50, zeros.dtype)
    return state | {"rnn.w_rec": draw(N_H, N_H), "rnn.b_rec": zeros + 1, "rnn.taus_gaus": taus}


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("has_params", [True, False])
def test_smc_rnns(save_rnn, draw, inputs, rank, has_params):
    state = smc_state(draw, rank)
    path = save_rnn(state, PARAMS if has_params else None)
    if not has_params:
        told = "dt / tau_lims" if rank else "dt / 50, its taus_gaus"
        with pytest.raises(
            ValueError, match=rf"does not state its leak; give leak=, which is {told}"
        ):
            ss.load_network(path)
    given = {} if has_params else {"leak": 0.2, "activation": "tanh"}
    found = import_network(path, **given)
    assert found.format == "smc_rnns"
    assert found.network.cell == ss.Cell("tanh", "current", 0.2)
    assert set(found.ignored) <= {"rnn.taus_gaus"}
    s = wide(state)
    W = s["rnn.m"] @ s["rnn.n"] / N_H if rank else s["rnn.w_rec"]
    per = N_H if rank else 1
    wanted = current(
        np.tile(s["x0"], (len(inputs), 1)),
        inputs,
        0.2,
        np.tanh,
        lambda r, u: r @ W.T + s["rnn.w_inp_scale"] * (u @ s["rnn.w_inp"]),
        lambda r: s["rnn.w_out_scale"] * (r @ s["rnn.w_out"]) / per,
    )
    assert_computes(found.network, inputs, wanted)


TAUS = {
    "sigmoid": lambda x: 20 + 60 * sigmoid(x),
    "exp": lambda x: np.exp(x) + 20,
    "clip": lambda x: np.clip(x, 20, 80),
}


@pytest.mark.parametrize("kind", TAUS)
def test_smc_rnns_with_a_tau_for_each_unit(save_rnn, draw, inputs, kind):
    state = smc_state(draw, 0)
    state["rnn.taus_gaus"] = 40 + 30 * draw(N_H) if kind == "clip" else draw(N_H)
    params = {**PARAMS, "tau_lims": [20, 80], "project_taus": kind}
    found = import_network(save_rnn(state, params))
    assert any("a leak for each unit, from 0." in note for note in found.notes)
    s = wide(state)
    wanted = current(
        np.tile(s["x0"], (len(inputs), 1)),
        inputs,
        10 / TAUS[kind](s["rnn.taus_gaus"]),
        np.tanh,
        lambda r, u: r @ s["rnn.w_rec"].T + s["rnn.w_inp_scale"] * (u @ s["rnn.w_inp"]),
        lambda r: s["rnn.w_out_scale"] * (r @ s["rnn.w_out"]),
    )
    assert_computes(found.network, inputs, wanted)


def test_smc_rnns_that_do_not_fit(save_rnn, draw):
    state = smc_state(draw, 2)
    with pytest.raises(ValueError, match=r"has a bias rnn\.b_rec that is not 0"):
        ss.load_network(save_rnn({**state, "rnn.b_rec": np.ones(N_H)}, PARAMS))
    state = smc_state(draw, 0)
    masked = {**PARAMS, "dale_mask": framework("torch").eye(N_H)}
    with pytest.raises(
        ValueError, match=r"has dale_mask in its parameters, a pickled tensor, which"
    ):
        ss.load_network(save_rnn(state, masked))
    same = {**state, "rnn.taus_gaus": np.zeros(N_H)}
    network = ss.load_network(save_rnn(same, {**PARAMS, "tau_lims": [20, 80]}))
    assert network.cell.leak == 0.2
    for kind, leak in (("exp", 10 / 21), ("clip", 0.5)):
        params = {**PARAMS, "tau_lims": [20, 80], "project_taus": kind}
        assert ss.load_network(save_rnn(same, params)).cell.leak == pytest.approx(leak)


# mackelab/smc_rnns, vi_rnn


VAE = {"activation": "relu", "readout_from": "rates", "out_nonlinearity": "identity", "decay": 0.9}


@pytest.fixture
def save_vae(tmp_path):
    """As save_model does: the state dict of the RNN, and the parameters as a pickle."""
    torch = framework("torch")

    def save(state, **changes):
        path = tmp_path / "m_state_dict_rnn.pkl"
        torch.save({name: torch.tensor(array) for name, array in state.items()}, path)
        params = {"enc_params": {"padding": 3}, "rnn_params": {**VAE, **changes}, "dim_z": 2}
        (tmp_path / "m_vae_params.pkl").write_bytes(pickle.dumps(params))
        return path

    return save


def vi_state(draw, n_inputs):
    state = {"transition.m": draw(N_H, 2), "transition.n": draw(2, N_H), "transition.h": draw(N_H)}
    decay = np.log(-np.log(np.full((1, 1, 1, 1), 0.9)))
    state |= {"transition.decay_param": decay.astype(state["transition.m"].dtype)}
    state |= {"observation.B": draw(N_H, N_Y), "observation.Bias": draw(1, N_Y, 1, 1)}
    state |= {"initial_state": draw(2), "R_z": draw(2)}
    return state | ({"transition.Wu": draw(N_H, n_inputs)} if n_inputs else {})


@pytest.mark.parametrize("n_inputs", [0, N_X])
@pytest.mark.parametrize("readout", ["rates", "currents"])
def test_vi_rnn(save_vae, draw, inputs, n_inputs, readout):
    state = vi_state(draw, n_inputs)
    found = import_network(save_vae(state, readout_from=readout))
    assert (found.format, found.ignored) == ("vi_rnn", {})
    assert found.network.cell.leak == pytest.approx(0.1, rel=1e-6)
    s = wide(state)
    x = inputs if n_inputs else np.zeros((4, 15, 1))
    m, h, Wu = s["transition.m"], s["transition.h"], s.get("transition.Wu", np.zeros((N_H, 1)))
    decay = np.exp(-np.exp(s["transition.decay_param"].item()))
    z, v, wanted = np.tile(s["initial_state"], (len(x), 1)), np.zeros((len(x), x.shape[2])), []
    for u in x.swapaxes(0, 1):  # get_latent_time_series and get_observation
        rates = relu(z @ m.T + v @ Wu.T - h)
        z, v = decay * z + rates @ s["transition.n"].T, decay * v + (1 - decay) * u
        currents = z @ m.T + v @ Wu.T
        read = relu(currents - h) if readout == "rates" else currents
        wanted.append(read @ s["observation.B"] + s["observation.Bias"].reshape(-1))
    assert_computes(found.network, x, np.stack(wanted, 1))


def test_vi_rnn_that_does_not_fit(save_vae, draw):
    state = vi_state(draw, N_X)
    for changes, told in (
        ({"readout_from": "z_and_v"}, r"its latent variables, by observation\.B \(10, 2\); a Net"),
        ({"activation": "clipped_relu"}, "has the activation 'clipped_relu', which no"),
        ({"out_nonlinearity": "softplus"}, "has the out_nonlinearity softplus, before its Bias"),
    ):
        with pytest.raises(ValueError, match=told):
            ss.load_network(save_vae(state, **changes))
    latent = {**state, "observation.B": draw(2, N_Y)}
    with pytest.raises(ValueError, match=r"its latent variables, by observation\.B \(2, 2\)"):
        ss.load_network(latent)
    units = {**state, "transition.decay_param": draw(1, 2, 1, 1)}
    with pytest.raises(ValueError, match="a decay for each of its 2 latent variables"):
        ss.load_network(units)
    with pytest.warns(UserWarning, match="assumed that B reads out the rates, not the currents"):
        ss.load_network(state, activation="relu")


# rkim35/spikeRNN


def spikernn(draw, **more):
    inhibitory = np.arange(N_H) >= 7
    state = {"w": relu(draw(N_H, N_H)), "m": np.diag(np.where(inhibitory, -1.0, 1.0))}
    state |= {"som_m": np.where(np.outer(inhibitory, inhibitory), 0.0, 1.0), "N": N_H, "som_N": 3}
    state |= {"w_in": draw(N_H, N_X), "w_out": draw(1, N_H), "b_out": 0.3, "w0": draw(N_H, N_H)}
    state |= {"taus": np.array([20.0]), "taus_gaus": draw(N_H, 1), "losses": np.ones(5)}
    state |= {"inh": inhibitory[:, None], "exc": ~inhibitory[:, None], "tr": 7}
    x = 3 * draw(6, N_H, 1)
    return state | {"x": x, "r": sigmoid(x)} | more


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "relu"])
def test_spikernn(tmp_path, draw, inputs, name):
    phi = {"sigmoid": sigmoid, "softplus": lambda x: np.log1p(np.exp(x)), "relu": relu}[name]
    state = spikernn(draw)
    state["r"] = phi(state["x"])
    scipy.io.savemat(tmp_path / "net.mat", state)
    found = import_network(tmp_path / "net.mat")
    assert found.format == "spikernn"
    assert found.ignored == {}
    assert found.network.cell == ss.Cell(name, "current", 0.05)
    assert any("leak=0.05, which is 1 / taus = 1 / 20" in note for note in found.notes)
    s = wide(state)
    W = s["w"] @ s["m"] * s["som_m"]
    wanted = current(
        np.zeros((len(inputs), N_H)),
        inputs,
        1 / 20,
        phi,
        lambda r, u: r @ W.T + u @ s["w_in"].T,
        lambda r: r @ s["w_out"].T + s["b_out"],
    )
    assert_computes(found.network, inputs, wanted)


def test_spikernn_with_a_tau_for_each_unit(tmp_path, draw, inputs):
    state = spikernn(draw, taus=np.array([4.0, 25.0]))
    scipy.io.savemat(tmp_path / "net.mat", state)
    found = import_network(tmp_path / "net.mat")
    assert any("which is 1 / τ, τ between 4 and 25 by taus_gaus" in note for note in found.notes)
    s = wide(state)
    W = s["w"] @ s["m"] * s["som_m"]
    wanted = current(
        np.zeros((len(inputs), N_H)),
        inputs,
        1 / (4 + 21 * sigmoid(s["taus_gaus"][:, 0])),
        sigmoid,
        lambda r, u: r @ W.T + u @ s["w_in"].T,
        lambda r: r @ s["w_out"].T + s["b_out"],
    )
    assert_computes(found.network, inputs, wanted)
    same = spikernn(draw, taus=np.array([4.0, 16.0]), taus_gaus=np.zeros((N_H, 1)))
    assert ss.load_network(same).cell.leak == 0.1
    with pytest.raises(ValueError, match="has 3 taus, expected 1, or 2 and taus_gaus"):
        ss.load_network(spikernn(draw, taus=np.ones(3)))
    with pytest.raises(ValueError, match=r"valid network: .*leak"):
        ss.load_network({**state, "taus_gaus": np.arange(3.0)})


# xjwanglab/pycog


def pycog(draw):
    shapes = {"Win": (N_H, N_X), "Wrec": (N_H, N_H), "Wout": (N_Y, N_H), "brec": (N_H,)}
    return {n: draw(*shape) for n, shape in {**shapes, "bout": (N_Y,), "x0": (N_H,)}.items()}


def pycog_outputs(weights, inputs, psi, threshold=0.0, leak=0.2):
    w = wide(weights)
    for name in ("Win", "Wrec", "Wout"):
        w[name] = np.where(np.abs(w[name]) < threshold, 0, w[name])
    return current(
        np.tile(w["x0"], (len(inputs), 1)),
        inputs,
        leak,
        relu,
        lambda r, u: r @ w["Wrec"].T + w["brec"] + u @ w["Win"].T,
        lambda r: psi(r @ w["Wout"].T + w["bout"]),
    )


def test_pycog_arrays(tmp_path, draw, inputs):
    weights = pycog(draw)
    path = tmp_path / "net.npz"
    np.savez(path, **weights)
    with pytest.raises(ValueError, match="does not state its leak; give leak=, which is dt / tau"):
        ss.load_network(path)
    found = import_network(path, leak=0.2)
    assert (found.format, found.network.cell) == ("pycog", ss.Cell("relu", "current", 0.2))
    assert_computes(found.network, inputs, pycog_outputs(weights, inputs, lambda z: z))
    np.savez(path, **weights, dt=20.0, tau=100.0, output_activation="sigmoid")
    found = import_network(path)
    assert any("leak=0.2, which is dt / tau = 20 / 100" in note for note in found.notes)
    assert_computes(found.network, inputs, pycog_outputs(weights, inputs, sigmoid))
    with pytest.raises(ValueError, match=r"states leak=0\.2, got leak=1\.0"):
        ss.load_network(path, leak=1.0)
    np.savez(path, **weights, dt=20.0, tau=np.linspace(50, 100, N_H))
    wanted = pycog_outputs(weights, inputs, lambda z: z, leak=20 / np.linspace(50, 100, N_H))
    assert_computes(ss.load_network(path), inputs, wanted)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pycog_pickles(tmp_path, draw, inputs, protocol):
    weights = pycog(draw)
    weights["Wrec"][0, 1] = 9e-5  # which pycog's RNN takes for 0
    params = {"dt": 20.0, "tau": 100, "hidden_activation": "rectify", "var_rec": np.float64(0.1)}
    params |= {"output_activation": "softmax", "baseline_in": 0.2, "N": N_H}
    values = [weights[name] for name in ("Win", "Wrec", "Wout", "brec", "bout", "x0")]
    save = {"params": params, "varlist": list(weights), "iter": 5, "current": values[:3]}
    save |= {"best": {"iter": 4, "cost": 0.1, "other_costs": [0.5], "params": values}}
    save |= {"rng_gradient": np.random.RandomState(1), "costs_history": [(0, [0.3, 0.5])]}
    path = tmp_path / "net.pkl"
    path.write_bytes(pickle.dumps(save, protocol))
    found = import_network(path)
    assert found.format == "pycog"
    assert found.network.dtype == values[0].dtype
    assert_computes(found.network, inputs, pycog_outputs(weights, inputs, lambda z: z, 1e-4))
    for told in ("logits: pycog's softmax", "adds baseline_in = 0.2", "weights below 0.0001 are 0"):
        assert any(told in note for note in found.notes)
    params["hidden_activation"] = "rtanh"
    path.write_bytes(pickle.dumps(save, protocol))
    with pytest.raises(ValueError, match="states the activation 'rtanh', which is not one of tanh"):
        ss.load_network(path)


def test_pycogs_names_alone_are_doubted(draw):
    weights = pycog(draw)
    del weights["x0"]
    with pytest.warns(UserWarning, match="assumed form='rate': pycog, which uses these names"):
        ss.load_network(weights, leak=1.0, activation="relu")
    with pytest.warns(UserWarning, match=r"assumed leak=1\.0: pycog, which uses these names"):
        ss.load_network(weights, form="rate", activation="relu")


# nn4n


def nn4n_state(draw, where=""):
    layers = {"recurrent_layer.input_layer": (N_H, N_X), "recurrent_layer.hidden_layer": (N_H, N_H)}
    state = {"recurrent_layer.hidden_state": draw(N_H)}
    for layer, shape in {**layers, "readout_layer": (N_Y, N_H)}.items():
        state |= {f"{layer}.weight": draw(*shape), f"{layer}.bias": draw(shape[0])}
    return {where + name: array for name, array in state.items()}


KWARGS = {
    "all": ({"dims": [N_X, N_H, N_Y], "activation": "tanh", "dt": 20, "tau": 80}, "tanh", 0.25),
    "some": ({"dims": [N_X, N_H, N_Y], "tau": 50}, "relu", 0.2),
    "none": (None, "relu", 0.2),
}


@pytest.mark.parametrize("kind", KWARGS)
def test_nn4n(draw, inputs, kind):
    kwargs, activation, leak = KWARGS[kind]
    state = nn4n_state(draw)
    source = {"model_state_dict": state, "kwargs": kwargs} if kwargs else state
    if kwargs is None:
        with pytest.raises(ValueError, match="does not state its leak; give leak=, which is dt"):
            ss.load_network(source)
    found = import_network(source, **({} if kwargs else {"leak": leak}))
    assert found.format == "nn4n"
    assert found.network.cell == ss.Cell(activation, "current", leak)
    s = wide(state)
    into, within = "recurrent_layer.input_layer.", "recurrent_layer.hidden_layer."
    wanted = current(
        np.tile(s["recurrent_layer.hidden_state"], (len(inputs), 1)),
        inputs,
        leak,
        {"tanh": np.tanh, "relu": relu}[activation],
        lambda r, u: (
            r @ s[within + "weight"].T
            + s[within + "bias"]
            + u @ s[into + "weight"].T
            + s[into + "bias"]
        ),
        lambda r: r @ s["readout_layer.weight"].T + s["readout_layer.bias"],
    )
    assert_computes(found.network, inputs, wanted)


def test_files_that_nn4n_writes(tmp_path, inputs):
    torch = framework("torch")
    models = framework("nn4n.model")
    torch.manual_seed(1)
    model = models.CTRNN(
        dims=[N_X, N_H, N_Y], activation="sigmoid", dt=25, biases="normal", init_state="learn"
    )
    with torch.no_grad():
        model.recurrent_layer.hidden_state.normal_()
    model.save(str(tmp_path / "net.pth"))
    model.eval()
    x = inputs.astype(np.float32)
    wanted = model(torch.tensor(x.swapaxes(0, 1)))[0].detach().numpy().swapaxes(0, 1)
    found = import_network(tmp_path / "net.pth")
    assert found.network.cell == ss.Cell("sigmoid", "current", 0.25)
    assert_computes(found.network, x, wanted)


SOURCES = {
    "trainrnnbrain": trainrnnbrain,
    "smc_rnns": lambda draw: smc_state(draw, 0),
    "low rank": lambda draw: smc_state(draw, 2),
    "vi_rnn": lambda draw: vi_state(draw, N_X),
    "spikernn": spikernn,
    "pycog": pycog,
    "nn4n": nn4n_state,
}
SHAPES = [(), (0,), (1,), (N_H,), (N_H, 1), (2, 3), (0, N_H), (N_H, N_H, 2)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("project", SOURCES)
def test_entries_of_other_shapes_are_refused_or_fit(project, rng):
    def draw(*shape):
        return rng.standard_normal(shape)

    source, told, fits = SOURCES[project](draw), [], 0
    options = {"leak": 0.1} if project in ("smc_rnns", "low rank", "pycog", "nn4n") else {}
    for name in source:
        for shape in SHAPES:
            try:
                ss.load_network({**source, name: np.full(shape, 0.5)}, **options)
                fits += 1
            except ValueError as error:
                told.append(str(error))
    assert fits
    assert len(told) > 3 * len(SHAPES)
    assert all(text.startswith("the dictionary ") for text in told)
