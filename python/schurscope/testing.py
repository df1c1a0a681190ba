"""Networks whose answers are known, to test what builds on schurscope.

A `KnownNetwork` needs one of its couplings and not the others, by construction: its Schur form, the
effect of every ablation and the reason why a coupling is harmless follow from pencil and paper::

    from schurscope import ablate, testing

    known = testing.known_network("CR")
    profile = ablate(known.network, known.trials)
    assert abs(profile["CR"].change - known.loss) < 1e-9
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ._internal.checks import Rng, choice
from ._internal.frozen import ReadOnly
from .networks.cell import Cell
from .networks.network import Network
from .trials.trials import Trials

__all__ = ["KnownNetwork", "known_network"]

# At the usual alpha of 0.9 the first four lie in R. All differ, so that T is unique up to signs.
_EIGENVALUES = (0.90, 0.88, 0.86, 0.84, 0.60, 0.50, 0.40, 0.30, 0.20, 0.10)
_N_R = 4
# The only entries of N, (to, from), none of which feeds another.
_ENTRIES = {"RR": (0, 1), "CR": (2, 4), "CC": (5, 6)}


@dataclass(frozen=True)
class KnownNetwork(ReadOnly):
    """A network, its trials, and what an analysis of them must find."""

    network: Network
    """Identity activation, N_h = 10, one input, one output."""
    trials: Trials
    """Their targets are the network's own outputs, so that its FVU is 0."""
    T: NDArray[np.float64]
    """(10, 10): W_hh = Q T Qᵀ, in modulus order; the signs of N may come out otherwise."""
    n_R: int
    """Dimensions of R at alpha = 0.9."""
    needed: str
    """The coupling, RR, CR or CC, that carries all of the output."""
    loss: float
    """FVU without it; the FVU without any of the others is 0."""
    kinds: Mapping[str, str]
    """Coupling → what `schurscope.account` finds: needed, silent or unread."""


def known_network(
    needed: str = "CR",
    *,
    n_trials: int = 32,
    n_steps: int = 20,
    rng: Rng = 0,
    dtype: DTypeLike = np.float64,
) -> KnownNetwork:
    """A linear network that needs one coupling, and two harmless couplings of the same mass.

    Each coupling has one entry of N, from one Schur coordinate to another. The input drives the
    source of the needed one and the readout reads its target. Of the other two, in the order RR,
    CR, CC, the first is driven and not read, the second read and not driven.

    Parameters
    ----------
    needed : {"RR", "CR", "CC"}
    n_trials, n_steps : int
    rng : numpy.random.Generator, SeedSequence, int or None
        Draws Q, uniformly, and the inputs, standard normal.
    dtype : numpy.dtype
        Of the weights and trials. In float32 what is 0 here is so to rounding.

    Raises
    ------
    ValueError
        If needed is no coupling.
    """
    choice(needed, "needed", _ENTRIES)
    generator = np.random.default_rng(rng)
    n = len(_EIGENVALUES)
    T = np.diag(_EIGENVALUES)
    for entry in _ENTRIES.values():
        T[entry] = 0.5
    unread, silent = (coupling for coupling in _ENTRIES if coupling != needed)
    drive, read = np.zeros((n, 1)), np.zeros((1, n))
    for coupling in (needed, unread):
        drive[_ENTRIES[coupling][1]] = 1
    for coupling in (needed, silent):
        read[0, _ENTRIES[coupling][0]] = 1

    Q, upper = np.linalg.qr(generator.standard_normal((n, n)))
    Q *= np.sign(np.diag(upper))
    network = Network(
        W_hh=(Q @ T @ Q.T).astype(dtype),
        W_xh=(Q @ drive).astype(dtype),
        W_hy=(read @ Q.T).astype(dtype),
        cell=Cell("identity"),
    )
    inputs = generator.standard_normal((n_trials, n_steps, 1)).astype(dtype)
    state, outputs = np.zeros((n_trials, n)), []
    for step in range(n_steps):
        state = state @ T.T + inputs[:, step] @ drive.T
        outputs.append(state @ read.T)
    targets = np.stack(outputs, axis=1)
    return KnownNetwork(
        network=network,
        trials=Trials(inputs, targets.astype(dtype)),
        T=T,
        n_R=_N_R,
        needed=needed,
        loss=float(np.square(targets).sum() / np.square(targets - targets.mean()).sum()),
        kinds={needed: "needed", unread: "unread", silent: "silent"},
    )
