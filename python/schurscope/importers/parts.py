"""The parts of a network, collected from a checkpoint, and the record of where they came from."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from .._internal.checks import choice, finite, positive_int, printable, real_array, shown
from .._internal.files import MAX_BYTES, Array
from .expressions import FUNCTIONS, SIZES, UnknownSize, evaluate
from .formats.checkpoint import Checkpoint, listed, to_numpy
from .optimizers import optimizer_entries

__all__ = ["PARTS", "Parts", "by_keys", "components", "ends_in", "is_kernel", "quoted"]

MAX_FLOPS, FLOPS_PER_BYTE = 2e10, 1e4
"""Of a product: half a second, and what trained matrices of any size need."""

_MATRICES = ("W_hh", "W_xh", "W_hy")
PARTS = (*_MATRICES, "b_h", "b_y", "b_hn", "h_0", "c_0")


def components(name: str) -> list[str]:
    """The levels of a nested name, joined by dots or slashes."""
    return name.replace("/", ".").split(".")


def ends_in(name: str, end: str) -> bool:
    """Whether the last levels of a nested name are those of `end`."""
    wanted = components(end)
    return name.endswith(wanted[-1]) and components(name)[-len(wanted) :] == wanted


def is_kernel(name: str) -> bool:
    """Whether Keras and Flax store an array of this name as (in, out), transposed."""
    return components(name)[-1].endswith("kernel")


def by_keys(**named: str) -> str:
    """The keys that name parts, in Python and on the command line, for a message."""
    keys = ", ".join(
        f"{part!r}: {entry if entry == '…' else repr(entry)}" for part, entry in named.items()
    )
    pairs = (f"{part}={entry}" for part, entry in named.items())
    options = " ".join(f"--key {pair if pair.count('…') else shlex.quote(pair)}" for pair in pairs)
    return f"keys={{{keys}}} (on the command line {options})"


def quoted(name: str) -> str:
    """A name as it stands in an expression."""
    if re.fullmatch(r"[^\W\d]\w*([./:]\w+)*", name) and name not in (*SIZES, *FUNCTIONS):
        return name
    return f'"{name}"' if "'" in name else f"'{name}'"


@dataclass
class Parts:
    """The parts of a network found so far.

    Attributes
    ----------
    checkpoint : Checkpoint
    keys : dict
        Part → the caller's choice: an entry or an expression in entries, several to sum, an array,
        or None; also the sizes that the expressions name.
    layer : str, optional
        The recurrent layer, or direction, that the caller chooses.
    arrays, mapped : dict
        Part → its array, and a description of its source.
    sources : dict
        Part → the entries that it was made of.
    used : set of str
        Entries that are in the network, or that it does not need.
    of_optimizer : set of str
        Entries of an optimiser.
    elsewhere : set of str
        Entries of layers or directions other than the imported one.
    given : set of str
        Parts that the caller gave as arrays.
    stated : dict
        Fields of the cell that the source or its format fixes.
    assumed : dict
        Fields of the cell → the format's defaults, which files do not state.
    doubted : dict
        Fields whose default is doubtful → why.
    unstated : dict
        Fields that only the caller can know → their names in the source's framework.
    reordered : list of (str, callable)
        Other orders of the gates, in words and as functions that return part → array.
    """

    checkpoint: Checkpoint
    keys: Mapping[str, Any]
    layer: str | None = None
    arrays: dict[str, Array] = field(default_factory=dict)
    mapped: dict[str, str] = field(default_factory=dict)
    sources: dict[str, list[str]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    of_optimizer: set[str] = field(init=False)
    elsewhere: set[str] = field(default_factory=set)
    given: set[str] = field(default_factory=set)
    stated: dict[str, Any] = field(default_factory=dict)
    assumed: dict[str, Any] = field(default_factory=dict)
    doubted: dict[str, str] = field(default_factory=dict)
    unstated: dict[str, str] = field(default_factory=dict)
    reordered: list[tuple[str, Callable[[], dict[str, Array]]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.of_optimizer = optimizer_entries(self.checkpoint.arrays)
        if not isinstance(self.keys, Mapping):
            raise TypeError(
                "keys must be a dictionary such as {'W_hh': 'cell.U'}, from parts to entries, got "
                f"{shown(self.keys)}"
            )
        for part, given in self.keys.items():
            choice(part, "keys", (*PARTS, *SIZES))
            if part in SIZES:
                positive_int(given, f"keys[{part!r}]")
            elif given is None and part in _MATRICES:
                raise TypeError(
                    f"keys[{part!r}] must not be None: only biases and states can be left out"
                )

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

    def parameters(self) -> dict[str, Array]:
        """The entries that are not an optimiser's."""
        arrays = self.checkpoint.arrays
        return {name: array for name, array in arrays.items() if name not in self.of_optimizer}

    @property
    def n_hidden(self) -> int:
        """N_h, by the recurrent matrix, whose rows stack the gates of a gated cell."""
        shape = self.arrays["W_hh"].shape
        return int(shape[-1] if "kind" in self.stated else max(shape, default=1))

    def product(self, left: Array, right: Array) -> Array:
        """The matrix product; ValueError if a small file would make it large, or take long."""
        size = self.checkpoint.file_size
        if max(left.ndim, right.ndim) > 2:
            self.fail(f"needs the product of {left.shape} and {right.shape}, which are no matrices")
        if size is not None and left.ndim == right.ndim == 2:
            n_bytes = len(left) * right.shape[1] * left.itemsize
            flops = 2 * left.size * right.shape[1]
            if n_bytes > max(size, MAX_BYTES) or flops > max(MAX_FLOPS, FLOPS_PER_BYTE * size):
                self.fail(
                    f"needs the product of {left.shape} and {right.shape}, too large for a file of "
                    f"{size} bytes; give arrays instead"
                )
        computed: Array = left @ right
        return computed

    def scaled(self, array: Array, factor: Array) -> Array:
        """Array ∘ factor; ValueError unless the array's shape remains, whatever the factor's."""
        try:
            fits = np.broadcast_shapes(array.shape, factor.shape) == array.shape
        except ValueError:
            fits = False
        if not fits:
            self.fail(f"has a factor of shape {factor.shape} for an array of shape {array.shape}")
        computed: Array = array * factor
        return computed

    def add_identity(self, scale: float = 1.0) -> None:
        """W_hh ← W_hh + scale I; ValueError if it is not square."""
        W_hh = self.arrays["W_hh"]
        if W_hh.ndim != 2 or len(W_hh) != W_hh.shape[1]:
            self.fail(f"has a recurrent matrix of shape {W_hh.shape}, which is not square")
        eye = np.eye(len(W_hh), dtype=W_hh.dtype)
        self.arrays["W_hh"] = W_hh + eye * W_hh.dtype.type(scale)
        self.mapped["W_hh"] += " + I" if scale == 1 else f" + {scale:g} I"

    def prefix_of(self, *names: str) -> str | None:
        """What precedes all these names in some entries; None unless there are such."""
        for entry in self.parameters():
            if ends_in(entry, names[0]):
                prefix = entry[: len(entry) - len(names[0])]
                if all(self.has(prefix + name) for name in names):
                    return prefix
        return None

    def number(self, name: str) -> float | None:
        """A single number of the checkpoint, if it has one of that name."""
        value = self.checkpoint.numbers.get(name)
        array = self.checkpoint.arrays.get(name)
        if value is None and array is not None and array.size == 1 and array.dtype.kind in "fiu":
            value = float(array.item())
        if value is not None:
            self.used.add(name)
        return value

    def text(self, name: str) -> str | None:
        """A text of the checkpoint, if it has one of that name."""
        if name in self.checkpoint.texts:
            self.used.add(name)
        return self.checkpoint.texts.get(name)

    def state_leak(self, leak: float | Array, how: str) -> None:
        """The leak that the source states, one number or (N_h,), and how, for a note."""
        leaks = np.asarray(leak, dtype=np.float64)
        values = np.unique(leaks)
        if not (values.size and values[0] > 0 and values[-1] <= 1):
            self.fail(f"has a leak of {shown(values.tolist())}, {how}, which must lie in (0, 1]")
        if values.size == 1:
            self.stated["leak"] = float(values[0])
            told = f"leak={values[0]:.9g}"
        else:
            self.stated["leak"] = leaks
            told = f"a leak for each unit, from {values[0]:.3g} to {values[-1]:.3g}"
        self.checkpoint.notes.append(f"{told}, which is {how}")

    def resolve(self, name: str) -> tuple[str, bool]:
        """The entry that the caller's name refers to, and whether to transpose it.

        A name that ends in ``.T``, unless an entry has that very name, refers to the transpose of
        the entry without the suffix. Kernels are transposed unless ``.T`` cancels it.
        """
        entry = name.removesuffix(".T")
        is_asked = entry != name and not self.has(name) and self.has(entry)
        entry = entry if is_asked else name
        return entry, is_asked != is_kernel(entry)

    def put(self, part: str, *names: str) -> None:
        """Set a part to the sum of the named entries that exist, kernels transposed."""
        present = [name for name in names if self.has(name)]
        if part not in self.keys and present:
            self._sum(part, present)

    def put_computed(self, part: str, array: Array, how: str) -> None:
        """Set a part to an array computed from entries."""
        if part not in self.keys:
            self.arrays[part], self.mapped[part] = array, how

    def put_named(self) -> None:
        """Set the parts that the caller names; some of them give sizes that others need."""
        named = {part: given for part, given in self.keys.items() if part not in SIZES}
        unknown: UnknownSize | None = None
        while named:
            waiting = {}
            for part, given in named.items():
                try:
                    self._put_named(part, given)
                except UnknownSize as error:
                    waiting[part], unknown = given, error
            if unknown is not None and len(waiting) == len(named):
                give = by_keys(**{unknown.name: "…"})
                self.fail(f"does not tell all sizes: {unknown}; give it with {give}")
            named = waiting

    def _put_named(self, part: str, given: object) -> None:
        if isinstance(given, str):
            self._sum(part, [given])
        elif isinstance(given, Sequence) and given and all(isinstance(g, str) for g in given):
            self._sum(part, list(given))
        elif given is not None:
            self._put_given(part, given)

    def sizes(self) -> dict[str, int]:
        """n_x, n_h and n_y, as far as the caller or the parts found tell them."""
        axes = {
            "W_xh": ("n_h", "n_x"),
            "W_hy": ("n_y", "n_h"),
            "b_y": ("n_y",),
            "h_0": ("n_h",),
            "b_h": ("n_h",),
            "W_hh": ("n_h", "n_h"),
        }
        known: dict[str, int] = {}
        for part, names in axes.items():
            if part in self.arrays:
                shape = self.arrays[part].shape
                known |= dict(zip(names, shape, strict=False))
        return known | {name: self.keys[name] for name in SIZES if name in self.keys}

    def _put_given(self, part: str, given: object) -> None:
        try:
            array, _ = to_numpy(given)
        except TypeError as error:
            raise TypeError(
                f"keys[{part!r}] must be the name of an entry, a list of names, an array or None, "
                f"got {shown(given)}"
            ) from error
        self.arrays[part] = _flat(part, self._real(array, f"keys[{part!r}]"))
        self.mapped[part] = "the given array"
        self.given.add(part)

    def _sum(self, part: str, names: list[str]) -> None:
        total: Array | None = None
        told = []
        self.sources[part] = []
        for name in names:
            array, how = self._named(part, name)
            told.append(how)
            if total is not None and total.shape != array.shape:
                self.fail(f"must have {' and '.join(names)} of one shape to sum them into {part}")
            total = array if total is None else total + array
        assert total is not None
        self.arrays[part] = total
        self.mapped[part] = " + ".join(told)

    def _named(self, part: str, name: str) -> tuple[Array, str]:
        """The array of an entry, or of an expression, and its description."""
        entry, is_transposed = self.resolve(name)
        if self.has(entry):
            self.sources[part].append(entry)
            array = self.entry(entry)
            told = f"{entry}ᵀ" if is_transposed else entry
            return _flat(part, array.T if is_transposed else array), told

        def read(entry: str) -> Array | float:
            self.sources[part].append(entry)
            if entry in self.checkpoint.numbers:
                self.used.add(entry)
                return self.checkpoint.numbers[entry]
            return self._as_factor(self.entry(entry), entry)

        known = (*self.checkpoint.arrays, *self.checkpoint.numbers)
        try:
            array = evaluate(name, known, read, self.sizes(), self.product)
        except UnknownSize:
            raise
        except ValueError as error:
            if str(error).startswith(self.checkpoint.origin):
                raise
            self.fail(f"cannot give {part}: {error}; it holds {listed(self.checkpoint.arrays)}")
        return _flat(part, self._real(array, f"{part} = {name!r}")), name

    def _as_factor(self, array: Array, name: str) -> Array:
        """Integers, such as those of a mask, as float32 if the source has no wider floats."""
        stored = self.checkpoint.arrays
        floats = {a.dtype.itemsize for a in stored.values() if a.dtype.kind == "f"}
        is_exact = stored[name].dtype.kind in "iub" and np.abs(array).max(initial=0) <= 2**24
        return array.astype(np.float32) if is_exact and floats == {4} else array

    def _real(self, array: Array, name: str) -> Array:
        if array.dtype.kind in "iub" and array.size * 8 > max(array.nbytes, MAX_BYTES):
            self.fail(
                f"has {name} {array.shape} {array.dtype}, too large as float64; store it as float32"
            )
        try:
            real = real_array(array, name, None, allow_empty=True, allow_nonfinite=True)
            finite(real, name)
        except (TypeError, ValueError) as error:
            self.fail(f"cannot be imported: {error}")
        return real

    def fail(self, told: str) -> NoReturn:
        """Raise ValueError with the name of the source."""
        raise ValueError(printable(f"{self.checkpoint.origin} {told}"))


def _flat(part: str, array: Array) -> Array:
    """A vector stored as a row or a column, as (N,); matrices unchanged."""
    is_vector = part not in _MATRICES and array.size == max(array.shape, default=1)
    return array.reshape(-1) if is_vector else array
