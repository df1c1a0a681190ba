"""MATLAB's level-5 files: SciPy writes them and reads them, and is the oracle."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from schurscope.importers.formats.mat5 import read_mat5

NUMBERS = st.sampled_from(["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?"])
ARRAYS = hnp.arrays(NUMBERS, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4))


@given(
    arrays=st.dictionaries(
        st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,20}", fullmatch=True), ARRAYS, max_size=3
    ),
    compress=st.booleans(),
    column=st.booleans(),
)
def test_arrays_are_those_that_scipy_reads(tmp_path_factory, arrays, compress, column):
    path = tmp_path_factory.mktemp("mat") / "file.mat"
    options = {"do_compression": compress, "oned_as": "column" if column else "row"}
    scipy.io.savemat(path, arrays, long_field_names=True, **options)
    wanted = scipy.io.loadmat(path)
    found = read_mat5(path, 2**20)
    assert found.skipped == {}
    assert set(found.arrays) == set(arrays)
    for name, array in found.arrays.items():
        assert (array.shape, array.dtype) == (wanted[name].shape, wanted[name].dtype)
        np.testing.assert_array_equal(array, wanted[name])


def test_what_is_no_array_of_numbers_is_named(tmp_path):
    path = tmp_path / "file.mat"
    other = {
        "text": "hello",
        "fields": np.zeros(2, [("a", "f8")]),
        "cells": np.array([1, "x"], object),
        "sparse": scipy.sparse.eye(3),
        "complex": np.array([1j]),
        "number": 3.0,
    }
    scipy.io.savemat(path, other)
    found = read_mat5(path, 2**20)
    assert found.skipped == {
        "text": "a MATLAB char, not an array of numbers",
        "fields": "a MATLAB struct array, not an array of numbers",
        "cells": "a MATLAB cell, not an array of numbers",
        "sparse": "a MATLAB sparse, not an array of numbers",
        "complex": "complex numbers",
    }
    assert found.arrays["number"].tolist() == [[3.0]]


def leaves(node, name):
    """Names and arrays of what SciPy reads of structs."""
    if node.dtype.names is None:
        return {name: node}
    fields = [leaves(node[field][0, 0], f"{name}.{field}") for field in node.dtype.names]
    return {key: array for found in fields for key, array in found.items()}


@given(
    tree=st.recursive(
        ARRAYS,
        lambda inner: st.dictionaries(
            st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,20}", fullmatch=True),
            inner,
            min_size=1,
            max_size=3,
        ),
        max_leaves=6,
    ),
    compress=st.booleans(),
)
def test_structs_are_read_by_their_fields(tmp_path_factory, tree, compress):
    path = tmp_path_factory.mktemp("mat") / "file.mat"
    options = {"long_field_names": True, "do_compression": compress}
    scipy.io.savemat(path, {"net": tree}, **options)
    wanted = leaves(scipy.io.loadmat(path)["net"], "net")
    found = read_mat5(path, 2**20)
    assert found.skipped == {}
    assert set(found.arrays) == set(wanted)
    for name, array in found.arrays.items():
        assert (array.shape, array.dtype) == (wanted[name].shape, wanted[name].dtype)
        np.testing.assert_array_equal(array, wanted[name])


@pytest.mark.parametrize("order", "<>")
def test_both_byte_orders(tmp_path, order):
    def element(kind, data):
        return struct.pack(f"{order}II", kind, len(data)) + data + bytes(-len(data) % 8)

    values = [1.5, -2.0, 3.0, 4.0, 5.0, 6.0]
    matrix = element(6, struct.pack(f"{order}II", 6, 0)) + element(
        5, struct.pack(f"{order}ii", 2, 3)
    )
    matrix += struct.pack(f"{order}I", (1 << 16) | 1) + b"W\0\0\0"  # a name of up to 4 bytes
    matrix += element(9, struct.pack(f"{order}6d", *values))
    mark = struct.pack(f"{order}HH", 0x0100, 0x4D49)
    path = tmp_path / "file.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + mark + element(14, matrix))
    array = read_mat5(path, 2**20).arrays["W"]
    assert array.tolist() == [[1.5, 3.0, 5.0], [-2.0, 4.0, 6.0]]
    assert array.tolist() == scipy.io.loadmat(path)["W"].tolist()


def test_damage_is_refused_or_harmless(tmp_path, rng):
    """SciPy's own reader ends the process on some of these."""
    path = tmp_path / "file.mat"
    for compress in (False, True):
        matrix = np.arange(12.0).reshape(3, 4)
        scipy.io.savemat(path, {"W": matrix, "net": {"W": matrix}}, do_compression=compress)
        whole = path.read_bytes()
        refused = 0
        for _ in range(300):
            damaged = bytearray(whole)
            for place in rng.integers(124, len(whole), 2):
                damaged[place] = rng.integers(256)
            path.write_bytes(damaged)
            try:
                read_mat5(path, 2**20)
            except ValueError:
                refused += 1
        assert refused > 50


def test_a_compressed_bomb_is_refused_unread(tmp_path):
    path = tmp_path / "bomb.mat"
    scipy.io.savemat(path, {"W": np.zeros((1000, 1000))}, do_compression=True)
    with pytest.raises(ValueError, match=r"bomb\.mat.*unpack from \d+ to 80000\d\d bytes"):
        read_mat5(path, 10**6)
