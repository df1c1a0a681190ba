"""Checks of user input.

Every error names the argument, the value given and the values allowed. Conversions happen here,
once, and only if they are exact; rounding to float32 is explicit (`cast`).
"""

from __future__ import annotations

import contextlib
import difflib
import math
import numbers
import operator
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
"""A float32 or float64 array."""

FloatDType: TypeAlias = np.dtype[np.floating[Any]]


Rng: TypeAlias = np.random.Generator | np.random.SeedSequence | int | None
"""A generator or its seed; None draws fresh entropy, which is not reproducible."""

MAX_INT = 2**31 - 1
"""The largest size or count."""


def shown(value: object) -> str:
    """Short text of an offending value, for a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def printable(text: str) -> str:
    """`text` with escapes for all that is not printable, such as a terminal's own escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def suggest(name: object, choices: Iterable[str]) -> str:
    """The end of an error message: ``"; did you mean 'x'?"``, or nothing when no choice is near."""
    by_lower_case = {known.lower(): known for known in choices}
    near = difflib.get_close_matches(str(name).lower(), by_lower_case, n=1)
    return f"; did you mean {by_lower_case[near[0]]!r}?" if near else ""


def choice(value: object, name: str, choices: Iterable[str]) -> str:
    """`value` if it is one of `choices`; else ValueError with the choices and the nearest."""
    known = list(choices)
    if isinstance(value, str) and value in known:
        return value
    listed = ", ".join(repr(known_value) for known_value in known)
    raise ValueError(f"{name} must be one of {listed}, got {shown(value)}{suggest(value, known)}")


def float_dtype(dtype: npt.DTypeLike, name: str = "dtype") -> FloatDType:
    """The native float32 or float64 dtype that `dtype` stands for; TypeError for anything else."""
    if dtype is not None:  # which NumPy would read as float64
        with contextlib.suppress(TypeError):
            native: np.dtype[Any] = np.dtype(dtype).newbyteorder("=")
            if native in (np.float32, np.float64):
                return native
    raise TypeError(f"{name} must be float32 or float64, got {shown(dtype)}")


def real_array(
    value: npt.ArrayLike,
    name: str,
    shape: tuple[int | str, ...] | None,
    *,
    because: str = "",
    allow_empty: bool = False,
    allow_nonfinite: bool = False,
) -> FloatArray:
    """C-contiguous, finite float32 or float64 array of the given shape.

    May be the given array itself: copy it (`read_only`) before keeping it.

    Parameters
    ----------
    value
        float32 and float64 are kept; integers and booleans become float64, exactly. Lists and
        other byte orders are accepted. Refused: float16, longdouble, complex, object, text,
        masked arrays, integers that float64 cannot hold.
    name
        The argument's name, for messages.
    shape
        One entry per axis: a size, or the name of a free size such as ``"N_x"``. An axis name that
        occurs twice must have one size: ``("N_h", "N_h")`` is a square matrix. None: any shape.
    because
        Reason for the shape, e.g. ``"W_hh is (64, 64)"``; ends the message.
    allow_empty
        Whether axes may have no entries.
    allow_nonfinite
        Whether NaN and infinity may occur, as in the outputs of a rollout that diverged.

    Raises
    ------
    TypeError
        The value is not an array of real numbers of a supported dtype.
    ValueError
        Wrong shape, an empty axis, NaN or infinity.
    """
    array = _floating(value, name)
    if shape is not None and not _fits(array.shape, shape):
        wanted = _shape_text(shape)
        reason = f" because {because}" if because else ""
        raise ValueError(f"{name} must have shape {wanted}{reason}, got {array.shape}")
    if array.size == 0 and not allow_empty:
        raise ValueError(f"{name} must have at least one entry per axis, got shape {array.shape}")
    if not allow_nonfinite:
        finite(array, name)
    return np.asarray(array, order="C")


def finite(array: FloatArray, name: str) -> None:
    """Raise ValueError, naming the first offender, unless every entry is finite."""
    good = np.isfinite(array)
    if good.all():
        return
    bad = ~good
    count = int(bad.sum())
    where = tuple(int(axis[0]) for axis in np.nonzero(bad))
    index = ", ".join(str(place) for place in where)
    raise ValueError(
        f"{name} must be finite, got {count} NaN or infinite "
        f"{'entry' if count == 1 else 'entries'}, the first {name}[{index}] = {array[where]}"
    )


def step_weights(value: npt.ArrayLike, shape: tuple[int, ...], because: str) -> FloatArray:
    """Weights of the steps, (trials, steps) or with one channel: at least 0, not all 0."""
    weights = real_array(value, "weights", None, allow_nonfinite=True)
    if weights.shape == (*shape, 1):
        weights = weights[..., 0]
    weights = real_array(weights, "weights", shape, because=because)
    if weights.min() < 0:
        raise ValueError(f"weights must be at least 0, got {weights.min():g}")
    if not weights.any():
        raise ValueError("weights must have a positive entry, got only zeros: no step would count")
    return weights


