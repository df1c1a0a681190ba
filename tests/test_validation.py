"""Argument checks: accepted values, refused values and error messages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from schurscope._internal import checks as validation


@given(
    st.sampled_from([np.float32, np.float64]).flatmap(
        lambda dtype: hnp.arrays(
            dtype,
            hnp.array_shapes(min_dims=2, max_dims=2),
            elements={"allow_nan": False, "allow_infinity": False},
        )
    )
)
def test_real_array_keeps_floats_bit_for_bit(array):
    result = validation.real_array(array, "x", ("n", "m"))
    assert result.dtype == array.dtype
    assert result.flags.c_contiguous
    assert result.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "value",
    [
        [[1, 2], [3, 4]],
        [[True, False], [False, True]],
        np.array([[1, 2], [3, 4]], np.int8),
        np.array([[2**53, -(2**53)]]),
        np.array([[2**53]], np.uint64),
    ],
)
def test_integers_and_booleans_become_float64_exactly(value):
    result = validation.real_array(value, "x", ("n", "m"))
    assert result.dtype == np.float64
    assert result.astype(np.asarray(value).dtype).tolist() == np.asarray(value).tolist()


def test_other_memory_orders_become_native_and_contiguous():
    original = np.arange(6.0).reshape(2, 3)
    for given_array in (np.asfortranarray(original), original.astype(">f8"), original[:, ::-1]):
        result = validation.real_array(given_array, "x", (2, 3))
        assert result.flags.c_contiguous
        assert result.dtype.isnative
        np.testing.assert_array_equal(result, given_array)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (np.ones(3, np.float16), "x must be float32 or float64, got dtype float16"),
        (np.ones(3, np.longdouble), "got dtype (float128|float96|longdouble|float64)"),
        (np.ones(3, complex), "got dtype complex128"),
        (np.ones(3, object), "got dtype object"),
        (np.array(["1", "2", "3"]), "got dtype <U1"),
        (np.array([1, 2, 3], "datetime64[s]"), "got dtype datetime64"),
        (np.ma.masked_array([1.0, 2.0, 3.0], [0, 1, 0]), "x must not be a masked array"),
        ([[1.0], [1.0, 2.0]], "x cannot be read as an array"),
        (None, "got dtype object"),
        (iter(()), "got dtype object: tuple_iterator is no array"),
    ],
)
def test_other_types_are_refused_by_name(value, told):
    with pytest.raises(TypeError, match=told):
        validation.real_array(value, "x", (3,))


@pytest.mark.parametrize(
    ("value", "shape", "told"),
    [
        (np.ones((3, 4)), ("n", "n"), r"x must have shape \(n, n\), got \(3, 4\)"),
        (np.ones(3), ("n", "m"), r"x must have shape \(n, m\), got \(3,\)"),
        (np.float64(1), ("n",), r"x must have shape \(n,\), got \(\)"),
        (np.ones((3, 4)), (3, 5), r"x must have shape \(3, 5\) because y is wide, got \(3, 4\)"),
        (np.ones((0, 4)), ("n", 4), r"x must have at least one entry per axis, got shape \(0, 4\)"),
        (np.array([2**53 + 2]), (1,), "x holds integers that float64 cannot hold"),
        (np.array([-(2**63)]), (1,), "x holds integers that float64 cannot hold"),
        (np.array([[0, np.nan], [np.inf, 0]]), (2, 2), r"2 NaN or .* first x\[0, 1\] = nan"),
        (np.array([1.0, -np.inf]), (2,), r"1 NaN or infinite entry, the first x\[1\] = -inf"),
    ],
)
def test_wrong_values_are_told(value, shape, told):
    with pytest.raises(ValueError, match=told):
        validation.real_array(value, "x", shape, because="y is wide" if shape == (3, 5) else "")


def test_real_array_allows_what_it_is_told_to_allow():
    assert validation.real_array([], "x", ("n",), allow_empty=True).shape == (0,)
    values = [np.nan, np.inf]
    result = validation.real_array(values, "x", ("n",), allow_nonfinite=True)
    np.testing.assert_array_equal(result, values)


def test_large_finite_values_pass_without_a_warning():
    largest = np.full(3, np.finfo(np.float32).max)
    assert validation.real_array(largest, "x", (3,)).tolist() == largest.tolist()


def test_cast_rounds_and_refuses_overflow():
    double, single = np.dtype(np.float64), np.dtype(np.float32)
    array = np.array([0.1, -3.0])
    assert validation.cast(array, double, "x") is array
    np.testing.assert_array_equal(validation.cast(array, single, "x"), array.astype(np.float32))
    with pytest.raises(ValueError, match=r"x has values beyond the range of float32.* 1e\+39"):
        validation.cast(np.array([1e39]), single, "x")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, "float32", "d", ">f4", float])
def test_float_dtype_accepts_both(dtype):
    result = validation.float_dtype(dtype)
    assert result in (np.float32, np.float64)
    assert result.isnative


@pytest.mark.parametrize(
    "dtype", [np.float16, np.longdouble, complex, int, object, "nothing", None]
)
def test_float_dtype_refuses_others(dtype):
    with pytest.raises(TypeError, match="dtype must be float32 or float64, got"):
        validation.float_dtype(dtype)


def test_step_weights_must_be_nonnegative_and_not_all_zero():
    assert validation.step_weights([[True, False]], (1, 2), "").tolist() == [[1.0, 0.0]]
    with pytest.raises(ValueError, match=r"weights must be at least 0, got -0\.5"):
        validation.step_weights([[1, -0.5]], (1, 2), "")
    with pytest.raises(ValueError, match="weights must have a positive entry, got only zeros"):
        validation.step_weights([[0, 0]], (1, 2), "")


@pytest.mark.parametrize("value", [True, np.True_, 1.0, "3", None, np.float64(2)])
def test_integers_are_not_guessed(value):
    with pytest.raises(TypeError, match="n must be an integer, got"):
        validation.positive_int(value, "n")


def test_integer_bounds():
    assert validation.positive_int(np.int8(3), "n") == 3
    assert type(validation.positive_int(np.int8(3), "n")) is int
    assert validation.nonnegative_int(0, "n") == 0
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        validation.positive_int(0, "n")
    with pytest.raises(ValueError, match="n must be at least 0, got -1"):
        validation.nonnegative_int(-1, "n")


@pytest.mark.parametrize(
    ("check", "good", "bad", "told"),
    [
        (validation.positive, 1e-300, 0, "x must be greater than 0, got 0"),
        (validation.nonnegative, 0, -1e-300, "x must be at least 0, got -1e-300"),
        (validation.fraction, 1, 0.0, r"x must be in \(0, 1\], got 0.0"),
        (validation.fraction, np.float32(0.5), 1.01, r"x must be in \(0, 1\], got 1.01"),
        (validation.probability, 0, 1.5, r"x must be in \[0, 1\], got 1.5"),
        (validation.real_number, -2, float("nan"), "x must be finite, got nan"),
        (validation.real_number, 10**15, float("-inf"), "x must be finite, got -inf"),
    ],
)
def test_numbers_have_bounds(check, good, bad, told):
    assert check(good, "x") == good
    assert type(check(good, "x")) is float
    with pytest.raises(ValueError, match=told):
        check(bad, "x")


@pytest.mark.parametrize("value", [True, "1", None, 1j, [1.0], np.array(1.0)])
def test_numbers_are_not_guessed(value):
    with pytest.raises(TypeError, match="x must be a real number, got"):
        validation.real_number(value, "x")


def test_generator_from_each_source():
    generator = np.random.default_rng(3)
    assert validation.generator(generator) is generator
    expected = np.random.default_rng(5).random()
    for source in (5, np.int64(5), np.random.SeedSequence(5)):
        assert validation.generator(source).random() == expected
    assert validation.generator(None).random() != validation.generator(None).random()


@pytest.mark.parametrize("value", [True, 1.5, "seed", np.random.RandomState(0), [1, 2]])
def test_generator_refuses_other_sources(value):
    with pytest.raises(TypeError, match=r"rng must be a numpy\.random\.Generator"):
        validation.generator(value)


def test_generator_refuses_a_negative_seed():
    with pytest.raises(ValueError, match="rng must be at least 0, got -1"):
        validation.generator(-1)


def test_choice_suggests_the_near_one():
    assert validation.choice("adam", "optimizer", ("adam", "adamw")) == "adam"
    with pytest.raises(ValueError, match="one of 'adam', 'adamw', got 'Adm'; did you mean 'adam'"):
        validation.choice("Adm", "optimizer", ("adam", "adamw"))
    with pytest.raises(ValueError, match=r"got 3$"):
        validation.choice(3, "optimizer", ("adam", "adamw"))


def test_long_values_are_shortened_in_messages():
    assert len(validation.shown("x" * 1000)) == 60
