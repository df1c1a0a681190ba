"""TensorFlow's checkpoints: those that TensorFlow writes, and files laid out by the format.

The second are written here from LevelDB's and TensorFlow's descriptions, with a checksum that goes
bit by bit, and share no code with the reader.
"""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import schurscope as ss
from frameworks import framework
from schurscope.importers import import_network
from schurscope.importers.formats.tensorflow import crc32c, read_tensorflow
from tensorflow_files import DTYPES, message, slow_crc32c, write

N_H, N_X, N_Y = 8, 3, 2


@pytest.fixture
def arrays(rng):
    """Yang's names and shapes, and entries of other types."""
    shapes = {"rnn/leaky_rnn_cell/kernel": (N_X + N_H, N_H), "rnn/leaky_rnn_cell/bias": (N_H,)}
    shapes |= {"output/weights": (N_H, N_Y), "output/biases": (N_Y,)}
    return {n: (rng.standard_normal(s) / 3).astype("f4") for n, s in shapes.items()}


def test_checksums(rng):
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C
    for length in [*range(12), 255, 256, 257, 1000, 5000]:
        data = rng.bytes(length)
        assert crc32c(data) == slow_crc32c(data)


@pytest.mark.parametrize("kind", DTYPES)
def test_every_dtype_by_the_format(tmp_path, kind):
    arrays = {f"layer/{i}/w": np.arange(6 * i).reshape(2, 3, i).astype(kind) for i in range(9)}
    found = read_tensorflow(write(tmp_path, arrays | {"step": np.array(3, kind)}), 2**20)
    assert len(found.arrays) == 10
    for name, array in arrays.items():
        wanted = array.astype("f4") if kind == "float16" else array
        np.testing.assert_array_equal(found.arrays[name], wanted)
        assert found.arrays[name].dtype == wanted.dtype
    assert found.arrays["step"] == np.array(3, kind)


HP = {"rnn_type": "LeakyRNN", "activation": "softplus", "dt": 20, "tau": 100, "loss_type": "lsq"}


def yang(arrays, x, phi, psi, leak):
    """The forward pass of multitask's network.py."""
    w = {name: array.astype(float) for name, array in arrays.items()}
    h, outputs = np.zeros((len(x), N_H)), []
    for u in x.swapaxes(0, 1):
        drive = np.concatenate([u, h], 1) @ w["rnn/leaky_rnn_cell/kernel"]
        h = (1 - leak) * h + leak * phi(drive + w["rnn/leaky_rnn_cell/bias"])
        outputs.append(psi(h @ w["output/weights"] + w["output/biases"]))
    return np.stack(outputs, 1)


def softplus(x):
    return np.log1p(np.exp(x))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(("dtype", "tolerance"), [("f4", 1e-6), ("f8", 1e-12)])
def test_multitask(tmp_path, arrays, rng, dtype, tolerance):
    arrays = {name: array.astype(dtype) for name, array in arrays.items()}
    slots = {f"{name}/Adam": array for name, array in arrays.items()}
    path = write(tmp_path, arrays | slots | {"beta1_power": np.float32(0.9)[None]})
    x = rng.standard_normal((4, 12, N_X))
    with pytest.raises(ValueError, match=r"does not state its leak; give leak=, which is dt / tau"):
        ss.load_network(path)
    (tmp_path / "hp.json").write_text(json.dumps(HP))
    for source in (path, tmp_path / "model.ckpt", tmp_path, *tmp_path.glob("*.data-*")):
        found = import_network(source)
        assert found.format == "multitask"
        assert found.network.cell == ss.Cell("softplus", "rate", 0.2, "sigmoid")
        assert set(found.ignored.values()) == {"of the optimiser"}
        assert any("dt / tau = 20 / 100 in hp.json" in note for note in found.notes)
    outputs = found.network.rollout(x.astype(dtype))
    wanted = yang(arrays, x, softplus, sigmoid, 0.2)
    np.testing.assert_allclose(outputs, wanted, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"activation": "power"}, "states the activation 'power', which is not one of"),
        ({"rnn_type": "LeakyGRU"}, "is a LeakyGRU by its hp.json"),
        ({"tau": 10}, r"a leak of \[2\.0\], dt / tau = 20 / 10 in hp\.json"),
        ({"tau": None}, "does not state its leak"),
    ],
)
def test_multitask_that_does_not_fit(tmp_path, arrays, change, told):
    path = write(tmp_path, arrays)
    (tmp_path / "hp.json").write_text(json.dumps({**HP, **change}))
    with pytest.raises(ValueError, match=told):
        ss.load_network(path)


def test_multitask_with_a_softmax(tmp_path, arrays):
    (tmp_path / "hp.json").write_text(json.dumps({**HP, "loss_type": "cross_entropy"}))
    with pytest.warns(UserWarning, match="the outputs are logits"):
        assert ss.load_network(write(tmp_path, arrays)).cell.output == "identity"
    for text in ("{", '{"dt": 1, "dt": 2}', '{"dt": ' + "[" * 10_000, json.dumps("x" * 2**20)):
        (tmp_path / "hp.json").write_text(text)
        with pytest.raises(ValueError, match=r"has a damaged hp\.json"):
            ss.load_network(tmp_path)


