"""Importing from the toolboxes of the field: neuralrnn, PsychRNN, lowrank_inference, nnRNN.

The tests run neuralrnn itself. The others cannot be installed from a package index (current pip
refuses PsychRNN's metadata), so the tests write files in the layouts of their code, and the
equations in their code are the oracle.
"""

from __future__ import annotations

import json
from importlib import import_module

import numpy as np
import pytest

import schurscope as ss
from frameworks import framework
from schurscope.importers import import_network

torch = framework("torch")

# Most sources here do not say their activation, of which `test_importers_warnings` has the tests.
pytestmark = pytest.mark.filterwarnings("ignore:assumed activation")

N_H, N_X, N_Y = 10, 3, 2


@pytest.fixture
def inputs(rng):
    return rng.standard_normal((4, 15, N_X))


def assert_computes(network, inputs, wanted):
    tolerance = 1e-6 if network.dtype == np.float32 else 1e-12
    scale = max(1.0, np.abs(wanted).max())
    np.testing.assert_allclose(network.rollout(inputs), wanted, rtol=0, atol=tolerance * scale)


# neuralrnn


@pytest.fixture(scope="module")
def neuralrnn():
    """The package; its optional plotting and environments complain when imported."""
    return framework("neuralrnn")


def saved(tmp_path, family, name, **options):
    """A model of neuralrnn with random biases and h0, saved, and the folder."""
    torch.manual_seed(4)
    models = import_module(f"neuralrnn.models.{family}.modeling_{family}")
    configs = import_module(f"neuralrnn.models.{family}.configuration_{family}")
    sizes = {"input_dim": N_X, "latent_dim": N_H, "output_dim": N_Y}
    model = getattr(models, f"{name}Model")(getattr(configs, f"{name}Config")(**sizes, **options))
    model.eval()
    with torch.no_grad():
        model.h0.uniform_(-1, 1)
    model.save_pretrained(str(tmp_path / "model"))
    return model, tmp_path / "model"


CTRNN = {
    "relu": {"tau": 300.0},
    "tanh": {"activation": "tanh", "alpha": 0.2, "sigma_rec": 0.1},
    "no leak": {"activation": "softplus"},
    "inside": {"activation": "sigmoid", "alpha": 0.3, "nonlinearity_mode": "post_blend"},
    "Dale": {"activation": "tanh", "alpha": 0.5, "dale": True, "ei_ratio": 0.7},
    "currents": {"activation": "tanh", "alpha": 0.3, "nonlinearity_mode": "rate"},
    "signs": {"activation": "tanh", "alpha": 0.5, "dale_signs": [1, -1] * (N_H // 2)},
}


@pytest.mark.usefixtures("neuralrnn")
@pytest.mark.parametrize("options", CTRNN.values(), ids=CTRNN)
def test_neuralrnn_folders(tmp_path, inputs, options):
    model, folder = saved(tmp_path, "ctrnn", "CTRNN", **options)
    inputs = inputs.astype(np.float32)
    wanted = model(torch.tensor(inputs)).outputs.detach().numpy()
    for path in (folder, folder / "config.json"):
        network = ss.load_network(path)
        is_current = options.get("nonlinearity_mode") == "rate"
        assert network.cell.form == ("current" if is_current else "rate")
        assert network.cell.readout == ("hidden" if is_current else "rates")
        assert_computes(network, inputs, wanted)
    with pytest.raises(ValueError, match="states activation="):
        ss.load_network(folder, activation="identity")


@pytest.mark.usefixtures("neuralrnn")
@pytest.mark.parametrize("readout_e_only", [True, False])
def test_neuralrnn_excitatory_inhibitory(tmp_path, inputs, readout_e_only):
    options = {"activation": "relu", "alpha": 0.2, "readout_e_only": readout_e_only}
    model, folder = saved(tmp_path, "ctrnn", "EIRNN", **options)
    inputs = inputs.astype(np.float32)
    network = ss.load_network(folder)
    assert_computes(network, inputs, model(torch.tensor(inputs)).outputs.detach().numpy())
    assert (np.sign(network.W_hh) == np.sign(network.W_hh[:1])).all()


@pytest.mark.usefixtures("neuralrnn")
def test_neuralrnn_masks(tmp_path, inputs, rng):
    masks = {
        "rec_mask": rng.integers(0, 2, (N_H, N_H)).tolist(),
        "in_mask": rng.integers(0, 2, (N_X, N_H)).tolist(),
        "out_mask": rng.integers(0, 2, (N_H, N_Y)).tolist(),
    }
    model, folder = saved(tmp_path, "constrained_rnn", "ConstrainedRNN", alpha=0.4, **masks)
    inputs = inputs.astype(np.float32)
    network = ss.load_network(folder)
    assert_computes(network, inputs, model(torch.tensor(inputs)).outputs.detach().numpy())
    assert (network.W_hh == 0).sum() > N_H


@pytest.mark.usefixtures("neuralrnn")
@pytest.mark.parametrize("scale_by_hidden_size", [True, False])
def test_neuralrnn_low_rank(tmp_path, inputs, scale_by_hidden_size):
    options = {"rank": 2, "alpha": 0.2, "scale_by_hidden_size": scale_by_hidden_size}
    model, folder = saved(tmp_path, "lowrank", "LowrankRNN", **options)
    inputs = inputs.astype(np.float32)
    network = ss.load_network(folder)
    assert network.cell == ss.Cell("tanh", "current", 0.2)
    assert_computes(network, inputs, model(torch.tensor(inputs)).outputs.detach().numpy())


@pytest.mark.usefixtures("neuralrnn")
def test_neuralrnn_models_that_do_not_fit(tmp_path):
    _, folder = saved(tmp_path, "ctrnn", "CTRNN", activation="elu")
    with pytest.raises(ValueError, match="states the activation 'elu', which is not one of tanh"):
        ss.load_network(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "gated_rnn"}))
    with pytest.raises(
        ValueError, match=r"is a gated_rnn; supported neuralrnn models: .*, lowrank_rnn"
    ):
        ss.load_network(folder)


