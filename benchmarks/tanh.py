"""The hyperbolic tangent of many numbers, with the largest error of each contender."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

import schurscope._core as core

from .environment import installed
from .problems import Array
from .timing import NS_PER_NUMBER, OURS, Comparison, Contender

SIZE = 1 << 13  # in and out stay in the caches nearest to the core
REPEATED = 50


def comparisons(quick: bool) -> Iterator[Comparison]:
    for dtype in ("float32", "float64"):
        x = np.random.default_rng(0).standard_normal(SIZE).astype(dtype)
        exact = np.tanh(x.astype(np.longdouble))
        contenders = []
        for owner, run in _functions(x):
            error = _largest_error(run(), exact)
            contenders.append(
                Contender(
                    owner,
                    f"largest error {error:.2f} ULP",
                    _repeated(run, 5 if quick else REPEATED),
                    lambda got, exact=exact: _check(got, exact),
                    SIZE * (5 if quick else REPEATED),
                )
            )
        yield Comparison(f"tanh, {dtype}", NS_PER_NUMBER, contenders)


def _functions(x: Array) -> Iterator[tuple[str, Callable[[], Array]]]:
    out = np.empty_like(x)

    def ours() -> Array:
        core.activate("tanh", x, out)
        return out

    yield OURS, ours
    yield "NumPy", lambda: np.tanh(x, out=out)
    if installed("torch"):
        from . import peers_torch

        yield "PyTorch", peers_torch.tanh(x)
    if installed("jax"):
        from . import peers_jax

        yield "JAX", peers_jax.tanh(x)


def _repeated(run: Callable[[], Array], times: int) -> Callable[[], Array]:
    def all_of_them() -> Array:
        for _ in range(times):
            result = run()
        return result

    return all_of_them


def _largest_error(got: Array, exact: Array) -> float:
    """In units of the last place of the exact value."""
    unit = np.spacing(np.abs(exact).astype(got.dtype)).astype(np.longdouble)
    return float((np.abs(got.astype(np.longdouble) - exact) / unit).max())


def _check(got: Array, exact: Array) -> None:
    assert _largest_error(got, exact) < 10
