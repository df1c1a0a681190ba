"""The state of a network before the first step, as the core takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .._internal.checks import FloatArray, cast, real_array

if TYPE_CHECKING:
    from .network import Network

__all__ = ["starting_state"]


def starting_state(
    network: Network,
    h_0: npt.ArrayLike | None,
    c_0: npt.ArrayLike | None,
    n_trials: int,
    because: str,
) -> FloatArray | None:
    """See `Network.start`."""
    if network.cell.kind != "lstm":
        if c_0 is not None:
            raise ValueError(f"c_0 must be None for {network.cell!r}, which has no cell state")
        return _part(network, "h_0", h_0, n_trials, because)
    parts = [
        _part(network, name, given, n_trials, because)
        for name, given in (("h_0", h_0), ("c_0", c_0))
    ]
    found = [part for part in parts if part is not None]
    if not found:
        return None
    whole = np.zeros((max(map(len, found)), 2, network.n_hidden), network.dtype)
    for place, part in enumerate(parts):
        if part is not None:
            whole[:, place] = part
    return whole.reshape(len(whole), -1)


def _part(
    network: Network, name: str, given: npt.ArrayLike | None, n_trials: int, because: str
) -> FloatArray | None:
    """h_0 or c_0 of the trials, else the network's own as (1, N_h)."""
    if given is None:
        own: FloatArray | None = getattr(network, name)
        return None if own is None else own[None]
    array = real_array(given, name, (n_trials, network.n_hidden), because=because)
    return cast(array, network.dtype, name)
