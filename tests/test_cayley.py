"""The Cayley parametrisation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
from schurscope.networks.cayley import Cayley


@given(n_pairs=st.integers(0, 4), n_reals=st.integers(0, 4), seed=st.integers(0, 2**32))
def test_cayley_matrices_agree_with_the_reference_and_are_normal(n_pairs, n_reals, seed):
    n_hidden = max(1, 2 * n_pairs + n_reals)
    n_reals = n_hidden - 2 * n_pairs
    rng = np.random.default_rng(seed)
    U = rng.standard_normal((n_hidden, n_hidden))
    pairs, reals = rng.standard_normal((n_pairs, 2)), rng.standard_normal(n_reals)
    W_hh = Cayley(U, pairs, reals).matrix()
    np.testing.assert_allclose(W_hh, reference.cayley_matrix(U, pairs, reals), rtol=0, atol=1e-12)
    np.testing.assert_allclose(W_hh @ W_hh.T, W_hh.T @ W_hh, rtol=0, atol=1e-12)
    single = Cayley(U, pairs, reals).astype(np.float32).matrix()
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, W_hh, rtol=0, atol=1e-5)


def test_cayley_repr_and_copies():
    U, pairs, reals = np.eye(3), np.ones((1, 2)), np.ones(1)
    cayley = Cayley(U, pairs, reals)
    pairs[:] = 7
    np.testing.assert_array_equal(cayley.pairs, np.ones((1, 2)))
    assert not cayley.U.flags.writeable
    assert repr(cayley) == "Cayley(N_h=3, pairs=1, reals=1, float64)"


def test_empty_parts_take_the_dtype_of_the_others():
    cayley = Cayley(np.eye(2, dtype=np.float32), np.ones((1, 2), np.float32), [])
    assert cayley.reals.dtype == np.float32
    assert cayley.matrix().dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"U": np.ones((3, 4))}, ValueError, r"U must have shape \(N_h, N_h\), got \(3, 4\)"),
        ({"pairs": np.ones((1, 3))}, ValueError, r"pairs must have shape \(n_pairs, 2\), got"),
        (
            {"pairs": np.ones((2, 2))},
            ValueError,
            r"pairs must have at most 1 rows because U has shape \(3, 3\), got shape \(2, 2\)",
        ),
        (
            {"reals": np.ones(2)},
            ValueError,
            r"reals must have shape \(1,\) because U has shape \(3, 3\) and pairs has shape \(1, 2",
        ),
        ({"reals": np.ones(1, np.float32)}, TypeError, "reals must be float64 because U is, got"),
        ({"U": np.full((3, 3), np.nan)}, ValueError, "U must be finite, got 9 NaN"),
    ],
)
def test_bad_cayley_parameters_are_told(changes, error, told):
    good = {"U": np.eye(3), "pairs": np.ones((1, 2)), "reals": np.ones(1)}
    with pytest.raises(error, match=told):
        Cayley(**{**good, **changes})
