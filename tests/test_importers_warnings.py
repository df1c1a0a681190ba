"""Imports report assumed, omitted and transposed parameters; arguments settle them."""

from __future__ import annotations

import json
import warnings

import h5py
import numpy as np
import pytest
import scipy.io

import reference
import schurscope as ss
from frameworks import framework
from schurscope.importers import import_network

torch = framework("torch")
nn = torch.nn


@pytest.fixture
def own(rng):
    """A network of 6 units under names of one's own, and where they belong."""
    shapes = {"R": (6, 6), "I": (6, 3), "O": (2, 6), "b": (1, 6), "c": (2,), "start": (6,)}
    arrays = {name: rng.standard_normal(shape).astype("f4") for name, shape in shapes.items()}
    return arrays, {"W_hh": "R", "W_xh": "I", "W_hy": "O"}


def told(source, **options):
    """What load_network warns of, which must stand in import_network's notes too."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ss.load_network(source, **options)
    texts = [str(warning.message) for warning in caught]
    assert set(texts) <= set(import_network(source, **options).notes)
    return texts


def test_vectors_that_are_left_out(own):
    arrays, keys = own
    (text,) = told(arrays, keys=keys, activation="tanh")
    assert "fit b_h, b_y or h_0 were left out: b (1, 6), c (2,), start (6,); " in text
    assert "keys={'b_h': 'b', 'b_y': 'c'} (on the command line --key b_h=b --key b_y=c)" in text
    keys |= {"b_h": "b", "b_y": "c"}
    (text,) = told(arrays, keys=keys, activation="tanh")
    assert "left out: start (6,); " in text
    assert "keys={'h_0': 'start'}" in text
    keys["h_0"] = "start"
    assert told(arrays, keys=keys, activation="tanh") == []
    network = ss.load_network(arrays, keys=keys, activation="tanh")
    for part, name in keys.items():
        np.testing.assert_array_equal(getattr(network, part), np.squeeze(arrays[name]))
    without = {**keys, "b_h": None, "h_0": None}
    assert told(arrays, keys=without, activation="tanh") == []
    with pytest.raises(
        ValueError,
        match=r"keys=\{'W_hh': 'R', 'W_xh': …, .*and b_h, b_y and h_0.* h @ W, W_hh is 'R\.T'",
    ):
        ss.load_network(arrays)


def test_an_assumed_activation(tmp_path, own):
    arrays, keys = own
    arrays = {name: arrays[name] for name in "RIO"}
    (text,) = told(arrays, keys=keys)
    assert text.startswith("assumed activation='tanh': the source does not say; give activation=")
    assert told(arrays, keys=keys, activation="relu") == []
    model = nn.ModuleDict({"rnn": nn.RNN(3, 6, nonlinearity="relu"), "out": nn.Linear(6, 2)})
    assert told(model) == []  # the module says it
    torch.save(model.state_dict(), tmp_path / "model.pt")
    assert len(told(tmp_path / "model.pt")) == 1
    ss.load_network(model).save(tmp_path / "net.npz")
    assert told(tmp_path / "net.npz") == []


@pytest.mark.parametrize(
    "entries",
    [{"alpha": 0.2}, {"config": {"tau": 100.0}}, {"Leak": np.float32(0.2)}],
    ids=str,
)
def test_a_leak_that_is_not_used(tmp_path, own, entries):
    arrays, keys = own
    source = {**{name: arrays[name] for name in "RIO"}, **entries}
    name, value = next(iter(entries.items()))
    shown = "config.tau = 100" if name == "config" else f"{name} = {value:g}"
    (text,) = told(source, keys=keys, activation="tanh")
    assert f"assumed leak=1.0, though the source has {shown}, " in text
    assert "give leak=" in text
    assert not any(
        "leak=1.0" in n and "does not say" in n for n in import_network(source, keys=keys).notes
    )
    assert told(source, keys=keys, activation="tanh", leak=0.2) == []
    if name == "config":
        return
    scipy.io.savemat(tmp_path / "net.mat", source)  # where a number is a matrix (1, 1)
    np.savez(tmp_path / "net.npz", **source)
    for path in (tmp_path / "net.mat", tmp_path / "net.npz"):
        assert told(path, keys=keys, activation="tanh") == [text]


@pytest.mark.parametrize("where", ["{}", "config.{}"])
def test_dt_and_tau_are_the_leak(tmp_path, own, where):
    arrays, keys = own
    source = {name: arrays[name] for name in "RIO"}
    source |= {where.format("dt"): np.float64(20), where.format("tau"): np.float64(100)}
    np.savez(tmp_path / "net.npz", **source)
    shown = f"leak=0.2, which is {where.format('dt')} / {where.format('tau')} = 20 / 100; give"
    for given in (source, tmp_path / "net.npz"):
        (text,) = told(given, keys=keys, activation="tanh")
        assert text.startswith(shown)
        assert import_network(given, keys=keys).network.cell.leak == 0.2
    assert told(source, keys=keys, activation="tanh", leak=0.2) == []
    (text,) = told(source, keys=keys, activation="tanh", leak=0.5)
    assert text.startswith("got another leak, although the source has")


def test_an_optimisers_alpha_is_no_leak(own):
    arrays, keys = own
    source = {**{name: arrays[name] for name in "RIO"}, "opt": {"param_groups": [{"alpha": 0.99}]}}
    assert told(source, keys=keys, activation="tanh") == []


def test_transposed_matrices(own, rng):
    arrays, keys = own
    rows = {name: arrays[name].T for name in "RIO"}
    match = (
        r"W_xh \(3, 6\) and W_hy \(6, 2\) fit only transposed.*'W_xh': 'I\.T', 'W_hy': 'O\.T'\} .*"
        r"--key W_xh=I\.T --key W_hy=O\.T\).*W_hh.* if states are rows there, h @ W, it is 'R\.T'"
    )
    with pytest.raises(ValueError, match=match):
        ss.load_network(rows, keys=keys)
    match = r"W_xh \(3, 6\) fits only transposed.*Name it keys=\{'W_xh': 'I\.T'\}"
    with pytest.raises(ValueError, match=match):
        ss.load_network({**rows, "O": arrays["O"]}, keys={**keys, "W_hh": "R + 0"})
    keys = {part: f"{name}.T" for part, name in keys.items()}
    network = ss.load_network(rows, keys=keys, activation="tanh")
    inputs = rng.standard_normal((4, 9, 3))
    h, wanted = np.zeros((4, 6)), []
    for x in inputs.swapaxes(0, 1):
        h = np.tanh(x @ rows["I"] + h @ rows["R"])
        wanted.append(h @ rows["O"])
    outputs = network.astype("float64").rollout(inputs)
    np.testing.assert_allclose(outputs, np.stack(wanted, 1), rtol=0, atol=1e-12)
    assert import_network(rows, keys=keys).mapped["W_hh"] == "Rᵀ"
    # An entry that is called so is meant itself.
    called = {**rows, "R.T": arrays["R"]}
    again = ss.load_network(called, keys=keys, activation="tanh")
    np.testing.assert_array_equal(again.W_hh, network.W_hh)
    assert import_network(called, keys=keys).mapped["W_hh"] == "R.T"
    # What is transposed by its name is then as it stands.
    kernels = {"a.kernel": arrays["R"], "b.kernel": arrays["I"], "c.kernel": arrays["O"]}
    named = {"W_hh": "a.kernel.T", "W_xh": "b.kernel.T", "W_hy": "c.kernel.T"}
    same = ss.load_network(kernels, keys=named, activation="tanh")
    np.testing.assert_array_equal(same.W_xh, arrays["I"])


def test_one_layer_of_several_with_its_own_biases(rng):
    model = nn.ModuleDict({"rnn": nn.RNN(3, 6, num_layers=2), "out": nn.Linear(6, 2)}).double()
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"Choose one with layer='rnn\.l0' or layer='rnn\.l1'"):
        ss.load_network(model)
    found = import_network(model, keys={"W_hh": "rnn.weight_hh_l1"})
    assert found.mapped["b_h"] == "rnn.bias_ih_l1 + rnn.bias_hh_l1"
    assert found.ignored["rnn.bias_hh_l0"] == "of another layer or direction"
    assert told(model, keys={"W_hh": "rnn.weight_hh_l1"}) == []
    x = torch.tensor(rng.standard_normal((9, 4, 3)))
    below = nn.RNN(3, 6).double()
    below.load_state_dict({k: v for k, v in model["rnn"].state_dict().items() if k[-1] == "0"})
    with torch.no_grad():
        inputs, wanted = below(x)[0], model["out"](model["rnn"](x)[0])
    outputs = found.network.rollout(inputs.swapaxes(0, 1))
    np.testing.assert_allclose(outputs, wanted.swapaxes(0, 1), rtol=0, atol=1e-12)
    first = {"W_hh": "rnn.weight_hh_l0"}
    with pytest.raises(
        ValueError, match=r"may belong \(rnn\.weight_hh_l1\); name the readout of this one"
    ):
        ss.load_network(model, keys=first)
    states = ss.load_network(model, keys={**first, "W_hy": np.eye(6)})
    np.testing.assert_array_equal(states.b_h, state["rnn.bias_ih_l0"] + state["rnn.bias_hh_l0"])
    np.testing.assert_allclose(states.rollout(x.swapaxes(0, 1)), inputs.swapaxes(0, 1), atol=1e-12)


def test_given_arrays(own):
    arrays, keys = own
    keys |= {"b_h": None, "b_y": None}
    for shape in ((6,), (1, 6), (1, 1, 6)):
        start = np.arange(6.0).reshape(shape)
        network = ss.load_network(arrays, keys={**keys, "h_0": start}, activation="tanh")
        assert network.dtype == np.float32
        np.testing.assert_array_equal(network.h_0, np.arange(6))
    for wrong in (np.zeros(5), np.ones((2, 6))):
        with pytest.raises(ValueError, match=r"h_0 must have shape \(6,\)"):
            ss.load_network(arrays, keys={**keys, "h_0": wrong})
    assert ss.load_network(arrays, keys={**keys, "h_0": np.zeros(6)}, activation="tanh").h_0 is None
    for bad, message in (
        ("R", "keys must be a dictionary such as .*got 'R'"),
        (["R"], "keys must be a dictionary"),
        ({**keys, "h_0": 3.0}, r"keys\['h_0'\] must be the name of an entry, .*, got 3\.0"),
        ({**keys, "W_hh": None}, r"keys\['W_hh'\] must not be None"),
    ):
        with pytest.raises(TypeError, match=message):
            ss.load_network(arrays, keys=bad)


def test_names_without_underscores(own):
    arrays, _ = own
    names = {"Wrec": "R", "Win": "I", "Wout": "O", "brec": "b", "bout": "c"}
    own = {n: arrays[a] for n, a in names.items()}
    network = ss.load_network(own, activation="tanh", form="rate", leak=1)
    x = np.random.default_rng(1).standard_normal((2, 5, 3))
    plain = ss.Network(arrays["R"], arrays["I"], arrays["O"], arrays["b"][0], arrays["c"])
    wanted = reference.cell_rollout(plain, x)[0]
    np.testing.assert_allclose(network.rollout(x), wanted, rtol=0, atol=1e-6)


def test_fields_of_a_matlab_struct(tmp_path, own):
    arrays, _ = own
    names = {"W_hh": "R", "W_xh": "I", "W_hy": "O", "b_h": "b", "b_y": "c", "h_0": "start"}
    fields = {name: arrays[source] for name, source in names.items()}
    scipy.io.savemat(tmp_path / "net.mat", {"model": {"net": fields, "leak": 0.5}})
    found = import_network(tmp_path / "net.mat", activation="relu")
    assert found.mapped["W_hh"] == "model.net.W_hh"
    assert any("model.leak = 0.5" in note for note in found.notes)
    for name, array in fields.items():
        np.testing.assert_array_equal(getattr(found.network, name), np.squeeze(array))


def test_fields_of_a_matlab_struct_of_version_7_3(tmp_path, own):
    """HDF5 after 512 bytes of MATLAB's own: structs are groups, and columns stand first."""
    arrays, _ = own
    fields = {"W_hh": arrays["R"], "W_xh": arrays["I"], "W_hy": arrays["O"]}
    with h5py.File(tmp_path / "net.mat", "w", userblock_size=512) as file:
        for name, array in fields.items():
            file[f"model/net/{name}"] = array.T
    with open(tmp_path / "net.mat", "r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    found = import_network(tmp_path / "net.mat", activation="relu")
    assert found.mapped["W_hh"] == "model/net/W_hh"
    for name, array in fields.items():
        np.testing.assert_array_equal(getattr(found.network, name), array)


def test_what_is_no_network_is_told_how_to_become_one(tmp_path, own, trials):
    arrays, _ = own
    model = nn.RNN(3, 6)
    torch.save(model.state_dict(), tmp_path / "model.pt")
    (tmp_path / "net.json").write_text(json.dumps({"W_hh": [[1.0]]}))
    np.savez(tmp_path / "net.npz", **arrays)
    for source in (str(tmp_path / "model.pt"), model):
        with pytest.raises(
            TypeError, match=r"must be a schurscope\.Network, .*use ss\.load_network"
        ):
            ss.ablate(source, trials)
    for name in ("model.pt", "net.json", "net.npz"):
        with pytest.raises(ValueError, match=r"schurscope\.load_network reads networks trained"):
            ss.Network.load(tmp_path / name)
    whole = (tmp_path / "model.pt").read_bytes()
    (tmp_path / "model.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"model\.pt is damaged.*\(truncated\?\)"):
        ss.load_network(tmp_path / "model.pt")


def with_moments(arrays, style):
    """The arrays with two moments of each, as optimisers are saved in various places."""
    return arrays | {
        style.format(name=name, moment=moment): np.ones_like(array)
        for name, array in arrays.items()
        for moment in ("m", "v")
    }


@pytest.mark.parametrize(
    "style", ["adam.{moment}.{name}", "{name}/{moment}", "{moment}_{name}", "{name}_{moment}"]
)
def test_moments_are_never_proposed(rng, style):
    names = {"W_hh": (6, 6), "W_xh": (6, 3), "W_hy": (2, 6), "extra": (6,)}
    arrays = with_moments({name: rng.standard_normal(s) for name, s in names.items()}, style)
    found = import_network(arrays, activation="tanh")
    assert [name for name, why in found.ignored.items() if why != "of the optimiser"] == ["extra"]
    (text,) = told(arrays, activation="tanh")
    assert "left out: extra (6,); " in text
    own = with_moments({"R": arrays["W_hh"], "w_in": arrays["W_xh"].T}, style)
    with pytest.raises(
        ValueError,
        match=r"it holds R \(6, 6\), w_in \(3, 6\)\. Name the entries "
        r"with keys=\{'W_hh': 'R', 'W_xh': 'w_in\.T', 'W_hy': …\}",
    ):
        ss.load_network(own)


def test_moments_of_known_optimisers(rng):
    kernel = rng.standard_normal((6, 6))
    slots = [
        *("rnn/kernel/Adam", "rnn/kernel/Adam_1", "beta1_power", "opt_state.0.mu.params.kernel"),
        *("x/.OPTIMIZER_SLOT/optimizer/m", "optimizer/vars/1", "exp_avg.W", "Adam/rnn/kernel/m:0"),
    ]
    found = import_network(
        {"W_hh": kernel, "W_xh": kernel, "W_hy": kernel, **dict.fromkeys(slots, kernel)}
    )
    assert found.ignored == dict.fromkeys(slots, "of the optimiser")


def test_low_rank_factors_are_no_moments(rng):
    m, n = rng.standard_normal((2, 6, 2))
    arrays = {"m": m, "n": n, "v": np.ones((6, 6))}
    keys = {"W_hh": "m @ n.T", "W_xh": "v", "W_hy": "v"}
    network = ss.load_network(arrays, keys=keys, activation="tanh")
    np.testing.assert_array_equal(network.W_hh, m @ n.T)


def test_low_rank_factors_are_proposed(rng):
    m, n = rng.standard_normal((2, 6, 2))
    arrays = {"net.m": m, "net.n": n, "net.w_in": np.ones((3, 6)), "net.w_out": np.ones((6, 2))}
    told = (
        r"'W_hh': 'net\.m @ net\.n\.T / n_h', 'W_xh': 'net\.w_in\.T', 'W_hy': 'net\.w_out\.T'.* "
        r"Leave out / n_h if its code does not divide"
    )
    with pytest.raises(ValueError, match=told):
        ss.load_network(arrays)
    with pytest.raises(ValueError, match=r"'W_hh': 'net\.m @ net\.n / n_h'"):
        ss.load_network({**arrays, "net.n": n.T})


SCALES = {
    "number": ({"w_out_scale": 4.23}, "w_out_scale = 4.23", "(w_out * w_out_scale).T"),
    "array": ({"w_out_scale": np.array([4.23])}, "w_out_scale = 4.23", "(w_out * w_out_scale).T"),
    "row": ({"scale_w_out": np.array([[2.0, 3.0]])}, "scale_w_out", "(w_out * scale_w_out).T"),
    "odd": ({"w_out scale": np.array(4.0)}, "w_out scale = 4", "… * 'w_out scale'"),
    "units": ({"I_gain": np.arange(6.0)}, "I_gain (6,)", "diag(I_gain) @ I"),
    "elsewhere": ({"gain": 1.5}, "gain = 1.5", "… * gain"),
}


@pytest.mark.parametrize("kind", SCALES)
def test_a_scale_is_not_left_out_in_silence(own, kind):
    scale, shown, product = SCALES[kind]
    arrays, _ = own
    source = {"R": arrays["R"], "I": arrays["I"], "w_out": arrays["O"].T, **scale}
    keys = {"W_hh": "R", "W_xh": "I", "W_hy": "w_out.T"}
    (text,) = told(source, keys=keys, activation="tanh")
    assert text.startswith(shown)
    assert "was not used; if " in text
    part = "W_xh" if kind == "units" else "W_hy"
    assert f"keys={{{part!r}: {product!r}}}" in text
    if "…" in product:
        product = product.replace("…", "w_out.T")
    network = ss.load_network(source, keys={**keys, part: product}, activation="tanh")
    ((_, value),) = scale.items()
    wanted = (
        arrays["I"] * value[:, None]
        if kind == "units"
        else arrays["O"] * np.reshape(value, (-1, 1))
    )
    np.testing.assert_allclose(getattr(network, part), wanted, rtol=1e-6)
    assert told(source, keys={**keys, part: product}, activation="tanh") == []


def test_a_scale_of_1_changes_nothing(own):
    arrays, keys = own
    source = {**{name: arrays[name] for name in "RIO"}, "O_scale": np.ones(1, "f4")}
    assert told(source, keys=keys, activation="tanh") == []
    assert "O_scale" in import_network(source, keys=keys).ignored


def test_a_scale_is_no_bias(own):
    arrays, keys = own
    one = {
        "R": arrays["R"],
        "I": arrays["I"],
        "O": arrays["O"][:1],
        "O_scale": np.full(1, 2.0, "f4"),
    }
    (text,) = told({**one, "taus_gaus": np.ones(6)}, keys=keys, activation="tanh")
    assert "b_y" not in text
    assert "'O * O_scale'" in text
    (text,) = told(
        {**one, "O_scale": np.ones(1), "b_out": np.ones(1)}, keys=keys, activation="tanh"
    )
    assert "keys={'b_y': 'b_out'}" in text
