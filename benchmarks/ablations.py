"""Ablations: one thread against the peers, and two threads against one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import schurscope as ss

from .environment import installed
from .problems import AblationProblem, Array
from .timing import GEMM, GFLOPS, OURS, Comparison, Contender, Entry

WANTED_FLOAT32 = "1.8 × NumPy, 6 × nn.RNN, 1.25 × JAX, 0.85 of GEMM"
WANTED_FLOAT64 = "2 × NumPy, 5 × PyTorch, 1.4 × JAX"
# Hidden units, ablations, dtype, how many ablations the peers do, and what is wanted.
# The peers' time is proportional to the number of ablations, so they need not do all of many.
CASES = (
    (64, 8, "float32", 8, WANTED_FLOAT32),
    (64, 496, "float32", 32, WANTED_FLOAT32),
    (64, 8, "float64", 8, WANTED_FLOAT64),
    (64, 496, "float64", 32, WANTED_FLOAT64),
    (256, 4, "float32", 4, "0.85 of GEMM"),
    (512, 2, "float32", 2, "0.85 of GEMM"),
)
TOLERANCE = {"float32": 2e-4, "float64": 1e-10}


def comparisons(quick: bool) -> Iterator[Comparison]:
    n_trials = 64 if quick else 512
    for n_hidden, n_ablations, dtype, n_for_peers, wanted in CASES:
        if quick and n_hidden > 256:
            continue
        problem = AblationProblem.make(n_hidden, n_ablations, dtype, n_trials, n_steps=50)
        part = "" if n_for_peers == n_ablations else f" (peers: {n_for_peers})"
        yield Comparison(
            f"ablations, {dtype}, N_h {n_hidden}, {n_ablations} ablations{part}",
            GFLOPS,
            [*_ours(problem), *_peers(problem, n_for_peers), gemm(dtype, 512 if quick else 2048)],
            wanted,
        )


def _ours(problem: AblationProblem) -> Iterator[Contender]:
    expected = problem.reference(len(problem.ablations))

    def check(profile: ss.AblationProfile) -> None:
        _assert_close(problem.squared_error_of(profile), expected, problem)

    def with_schur_form() -> ss.AblationProfile:
        return ss.ablate(problem.network, problem.trials, ablations=problem.ablations, n_threads=1)

    yield Contender(OURS, "ablate", lambda: problem.ablate(1), check, problem.gflop)
    if len(problem.ablations) <= 8:
        yield Contender(OURS, "ablate, Schur form included", with_schur_form, check, problem.gflop)


def _peers(problem: AblationProblem, n_ablations: int) -> Iterator[Contender]:
    W = problem.W[:n_ablations]
    expected = problem.reference(n_ablations)
    amount = problem.gflop * n_ablations / len(problem.ablations)
    for owner, how, run in entries(problem, W):
        yield Contender(
            owner, how, run, lambda errors: _assert_close(errors, expected, problem), amount
        )


def entries(problem: AblationProblem, W: Array) -> list[Entry]:
    """Every way of every peer that is installed to run the matrices W (ablations, N_h, N_h)."""
    from . import peers_numpy

    found = peers_numpy.ablations(problem, W)
    if installed("torch"):
        from . import peers_torch

        found += peers_torch.ablations(problem, W)
    if installed("jax"):
        from . import peers_jax

        found += peers_jax.ablations(problem, W)
    return found


def gemm(dtype: str, size: int) -> Contender:
    """The rate of NumPy's BLAS on one large product: what the machine gives to dense algebra."""
    a, b = np.random.default_rng(0).standard_normal((2, size, size)).astype(dtype)
    out = np.empty_like(a)

    def check(product: Array) -> None:
        assert np.allclose(product[0], a[0].astype(float) @ b.astype(float), atol=1e-2)

    return Contender(
        GEMM,
        f"one product, {size} × {size}",
        lambda: np.matmul(a, b, out=out),
        check,
        2e-9 * size**3,
    )


def _assert_close(errors: Array, expected: Array, problem: AblationProblem) -> None:
    np.testing.assert_allclose(errors, expected, rtol=TOLERANCE[problem.dtype.name])
