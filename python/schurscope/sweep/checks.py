"""Checks of a sweep's settings; errors locate the offending key in a TOML file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from .._internal.checks import choice, shown
from ..training import TrainingOptions

__all__ = ["SweepError", "at", "distinct", "listed", "training_options"]

Check = Callable[[object, str], Any]


class SweepError(ValueError):
    """An invalid sweep; `where` is the path of keys to the offending value in a TOML file."""

    def __init__(self, where: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.where = where


@contextmanager
def at(*where: str | int) -> Iterator[None]:
    """Turn TypeErrors and ValueErrors of the block into SweepErrors at `where`."""
    try:
        yield
    except SweepError as error:
        raise SweepError((*where, *error.where), str(error)) from error.__cause__
    except (TypeError, ValueError) as error:
        raise SweepError(where, str(error)) from error


def listed(values: object, name: str, check: Check) -> tuple[Any, ...]:
    """The checked values, at least one."""
    with at(name):
        if isinstance(values, (str, Mapping)) or not isinstance(values, Iterable):
            raise TypeError(f"{name} must be a list, got {shown(values)}")
        checked = tuple(check(value, name) for value in values)
        if not checked:
            raise ValueError(f"{name} must hold at least one entry, got none")
    return checked


def distinct(values: object, name: str, check: Check) -> tuple[Any, ...]:
    """The checked values: at least one, all distinct."""
    checked = listed(values, name, check)
    for place, value in enumerate(checked):
        if value in checked[:place]:
            raise SweepError((name,), f"{name} must be distinct, got {shown(value)} twice")
    return checked


def training_options(options: object) -> Mapping[str, Any]:
    """The given options of `schurscope.train`, checked."""
    if not isinstance(options, Mapping):
        raise TypeError(f"training must be a table of options, got {shown(options)}")
    known = [item.name for item in fields(TrainingOptions)]
    checked = {}
    for name, value in options.items():
        with at(name):
            choice(name, "an option of training", known)
            checked[name] = getattr(TrainingOptions(**{name: value}), name)
    return checked
