"""Changes of a gated network that would explain outputs of another code: `verify` tries them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np

from .._internal.checks import FloatArray
from .cell import ACTIVATIONS, RESETS
from .network import Network

__all__ = ["TRIED_GATES", "gate_variants"]

TRIED_GATES = "the gates' order, reset, transposes, output or biases agrees"


def gate_variants(network: Network) -> Iterator[tuple[str, Network]]:
    """Changes in words and made: order of the gates, reset, transposes, biases, output."""
    gates = network.cell.gates
    resets = RESETS if network.cell.kind == "gru" else (None,)
    for reset in resets:
        other = _with_reset(network, reset)
        told = "" if reset == network.cell.reset else f"reset={reset!r}"
        if told:
            yield told, other
        for order in permutations(gates):
            if order != gates:
                words = f"the gates in the order {', '.join(order)}, here {', '.join(gates)}"
                yield ", ".join(filter(None, [words, told])), _in_order(other, order)
        if network.cell.kind == "gru":
            words = "z and 1 - z exchanged (W_hh, W_xh and b_h of z negated)"
            yield ", ".join(filter(None, [words, told])), _with_opposite_z(other)
    transposed = {name: gate.W_hh.T for name, gate in network.gates.items()}
    yield (
        "W_hh of every gate transposed",
        replace(network, W_hh=np.concatenate([*transposed.values()])),
    )
    if network.n_inputs == network.n_hidden > 1:
        W_xh = np.concatenate([gate.W_xh.T for gate in network.gates.values()])
        yield "W_xh of every gate transposed", replace(network, W_xh=W_xh)
    if network.n_outputs == network.n_hidden > 1:
        yield "W_hy transposed", replace(network, W_hy=network.W_hy.T)
    for output in ACTIVATIONS:
        if output != network.cell.output:
            yield f"output={output!r}", replace(network, cell=replace(network.cell, output=output))
    for name in ("b_h", "b_hn", "b_y", "h_0", "c_0"):
        if getattr(network, name) is not None:
            without: dict[str, Any] = {name: None}
            yield f"no {name}", replace(network, **without)


def _with_reset(network: Network, reset: Any) -> Network:
    """The network with the reset after or before; before, b_hn is outside the product's reset."""
    if reset == network.cell.reset:
        return network
    cell = replace(network.cell, reset=reset)
    if network.b_hn is None:
        return replace(network, cell=cell)
    b_h = network.biases[0].copy()
    b_h[-network.n_hidden :] += network.b_hn
    return replace(network, cell=cell, b_h=b_h, b_hn=None)


def _in_order(network: Network, order: tuple[str, ...]) -> Network:
    """The network whose rows were stacked in `order`."""
    place = [order.index(gate) for gate in network.cell.gates]

    def moved(stack: FloatArray) -> FloatArray:
        blocks = np.split(stack, len(place))
        return np.concatenate([blocks[i] for i in place])

    biases: dict[str, Any] = {} if network.b_h is None else {"b_h": moved(network.b_h)}
    return replace(network, W_hh=moved(network.W_hh), W_xh=moved(network.W_xh), **biases)


def _with_opposite_z(network: Network) -> Network:
    """The network with the gate z replaced by 1 - z = σ(-(…))."""
    n, stacks = network.n_hidden, {}
    for name in ("W_hh", "W_xh", "b_h"):
        if (given := getattr(network, name)) is not None:
            stack = given.copy()
            stack[n : 2 * n] *= -1
            stacks[name] = stack
    return replace(network, **stacks)
