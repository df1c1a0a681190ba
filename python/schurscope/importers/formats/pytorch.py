"""Files of ``torch.save``, read without PyTorch and without unpickling.

Sources: PyTorch's notes on serialization semantics, and its torch/serialization.py and
torch/_utils.py for the order of the records and the arguments.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from ..._internal.checks import printable, shown
from ..._internal.files import Array, check_size, open_file
from ..._internal.limits import MAX_AXES, size_on_disk
from ..._internal.zips import read_zip
from .checkpoint import Checkpoint, entry_name, leaves
from .interpreter import UnknownObjectError, dictionary, interpret

__all__ = ["LEGACY_TORCH", "read_legacy_torch", "read_torch"]

LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""First bytes of files from before torch.save wrote zip archives: its pickled magic number."""

_DTYPES = {
    "float64": "f8",
    "float32": "f4",
    "float16": "f2",
    "bfloat16": "u2",  # its bits: NumPy has no such dtype
    "int64": "i8",
    "int32": "i4",
    "int16": "i2",
    "int8": "i1",
    "uint64": "u8",
    "uint32": "u4",
    "uint16": "u2",
    "uint8": "u1",
    "bool": "?",
    "complex64": "c8",
    "complex128": "c16",
}
_STORAGES = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
}
_MAX_PICKLE = 2**24
"""In bytes. Characters beyond ASCII make the others of their text four times as large."""

_OTHERS = (
    *("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"),
    *("complex32", "qint8", "quint8", "qint32", "per_tensor_affine", "per_channel_affine"),
    *("QInt8Storage", "QUInt8Storage", "QInt32Storage", "Tensor", "nn.parameter.Parameter"),
    "nn.parameter.Buffer",
)
"""Names of PyTorch that tensors may need, though they hold no numbers that are read here."""


_Order: TypeAlias = Literal["<", ">"]


def read_torch(path: Path, max_bytes: int) -> Checkpoint:
    """The tensors of a file of ``torch.save``, and why other entries are skipped.

    ValueError if it is damaged, has a wrong checksum, needs objects other than tensors, or would
    unpack to more than `max_bytes`.
    """
    entries = read_zip(path, max_bytes)
    pickled, *more = (name for name in entries if f"/{name}".endswith("/data.pkl"))
    if more:
        raise ValueError(f"it holds several pickles, {pickled} and {more[0]}")
    if len(entries[pickled]) > _MAX_PICKLE:
        raise ValueError(f"its pickle has {len(entries[pickled])} bytes, more than {_MAX_PICKLE}")
    folder = pickled.removesuffix("data.pkl")
    order: _Order = ">" if entries.get(f"{folder}byteorder") == b"big" else "<"
    storages = {
        name.removeprefix(f"{folder}data/"): content
        for name, content in entries.items()
        if name.startswith(f"{folder}data/")
    }
    tree, _ = _interpreted(path, entries[pickled], 0)
    return _checkpoint(path, tree, storages, order, max_bytes)


def read_legacy_torch(path: Path, max_bytes: int) -> Checkpoint:
    """The same of a file from before version 1.6, which has no checksums.

    After the pickles come the storages: the number of elements, then the elements.
    """
    with open_file(path) as stream:
        check_size(path.stat().st_size, size_on_disk(stream), max_bytes)
        content = stream.read()
    _, place = _interpreted(path, content, len(LEGACY_TORCH))  # the version of the format
    system, place = _interpreted(path, content, place)
    sizes: dict[str, int] = {}
    tree, place = _interpreted(path, content, place, sizes)
    keys, place = _interpreted(path, content, place)
    if not isinstance(system, dict) or not isinstance(keys, list):
        raise ValueError("it lacks the list of its storages")
    order: _Order = "<" if system.get("little_endian", True) else ">"
    storages: dict[str, memoryview] = {}
    for key in map(str, keys):
        if key in storages or key not in sizes:
            raise ValueError(f"its storage {shown(key)} is unknown or occurs twice")
        length = np.frombuffer(content, f"{order}i8", 1, place).item() * sizes[key]
        end = place + 8 + max(0, length)
        storages[key] = memoryview(content)[place + 8 : end]
        place = end
    return _checkpoint(path, tree, storages, order, max_bytes)