def test_a_basic_cell_and_gates(tmp_path, arrays):
    basic = {n.replace("leaky_rnn_cell", "basic_rnn_cell"): a for n, a in arrays.items()}
    assert ss.load_network(write(tmp_path, basic), activation="tanh").cell == ss.Cell("tanh")
    gru = {n.replace("leaky_rnn_cell", "gru_cell/gates"): a for n, a in arrays.items()}
    with pytest.raises(ValueError, match="holds the gates of TensorFlow 1's GRU or LSTM"):
        ss.load_network(write(tmp_path, gru))


def test_variables_of_tensorflow_2_have_keras_names(tmp_path, rng):
    end = "/.ATTRIBUTES/VARIABLE_VALUE"
    shapes = {"l/cell/kernel": (N_X, N_H), "l/cell/recurrent_kernel": (N_H, N_H)}
    shapes |= {"l/cell/bias": (N_H,), "dense/kernel": (N_H, N_Y), "dense/bias": (N_Y,)}
    arrays = {name + end: rng.standard_normal(shape) for name, shape in shapes.items()}
    slot = f"l/cell/kernel/.OPTIMIZER_SLOT/optimizer/m{end}"
    path = write(tmp_path, {**arrays, slot: np.ones((N_X, N_H))})
    found = import_network(path, activation="tanh")
    assert found.format == "keras"
    kernel = arrays["l/cell/recurrent_kernel" + end]
    np.testing.assert_array_equal(found.network.W_hh, kernel.T)
    assert set(found.ignored.values()) == {"of the optimiser"}


def test_damaged_files_are_refused(tmp_path, arrays):
    path = write(tmp_path, arrays)
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    index, content = path.read_bytes(), data.read_bytes()
    for place in range(0, len(index), 7):
        bad = bytearray(index)
        bad[place] ^= 0x55
        path.write_bytes(bad)
        try:
            found = read_tensorflow(path, 2**20)
        except ValueError as error:
            assert "model.ckpt.index" in str(error)  # noqa: PT017 - what nothing reads may change
        else:
            assert set(found.arrays) == set(arrays)
    for length in range(0, len(index), 29):
        path.write_bytes(index[:length])
        with pytest.raises(ValueError, match=r"model\.ckpt\.index is (empty|damaged)"):
            ss.load_network(path)
    path.write_bytes(index)
    data.write_bytes(content[:-1])
    with pytest.raises(ValueError, match=r"index is damaged.*\(truncated\?\)"):
        ss.load_network(path)
    data.write_bytes(content[:-1] + b"\0")
    with pytest.raises(ValueError, match=r"the checksum of rnn/leaky_rnn_cell/kernel differs"):
        ss.load_network(path)
    data.unlink()
    with pytest.raises(
        ValueError, match=r"needs its data, .*model\.ckpt\.data.*, which is missing"
    ):
        ss.load_network(path)


def test_what_would_fill_memory_is_refused(tmp_path, arrays):
    def huge(_name, fields):
        return [(2, message((2, message((1, 2**40))))) if n == 2 else (n, v) for n, v in fields]

    with pytest.raises(ValueError, match=r"\(1099511627776,\) float32 has \d+ bytes"):
        ss.load_network(write(tmp_path, arrays, huge))

    def long(_name, fields):
        return [(n, 2**40 if n == 5 else v) for n, v in fields]

    with pytest.raises(ValueError, match="its variables are larger than its data"):
        ss.load_network(write(tmp_path, arrays, long))


def test_text_and_slices_are_told(tmp_path, arrays):
    def sliced(name, fields):
        return [*fields, (7, b"\x0a\x00")] if name == "output/biases" else fields

    arrays["names"] = np.array(["a", "b"])
    (tmp_path / "hp.json").write_text(json.dumps(HP))
    found = import_network(write(tmp_path, arrays, sliced))
    assert found.ignored == {"names": "text", "output/biases": "a variable in slices"}


WRITER = """
import sys
import numpy as np
import tensorflow.compat.v1 as tf
tf.disable_eager_execution()
with np.load(sys.argv[1]) as arrays, tf.Session() as session:
    made = [tf.get_variable(name.replace(".", "/"), initializer=arrays[name]) for name in arrays]
    half = tf.get_variable("half", initializer=tf.cast(arrays["output.weights"], tf.bfloat16))
    tf.get_variable("text", initializer=tf.constant("words"))
    session.run(tf.global_variables_initializer())
    tf.train.Saver().save(session, sys.argv[2])
"""


def test_files_that_tensorflow_writes(tmp_path, arrays, rng):
    framework("tensorflow")
    arrays["wide"] = rng.standard_normal((40, 30))
    np.savez(tmp_path / "w.npz", **{name.replace("/", "."): a for name, a in arrays.items()})
    # In a process of its own: TensorFlow sets threads and signals for all that comes after.
    run = [sys.executable, "-c", WRITER, str(tmp_path / "w.npz"), str(tmp_path / "model.ckpt")]
    subprocess.run(run, check=True, capture_output=True)
    found = read_tensorflow(tmp_path / "model.ckpt.index", 2**20)
    assert found.skipped == {"text": "text"}
    assert found.narrow == {"half": "bfloat16"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)
    np.testing.assert_allclose(found.arrays["half"], arrays["output/weights"], rtol=2**-8)
    with pytest.warns(UserWarning, match="not part of the imported network: half, wide"):
        network = ss.load_network(tmp_path / "model.ckpt", leak=0.2, activation="softplus")
    x = rng.standard_normal((4, 12, N_X)).astype("f4")
    wanted = yang(arrays, x, softplus, lambda y: y, 0.2)
    np.testing.assert_allclose(network.rollout(x), wanted, rtol=0, atol=1e-6)
