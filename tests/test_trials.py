"""Trials: validation, conversion and files."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from schurscope import ablate, ordered_schur
from schurscope.trials.trials import Trials


def arrays(n_trials=2, n_steps=3, n_inputs=4, n_outputs=1):
    steps = (n_trials, n_steps)
    return np.ones((*steps, n_inputs)), np.ones((*steps, n_outputs)), np.ones(steps)


def test_sizes(trials):
    assert (trials.n_trials, trials.n_steps, trials.n_inputs, trials.n_outputs) == (7, 9, 3, 2)
    assert trials.dtype == np.float64
    assert repr(trials) == "Trials(inputs (7, 9, 3), targets (7, 9, 2), weights, float64)"


def test_without_weights_every_step_counts(dtype):
    inputs, targets, _ = arrays()
    trials = Trials(inputs, targets).astype(dtype)
    assert trials.weights is None
    assert trials.step_weights.dtype == dtype
    np.testing.assert_array_equal(trials.step_weights, np.ones((2, 3)))
    assert repr(trials) == f"Trials(inputs (2, 3, 4), targets (2, 3, 1), {dtype})"


def test_arrays_are_read_only_copies():
    given = arrays()
    kept = [array.copy() for array in given]
    trials = Trials(*given)
    for array in given:
        assert array.flags.writeable
        array[:] = 7
    for name, array in zip(("inputs", "targets", "weights"), kept, strict=True):
        np.testing.assert_array_equal(getattr(trials, name), array)
        with pytest.raises(ValueError, match="read-only"):
            getattr(trials, name)[:] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        trials.inputs = kept[0]


def test_a_read_only_array_is_copied_too():
    inputs, targets, weights = arrays()
    view = inputs.view()
    view.flags.writeable = False
    trials = Trials(view, targets, weights)
    inputs[:] = 7
    np.testing.assert_array_equal(trials.inputs, np.ones((2, 3, 4)))


def test_the_common_dtype_holds_all_values():
    inputs, targets, weights = (array.astype(np.float32) for array in arrays())
    assert Trials(inputs, targets, weights).dtype == np.float32
    mixed = Trials(inputs, targets.astype(int), weights.astype(bool))
    assert {mixed.inputs.dtype, mixed.targets.dtype, mixed.weights.dtype} == {np.dtype(np.float64)}


def test_astype_rounds_once_and_back_exactly(trials):
    single = trials.astype(np.float32)
    assert trials.astype(np.float64) is trials
    for name in ("inputs", "targets", "weights"):
        rounded = getattr(single, name)
        assert not rounded.flags.writeable
        np.testing.assert_array_equal(rounded, getattr(trials, name).astype(np.float32))
        np.testing.assert_array_equal(getattr(single.astype("float64"), name), rounded)
    with pytest.raises(TypeError, match="dtype must be float32 or float64, got"):
        trials.astype(np.float16)
    with pytest.raises(ValueError, match="targets has values beyond the range of float32"):
        Trials(np.ones((1, 1, 1)), np.full((1, 1, 1), 1e200)).astype(np.float32)


@pytest.mark.parametrize("name", ["inputs", "targets", "weights"])
@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, complex, object])
def test_other_dtypes_are_refused(name, dtype):
    given = dict(zip(("inputs", "targets", "weights"), arrays(), strict=True))
    with pytest.raises(TypeError, match=f"{name} must be float32 or float64, got dtype"):
        Trials(**{**given, name: given[name].astype(dtype)})


@pytest.mark.parametrize("name", ["inputs", "targets", "weights"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_must_be_finite(name, value):
    given = dict(zip(("inputs", "targets", "weights"), arrays(), strict=True))
    given[name].flat[-1] = value
    with pytest.raises(ValueError, match=f"{name} must be finite, got 1 NaN or infinite entry"):
        Trials(**given)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"inputs": np.ones((2, 3))}, r"inputs must have shape \(trials, steps, N_x\), got \(2, 3"),
        (
            {"targets": np.ones((2, 4, 1))},
            r"targets must have shape \(2, 3, N_y\) because inputs has shape \(2, 3, 4\), "
            r"got \(2, 4, 1\)",
        ),
        (
            {"weights": np.ones((2, 3, 2))},
            r"weights must have shape \(2, 3\) because inputs has shape .* got \(2, 3, 2\)",
        ),
        ({"inputs": np.ones((0, 3, 4))}, r"inputs must have at least one entry per axis.*\(0, 3"),
        ({"inputs": np.ones((2, 0, 4))}, "inputs must have at least one entry per axis"),
        ({"targets": np.ones((2, 3, 0))}, "targets must have at least one entry per axis"),
        ({"weights": -np.ones((2, 3))}, "weights must be at least 0, got -1"),
        ({"weights": np.zeros((2, 3))}, "weights must have a positive entry"),
    ],
)
def test_shapes_and_weights_must_fit(changes, told):
    given = dict(zip(("inputs", "targets", "weights"), arrays(), strict=True))
    with pytest.raises(ValueError, match=told):
        Trials(**{**given, **changes})


@pytest.mark.parametrize("weighted", [True, False])
def test_files_keep_every_bit(tmp_path, trials, dtype, weighted):
    saved = trials if weighted else Trials(trials.inputs, trials.targets)
    saved = saved.astype(dtype)
    path = tmp_path / "trials.npz"
    saved.save(path)
    loaded = Trials.load(path)
    assert (loaded.weights is None) == (not weighted)
    for name in ("inputs", "targets", "step_weights"):
        ours, theirs = getattr(saved, name), getattr(loaded, name)
        assert ours.dtype == theirs.dtype
        assert ours.tobytes() == theirs.tobytes()


def test_a_file_with_invalid_trials_is_refused(tmp_path):
    path = tmp_path / "trials.npz"
    np.savez(
        path,
        format="schurscope-trials-1",
        entries=["inputs", "targets"],
        inputs=np.ones((1, 2, 3)),
        targets=np.ones((1, 3, 3)),
    )
    with pytest.raises(ValueError, match=r"trials\.npz does not hold valid trials: targets must"):
        Trials.load(path)


def test_a_network_file_is_not_a_trials_file(tmp_path, network):
    network.save(tmp_path / "network.npz")
    with pytest.raises(ValueError, match="its format is 'schurscope-network-1'"):
        Trials.load(tmp_path / "network.npz")


# Other orders of the axes, and files of other programs


@pytest.mark.parametrize("axes", ["BTF", "TBF", "FTB", "BFT", "TFB", "FBT"])
def test_arrays_in_any_order_of_axes(trials, axes):
    order = ["BTF".index(letter) for letter in axes]
    weights = trials.weights if axes.index("B") < axes.index("T") else trials.weights.T
    moved = Trials.from_arrays(
        trials.inputs.transpose(order),
        trials.targets.transpose(order),
        weights,
        np.ones((7, 5)),
        axes=axes,
    )
    for name in ("inputs", "targets", "weights"):
        np.testing.assert_array_equal(getattr(moved, name), getattr(trials, name))
    assert moved.h_0.shape == (7, 5)


@pytest.mark.parametrize("axes", ["TB", "TBX", "BBF", "btf", 3, None])
def test_axes_must_be_the_three_letters(trials, axes):
    with pytest.raises(ValueError, match=r"axes must be the letters B \(trials\), T \(steps\)"):
        Trials.from_arrays(trials.inputs, trials.targets, axes=axes)


def test_axes_need_arrays_that_have_them(trials):
    with pytest.raises(ValueError, match=r"inputs must have 3 axes, got shape \(7, 9\)"):
        Trials.from_arrays(trials.inputs[..., 0], trials.targets, axes="TBF")


def test_class_indices_are_told_how_to_become_targets(trials):
    classes = trials.targets[..., 0] > 0
    told = r"targets must be \(trials, steps, N_y\), got shape \(7, 9\)\. For class indices"
    for make in (Trials, Trials.from_arrays):
        with pytest.raises(ValueError, match=told):
            make(trials.inputs, classes)
        assert make(trials.inputs, np.eye(2)[classes.astype(int)]).n_outputs == 2


def test_classes_become_one_hot_vectors(trials):
    classes = (trials.targets[..., 0] > 0).astype(np.int16)
    made = Trials.from_classes(trials.inputs, classes, 3, trials.weights)
    np.testing.assert_array_equal(made.targets, np.eye(3)[classes])
    np.testing.assert_array_equal(made.weights, trials.weights)
    assert Trials.from_classes(trials.inputs.astype(np.float32), classes, 3).dtype == np.float32
    with pytest.raises(ValueError, match=r"classes must be classes 0 … 0, because there are 1"):
        Trials.from_classes(trials.inputs, classes, 1)
    for wrong in (classes / 2, classes[0], classes > 0):
        with pytest.raises(TypeError, match=r"classes must be integers \(trials, steps\), got"):
            Trials.from_classes(trials.inputs, wrong, 3)


def test_trials_without_targets(trials, tmp_path):
    bare = Trials(trials.inputs, None, trials.weights)
    assert (bare.n_outputs, bare.has_targets, bare.targets.shape) == (0, False, (7, 9, 0))
    assert repr(bare) == "Trials(inputs (7, 9, 3), no targets, weights, float64)"
    bare.save(tmp_path / "bare.npz")
    np.savez(tmp_path / "own.npz", x=trials.inputs, weights=trials.weights)
    for name in ("bare.npz", "own.npz"):
        loaded = Trials.load(tmp_path / name)
        assert not loaded.has_targets
        np.testing.assert_array_equal(loaded.inputs, trials.inputs)
        np.testing.assert_array_equal(loaded.weights, trials.weights)
    assert bare.astype(np.float32).dtype == np.float32
    swapped = Trials.from_arrays(trials.inputs.swapaxes(0, 1), axes="TBF")
    np.testing.assert_array_equal(swapped.inputs, trials.inputs)
    again = bare.with_targets(trials.targets)
    np.testing.assert_array_equal(again.targets, trials.targets)


def test_trials_of_unequal_length_are_padded_without_weight(network, rng):
    steps = (5, 9, 1)
    inputs = [rng.standard_normal((n, 3)) for n in steps]
    targets = [rng.standard_normal((n, 2)) for n in steps]
    weights = [rng.random(n) for n in steps]
    trials = Trials.from_list(inputs, targets)
    assert trials.inputs.shape == (3, 9, 3)
    np.testing.assert_array_equal(trials.weights.sum(axis=1), steps)
    weighted = Trials.from_list(inputs, targets, weights)
    whole = ablate(network, weighted)
    w, y = np.concatenate(weights), np.concatenate(targets)
    variance = w @ ((y - np.average(y, axis=0, weights=w)) ** 2).sum(axis=1)
    for row, name in enumerate(whole.names):
        outputs = np.concatenate([ran(network, trial, name) for trial in inputs])
        error = w @ ((outputs - y) ** 2).sum(axis=1)
        assert whole.value[row] == pytest.approx(error / variance)
    assert Trials.from_list(inputs).has_targets is False
    for changes, told in (
        ({"targets": targets[:2]}, "targets must hold one array for each of the 3 trials, got 2"),
        ({"targets": targets[::-1]}, r"targets\[0\] must have shape \(5, 2\), got \(1, 2\)"),
        ({"inputs": [*inputs[:2], targets[2]]}, r"inputs\[2\] must have shape \(1, 3\)"),
        ({"inputs": [], "targets": []}, "inputs must hold at least one trial"),
    ):
        with pytest.raises(ValueError, match=told):
            Trials.from_list(**{"inputs": inputs, "targets": targets, **changes})


def ran(network, inputs, name):
    """Outputs of one trial of an ablated network."""
    W_hh = ordered_schur(network.W_hh).ablated([] if name == "full" else name.split("+"))
    return dataclasses.replace(network, W_hh=W_hh).rollout(inputs[None])[0]


def test_other_weights_take_the_dtype_of_the_trials(trials):
    single = trials.astype(np.float32)
    counted = single.targets[..., 0] > 0
    weighted = single.with_weights(counted)
    assert weighted.dtype == np.float32
    np.testing.assert_array_equal(weighted.weights, counted)
    np.testing.assert_array_equal(weighted.targets, single.targets)
    assert single.with_weights(None).weights is None
    assert not Trials(single.inputs).with_weights(counted).has_targets


def test_other_orders_are_checked_as_strictly(trials):
    masked = np.ma.masked_less(trials.inputs, 0)
    with pytest.raises(TypeError, match="inputs must not be a masked array"):
        Trials.from_arrays(masked, trials.targets)
    with pytest.raises(TypeError, match="targets must be float32 or float64, got dtype complex"):
        Trials.from_arrays(trials.inputs, trials.targets * 1j)


def smooth(n_trials, n_steps, n_channels, rng):
    return np.cumsum(0.1 * rng.standard_normal((n_trials, n_steps, n_channels)), axis=1)


@pytest.mark.parametrize("swapped", ["inputs", "targets"])
def test_swapped_axes_are_recognised(rng, swapped):
    arrays = {"inputs": smooth(9, 40, 3, rng), "targets": smooth(9, 40, 2, rng)}
    arrays[swapped] = arrays[swapped].swapaxes(0, 1)
    time = 0 if swapped == "inputs" else 1
    with pytest.raises(ValueError, match=rf"Axis {time} of inputs looks like time") as caught:
        Trials(**arrays)
    assert f"numpy.swapaxes({swapped}, 0, 1)" in str(caught.value)
    assert 'Trials.from_arrays(inputs, targets, axes="TBF")' in str(caught.value)
    arrays[swapped] = np.swapaxes(arrays[swapped], 0, 1)
    assert Trials(**arrays).n_steps == 40


@pytest.mark.parametrize(("inputs", "targets"), [("inputs", "targets"), ("x", "y")])
@pytest.mark.parametrize("axes", ["BTF", "TBF"])
def test_archives_of_other_programs(tmp_path, trials, inputs, targets, axes):
    path = tmp_path / "trials.npz"
    arrays = {inputs: trials.inputs, targets: trials.targets, "weights": trials.weights}
    if axes == "TBF":
        arrays = {name: array.swapaxes(0, 1) for name, array in arrays.items()}
    np.savez(path, **arrays, seed=np.array(3), task=np.array({"name": "x"}, object))
    loaded = Trials.load(path, axes=axes)
    for name in ("inputs", "targets", "weights"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(trials, name))


@pytest.mark.parametrize("name", ["weight", "mask"])
def test_what_may_be_weights_is_not_dropped_silently(tmp_path, trials, name):
    path = tmp_path / "trials.npz"
    arrays = {"inputs": trials.inputs, "targets": trials.targets, name: trials.weights}
    np.savez(path, **arrays, seed=np.array(3))
    with pytest.warns(UserWarning, match=rf"entries that are not read: {name}; those of trials"):
        assert Trials.load(path).weights is None


def test_archives_that_hold_no_trials(tmp_path):
    path = tmp_path / "trials.npz"
    np.savez(path, inputs=np.ones((1, 2, 3)), labels=np.ones(1))
    with pytest.raises(ValueError, match=r"must hold targets \(or y\), got inputs, labels"):
        Trials.load(path)
    np.savez(path, inputs=np.ones((1, 2, 3)), x=np.ones((1, 2, 3)), y=np.ones((1, 2, 3)))
    with pytest.raises(ValueError, match="must have inputs or x, got both"):
        Trials.load(path)


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path):
    path = tmp_path / "trials.npz"
    np.savez_compressed(path, x=np.zeros((1000, 100, 10)), y=np.zeros((1000, 100, 1)))
    with pytest.raises(ValueError, match="would unpack from"):
        Trials.load(path, max_bytes=10**6)
    assert Trials.load(path).n_trials == 1000


def test_weights_may_have_one_channel(tmp_path, trials):
    column = trials.weights[..., np.newaxis]
    made = [
        Trials(trials.inputs, trials.targets, column),
        trials.with_weights(column),
        Trials.from_arrays(trials.inputs, trials.targets, column),
        Trials.from_arrays(
            *(array.transpose(2, 1, 0) for array in (trials.inputs, trials.targets, column)),
            axes="FTB",
        ),
        Trials.from_list(list(trials.inputs), list(trials.targets), list(column)),
        Trials.from_classes(trials.inputs, np.zeros((7, 9), int), 2, column),
    ]
    np.savez(tmp_path / "own.npz", x=trials.inputs, y=trials.targets, weights=column)
    for found in [*made, Trials.load(tmp_path / "own.npz")]:
        np.testing.assert_array_equal(found.weights, trials.weights)


def test_weights_that_vanish_in_float32_are_refused(trials):
    tiny = trials.astype("float64").with_weights(np.full(trials.inputs.shape[:2], 1e-60))
    with pytest.raises(ValueError, match=r"positive entry in float32, got at most 1e-60.*multiply"):
        tiny.astype("float32")
