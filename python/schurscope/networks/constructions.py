"""Untrained networks, and the constructions of their recurrent matrices."""

from __future__ import annotations

from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from .._internal.checks import (
    FloatArray,
    Rng,
    choice,
    float_dtype,
    generator,
    positive_int,
    shown,
)
from ..trials.tasks import as_task
from .cayley import Cayley
from .cell import KINDS, Cell, Kind
from .network import Network

__all__ = ["RECURRENT", "init_network"]

RECURRENT = ("default", "orthogonal", "normal", "cayley")
"""The constructions of the recurrent matrix that `init_network` offers."""


class _Channels(Protocol):
    @property
    def n_inputs(self) -> int: ...

    @property
    def n_outputs(self) -> int: ...


def init_network(
    task: _Channels,
    n_hidden: int,
    recurrent: str = "default",
    rng: Rng = None,
    *,
    dtype: npt.DTypeLike = np.float32,
    cell: Cell | str | None = None,
) -> Network:
    """An untrained network without biases for `task`, with one of four recurrent matrices.

    With m = N_h^(-1/2), W_xh and W_hy are Unif[-m, m], and W_hh is

    - ``"default"``: Unif[-m, m];
    - ``"orthogonal"``: Q of the QR factorisation of a Gaussian matrix, its columns multiplied by
      sign(diag R), which makes it uniform over the orthogonal matrices;
    - ``"normal"``: Q blockdiag(B_1, …) Qᵀ with such a Q and B_i = [[a, -b], [b, a]], a and b normal
      with mean 0 and variance 1/6; `n_hidden` must be even;
    - ``"cayley"``: the matrix of `Cayley` parameters with U ~ Unif[-m, m] and the eigenvalues of a
      matrix ~ Unif[-m, m]; the network keeps the parameters, and training updates them.

    A gated cell has a W_hh of the construction for each gate, drawn in the order of `Cell.gates`,
    and W_xh (G N_h, N_x) as above. The Cayley parameters are of the vanilla cell alone.

    Source: Dräger, arXiv:2606.18457. Numbers are drawn in float64 and then rounded, so the same
    seed gives the same network in both dtypes, up to rounding.

    Parameters
    ----------
    task : Task
        Or any object with ``n_inputs`` and ``n_outputs``.
    n_hidden : int
        N_h.
    recurrent : {"default", "orthogonal", "normal", "cayley"}
        The construction of W_hh.
    rng : numpy.random.Generator, SeedSequence, int or None
        Source of the draws; None draws fresh entropy, which is not reproducible.
    dtype : float32 or float64
        Dtype of the network.
    cell : Cell, "gru" or "lstm", optional
        Cell of the network; None means h = tanh(…), "gru" the GRU whose reset comes after.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong type, the construction is unknown, or `n_hidden` is odd for
        "normal", or the cell is gated for "cayley".
    """
    sizes = (getattr(task, "n_inputs", None), getattr(task, "n_outputs", None))
    if None in sizes or isinstance(task, type):
        raise TypeError(f"task must have n_inputs and n_outputs, got {shown(task)}{as_task(task)}")
    n_inputs, n_outputs = positive_int(sizes[0], "n_inputs"), positive_int(sizes[1], "n_outputs")
    n_hidden = positive_int(n_hidden, "n_hidden")
    construction = choice(recurrent, "recurrent", RECURRENT)
    if construction == "normal" and n_hidden % 2:
        raise ValueError(f'n_hidden must be even for recurrent="normal", got {n_hidden}')
    made = _cell(cell)
    if construction == "cayley" and made.gates:
        raise ValueError(
            f'recurrent="cayley" needs the vanilla cell, got kind={made.kind!r}, for which it must '
            'be "default", "orthogonal" or "normal"'
        )
    random = generator(rng)
    wanted = float_dtype(dtype)

    bound = n_hidden**-0.5
    cayley = None
    if construction == "cayley":
        cayley = _cayley(n_hidden, random).astype(wanted)
        W_hh: FloatArray = cayley.matrix()
    else:
        draw = {"default": _uniform, "orthogonal": _orthogonal, "normal": _normal}[construction]
        W_hh = np.concatenate([draw(n_hidden, random) for _ in made.gates or ("",)])
    W_xh = random.uniform(-bound, bound, (len(W_hh), n_inputs))
    W_hy = random.uniform(-bound, bound, (n_outputs, n_hidden))
    weights = (W_hh.astype(wanted), W_xh.astype(wanted), W_hy.astype(wanted))
    return Network(*weights, cayley=cayley, cell=made)


def _cell(cell: Cell | str | None) -> Cell:
    if cell is None:
        return Cell()
    if isinstance(cell, str):
        return Cell(kind=cast(Kind, choice(cell, "cell", KINDS)))
    return cell


def _uniform(n_hidden: int, random: np.random.Generator) -> npt.NDArray[np.float64]:
    bound = n_hidden**-0.5
    return random.uniform(-bound, bound, (n_hidden, n_hidden))


def _orthogonal(n_hidden: int, random: np.random.Generator) -> npt.NDArray[np.float64]:
    Q, R = np.linalg.qr(random.standard_normal((n_hidden, n_hidden)))
    return Q * np.sign(np.diag(R))


def _normal(n_hidden: int, random: np.random.Generator) -> npt.NDArray[np.float64]:
    Q = _orthogonal(n_hidden, random)
    a, b = random.normal(0, 6**-0.5, (2, n_hidden // 2))
    blocks = np.zeros((n_hidden, n_hidden))
    even = np.arange(0, n_hidden, 2)
    blocks[even, even] = blocks[even + 1, even + 1] = a
    blocks[even, even + 1] = -b
    blocks[even + 1, even] = b
    return Q @ blocks @ Q.T


def _cayley(n_hidden: int, random: np.random.Generator) -> Cayley:
    U = _uniform(n_hidden, random)
    eigenvalues = np.linalg.eigvals(_uniform(n_hidden, random))
    upper = eigenvalues[
        eigenvalues.imag > 0
    ]  # the eigenvalues of a real matrix come in exact pairs
    pairs = np.stack([upper.real, upper.imag], axis=1)
    return Cayley(U, pairs, eigenvalues[eigenvalues.imag == 0].real)
