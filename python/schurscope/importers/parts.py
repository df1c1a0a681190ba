"""The parts of a network, collected from a checkpoint, and the record of where they came from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from .._files import Array
from .._validation import choice, finite, real_array
from .checkpoint import Checkpoint, listed, to_numpy

__all__ = ["PARTS", "Parts", "components", "gates", "is_kernel"]

PARTS = ("W_hh", "W_xh", "W_hy", "b_h", "b_y", "h_0")


def components(name: str) -> list[str]:
    """The levels of a nested name, joined by dots or slashes."""
    return re.split(r"[./]", name)


def is_kernel(name: str) -> bool:
    """Whether Keras and Flax store an array of this name as (in, out), transposed."""
    return components(name)[-1].endswith("kernel")


@dataclass
class Parts:
    """What is known of a network so far.

    Attributes
    ----------
    checkpoint : Checkpoint
    keys : dict
        Of PARTS to what the caller names: an entry, several to be summed, an array, or None.
    arrays, mapped : dict
        By part: the array, and in words what it was made of.
    used : set of str
        Entries that are in the network, or whose absence from it is right.
    stated : dict
        Fields of the cell that the source or its format fixes.
    assumed : dict
        Fields of the cell that the format has by default but a file does not state.
    unstated : dict
        Fields that only the caller can know → what they are called where the network comes from.
    """

    checkpoint: Checkpoint
    keys: dict[str, Any]
    arrays: dict[str, Array] = field(default_factory=dict)
    mapped: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    stated: dict[str, Any] = field(default_factory=dict)
    assumed: dict[str, Any] = field(default_factory=dict)
    unstated: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for part in self.keys:
            choice(part, "keys", PARTS)

    def entry(self, name: str) -> Array:
        """A finite real array of the checkpoint, as a float array."""
        arrays = self.checkpoint.arrays
        if name not in arrays:
            self.fail(f"has no array {name!r}; it holds {listed(arrays)}")
        array = self._real(arrays[name], name)
        self.used.add(name)
        return array

    def has(self, name: str) -> bool:
        """Whether the checkpoint has an array of that name."""
        return name in self.checkpoint.arrays

    def put(self, part: str, *names: str) -> None:
        """Make a part of the sum of those of the entries that exist, kernels transposed."""
        present = [name for name in names if self.has(name)]
        if part not in self.keys and present:
            self._sum(part, present)

    def put_computed(self, part: str, array: Array, how: str) -> None:
        """Make a part of an array that was computed from entries."""
        if part not in self.keys:
            self.arrays[part], self.mapped[part] = array, how

    def put_named(self) -> None:
        """Make the parts that the caller names."""
        for part, given in self.keys.items():
            if isinstance(given, str):
                self._sum(part, [given])
            elif isinstance(given, Sequence) and given and all(isinstance(g, str) for g in given):
                self._sum(part, list(given))
            elif given is not None:
                self.arrays[part] = self._real(to_numpy(given)[0], f"keys[{part!r}]")
                self.mapped[part] = "the given array"

    def _sum(self, part: str, names: list[str]) -> None:
        total: Array | None = None
        for name in names:
            array = self.entry(name)
            array = array.T if is_kernel(name) else array
            if part == "h_0" or part[0] == "b":
                array = array.reshape(-1) if array.size == max(array.shape, default=1) else array
            if total is not None and total.shape != array.shape:
                self.fail(f"must have {' and '.join(names)} of one shape to sum them into {part}")
            total = array if total is None else total + array
        assert total is not None
        self.arrays[part] = total
        self.mapped[part] = " + ".join(f"{name}ᵀ" if is_kernel(name) else name for name in names)

    def _real(self, array: Array, name: str) -> Array:
        try:
            real = real_array(array, name, None, allow_empty=True, allow_nonfinite=True)
            finite(real, name)
        except (TypeError, ValueError) as error:
            self.fail(f"cannot be imported: {error}")
        return real

    def fail(self, told: str) -> NoReturn:
        """ValueError that names the source."""
        raise ValueError(f"{self.checkpoint.origin} {told}")


def gates(parts: Parts, name: str) -> None:
    """Refuse matrices of cells with gates: (3 N_h, N_h) or (4 N_h, N_h)."""
    array = parts.checkpoint.arrays[name]
    shape = array.shape[::-1] if is_kernel(name) else array.shape
    if len(shape) == 2 and shape[1] and shape[0] in (3 * shape[1], 4 * shape[1]):
        kind = "GRU" if shape[0] == 3 * shape[1] else "LSTM"
        parts.fail(
            f"holds the gates of a {kind}: {name} {array.shape} stacks {shape[0] // shape[1]} "
            "recurrent matrices. A Network has one; for cells with gates there is "
            "schurscope.ablate_with, which ablates a matrix inside your own rollout"
        )
