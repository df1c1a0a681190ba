"""Shapes and counts, made to harm, of arrays under the names of known projects."""

from __future__ import annotations

import json
import pickle

import msgpack
import numpy as np
import pytest
import safetensors.numpy

import schurscope as ss
from schurscope.importers import import_network
from test_importers_hostile import refused_cheaply

LONG = 60_000
"""A column of this length and a row of it make a matrix of 14 GB."""


def zeros(**shapes):
    return {name.replace("__", "."): np.zeros(shape, "f4") for name, shape in shapes.items()}


NEURALRNN = {"h2h__weight": (6, 6), "input2h__weight": (6, 3), "readout_layer__weight": (2, 6)}
LOWRANK = {"m": (6, 1), "n": (6, 1), "wi": (1, 6), "si": 1, "wo": (6, 1), "so": 1}
SPIKERNN = {"w": (6, 6), "m": (6, 6), "som_m": (6, 6), "w_in": (6, 1), "w_out": (1, 6), "taus": 1}
ABSURD = {
    "wider input": (LOWRANK | {"wi": (1, LONG), "si": LONG}, "has a factor of shape (60000,)"),
    "wider readout": (LOWRANK | {"wo": (LONG, 1), "so": LONG}, "has a factor of shape (60000,)"),
    "wider masks": (
        SPIKERNN | {"w": (LONG, 1), "m": (1, 1), "som_m": (1, LONG)},
        "has a factor of shape (1, 60000) for an array of shape (60000, 1)",
    ),
    "stacks": (
        SPIKERNN | {"w": (9, LONG, 1), "m": (9, 1, LONG), "som_m": 1},
        "the product of (9, 60000, 1) and (9, 1, 60000), which are no matrices",
    ),
    "smc_rnns": (
        {"m": (6, 1), "n": (1, 6), "w_inp": (LONG, 1), "w_inp_scale": LONG, "w_out": (6, 1)}
        | {"w_out_scale": 1},
        "has a factor of shape (60000,) for an array of shape (60000, 1)",
    ),
    "triangle": (
        {"P": LONG, "UppT": LONG, "theta_0": 1, "alpha_0": 1, "U__weight": (3, 3)},
        "has P (60000,) and UppT (60000,), expected two square matrices",
    ),
    "recurrent mask": (
        NEURALRNN | {"h2h__weight": (LONG, 1), "rec_mask": (1, LONG)},
        "has a factor of shape (1, 60000)",
    ),
    "output mask": (
        NEURALRNN | {"readout_layer__weight": (LONG, 1), "out_mask": (LONG, 1)},
        "has a factor of shape (1, 60000)",
    ),
    "padding": (
        NEURALRNN | {"h2h__weight": (3000, 3000), "readout_layer__weight": (10**6, 1)},
        "needs the product of (1000000, 1) and (1, 3000), too large for a file of",
    ),
}


@pytest.mark.parametrize("case", ABSURD)
def test_no_small_file_makes_large_arrays(tmp_path, case):
    shapes, told = ABSURD[case]
    np.savez_compressed(path := tmp_path / "net.npz", **zeros(**shapes))
    refused_cheaply(path, told)


def test_the_identity_is_added_to_square_matrices_only(tmp_path):
    config = {"model_type": "ctrnn", "alpha": 0.5, "nonlinearity_mode": "post_blend"}
    (tmp_path / "config.json").write_text(json.dumps(config | {"activation": "relu"}))
    weights = zeros(**NEURALRNN | {"h2h__weight": (LONG, 1)})
    safetensors.numpy.save_file(weights, tmp_path / "model.safetensors")
    refused_cheaply(tmp_path, "has a recurrent matrix of shape (60000, 1), which is not square")
    tree = {"i": {"kernel": np.zeros((3, 1))}, "h": {"kernel": np.zeros((1, LONG))}}
    readout = {"kernel": np.zeros((LONG, 1))}
    with pytest.raises(ValueError, match=r"recurrent matrix of shape \(60000, 1\), which is not"):
        ss.load_network({"cell": tree, "dense": readout}, residual=True)


@pytest.mark.parametrize("mode", ["pre_activation", "post_blend"])
def test_neuralrnn_without_its_recurrent_matrix(tmp_path, rng, mode):
    config = {"model_type": "ctrnn", "alpha": 0.5, "nonlinearity_mode": mode, "activation": "relu"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    names = {**NEURALRNN, "dale_mask": (6, 6), "other": NEURALRNN["h2h__weight"]}
    weights = {name: rng.standard_normal(a.shape) for name, a in zeros(**names).items()}
    del weights["h2h.weight"]
    safetensors.numpy.save_file(weights, tmp_path / "model.safetensors")
    told = "has no W_hh" if mode == "pre_activation" else "needs h2h.weight to compute W_hh"
    with pytest.raises(ValueError, match=told):
        ss.load_network(tmp_path)
    if mode == "pre_activation":
        with pytest.warns(UserWarning, match="not part of the imported network: dale_mask"):
            network = ss.load_network(tmp_path, keys={"W_hh": "other"})
        np.testing.assert_array_equal(network.W_hh, weights["other"])


def test_products_of_expressions_are_bounded(tmp_path):
    arrays = zeros(a=(5000, 5000), W_xh=(5000, 1), W_hy=(1, 5000))
    np.savez_compressed(path := tmp_path / "net.npz", **arrays)
    with pytest.raises(ValueError, match=r"net\.npz needs the product of .*, too large for a file"):
        ss.load_network(path, keys={"W_hh": "a @ a"})


def test_unused_vectors_are_kept_as_vectors(tmp_path):
    """Of thousands of networks that they could make, none is made before a reference disagrees."""
    arrays = zeros(W_hh=(9, 9), W_xh=(9, 1), W_hy=(1, 9), **{f"v{i}": 9 for i in range(3000)})
    np.savez_compressed(path := tmp_path / "net.npz", **arrays)
    variants = import_network(path).variants
    assert len(variants) == 100
    assert all(vector.shape == (9,) for _, make in variants for vector in make().values())


SHAPE = (2**62,) * 100_000
"""Multiplying these lengths takes long."""


def test_absurd_shapes_of_pickles_and_messagepack(tmp_path):
    class Absurd:
        def __reduce__(self):
            state = (1, SHAPE, np.dtype("f8"), False, b"")
            return (*np.zeros(1).__reduce__()[:2], state)

    (tmp_path / "net.pkl").write_bytes(pickle.dumps({"a": Absurd()}))
    refused_cheaply(tmp_path / "net.pkl", "an array of 100000 axes")
    content = msgpack.ExtType(1, msgpack.packb((SHAPE, "float64", b"")))
    (tmp_path / "net.msgpack").write_bytes(msgpack.packb({"a": content}))
    refused_cheaply(tmp_path / "net.msgpack", "an array of 100000 axes")
