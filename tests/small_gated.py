"""Gated cells of every kind, small networks of them, and the same in PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import schurscope as ss

KINDS = {
    "gru-after": ss.Cell(kind="gru", reset="after"),
    "gru-before": ss.Cell(kind="gru", reset="before"),
    "lstm": ss.Cell(kind="lstm"),
}
N_STARTS = {"gru": 1, "lstm": 2}

kinds = pytest.mark.parametrize("cell", KINDS.values(), ids=KINDS)

# Widths around the sizes of vectors and tiles, and one beyond the kernel's inner block.
SIZES = [(1, 1, 1), (5, 2, 3), (16, 1, 1), (17, 3, 8), (33, 4, 5), (64, 3, 2), (210, 3, 9)]


def gated_network(cell, rng, dtype=np.float64, sizes=(17, 3, 2), biases=True, starts=True):
    """Random weights; `biases` and `starts` may name the arrays that the network has."""
    n_h, n_x, n_y = sizes
    G = len(cell.gates)
    shapes = {"b_h": (G * n_h,), "b_y": (n_y,), "b_hn": (n_h,), "h_0": (n_h,), "c_0": (n_h,)}
    absent = {"b_hn"} if cell.reset != "after" else set()
    absent |= {"c_0"} if cell.kind != "lstm" else set()
    if not biases:
        absent |= {"b_h", "b_y", "b_hn"}
    elif biases is not True:
        absent |= {"b_h", "b_y", "b_hn"} - set(biases)
    if not starts:
        absent |= {"h_0", "c_0"}
    more = {
        name: rng.standard_normal(shape).astype(dtype) * dtype(0.5)
        for name, shape in shapes.items()
        if name not in absent
    }
    return ss.Network(
        (rng.standard_normal((G * n_h, n_h)) / np.sqrt(n_h)).astype(dtype),
        rng.standard_normal((G * n_h, n_x)).astype(dtype),
        (rng.standard_normal((n_y, n_h)) / np.sqrt(n_h)).astype(dtype),
        cell=cell,
        **more,
    )


def torch_module(network):
    """torch.nn.GRU or LSTM with the network's weights, and its readout: (module, readout)."""
    torch = pytest.importorskip("torch")
    dtype = {"float32": torch.float32, "float64": torch.float64}[network.dtype.name]
    kind = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[network.cell.kind]
    sizes = network.n_inputs, network.n_hidden
    module = kind(*sizes, batch_first=True, dtype=dtype)
    readout = torch.nn.Linear(network.n_hidden, network.n_outputs, dtype=dtype)
    b_h, b_y = network.biases
    recurrent = np.zeros_like(b_h)
    if network.b_hn is not None:
        recurrent[2 * network.n_hidden :] = network.b_hn
    with torch.no_grad():
        for target, array in [
            (module.weight_hh_l0, network.W_hh),
            (module.weight_ih_l0, network.W_xh),
            (module.bias_ih_l0, b_h),
            (module.bias_hh_l0, recurrent),
            (readout.weight, network.W_hy),
            (readout.bias, b_y),
        ]:
            target.copy_(torch.tensor(np.array(array)))
    return module, readout


def torch_run(network, parts, inputs, h_0, c_0, noise=None):
    """Outputs and states of the equations, in tensors that autograd follows.

    `parts` maps the network's array names to tensors; every kind, and any operand of a gate's
    recurrent product that `parts["products"]` records.
    """
    import torch

    torch.set_num_threads(1)  # the tensors are small
    cell, n = network.cell, network.n_hidden
    zero = torch.zeros((), dtype=inputs.dtype)
    b_h, b_y, b_hn = (parts.get(name, zero) for name in ("b_h", "b_y", "b_hn"))
    recorded = parts.get("products")
    matrices = [W.T for W in parts["W_hh"].split(n)]
    h, c = h_0, c_0
    outputs, states = [], []
    for t in range(inputs.shape[1]):
        driven = inputs[:, t] @ parts["W_xh"].T + b_h
        driven = driven.split(n, dim=1)
        xi = 0 if noise is None else noise[:, t]

        def product(gate, operand, step=t):
            result = operand @ matrices[gate]
            if recorded is not None:
                result.retain_grad()
                recorded.append((step, gate, operand, result))
            return result

        if cell.kind == "lstm":
            i, f, g, o = (driven[k] + product(k, h) for k in range(4))
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g + xi)
            h = torch.sigmoid(o) * torch.tanh(c)
        else:
            r, z = (torch.sigmoid(driven[k] + product(k, h)) for k in range(2))
            inner = r * (product(2, h) + b_hn) if cell.reset == "after" else product(2, r * h)
            h = (1 - z) * torch.tanh(driven[2] + inner + xi) + z * h
        states.append(h)
        outputs.append(h @ parts["W_hy"].T + b_y)
    return torch.stack(outputs, 1), torch.stack(states, 1)