@pytest.mark.usefixtures("neuralrnn")
@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"model_type": "ctrnn"}'])
def test_neuralrnn_configurations_that_are_damaged(tmp_path, content):
    _, folder = saved(tmp_path, "ctrnn", "CTRNN")
    (folder / "config.json").write_text(content)
    with pytest.raises(
        ValueError, match=r"/model.*(damaged|neuralrnn model|Expecting|whose alpha)"
    ):
        ss.load_network(folder)


@pytest.mark.usefixtures("neuralrnn")
def test_a_neuralrnn_state_dict_alone_needs_the_leak(tmp_path, inputs):
    model, _ = saved(tmp_path, "ctrnn", "CTRNN", alpha=0.1)
    with pytest.raises(
        ValueError, match="does not state its leak; give leak=, which is alpha there"
    ):
        ss.load_network(model.state_dict())
    network = ss.load_network(model.state_dict(), leak=0.1)
    assert network.cell == ss.Cell("relu", leak=0.1)
    inputs = inputs.astype(np.float32)
    assert_computes(network, inputs, model(torch.tensor(inputs)).outputs.detach().numpy())


# PsychRNN: x ← (1 - a) x + a (W_rec φ(x) + W_in u + b_rec),  z = W_out φ(x) + b_out


@pytest.fixture
def psychrnn(rng):
    """The entries that PsychRNN 1.0 saves, and those that it saves with Dale's law."""
    return {
        "W_in": rng.standard_normal((N_H, N_X)),
        "W_rec": rng.standard_normal((N_H, N_H)) / N_H,
        "W_out": rng.standard_normal((N_Y, N_H)),
        "b_rec": rng.standard_normal(N_H),
        "b_out": rng.standard_normal(N_Y),
        "init_state": rng.standard_normal((1, N_H)),
        "Dale_rec": np.eye(N_H),
        "Dale_out": np.eye(N_H),
        "input_connectivity": np.ones((N_H, N_X)),
        "rec_connectivity": np.ones((N_H, N_H)),
        "output_connectivity": np.ones((N_Y, N_H)),
        "dale_ratio": np.array(None, object),
        "transfer_function": np.array(print, object),
    }


def test_psychrnn(tmp_path, psychrnn, inputs):
    np.savez(tmp_path / "weights.npz", **psychrnn)
    alpha, relu = 0.1, torch.relu
    w = {name: torch.tensor(a) for name, a in psychrnn.items() if a.dtype != object}
    x, wanted = w["init_state"].repeat(len(inputs), 1), []
    for u in torch.tensor(inputs).unbind(1):
        drive = relu(x) @ w["W_rec"].T + u @ w["W_in"].T + w["b_rec"]
        x = (1 - alpha) * x + alpha * drive
        wanted.append(relu(x) @ w["W_out"].T + w["b_out"])
    found = import_network(tmp_path / "weights.npz", leak=alpha)
    assert found.format == "psychrnn"
    assert found.network.cell == ss.Cell("relu", "current", alpha)
    assert_computes(found.network, inputs, torch.stack(wanted, 1).numpy())
    assert found.ignored["transfer_function"] == "a pickled object, which is never loaded"
    assert found.ignored["rec_connectivity"] == "already applied to the weights"
    assert any("assumed activation='relu'" in note for note in found.notes)
    assert ss.load_network(tmp_path / "weights.npz", leak=0.1, activation="tanh").n_hidden == N_H


def test_psychrnn_does_not_say_its_leak(psychrnn):
    with pytest.raises(
        ValueError, match="does not state its leak; give leak=, which is alpha = dt"
    ):
        ss.load_network(psychrnn)
    with pytest.raises(ValueError, match="states form='current', got form='rate'"):
        ss.load_network(psychrnn, leak=0.1, form="rate")


