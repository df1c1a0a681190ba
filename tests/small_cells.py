"""Cells of every kind, and small networks of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import schurscope as ss
from schurscope.networks.cell import ACTIVATIONS

N_H, N_X, N_Y = 19, 3, 2
FORMS_READ = [("rate", "rates"), ("current", "rates"), ("current", "hidden")]
LEAKS = {"no leak": 1.0, "one leak": 0.3, "leaks": "of units"}


def cell_of(activation, form, readout, leak, n_h=N_H, **options):
    """A cell; for the leak "of units" they differ, and one unit has none."""
    leak = np.linspace(1, 0.05, n_h) if isinstance(leak, str) else leak
    return ss.Cell(activation, form, leak, readout=readout, **options)


forms_read = pytest.mark.parametrize(
    ("form", "readout"), FORMS_READ, ids=[f"{form}-{read}" for form, read in FORMS_READ]
)
leaks = pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
cells = pytest.mark.parametrize(
    "cell",
    [
        cell_of(activation, form, readout, leak)
        for activation, (form, readout), leak in itertools.product(
            ACTIVATIONS, FORMS_READ, LEAKS.values()
        )
    ],
    ids=str,
)


def network_of(
    cell, rng, dtype=np.float64, h_0=True, gain=0.8, sizes=(N_H, N_X, N_Y), biases=(True, True)
):
    n_h, n_x, n_y = sizes
    parts = [
        rng.standard_normal(shape).astype(dtype)
        for shape in [(n_h, n_h), (n_h, n_x), (n_y, n_h), n_h, n_y, n_h]
    ]
    W_hh, W_xh, W_hy, b_h, b_y, start = parts
    scale = dtype(gain / np.sqrt(n_h))
    return ss.Network(
        W_hh * scale,
        W_xh,
        W_hy * scale,
        b_h if biases[0] else None,
        b_y if biases[1] else None,
        cell=cell,
        h_0=start if h_0 else None,
    )


# Widths around the sizes of vectors and tiles, and one beyond the kernel's inner block.
SIZES = [(1, 1, 1), (5, 2, 3), (16, 1, 1), (17, 3, 8), (33, 4, 5), (250, 3, 9)]
BIASES = [(True, True), (True, False), (False, True), (False, False)]