def cast(array: FloatArray, dtype: FloatDType, name: str) -> FloatArray:
    """The array rounded to `dtype`, unchanged if it has that dtype.

    ValueError if a value overflows `dtype`.
    """
    if array.dtype == dtype:
        return array
    with np.errstate(over="ignore"):
        converted = array.astype(dtype)
    if not np.isfinite(converted).all():
        raise ValueError(
            f"{name} has values beyond the range of {dtype}, the largest {np.abs(array).max():.3g}"
        )
    return converted


def read_only(array: FloatArray) -> FloatArray:
    """A read-only, C-contiguous copy."""
    copy = array.copy(order="C")
    copy.flags.writeable = False
    return copy


def keep_read_only(owner: object, arrays: dict[str, FloatArray]) -> None:
    """Set attributes to read-only copies of the arrays, which must have the dtype of the first."""
    first, reference = next(iter(arrays.items()))
    for name, array in arrays.items():
        if array.size == 0:
            array = array.astype(reference.dtype)  # an empty list has no dtype of its own
        if array.dtype != reference.dtype:
            raise TypeError(
                f"{name} must be {reference.dtype} because {first} is, got {array.dtype}"
            )
        object.__setattr__(owner, name, read_only(array))


def positive_int(value: object, name: str) -> int:
    """An integer of at least 1 that C's integers hold, as int."""
    if (number := _integer(value, name, 1)) > MAX_INT:
        raise ValueError(f"{name} must be at most {MAX_INT}, got {shown(value)}")
    return number


def nonnegative_int(value: object, name: str) -> int:
    """An integer of at least 0, as int."""
    return _integer(value, name, 0)


def real_number(value: object, name: str) -> float:
    """A finite real number, as float."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, got {shown(value)}")
    with contextlib.suppress(OverflowError):  # an integer beyond all floats
        if math.isfinite(number := float(value)):
            return number
    raise ValueError(f"{name} must be finite, got {shown(value)}")


def positive(value: object, name: str) -> float:
    """A finite number greater than 0, as float."""
    number = real_number(value, name)
    if not number > 0:
        raise ValueError(f"{name} must be greater than 0, got {shown(value)}")
    return number


def nonnegative(value: object, name: str) -> float:
    """A finite number of at least 0, as float."""
    number = real_number(value, name)
    if not number >= 0:
        raise ValueError(f"{name} must be at least 0, got {shown(value)}")
    return number


def probability(value: object, name: str) -> float:
    """A number in [0, 1], as float."""
    number = real_number(value, name)
    if not 0 <= number <= 1:
        raise ValueError(f"{name} must be in [0, 1], got {shown(value)}")
    return number


def fraction(value: object, name: str) -> float:
    """A number in (0, 1], as float."""
    number = real_number(value, name)
    if not 0 < number <= 1:
        raise ValueError(f"{name} must be in (0, 1], got {shown(value)}")
    return number


def generator(rng: object, name: str = "rng") -> np.random.Generator:
    """A NumPy Generator from a Generator (itself), a seed >= 0, a SeedSequence or None.

    None draws fresh entropy from the operating system, which is not reproducible.
    """
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is None or isinstance(rng, np.random.SeedSequence):
        return np.random.default_rng(rng)
    if isinstance(rng, (int, np.integer)) and not isinstance(rng, bool):
        return np.random.default_rng(nonnegative_int(rng, name))
    raise TypeError(
        f"{name} must be a numpy.random.Generator, a SeedSequence, a seed >= 0 or None, "
        f"got {shown(rng)}"
    )


def _integer(value: object, name: str, minimum: int) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, got {shown(value)}")
    number = operator.index(value)
    if number < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {shown(number)}")
    return number


def _floating(value: npt.ArrayLike, name: str) -> FloatArray:
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} must not be a masked array: its mask would be lost")
    try:
        array = np.asarray(value)
    except Exception as error:  # foreign array types fail in their own ways
        raise TypeError(f"{name} cannot be read as an array of real numbers: {error}") from error
    for allowed in (np.float32, np.float64):
        if np.issubdtype(array.dtype, allowed):
            return array.astype(allowed, copy=False)
    if array.dtype.kind in "iub":
        return _exact_integers(array, name)
    # What is no array at all, such as a network, becomes one without axes.
    why = (
        f": {type(value).__name__} is no array" if array.dtype == object and array.ndim == 0 else ""
    )
    raise TypeError(f"{name} must be float32 or float64, got dtype {array.dtype}{why}")


def _exact_integers(array: npt.NDArray[Any], name: str) -> FloatArray:
    if array.dtype.itemsize > 4 and array.size:
        largest = max(abs(int(array.min())), abs(int(array.max())))
        if largest > 2**53:
            raise ValueError(f"{name} holds integers that float64 cannot hold, such as {largest}")
    return array.astype(np.float64)


def _fits(shape: tuple[int, ...], wanted: tuple[int | str, ...]) -> bool:
    if len(shape) != len(wanted):
        return False
    sizes: dict[str, int] = {}
    return all(
        size == (sizes.setdefault(axis, size) if isinstance(axis, str) else axis)
        for size, axis in zip(shape, wanted, strict=True)
    )


def _shape_text(shape: tuple[int | str, ...]) -> str:
    return f"({', '.join(str(axis) for axis in shape)}{',' if len(shape) == 1 else ''})"
