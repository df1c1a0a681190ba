"""Atomic files, and archives that are read without trust."""

from __future__ import annotations

import os
import pickle
import stat
import zipfile

import numpy as np
import pytest

from schurscope._internal.files import MAX_BYTES, atomic_path, load_npz, save_npz


class WritesAFile:
    """Unpickling this creates a file: the proof that something was unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def load(path):
    return load_npz(path, "test-1", ("a",), ("b",))


def test_round_trip(tmp_path):
    arrays = {"a": np.array([0.1, -0.0, 5e-324]), "b": np.zeros((0, 2), np.float32)}
    path = tmp_path / "no_suffix"
    save_npz(path, "test-1", arrays)
    assert os.listdir(tmp_path) == ["no_suffix"]
    loaded = load(path)
    assert {name: (a.dtype, a.shape, a.tobytes()) for name, a in loaded.items()} == {
        name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()
    }


def test_the_same_arrays_make_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        save_npz(tmp_path / name, "test-1", {"a": np.arange(3.0)})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def interrupted_write():
        with atomic_path(path) as temporary:
            temporary.write_text("half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_write()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "file.txt"):
        pass
    assert os.listdir(tmp_path) == []


def test_writing_onto_a_folder_fails_and_leaves_nothing(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        save_npz(tmp_path / "folder", "test-1", {"a": np.zeros(1)})
    assert caught.value.filename == str(tmp_path / "folder")  # not that of the temporary file
    assert os.listdir(tmp_path) == ["folder"]
    for place in (tmp_path / "nowhere" / "a.npz", tmp_path / "file" / "a.npz"):
        (tmp_path / "file").touch()
        with pytest.raises(OSError) as caught:  # noqa: PT011 - its attributes are compared
            save_npz(place, "test-1", {"a": np.zeros(1)})
        assert caught.value.filename == str(place)


def test_a_file_of_another_kind_is_named(tmp_path):
    save_npz(tmp_path / "net.npz", "schurscope-network-1", {})
    told = r"its format is 'schurscope-network-1': it holds a network, for Network\.load"
    with pytest.raises(ValueError, match=told):
        load_npz(tmp_path / "net.npz", "schurscope-trials-1", (), ())


def test_the_temporary_name_keeps_the_suffix(tmp_path):
    with atomic_path(tmp_path / "figure.png") as temporary:
        assert temporary.suffix == ".png"
        temporary.touch()


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
def test_files_have_ordinary_permissions(tmp_path):
    save_npz(tmp_path / "archive", "test-1", {"a": np.zeros(1)})
    (tmp_path / "plain").touch()
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("archive", "plain")}
    assert len(modes) == 1


def test_a_missing_file_and_a_folder_are_os_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing.npz")
    with pytest.raises(OSError, match="directory"):
        load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x05\x06"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "file.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"file\.npz is damaged or not an \.npz file"):
        load(path)


def test_nothing_is_unpickled(tmp_path):
    trap = tmp_path / "trap"
    bomb = WritesAFile(trap)
    (tmp_path / "raw").write_bytes(pickle.dumps(bomb))
    with open(tmp_path / "npy", "wb") as stream:
        np.save(stream, np.array([bomb], object), allow_pickle=True)
    with open(tmp_path / "npz", "wb") as stream:
        np.savez(stream, format=np.array("test-1"), a=np.array([bomb], object))
    with open(tmp_path / "format", "wb") as stream:
        np.savez(stream, format=np.array(bomb, object), a=np.zeros(1))
    for name in ("raw", "npy", "npz", "format"):
        with pytest.raises(ValueError, match=name):
            load(tmp_path / name)
    assert not trap.exists()


def test_a_zip_of_other_things_is_refused(tmp_path):
    path = tmp_path / "file.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("format.npy", b"no array")
    with pytest.raises(ValueError, match=r"file\.npz is not a test-1 file"):
        load(path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"format": None}, "has no format entry"),
        ({"format": "test-2"}, "its format is 'test-2'"),
        ({"format": 1.0}, r"its format is 1\.0"),
        ({"format": ["test-1"]}, r"its format is \['test-1'\]"),
        ({"entries": None}, "its list of entries does not match"),
        ({"b": None}, "its list of entries does not match"),
        ({"a": None, "entries": ["b"]}, "not a complete test-1 file: no a"),
        ({"c": 0.0, "entries": ["a", "b", "c"]}, "not a test-1 file: unknown c"),
    ],
)
def test_another_content_is_told(tmp_path, changes, told):
    entries = {"format": "test-1", "entries": ["a", "b"], "a": [1.0], "b": [2.0]} | changes
    path = tmp_path / "file.npz"
    np.savez(path, **{name: value for name, value in entries.items() if value is not None})
    with pytest.raises(ValueError, match=told):
        load(path)


def test_damage_is_found_wherever_it_is(tmp_path):
    arrays = {"a": np.linspace(0, 1, 50), "b": np.arange(6, dtype=np.float32).reshape(2, 3)}
    path = tmp_path / "file.npz"
    save_npz(path, "test-1", arrays)
    whole = path.read_bytes()
    told = []
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x41
        path.write_bytes(damaged)
        try:
            loaded = load(path)
        except ValueError as error:
            told.append(str(error))
        else:  # a byte that carries nothing, such as a date
            assert {n: a.tobytes() for n, a in loaded.items()} == {
                n: a.tobytes() for n, a in arrays.items()
            }
    assert all("file.npz" in message for message in told)
    assert len(told) > sum(array.nbytes for array in arrays.values())


def test_a_shape_that_claims_less_than_there_is_is_refused(tmp_path):
    path = tmp_path / "file.npz"
    save_npz(path, "test-1", {"a": np.linspace(0, 1, 50)})
    whole = path.read_bytes()
    assert whole.count(b"(50,)") == 1
    path.write_bytes(whole.replace(b"(50,)", b"(10,)"))
    with pytest.raises(ValueError, match=r"Bad CRC-32 for file 'a.npy'"):
        load(path)


def test_a_file_cut_short_is_refused(tmp_path):
    path = tmp_path / "file.npz"
    save_npz(path, "test-1", {"a": np.linspace(0, 1, 50)})
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="damaged"):
            load(path)


def zip_bomb(path, declared):
    """An .npz of a few kilobytes whose entry `a` unpacks to `declared` zero bytes."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.npy", "w") as member,
    ):
        for _ in range(declared // 2**20):
            member.write(bytes(2**20))
    return path


def test_an_archive_that_unpacks_to_too_much_is_refused_unread(tmp_path):
    path = zip_bomb(tmp_path / "bomb.npz", 64 * 2**20)
    with pytest.raises(
        ValueError, match=rf"would unpack from {path.stat().st_size} to {2**26} byt"
    ):
        load_npz(path, "test-1", ("a",), ("b",), max_bytes=2**20)
    # A directory that claims terabytes is believed, not tried.
    whole = path.read_bytes()
    size = (2**26).to_bytes(4, "little")
    place = whole.rindex(size)
    path.write_bytes(whole[:place] + (2**31).to_bytes(4, "little") + whole[place + 4 :])
    with pytest.raises(ValueError, match=f"to {2**31} bytes, more than max_bytes = {MAX_BYTES}"):
        load(path)


def test_compressed_arrays_within_the_limit_and_stored_ones_of_any_size_are_read(tmp_path):
    arrays = {"format": "test-1", "entries": ["a"], "a": np.zeros(10_000)}
    np.savez_compressed(tmp_path / "small.npz", **arrays)
    assert load(tmp_path / "small.npz")["a"].shape == (10_000,)
    np.savez(tmp_path / "stored.npz", **arrays)
    assert load_npz(tmp_path / "stored.npz", "test-1", ("a",), (), max_bytes=1)["a"].size == 10_000


def test_a_shape_that_claims_more_than_there_is_is_refused(tmp_path):
    path = tmp_path / "file.npz"
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999,), }"
    header = header.ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(80)
        archive.writestr("a.npy", content)
    with pytest.raises(ValueError, match=r"declares \(999999999999,\) float64 but has 80 bytes"):
        load(path)