def test_psychrnn_lstm_has_no_recurrent_matrix(rng):
    gates = {f"W_{gate}": rng.standard_normal((N_H + N_X, N_H)) for gate in "fico"}
    with pytest.raises(ValueError, match=r"has no W_hh and no W_xh .*W_f \(13, 10\)"):
        ss.load_network(gates)


# lowrank_inference: h ← h + a (-h + W r + u wi_full),  r = φ(h),  z = φ(h) wo_full


@pytest.fixture
def lowrank(rng):
    shapes = {"wi": (N_X, N_H), "si": (N_X,), "wo": (N_H, N_Y), "so": (N_Y,), "h0": (N_H,)}
    state = {name: torch.tensor(rng.standard_normal(shape)) for name, shape in shapes.items()}
    return {**state, "b": torch.zeros(N_H, dtype=torch.float64)}


@pytest.mark.parametrize("rank", [None, 2])
def test_lowrank_inference(tmp_path, lowrank, inputs, rng, rank):
    if rank is None:
        lowrank["wrec"] = torch.tensor(rng.standard_normal((N_H, N_H)) / 3)
        W, per = lowrank["wrec"], 1
    else:
        lowrank["m"], lowrank["n"] = torch.tensor(rng.standard_normal((2, N_H, rank)))
        W, per = lowrank["m"] @ lowrank["n"].T / N_H, N_H
    torch.save(lowrank, tmp_path / "net.pt")
    alpha, h, wanted = 0.2, lowrank["h0"].repeat(len(inputs), 1), []
    wi_full, wo_full = (lowrank["wi"].T * lowrank["si"]).T, lowrank["wo"] * lowrank["so"]
    r = torch.tanh(h)
    for u in torch.tensor(inputs).unbind(1):
        h = h + alpha * (-h + r @ W.T + u @ wi_full)
        r = torch.tanh(h)
        wanted.append(r @ wo_full / per)
    found = import_network(tmp_path / "net.pt", leak=alpha)
    assert found.format == "lowrank"
    assert found.network.cell == ss.Cell("tanh", "current", alpha)
    assert_computes(found.network, inputs, torch.stack(wanted, 1).numpy())
    with pytest.raises(ValueError, match="does not state its leak"):
        ss.load_network(tmp_path / "net.pt")


def test_lowrank_inference_that_does_not_fit(lowrank, rng):
    lowrank["wrec"] = torch.tensor(rng.standard_normal((N_H, N_H)))
    with pytest.raises(ValueError, match="has a bias b that is not 0"):
        ss.load_network({**lowrank, "b": torch.ones(N_H)}, leak=0.2)
    del lowrank["b"]
    with pytest.raises(ValueError, match="has wrec but no b, as FullRankRNNScaled saves it"):
        ss.load_network(lowrank, leak=0.2)


# nnRNN: h = φ(U x + h rec),  rec = P (UppT ∘ M + α ∘ D) Pᵀ


def test_nnrnn(inputs, rng):
    basis = torch.linalg.qr(torch.tensor(rng.standard_normal((N_H, N_H))))[0]
    state = {
        "rnn.P": basis,
        "rnn.log_P": torch.zeros(N_H, N_H),
        "rnn.UppT": torch.tensor(rng.standard_normal((N_H, N_H)) / N_H),
        "rnn.U.weight": torch.tensor(rng.standard_normal((N_H, N_X))),
        "lin.weight": torch.tensor(rng.standard_normal((N_Y, N_H))),
        "lin.bias": torch.tensor(rng.standard_normal(N_Y)),
    }
    theta, alpha = rng.uniform(0, 6, N_H), rng.uniform(0.9, 1, N_H // 2)
    state |= {f"rnn.theta_{i}": torch.tensor([t]) for i, t in enumerate(theta)}
    state |= {f"rnn.alpha_{i}": torch.tensor([a]) for i, a in enumerate(alpha)}
    D, blocks = torch.zeros(2, N_H, N_H, dtype=torch.float64)
    for i in range(0, N_H, 2):
        cos, sin = np.cos(theta[i // 2]), np.sin(theta[i // 2])
        D[i : i + 2, i : i + 2] = torch.tensor([[cos, -sin], [sin, cos]])
        blocks[i : i + 2, i : i + 2] = alpha[i // 2]
    rec = basis @ (state["rnn.UppT"].triu(1) + blocks * D) @ basis.T
    h, wanted = torch.zeros(len(inputs), N_H, dtype=torch.float64), []
    for x in torch.tensor(inputs).unbind(1):
        h = torch.tanh(x @ state["rnn.U.weight"].T + h @ rec)
        wanted.append(h @ state["lin.weight"].T + state["lin.bias"])
    found = import_network({"epoch": 3, "state_dict": state})
    assert found.format == "nnrnn"
    assert set(found.ignored) == {"epoch"}
    assert_computes(found.network, inputs, torch.stack(wanted, 1).numpy())
    with pytest.raises(ValueError, match="has the activation modrelu"):
        ss.load_network({**state, "rnn.nonlinearity.b": torch.zeros(N_H)})