# What the pickle builds


@dataclass(frozen=True)
class _Storage:
    dtype: str  # empty if the tensor says it
    key: str
    length: int  # elements

    @property
    def itemsize(self) -> int:
        return np.dtype(_DTYPES[self.dtype or "uint8"]).itemsize


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements
    is_conjugated: bool
    is_negated: bool

    @property
    def nbytes(self) -> int:
        """As an array, for which halves become float32."""
        is_half = self.dtype in ("float16", "bfloat16")
        return math.prod(self.shape) * (4 if is_half else np.dtype(_DTYPES[self.dtype]).itemsize)

    def array(self, storages: Mapping[str, bytes | memoryview], order: _Order) -> Array:
        """The tensor as NumPy's array, bfloat16 as float32."""
        dtype = np.dtype(_DTYPES[self.dtype]).newbyteorder(order)
        content = storages.get(self.storage.key, b"")
        if len(content) != self.storage.length * self.storage.itemsize:
            raise ValueError(f"its storage {self.storage.key} is missing or of another length")
        if 0 in self.shape:
            return np.empty(self.shape, "f4" if self.dtype == "bfloat16" else dtype)
        # The stride of an axis of one entry means nothing.
        steps = [
            stride if size > 1 else 0 for size, stride in zip(self.shape, self.strides, strict=True)
        ]
        last = sum((size - 1) * step for size, step in zip(self.shape, steps, strict=True))
        array = np.frombuffer(content, dtype, len(content) // dtype.itemsize)
        if self.offset + last >= len(array):
            raise ValueError(f"a tensor of shape {self.shape} exceeds its storage")
        strides = tuple(step * dtype.itemsize for step in steps)
        array = np.lib.stride_tricks.as_strided(
            array[self.offset :], self.shape, strides, writeable=False
        )
        if self.dtype == "bfloat16":  # the upper half of a float32
            array = np.left_shift(array, 16, dtype="u4").view("f4")
        array = array.conj() if self.is_conjugated else array
        return np.asarray(-array if self.is_negated else array)  # not a scalar


@dataclass(frozen=True)
class _Other:
    """What is no tensor of numbers, such as a dtype or a sparse tensor."""

    kind: str


def _tensor_of(
    storage: object,
    offset: object,
    shape: object,
    strides: object,
    _requires_grad: object = False,
    _hooks: object = None,
    metadata: object = None,
) -> _Tensor | _Other:
    """As torch._utils._rebuild_tensor and its second version."""
    if isinstance(storage, _Other):
        return storage
    if not isinstance(storage, _Storage):
        raise TypeError("a tensor without storage")
    return _with_dtype(storage, offset, shape, strides, storage.dtype, metadata)


def _tensor_of_dtype(
    storage: object,
    offset: object,
    shape: object,
    strides: object,
    _requires_grad: object,
    _hooks: object,
    dtype: object,
    metadata: object = None,
) -> _Tensor | _Other:
    """As torch._utils._rebuild_tensor_v3, for dtypes without a storage of their own."""
    if not isinstance(dtype, _Other) or not isinstance(storage, _Storage):
        raise TypeError("a tensor without dtype or storage")
    return _with_dtype(storage, offset, shape, strides, dtype.kind, metadata)


def _with_dtype(
    storage: _Storage, offset: object, shape: object, strides: object, dtype: str, metadata: object
) -> _Tensor | _Other:
    if dtype not in _DTYPES:
        return _Other(f"{dtype} tensor")
    marks = metadata if isinstance(metadata, dict) else {}
    if not isinstance(shape, tuple) or not isinstance(strides, tuple) or len(shape) > MAX_AXES:
        raise TypeError("a tensor without a shape")
    numbers = (offset, *shape, *strides)
    if len(shape) != len(strides) or not all(type(n) is int and 0 <= n < 2**62 for n in numbers):
        raise TypeError("a tensor of an impossible shape")
    assert isinstance(offset, int)
    conjugated, negated = bool(marks.get("conj")), bool(marks.get("neg"))
    return _Tensor(storage, dtype, offset, shape, strides, conjugated, negated)


def _other(kind: str) -> Callable[..., _Other]:
    return lambda *_: _Other(kind)


def _first(value: object, *_: object) -> object:
    return value


def _rebuilt(function: Any, _kind: object, arguments: Any, _state: object = None) -> object:
    """As torch._tensor._rebuild_from_type_v2, for tensors with attributes of their own."""
    return function(*arguments)


_TABLE: dict[str, Any] = {
    **{f"torch.{name}Storage": _Storage(dtype, "", 0) for name, dtype in _STORAGES.items()},
    **{f"torch.{name}": _Other(name) for name in (*_DTYPES, *_OTHERS)},
    "torch.storage.UntypedStorage": _Storage("", "", 0),
    "torch._utils._rebuild_tensor": _tensor_of,
    "torch._utils._rebuild_tensor_v2": _tensor_of,
    "torch._utils._rebuild_tensor_v3": _tensor_of_dtype,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._tensor._rebuild_from_type_v2": _rebuilt,
    "torch._utils._rebuild_qtensor": _other("quantized tensor"),
    "torch._utils._rebuild_sparse_tensor": _other("sparse tensor"),
    "torch._utils._rebuild_nested_tensor": _other("nested tensor"),
    "torch._utils._rebuild_meta_tensor_no_storage": _other("meta tensor"),
    "torch.serialization._get_layout": _other("layout"),
    "torch.Size": _first,
    "torch.device": _other("device"),
    "collections.OrderedDict": dictionary,
    "collections.defaultdict": lambda *_: {},
    "__builtin__.set": _other("set"),
    "__builtin__.frozenset": _other("set"),
    "__builtin__.bytearray": _other("bytearray"),
    "__builtin__.complex": _other("complex"),
    "_codecs.encode": _other("bytes"),
}


def _interpreted(
    path: Path, content: bytes, start: int, sizes: dict[str, int] | None = None
) -> tuple[Any, int]:
    """The object of a pickle and its end; `sizes` receives the itemsizes of its storages."""

    def storage(identifier: Any) -> _Storage | _Other:
        kind, template, key, _, length, *_ = identifier
        if kind != "storage" or type(length) is not int or length < 0:
            raise TypeError("a storage of another kind")
        if isinstance(template, _Other):
            return template
        if sizes is not None:
            sizes[str(key)] = template.itemsize
        return _Storage(template.dtype, str(key), length)

    def find(name: str) -> Any:
        if name not in _TABLE:
            raise UnknownObjectError(name)
        return _TABLE[name]

    try:
        return interpret(content, find, storage, start)
    except UnknownObjectError as error:
        raise ValueError(
            f"{path} holds pickled objects besides tensors, such as a whole module, which are "
            f"never loaded because they can run any code ({printable(shown(str(error)))}); save "
            "model.state_dict() instead"
        ) from error


def _checkpoint(
    path: Path,
    tree: object,
    storages: Mapping[str, bytes | memoryview],
    order: _Order,
    max_bytes: int,
) -> Checkpoint:
    if not isinstance(tree, dict):
        kind = "Tensor" if isinstance(tree, _Tensor) else type(tree).__name__
        raise ValueError(f"{path} must hold a state dict, got {kind}")
    found = Checkpoint.of_file(path, max_bytes)
    entries = list(leaves(tree))
    # Before copying: a tensor may declare any shape over a storage of a few bytes.
    declared = sum(leaf.nbytes for _, leaf in entries if isinstance(leaf, _Tensor))
    check_size(declared, sum(map(len, storages.values())), max_bytes)
    for name, leaf in entries:
        if isinstance(leaf, _Tensor):
            found.add(name, leaf.array(storages, order))
            if leaf.dtype == "bfloat16":
                found.narrow[entry_name(name)] = leaf.dtype
        elif isinstance(leaf, (_Other, _Storage)):
            told = leaf.kind if isinstance(leaf, _Other) else "storage"
            found.skip(name, f"a {told}, not an array of numbers")
        else:
            found.add(name, leaf)
    return found
