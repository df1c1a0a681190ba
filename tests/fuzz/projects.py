"""Small files of research projects' networks, with the arrays' names and shapes in their code."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np

N_H, N_X, N_Y, RANK = 6, 3, 2, 2

_NETWORKS: dict[str, dict[str, tuple[int, ...]]] = {
    "lowrank": {
        "m": (N_H, RANK),
        "n": (N_H, RANK),
        "wi": (N_X, N_H),
        "si": (N_X,),
        "wo": (N_H, N_Y),
        "so": (N_Y,),
        "h0": (N_H,),
    },
    "spikernn": {
        "w": (N_H, N_H),
        "m": (N_H, N_H),
        "som_m": (N_H, N_H),
        "w_in": (N_H, N_X),
        "w_out": (N_Y, N_H),
        "b_out": (N_Y,),
        "taus": (2,),
        "taus_gaus": (N_H,),
    },
    "nnrnn": {
        "P": (N_H, N_H),
        "UppT": (N_H, N_H),
        "U.weight": (N_H, N_X),
        "U.bias": (N_H,),
        **{f"{angle}_{i}": (1,) for angle in ("theta", "alpha") for i in range(N_H // 2)},
        "V.weight": (N_Y, N_H),
    },
    "masks": {
        "h2h.weight": (N_H, N_H),
        "input2h.weight": (N_H, N_X),
        "readout_layer.weight": (2, 4),
        "rec_mask": (N_H, N_H),
        "dale_mask": (N_H, N_H),
        "in_mask": (N_X, N_H),
    },
    "pycog": {
        "Wrec": (N_H, N_H),
        "Win": (N_H, N_X),
        "Wout": (N_Y, N_H),
        "x0": (N_H,),
        "dt": (),
        "tau": (N_H,),
        "threshold": (),
    },
    "vi_rnn": {
        "transition.m": (N_H, RANK),
        "transition.n": (RANK, N_H),
        "transition.h": (N_H,),
        "transition.decay_param": (),
        "transition.Wu": (N_H, N_X),
        "initial_state": (RANK,),
        "observation.B": (N_H, N_Y),
        "observation.Bias": (1, N_Y),
    },
    "smc_rnns": {
        "m": (N_H, RANK),
        "n": (RANK, N_H),
        "w_inp": (N_X, N_H),
        "w_inp_scale": (N_X, 1),
        "w_out": (N_H, N_Y),
        "w_out_scale": (N_Y,),
        "taus_gaus": (N_H,),
    },
}
"""Kind → its arrays."""

WITHOUT_LEAK = {"lowrank", "masks"}
"""Kinds that do not state it."""

MULTITASK = {
    "rnn/leaky_rnn_cell/kernel": (N_X + N_H, N_H),
    "rnn/leaky_rnn_cell/bias": (N_H,),
    "output/weights": (N_H, N_Y),
    "output/biases": (N_Y,),
}
"""The variables in TensorFlow's checkpoint."""

_HP = {"rnn_type": "LeakyRNN", "activation": "softplus", "loss_type": "lsq", "dt": 20, "tau": 100}


def write_projects(folder: Path, rng: np.random.Generator) -> None:
    """Write a file of each project under its name, and the settings that some have beside it."""
    for kind, shapes in _NETWORKS.items():
        with open(folder / kind, "wb") as stream:
            arrays = {name: 1 + rng.random(shape) for name, shape in shapes.items()}
            np.savez(stream, **arrays | ({"dt": 0.1} if "dt" in shapes else {}))
    settings = {"dt": 1.0, "tau_lims": [10.0, 20.0], "nonlinearity": "relu", "project_taus": "exp"}
    (folder / "smc_rnns pickle").write_bytes(pickle.dumps(settings))
    (folder / "tensorflow json").write_text(json.dumps(_HP))
    brain = {
        "W_rec": (N_H, N_H),
        "W_inp": (N_H, N_X),
        "W_out": (N_Y, N_H),
        "y_init": (N_H,),
        "bias_rec": (N_H,),
    }
    numbers = {name: rng.standard_normal(shape).tolist() for name, shape in brain.items()}
    cell = {"activation_args": {"name": "relu", "slope": 0.5}, "dt": 1, "tau": 10, "gamma": 0}
    (folder / "trainrnnbrain").write_text(json.dumps(numbers | cell))
