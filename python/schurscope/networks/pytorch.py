"""Reads the recurrent weight of a PyTorch module and replaces it temporarily.

PyTorch is imported on first use.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy.typing as npt

from .._internal.checks import FloatArray, cast, choice, real_array, shown

if TYPE_CHECKING:
    import torch

__all__ = ["RecurrentWeight"]

_GATES = {"GRU": ("r", "z", "n"), "LSTM": ("i", "f", "g", "o")}


@dataclass(frozen=True)
class RecurrentWeight:
    """A square recurrent weight of a PyTorch module, or one gate's rows of it.

    For `ablate_with`, which needs the same module with another matrix::

        weight = ss.pytorch.RecurrentWeight(model.gru, "weight_hh_l0", gate="n")

        def evaluate(W):
            with weight.replaced(W), torch.no_grad():
                return (model(inputs) - targets).square().mean(dim=(1, 2))

        profile = ss.ablate_with(weight.matrix(), evaluate, measure="mean squared error")

    Attributes
    ----------
    module : torch.nn.Module
        The module that owns the parameter: ``model.gru``, not ``model``.
    name : str
        Name of the parameter, such as ``"weight_hh_l0"``.
    gate : str, optional
        For a GRU ``"r"`` (reset), ``"z"`` (update) or ``"n"`` (new state); for an LSTM ``"i"``
        (input), ``"f"`` (forget), ``"g"`` (cell) or ``"o"`` (output).
    rows : slice, optional
        Rows of a gate of any other module; excludes `gate`.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong type; the module does not own the parameter, or computes it
        (``torch.nn.utils.parametrizations``), so that written values would be lost; it is not
        float32 or float64; the module has no such gate; the rows are not square.
    """

    module: torch.nn.Module
    name: str
    gate: str | None = None
    rows: slice | None = None

    def __post_init__(self) -> None:
        import torch

        if not isinstance(self.module, torch.nn.Module):
            raise TypeError(f"module must be a torch.nn.Module, got {type(self.module).__name__}")
        if self.gate is not None and self.rows is not None:
            raise ValueError("gate and rows must not both be given: a gate selects rows")
        if self.rows is not None and not isinstance(self.rows, slice):
            raise TypeError(f"rows must be a slice, got {shown(self.rows)}")
        self._block(self._parameter())

    def matrix(self) -> FloatArray:
        """A copy of the current weight: (N_h, N_h), in its dtype."""
        copy: FloatArray = self._block(self._parameter()).cpu().numpy().copy()
        return copy

    @contextmanager
    def replaced(self, W: npt.ArrayLike) -> Iterator[None]:
        """A context in which the weight is W, (N_h, N_h), rounded to the weight's dtype.

        On exit, also after an exception, the weight is restored bit for bit. Values are written in
        place: the Parameter, its gradient, its device and its memory stay the same, and all modules
        that share it are affected. The context is not thread-safe, and PyTorch raises if a backward
        pass crosses its end.

        Raises
        ------
        TypeError, ValueError
            W is not an array of finite real numbers of that shape.
        """
        import torch

        parameter = self._parameter()
        size = len(self._block(parameter))
        W = real_array(W, "W", (size, size), because=f"{self._label()} has {size} rows")
        dtype = self.matrix().dtype
        new = torch.from_numpy(cast(W, dtype, "W").copy())
        old = self._block(parameter).clone()
        try:
            with torch.no_grad():
                self._block(parameter).copy_(new)
            yield
        finally:
            with torch.no_grad():
                self._block(parameter).copy_(old)

    def _parameter(self) -> torch.nn.Parameter:
        import torch
        from torch.nn.utils.parametrize import is_parametrized

        own = dict(self.module.named_parameters(recurse=False))
        deeper = [
            place
            for place, module in self.module.named_modules()
            if place and self.name.split(".")[-1] in dict(module.named_parameters(recurse=False))
        ]
        if self.name not in own and deeper:
            kind = type(self.module).__name__
            raise ValueError(
                f"module must own the parameter {self.name.split('.')[-1]!r}, got {kind}, whose "
                f"submodule {', '.join(deeper)} owns it: give that"
            )
        if is_parametrized(self.module, self.name):
            raise ValueError(
                f"name must be a plain parameter of the module, got {self.name!r}, which is "
                "parametrized; remove_parametrizations makes it plain"
            )
        parameter = own[choice(self.name, "name", own)]
        if parameter.dtype not in (torch.float32, torch.float64):
            raise TypeError(
                f"{self.name} must be float32 or float64, got {parameter.dtype}; convert the "
                "module first, with .float()"
            )
        return parameter

    def _block(self, parameter: torch.nn.Parameter) -> torch.Tensor:
        """The rows, a view of the parameter's memory that autograd does not track."""
        block = parameter.detach()[self._rows(parameter)]
        if block.ndim != 2 or block.shape[0] != block.shape[1] or not len(block):
            gates = self._gates()
            hint = f"; name one gate of {', '.join(map(repr, gates))}" if gates else "; give rows"
            raise ValueError(
                f"{self._label()} must be a square matrix, got {tuple(block.shape)}"
                f"{hint if self.gate is None and self.rows is None else ''}"
            )
        return block

    def _rows(self, parameter: torch.nn.Parameter) -> slice:
        if self.gate is None:
            return self.rows or slice(None)
        gates = self._gates()
        if not gates:
            kind = type(self.module).__name__
            raise ValueError(f"gate must be None for {kind}, whose gates are not known; give rows")
        size = len(parameter) // len(gates)
        first = gates.index(choice(self.gate, "gate", gates)) * size
        return slice(first, first + size)

    def _gates(self) -> tuple[str, ...]:
        """The gates in the order of the rows; none for a module without gates."""
        import torch

        for kind, gates in _GATES.items():
            known = (getattr(torch.nn, kind), getattr(torch.nn, f"{kind}Cell"))
            if isinstance(self.module, known):
                return gates
        return ()

    def _label(self) -> str:
        part = f"gate {self.gate!r} of " if self.gate else "the rows of " if self.rows else ""
        return f"{part}{self.name}"
