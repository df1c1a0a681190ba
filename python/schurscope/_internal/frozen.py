"""Immutable results, and values computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Generic, TypeVar, overload

import numpy as np

__all__ = ["ReadOnly", "computed_once"]

T = TypeVar("T")


class computed_once(Generic[T]):
    """A property computed at its first use, like functools.cached_property but without its lock.

    Until Python 3.12 that lock is held while any thread computes the property of any object, so a
    process forked meanwhile would wait for it forever. Here two threads may compute the same value.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> computed_once[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> computed_once[T] | T:
        """Compute and keep the value; an instance's own attribute comes before this."""
        if instance is None:
            return self
        value = self._compute(instance)
        vars(instance)[self._name] = value
        return value


class ReadOnly:
    """Base of frozen dataclasses whose arrays and mappings are read-only, also after unpickling."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            elif isinstance(value, Mapping):
                object.__setattr__(self, name, MappingProxyType(dict(value)))

    def __getstate__(self) -> dict[str, Any]:
        # A mapping proxy cannot be pickled.
        return {
            name: dict(value) if isinstance(value, MappingProxyType) else value
            for name, value in vars(self).items()
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)
        ReadOnly.__post_init__(self)
