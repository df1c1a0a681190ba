"""Calls of the public API with one or two arguments replaced by absurd ones."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

import schurscope as ss

_TASK = ss.tasks.FlipFlop(n_steps=6)
_NETWORK = ss.init_network(_TASK, 8, rng=0)
_TRIALS = _TASK.trials(5, rng=1)
_SCHUR = ss.ordered_schur(_NETWORK.W_hh)
_GRU = ss.init_network(_TASK, 8, rng=0, cell="gru")
_PARTS = {name: getattr(_NETWORK, name) for name in ("W_hh", "W_xh", "W_hy", "b_h", "b_y")}

# Arguments whose largest values would only take long, such as epochs, are not among these.
CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "Network": (ss.Network, {**_PARTS, "h_0": np.zeros(8), "cell": ss.Cell()}),
    "Cell": (
        ss.Cell,
        {"activation": "tanh", "form": "current", "leak": 0.5, "noise": 0.1, "readout": "hidden"},
    ),
    "Trials": (ss.Trials, {"inputs": _TRIALS.inputs, "targets": _TRIALS.targets, "weights": None}),
    "ablate": (
        ss.ablate,
        {
            "network": _NETWORK,
            "trials": _TRIALS,
            "alpha": 0.9,
            "ablations": ["CR", "RR+CC"],
            "measure": "fvu",
            "n_threads": 1,
            "order": "modulus",
            "strict": False,
        },
    ),
    "ablate_with": (
        ss.ablate_with,
        {"W": _NETWORK.W_hh, "evaluate": lambda _: np.ones(3), "alpha": 0.5, "measure": "score"},
    ),
    "ablate_gates": (
        ss.ablate_with,
        {
            "W": {"r": _NETWORK.W_hh, "n": _NETWORK.W_hh},
            "evaluate": lambda _: np.ones(3),
            "ablations": ["n:CR", "r:CR,n:CC"],
            "schur": None,
        },
    ),
    "Ablation.of": (ss.Ablation.of, {"name": "r:CR", "sectors": {"r": _SCHUR.sectors(0.5)}}),
    "jacobians": (
        ss.jacobians,
        {"network": _NETWORK, "inputs": _TRIALS.inputs, "h_0": None, "n_states": 3, "alpha": 0.9},
    ),
    "fixed_points": (
        ss.fixed_points,
        {
            "network": _GRU,
            "inputs": np.zeros((1, 3)),
            "starts": np.zeros((2, 8)),
            "spread": 0.1,
            "tolerance": 1e-20,
            "distance": 1e-6,
            "max_evaluations": 50,
        },
    ),
    "ordered_schur": (ss.ordered_schur, {"W": _NETWORK.W_hh, "order": "modulus", "leak": None}),
    "sectors": (_SCHUR.sectors, {"alpha": 0.9}),
    "Ablation": (ss.Ablation, {"name": "a", "rectangles": ((0, 2, 1, 3),), "gains": (0.5,)}),
    "rollout": (_NETWORK.rollout, {"inputs": _TRIALS.inputs, "h_0": None, "n_threads": 1}),
    "load_network": (ss.load_network, {"source": _PARTS, "keys": {}, "leak": 0.5, "dtype": None}),
    "gated": (
        lambda **arrays: ss.load_network({f"rnn.{name}": a for name, a in arrays.items()}),
        {
            "weight_hh_l0": np.zeros((24, 8)),
            "weight_ih_l0": np.zeros((24, 3)),
            "bias_ih_l0": np.zeros(24),
            "bias_hh_l0": np.zeros(24),
            "weight": np.zeros((2, 8)),
        },
    ),
    "tree": (lambda tree: ss.load_network({**_PARTS, "more": tree}), {"tree": {"a": [1.0]}}),
    "init_network": (
        ss.init_network,
        {"task": _TASK, "n_hidden": 8, "recurrent": "orthogonal", "rng": 0, "dtype": "float32"},
    ),
    "FlipFlop": (ss.tasks.FlipFlop, {"n_steps": 4}),
    "trials": (_TASK.trials, {"n_trials": 3, "rng": 1, "dtype": "float64"}),
    "with_weights": (_TRIALS.with_weights, {"weights": np.ones((5, 6))}),
    "with_targets": (_TRIALS.with_targets, {"targets": _TRIALS.targets}),
    "verify": (ss.verify, {"network": _NETWORK, "inputs": _TRIALS.inputs, "outputs": np.ones(3)}),
    "tie_spread": (ss.tie_spread, {"network": _NETWORK, "trials": _TRIALS, "alpha": 0.9, "rng": 0}),
    "cut_curve": (ss.cut_curve, {"network": _NETWORK, "trials": _TRIALS, "level": 0.9, "rng": 0}),
    "atlas": (
        ss.atlas,
        {"network": _NETWORK, "trials": _TRIALS, "alpha": 0.9, "tolerance": 0.1, "rng": 0},
    ),
    "account": (ss.account, {"network": _NETWORK, "trials": _TRIALS, "tolerance": 0.1, "rng": 0}),
    "dose": (ss.dose, {"network": _NETWORK, "trials": _TRIALS, "gains": [0.0], "alpha": 0.9}),
    "subset_game": (
        ss.subset_game,
        {"network": _NETWORK, "trials": _TRIALS, "groups": {"a": "CR", "b": "CC"}, "level": 0.9},
    ),
    "null": (
        ss.null,
        {
            "profile": ss.ablate(_NETWORK, _TRIALS),
            "network": _NETWORK,
            "trials": _TRIALS,
            "ablations": ["CR"],
            "error_rate": 0.1,
        },
    ),
    "Sweep": (ss.Sweep, {"tasks": [_TASK], "widths": [8], "seeds": 2, "alphas": [0.9]}),
}

_NUMBERS = (0, 1, -1, 2, 3, 2**31, 2**63, 10**30, 10**400, 0.0, -0.0, 0.5, 1.5, 1e300, 5e-324)
_OTHERS = (None, True, "", "full", "CR", "\x1b[2J", b"raw", [], {}, (), set(), object(), ...)
_DTYPES = ("f8", "f4", "f2", "i8", "u8", "?", "c16", "O", "U3", "M8[s]", "V4", ">f8", "g")
_VALUES = (0.0, 1.0, -1.0, np.nan, np.inf, 1e300, 1e-300, 5e-324, 1e38, 2.0**53)


def call(random: Random) -> tuple[str, Callable[[], Any]]:
    """The name of a function, and a call of it."""
    name = random.choice(list(CALLS))
    function, arguments = CALLS[name]
    arguments = dict(arguments)
    for _ in range(random.choice((1, 1, 2))):
        changed = random.choice(list(arguments))
        arguments[changed] = _absurd(arguments[changed], random)
    return name, lambda: function(**arguments)


def _absurd(given: object, random: Random) -> object:
    if isinstance(given, np.ndarray) and given.dtype.kind == "f" and random.random() < 0.7:
        return _array_like(given, random)
    if isinstance(given, (list, tuple)) and given and random.random() < 0.5:
        return [*given, _absurd(given[0], random)]
    choice = random.randrange(4)
    if choice == 0:
        return random.choice(_NUMBERS)
    if choice == 1:
        return random.choice((float("nan"), float("inf"), np.float32(0.1), np.int8(3), 1j))
    if choice == 2:
        return random.choice(_OTHERS)
    return _array_like(np.ones((2, 3)), random)


def _array_like(given: np.ndarray, random: Random) -> object:
    made = given.astype(np.float64)
    for _ in range(random.randrange(3)):
        chosen = np.random.default_rng(random.randrange(99)).random(made.shape) < 0.2
        made = np.where(chosen, random.choice(_VALUES), made)
    change = random.randrange(9)
    if change == 0:
        made = made * random.choice(_VALUES)
    elif change == 1:
        made = made[..., None] if random.random() < 0.5 else made[:0]
    elif change == 2:
        made = made[::-1].T
    elif change == 3:
        made = made[: random.randrange(len(made) + 1)]
    elif change == 4:
        return made.tolist()
    elif change == 5:
        return np.ma.masked_invalid(made)
    elif change == 6:
        return np.broadcast_to(made[..., :1], made.shape)
    if random.random() < 0.3:
        with np.errstate(all="ignore"):
            return made.astype(random.choice(_DTYPES))
    return made
