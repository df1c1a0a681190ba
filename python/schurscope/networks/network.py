"""Recurrent networks.

h_t = φ(W_xh x_t + W_hh h_(t-1) + b_h),   ŷ_t = W_hy h_t + b_y,   with φ = tanh and h_0 = 0 unless
the network's cell and initial state say otherwise. Gated cells (GRU, LSTM) stack the matrices of
their gates.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .. import _core
from .._internal.checks import (
    FloatArray,
    FloatDType,
    Rng,
    cast,
    float_dtype,
    generator,
    keep_read_only,
    real_array,
)
from .._internal.files import MAX_BYTES
from .._internal.html import facts
from .cayley import Cayley
from .cell import Cell, CellNames
from .files import read_network, write_network
from .gates import Gate, gates_of
from .start import starting_state

__all__ = ["Network"]

_WEIGHTS = ("W_hh", "W_xh", "W_hy")
_OF_UNITS = ("h_0", "b_hn", "c_0")
_VECTORS = ("b_h", "b_y", *_OF_UNITS)

CoreNetwork: TypeAlias = tuple[
    FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray | None, CellNames
]
"""W_hh, W_xh, b_h, W_hy, b_y, b_hn and the cell."""


@dataclass(frozen=True, eq=False, repr=False)
class Network:
    """A recurrent network: its weights, its cell and its initial state.

    The arrays are read-only copies of one dtype, float32 or float64, in which the network computes.

    A gated cell stacks the G gates in the order of `Cell.gates`, which is PyTorch's: W_hh is
    (G N_h, N_h), W_xh (G N_h, N_x), b_h (G N_h,); `gates` names their parts.

    Attributes
    ----------
    W_hh : (N_h, N_h)
        Recurrent matrix, ``W_hh[post, pre]``.
    W_xh : (N_h, N_x)
        Encoder.
    W_hy : (N_y, N_h)
        Decoder.
    b_h : (N_h,), optional
        Bias of the hidden units; None means none. Where PyTorch has two for a gate, their sum,
        except for n of a GRU whose reset comes after: b_h is then b_in alone.
    b_y : (N_y,), optional
        Bias of the outputs; None means none.
    cayley : Cayley, optional
        Parameters of W_hh. Training updates them, and W_hh stays normal.
    cell : Cell
        Activation, form, leaks, output nonlinearity, noise and readout; h = tanh(…) by default.
    h_0 : (N_h,), optional
        State before the first step (a current in the current form); None means 0. Trials may have
        their own. Training does not change it.
    b_hn : (N_h,), optional
        Bias of the recurrent product of n, inside the reset, of a GRU whose reset comes after; no
        other cell has it. None means none.
    c_0 : (N_h,), optional
        Cell state of an LSTM before the first step, like h_0; no other cell has it.

    Raises
    ------
    TypeError, ValueError
        Arrays are not finite real numbers, or their dtypes or shapes disagree; the cell has leaks
        of another number of units, or no b_hn, c_0 or cayley; the matrix of `cayley` is not W_hh.
    """

    W_hh: FloatArray
    W_xh: FloatArray
    W_hy: FloatArray
    b_h: FloatArray | None = None
    b_y: FloatArray | None = None
    cayley: Cayley | None = None
    cell: Cell = field(default_factory=Cell)
    h_0: FloatArray | None = None
    b_hn: FloatArray | None = None
    c_0: FloatArray | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.cell, Cell):
            raise TypeError(f"cell must be a schurscope.Cell, got {type(self.cell).__name__}")
        W_hh = self._recurrent()
        n_rows, n_hidden = W_hh.shape
        hidden = f"W_hh has shape {W_hh.shape}"
        W_hy = real_array(self.W_hy, "W_hy", ("N_y", n_hidden), because=hidden)
        arrays = {
            "W_hh": W_hh,
            "W_xh": real_array(self.W_xh, "W_xh", (n_rows, "N_x"), because=hidden),
            "W_hy": W_hy,
        }
        read = f"W_hy has shape {W_hy.shape}"
        sizes = {"b_h": n_rows, "b_y": len(W_hy), **dict.fromkeys(_OF_UNITS, n_hidden)}
        for name, size in sizes.items():
            if (given := getattr(self, name)) is not None:
                because = read if name == "b_y" else hidden
                arrays[name] = real_array(given, name, (size,), because=because)
        keep_read_only(self, arrays)
        self._check_cell()
        if self.cayley is not None:
            self._check_cayley(self.cayley)

    @property
    def n_hidden(self) -> int:
        """Number of hidden units N_h."""
        return int(self.W_hh.shape[1])

    @property
    def n_inputs(self) -> int:
        """Number of input channels N_x."""
        return int(self.W_xh.shape[1])

    @property
    def n_outputs(self) -> int:
        """Number of output channels N_y."""
        return int(self.W_hy.shape[0])

    @property
    def dtype(self) -> FloatDType:
        """float32 or float64."""
        return self.W_hh.dtype

    @property
    def gates(self) -> Mapping[str, Gate]:
        """The gates' names and parts of W_hh, W_xh and b_h, as read-only views of their N_h rows.

        r, z, n of a GRU, i, f, g, o of an LSTM; empty for the vanilla cell, which has none.
        """
        return gates_of(self)

    @property
    def biases(self) -> tuple[FloatArray, FloatArray]:
        """b_h and b_y as arrays: zeros where the network has none."""
        zeros = np.zeros(len(self.W_hh), self.dtype), np.zeros(self.n_outputs, self.dtype)
        return (
            zeros[0] if self.b_h is None else self.b_h,
            zeros[1] if self.b_y is None else self.b_y,
        )

    def rollout(
        self,
        inputs: npt.ArrayLike,
        *,
        n_threads: int = 0,
        h_0: npt.ArrayLike | None = None,
        c_0: npt.ArrayLike | None = None,
        rng: Rng = None,
    ) -> FloatArray:
        """Outputs ŷ (trials, steps, N_y) for inputs (trials, steps, N_x).

        Parameters
        ----------
        inputs : (trials, steps, N_x)
            Converted to the network's dtype.
        n_threads : int
            0 means automatic. The result is bit-identical for any number of threads.
        h_0 : (trials, N_h), optional
            The state of each trial before its first step; None means the network's `h_0`.
        c_0 : (trials, N_h), optional
            The same for the cell state of an LSTM.
        rng : numpy.random.Generator, SeedSequence or int
            Source of ξ, drawn as one standard normal array (trials, steps, N_h) in the network's
            dtype. Required for a cell with noise, an error for a cell without.

        Raises
        ------
        TypeError, ValueError
            `inputs`, `h_0` or `c_0` are not finite real numbers in the network's dtype, or of
            another shape; `n_threads` is negative; `rng` is missing, or given for a cell without
            noise; `c_0` is given for a cell without a cell state.
        """
        x = self._inputs(inputs)
        outputs = np.empty((*x.shape[:2], self.n_outputs), self.dtype)
        self._run(x, h_0, c_0, rng, outputs, None, n_threads)
        return outputs

    def states(
        self,
        inputs: npt.ArrayLike,
        *,
        n_threads: int = 0,
        h_0: npt.ArrayLike | None = None,
        c_0: npt.ArrayLike | None = None,
        rng: Rng = None,
    ) -> FloatArray:
        """Hidden states h_t (trials, steps, N_h); see `rollout`.

        They are currents in the current form. Of an LSTM they are h_t, not the cell state c_t.
        """
        x = self._inputs(inputs)
        states = np.empty((*x.shape[:2], self.n_hidden), self.dtype)
        self._run(x, h_0, c_0, rng, None, states, n_threads)
        return states

    def astype(self, dtype: npt.DTypeLike) -> Network:
        """The network rounded to float32 or widened to float64; itself if it has that dtype.

        A Cayley network's W_hh is recomputed from the converted parameters. ValueError if a value
        overflows `dtype`.
        """
        wanted = float_dtype(dtype)
        if wanted == self.dtype:
            return self
        changes: dict[str, Any] = {
            name: cast(array, wanted, name)
            for name in (*_WEIGHTS, *_VECTORS)
            if (array := getattr(self, name)) is not None
        }
        if self.cayley is not None:
            changes["cayley"] = self.cayley.astype(wanted)
            changes["W_hh"] = changes["cayley"].matrix()
        return replace(self, **changes)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to exactly `path`, atomically.

        Weights, biases, cell, states and Cayley parameters are bit-exact. The file is .safetensors
        if `path` has that suffix, else an .npz archive.
        """
        write_network(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> Network:
        """Read a file written by `save`, bit-exact. Nothing is ever unpickled.

        For networks trained elsewhere use `schurscope.load_network`. A compressed file that would
        unpack to more than `max_bytes` is refused.

        Raises
        ------
        OSError
            The file cannot be read.
        ValueError
            The file is damaged, not a network file, or does not hold a valid network.
        """
        parts = read_network(path, max_bytes)
        try:
            return cls(**parts)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} does not hold a valid network: {error}") from error

    def _recurrent(self) -> FloatArray:
        """W_hh, checked."""
        n_gates = len(self.cell.gates)
        if n_gates == 0:
            return real_array(self.W_hh, "W_hh", ("N_h", "N_h"))
        W_hh = real_array(self.W_hh, "W_hh", (f"{n_gates} N_h", "N_h"))
        if len(W_hh) != n_gates * W_hh.shape[1]:
            raise ValueError(
                f"W_hh must have shape ({n_gates} N_h, N_h) because {self.cell!r} stacks its gates "
                f"{', '.join(self.cell.gates)}, got {W_hh.shape}"
            )
        return W_hh

    def _check_cell(self) -> None:
        """ValueError if the cell and the other parts disagree."""
        cell, n_hidden = self.cell, self.n_hidden
        if np.shape(cell.leak) not in [(), (n_hidden,)]:
            raise ValueError(
                f"cell must have a leak for each of the {n_hidden} units, or one for all, because "
                f"W_hh has shape {self.W_hh.shape}, got {np.size(cell.leak)} leaks"
            )
        has = {
            "b_hn": (cell.reset == "after", "only a GRU whose reset comes after keeps it apart"),
            "c_0": (cell.kind == "lstm", "only an LSTM has a cell state"),
            "cayley": (not cell.gates, "it parametrises the one W_hh of the vanilla cell"),
        }
        for name, (possible, because) in has.items():
            if getattr(self, name) is not None and not possible:
                raise ValueError(f"{name} must be None for {cell!r}: {because}")

    def _check_cayley(self, cayley: Cayley) -> None:
        if not isinstance(cayley, Cayley):
            raise TypeError(f"cayley must be a Cayley or None, got {type(cayley).__name__}")
        if cayley.U.shape != self.W_hh.shape or cayley.U.dtype != self.dtype:
            raise ValueError(
                f"cayley must have the shape and dtype of W_hh, {self.W_hh.shape} {self.dtype}, "
                f"got {cayley.U.shape} {cayley.U.dtype}"
            )
        matrix = cayley.matrix()
        scale = np.abs(matrix).max()
        difference = np.abs(matrix - self.W_hh).max()
        # Wide enough for another machine's rounding, far too narrow for another matrix.
        if difference > np.sqrt(np.finfo(self.dtype).eps) * scale:
            raise ValueError(
                "W_hh must be cayley.matrix(), got entries that differ from it by up to "
                f"{difference:.3g}"
            )

    def _inputs(self, inputs: npt.ArrayLike) -> FloatArray:
        because = f"W_xh has shape {self.W_xh.shape}"
        shape = ("trials", "steps", self.n_inputs)
        return cast(real_array(inputs, "inputs", shape, because=because), self.dtype, "inputs")

    def _run(
        self,
        x: FloatArray,
        h_0: npt.ArrayLike | None,
        c_0: npt.ArrayLike | None,
        rng: Rng,
        outputs: FloatArray | None,
        states: FloatArray | None,
        n_threads: int,
    ) -> None:
        n_trials, n_steps, _ = x.shape
        start = self.start(h_0, c_0, n_trials, f"inputs has shape {x.shape}")
        noise = self.noise(rng, n_trials, n_steps)
        threads = _core.resolve_threads(n_threads)
        trials = (x, None, None, start, noise)
        _core.rollout(self.core_arguments(), trials, outputs, states, threads)

    def core_arguments(self) -> CoreNetwork:
        """The weights and the cell, as the core's functions take them."""
        b_h, b_y = self.biases
        return self.W_hh, self.W_xh, b_h, self.W_hy, b_y, self.b_hn, self.cell.names

    def start(
        self,
        h_0: npt.ArrayLike | None,
        c_0: npt.ArrayLike | None,
        n_trials: int,
        because: str = "",
    ) -> FloatArray | None:
        """The state before the first step, as the core takes it; None means 0.

        h_0 in the network's dtype, (trials, N_h), or (1, N_h) to broadcast; of an LSTM [h_0, c_0]
        side by side, (…, 2 N_h).
        """
        return starting_state(self, h_0, c_0, n_trials, because)

    def noise(self, rng: Rng, n_trials: int, n_steps: int) -> FloatArray | None:
        """σ ξ, (trials, steps, N_h) drawn from `rng`; None for a cell without noise.

        Of a gated cell it enters the candidate, n or g; see `Cell`. The stream is consumed trial
        by trial, so the first trials of a larger draw have the same noise.

        Raises
        ------
        ValueError
            The cell has noise and `rng` is None, or vice versa.
        """
        sigma = self.cell.noise
        if sigma == 0:
            if rng is not None:
                raise ValueError("rng must be None for a cell without noise, which draws nothing")
            return None
        if rng is None:
            raise ValueError(
                f"rng must be a seed or a numpy.random.Generator, because the cell has "
                f"noise={sigma:g}, got None"
            )
        size = (n_trials, n_steps, self.n_hidden)
        xi: FloatArray = generator(rng).standard_normal(size, dtype=self.dtype)
        xi *= sigma
        return xi

    def __repr__(self) -> str:
        names = ("b_h", "b_y", "b_hn", "cayley", "h_0", "c_0")
        extras = [name for name in names if getattr(self, name) is not None]
        extras += [repr(self.cell)] * (self.cell != Cell())
        sizes = f"N_h={self.n_hidden}, N_x={self.n_inputs}, N_y={self.n_outputs}"
        return f"Network({', '.join([sizes, *extras, str(self.dtype)])})"

    def _repr_html_(self) -> str:
        parts = {
            name: f"{value.shape} from {value.min():.3g} to {value.max():.3g}"
            for name in (*_WEIGHTS, *_VECTORS)
            if (value := getattr(self, name)) is not None
        }
        kept_normal = {} if self.cayley is None else {"cayley": repr(self.cayley)}
        sizes = f"N_h {self.n_hidden}, N_x {self.n_inputs}, N_y {self.n_outputs}, {self.dtype}"
        return facts("Network", {"sizes": sizes, **parts, **kept_normal, "cell": self.cell})
