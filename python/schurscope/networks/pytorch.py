"""Reads the recurrent weight of a PyTorch module and replaces it temporarily.

PyTorch is imported on first use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy.typing as npt

from .._internal.checks import FloatArray, FloatDType, cast, choice, real_array, shown

if TYPE_CHECKING:
    import torch

__all__ = ["RecurrentWeight"]

_GATES = {"GRU": ("r", "z", "n"), "LSTM": ("i", "f", "g", "o")}


@dataclass(frozen=True)
class RecurrentWeight:
    """A square recurrent weight of a PyTorch module, or the rows of some of its gates.

    For `ablate_with`, which needs the same module with other matrices; `evaluator` scores it::

        weight = ss.pytorch.RecurrentWeight(model.gru, "weight_hh_l0", gate=["r", "z", "n"])
        evaluate = ss.pytorch.evaluator(model, trials, weight=weight)
        profile = ss.ablate_with(weight.matrices(), evaluate)

    Attributes
    ----------
    module : torch.nn.Module
        The module that owns the parameter: ``model.gru``, not ``model``.
    name : str
        Name of the parameter, such as ``"weight_hh_l0"``.
    gate : str or sequence of str, optional
        For a GRU ``"r"`` (reset), ``"z"`` (update) or ``"n"`` (new state); for an LSTM ``"i"``
        (input), ``"f"`` (forget), ``"g"`` (cell) or ``"o"`` (output). A sequence selects several
        gates, each with its own matrix; it is kept as a tuple.
    rows : slice, optional
        Rows of a gate of any other module; excludes `gate`.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong type; the module does not own the parameter, or computes it
        (``torch.nn.utils.parametrizations``), so that written values would be lost; it is not
        float32 or float64; the module has no such gate, or a gate is named twice; the rows are not
        square.
    """

    module: torch.nn.Module
    name: str
    gate: str | Sequence[str] | None = None
    rows: slice | None = None

    def __post_init__(self) -> None:
        import torch

        if not isinstance(self.module, torch.nn.Module):
            raise TypeError(f"module must be a torch.nn.Module, got {type(self.module).__name__}")
        if self.gate is not None and self.rows is not None:
            raise ValueError("gate and rows must not both be given: a gate selects rows")
        if self.rows is not None and not isinstance(self.rows, slice):
            raise TypeError(f"rows must be a slice, got {shown(self.rows)}")
        if self.gate is not None and not isinstance(self.gate, str):
            object.__setattr__(self, "gate", _distinct(self.gate))
        self._blocks(self._parameter())

    @property
    def dtype(self) -> FloatDType:
        """float32 or float64, that of the parameter."""
        return next(iter(self._copies().values())).dtype

    def matrix(self) -> FloatArray:
        """A copy of the current weight: (N_h, N_h), in its dtype.

        ValueError if `gate` names several, which have one each: see `matrices`.
        """
        if isinstance(self.gate, tuple):
            raise ValueError(
                f"gate must name one gate for matrix(), got {self.gate}; matrices() returns one "
                "for each"
            )
        (copy,) = self._copies().values()
        return copy

    def matrices(self) -> dict[str, FloatArray]:
        """Gate → a copy of its current weight, (N_h, N_h), in the order of `gate`.

        ValueError if there is no `gate`.
        """
        if self.gate is None:
            raise ValueError("gate must be given for matrices(), got None; matrix() returns W")
        return self._copies()

    @contextmanager
    def replaced(self, W: npt.ArrayLike | Mapping[str, npt.ArrayLike]) -> Iterator[None]:
        """A context in which the weight is W, rounded to the weight's dtype.

        On exit, also after an exception, the weight is restored bit for bit. Values are written in
        place: the Parameter, its gradient, its device and its memory stay the same, and all modules
        that share it are affected. The context is not thread-safe, and PyTorch raises if a backward
        pass crosses its end.

        Parameters
        ----------
        W : (N_h, N_h), or dict from gate to (N_h, N_h)
            A dictionary of all gates in `gate` if it is a sequence, else one matrix.

        Raises
        ------
        TypeError, ValueError
            W is not an array of finite real numbers of that shape, or not a dictionary of them for
            exactly these gates.
        """
        import torch

        parameter = self._parameter()
        blocks = self._blocks(parameter)
        new = {gate: self._new(W, gate, len(block)) for gate, block in blocks.items()}
        old = {gate: block.clone() for gate, block in blocks.items()}
        try:
            with torch.no_grad():
                for gate, block in self._blocks(parameter).items():
                    block.copy_(new[gate])
            yield
        finally:
            with torch.no_grad():
                for gate, block in self._blocks(parameter).items():
                    block.copy_(old[gate])

    def _copies(self) -> dict[str, FloatArray]:
        blocks = self._blocks(self._parameter())
        return {gate: block.cpu().numpy().copy() for gate, block in blocks.items()}

    def _new(
        self, W: npt.ArrayLike | Mapping[str, npt.ArrayLike], gate: str, size: int
    ) -> torch.Tensor:
        """The checked matrix of a gate, or the only one, in the weight's dtype."""
        import torch

        name, given = "W", W
        if isinstance(self.gate, tuple):
            if not isinstance(W, Mapping) or set(W) != set(self.gate):
                got = list(W) if isinstance(W, Mapping) else type(W).__name__
                raise ValueError(
                    f"W must be a dictionary with a matrix for each gate of {self.gate}, got "
                    f"{shown(got)}"
                )
            name, given = f"W[{gate!r}]", W[gate]
        because = f"{self._label(gate)} has {size} rows"
        array = real_array(given, name, (size, size), because=because)  # type: ignore[arg-type]
        return torch.from_numpy(cast(array, self._copies()[gate].dtype, name).copy())

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

    def _blocks(self, parameter: torch.nn.Parameter) -> dict[str, torch.Tensor]:
        """Gate → its rows, views of the parameter's memory that autograd does not track.

        The only entry is called "" where there are no gates.
        """
        names = self.gate if isinstance(self.gate, tuple) else (self.gate or "",)
        return {name: self._block(parameter, name) for name in names}

    def _block(self, parameter: torch.nn.Parameter, gate: str) -> torch.Tensor:
        block = parameter.detach()[self._rows(parameter, gate)]
        if block.ndim != 2 or block.shape[0] != block.shape[1] or not len(block):
            gates = self._gates()
            hint = f"; name one gate of {', '.join(map(repr, gates))}" if gates else "; give rows"
            raise ValueError(
                f"{self._label(gate)} must be a square matrix, got {tuple(block.shape)}"
                f"{hint if self.gate is None and self.rows is None else ''}"
            )
        return block

    def _rows(self, parameter: torch.nn.Parameter, gate: str) -> slice:
        if self.gate is None:
            return self.rows or slice(None)
        gates = self._gates()
        if not gates:
            kind = type(self.module).__name__
            raise ValueError(f"gate must be None for {kind}, whose gates are not known; give rows")
        size = len(parameter) // len(gates)
        first = gates.index(choice(gate, "gate", gates)) * size
        return slice(first, first + size)

    def _gates(self) -> tuple[str, ...]:
        """The gates in the order of the rows; none for a module without gates."""
        import torch

        for kind, gates in _GATES.items():
            known = (getattr(torch.nn, kind), getattr(torch.nn, f"{kind}Cell"))
            if isinstance(self.module, known):
                return gates
        return ()

    def _label(self, gate: str) -> str:
        part = f"gate {gate!r} of " if gate else "the rows of " if self.rows else ""
        return f"{part}{self.name}"


def _distinct(gates: object) -> tuple[str, ...]:
    """The gates as a tuple; TypeError or ValueError unless they are several distinct names."""
    if not isinstance(gates, Sequence) or {*map(type, gates)} - {str}:
        raise TypeError(f"gate must be a name or a sequence of names, got {shown(gates)}")
    if not gates or len(set(gates)) < len(gates):
        raise ValueError(f"gate must name at least one gate, each once, got {shown(gates)}")
    return tuple(gates)
