"""Pickles are read as data: the standard library's `pickle` writes them, and never loads them."""

from __future__ import annotations

import pickle
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schurscope as ss
from schurscope.importers.formats.pickles import read_pickle

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=12,
)


def read(tmp_path, value, protocol=4):
    path = tmp_path / "file.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    return read_pickle(path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["<f4", ">f4", "f8", "i8", ">i4", "u1", "?", "f2"])
def test_arrays_of_every_dtype(tmp_path, rng, protocol, kind):
    arrays = {f"a{n}": rng.integers(0, 2, (3, n)).astype(kind) for n in range(3)}
    arrays |= {"fortran": np.asfortranarray(arrays["a2"]), "whole": np.arange(4).astype(kind)}
    arrays["part"] = arrays["whole"][::2]
    found = read(tmp_path, {**arrays, "number": arrays["whole"][0]}, protocol)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].shape == array.shape


@given(st.dictionaries(st.text("abc", min_size=1), PLAIN, min_size=1), st.integers(2, 5))
def test_plain_values_are_those_that_were_pickled(tmp_path_factory, values, protocol):
    found = read(tmp_path_factory.getbasetemp(), values, protocol)
    for name, value in values.items():
        if isinstance(value, float):
            assert found.numbers[name] == value
        if isinstance(value, str):
            assert found.texts[name] == value


def test_nested_and_shared_containers(tmp_path, rng):
    W = rng.standard_normal((3, 3))
    inner = OrderedDict(W=W, names=["a", "b"])
    value = {"net": inner, "again": [W, (W, 2.5)], "unequal": [[1, 2], [3]]}
    found = read(tmp_path, value)
    assert set(found.arrays) >= {"net.W", "again.0", "again.1.0", "unequal.0"}
    assert found.texts == {"net.names.0": "a", "net.names.1": "b"}
    assert found.numbers == {"again.1.1": 2.5}
    value["self"] = value
    assert set(read(tmp_path, value).arrays) >= {"net.W"}


def test_a_network_in_a_pickle(tmp_path, rng):
    arrays = {"W_hh": rng.standard_normal((4, 4)), "W_xh": rng.standard_normal((4, 2))}
    arrays["W_hy"] = rng.standard_normal((1, 4))
    (tmp_path / "net.pkl").write_bytes(pickle.dumps(arrays))
    network = ss.load_network(tmp_path / "net.pkl", activation="tanh")
    np.testing.assert_array_equal(network.W_hh, arrays["W_hh"])


class Trap:
    """Unpickling this creates a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_nothing_is_imported_or_called(tmp_path):
    trap = tmp_path / "trap"
    for protocol in (2, 4, 5):
        found = read(tmp_path, {"a": Trap(trap), "b": np.ones(2), "c": {1, 2}}, protocol)
        assert set(found.arrays) >= {"b"}
        assert found.skipped["a"] == "object, not an array of numbers"
    code = b"cantigravity\nfly_me_to_the_moon\n)R."
    (tmp_path / "code.pkl").write_bytes(b"\x80\x02" + code)
    with pytest.raises(ValueError, match="is a pickle, which is never loaded because it can run"):
        read_pickle(tmp_path / "code.pkl")
    assert not trap.exists()


def test_many_references_to_one_list_are_read_once(tmp_path):
    value = ["x"]
    for _ in range(60):
        value = [value] * 60  # 60 to the power of 60 leaves
    assert read(tmp_path, {"a": value}).texts != {}


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.pkl"
    path.write_bytes(b"\x80\x04" + content)
    refusal = ""
    try:
        read_pickle(path)
    except ValueError as error:
        refusal = str(error)
    assert not refusal or "any.pkl" in refusal


@given(st.data())
def test_changed_pickles_are_read_or_refused(tmp_path_factory, data):
    value = {"W": np.ones((2, 2)), "n": 3.0, "t": ("a", [1, None])}
    whole = pickle.dumps(value, data.draw(st.integers(2, 5)))
    place = data.draw(st.integers(2, len(whole) - 1))
    byte = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "changed.pkl"
    path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
    try:
        found = read_pickle(path)
    except ValueError as error:
        assert "changed.pkl" in str(error)  # noqa: PT017 - some bytes may change
    else:
        assert sum(array.nbytes for array in found.arrays.values()) < 1000


def test_sizes_are_checked(tmp_path):
    whole = pickle.dumps({"W": np.ones(1000)})
    (tmp_path / "big.pkl").write_bytes(whole)
    assert np.array_equal(read_pickle(tmp_path / "big.pkl", 100).arrays["W"], np.ones(1000))
    with open(tmp_path / "hole.pkl", "wb") as stream:
        stream.write(whole)
        stream.truncate(2**28)
    with pytest.raises(ValueError, match="more than max_bytes = 100"):
        read_pickle(tmp_path / "hole.pkl", 100)
    short = pickle.dumps({"W": np.ones(1000)}, 4)[:-9]
    (tmp_path / "short.pkl").write_bytes(short)
    with pytest.raises(ValueError, match=r"short\.pkl"):
        read_pickle(tmp_path / "short.pkl")


def python2_array(array):
    """The steps that Python 2's cPickle wrote for a matrix of float32: bytes are its strings."""
    shape = b"K%cK%c\x86" % array.shape
    dtype = b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNN" + 2 * b"J\xff\xff\xff\xff"
    content = array.tobytes()
    return (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
        + shape
        + (dtype + b"K\x00tb\x89T" + len(content).to_bytes(4, "little") + content + b"tb")
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of NumPy's old name for a module
def test_pickles_of_python_2(tmp_path, rng):
    W = rng.standard_normal((5, 3)).astype("<f4")
    content = b"\x80\x02}q\x01U\x01Wq\x02" + python2_array(W) + b"s."
    np.testing.assert_array_equal(pickle.loads(content, encoding="latin1")["W"], W)
    (tmp_path / "old.pkl").write_bytes(content)
    np.testing.assert_array_equal(read_pickle(tmp_path / "old.pkl").arrays["W"], W)
