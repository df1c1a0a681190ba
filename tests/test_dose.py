"""Couplings at several gains."""

from __future__ import annotations

import numpy as np
import pytest

import reference
import schurscope as ss

GAINS = (0.0, 0.5, 1.0, 1.3)


def change(network, trials, W_hh):
    arrays = (network.W_xh, network.W_hy, trials.inputs, *network.biases)
    values = [
        reference.fvu(reference.rollout(W, *arrays)[0], trials.targets, trials.step_weights)
        for W in (W_hh, network.W_hh)
    ]
    return values[0] - values[1]


def test_doses_are_those_of_the_reference(network, trials):
    found = ss.dose(network, trials, gains=GAINS, alpha=0.5, n_threads=1)
    assert found.names == ("RR", "CR", "CC", "BB")
    schur = ss.ordered_schur(network.W_hh)
    Q, T = schur.Q, schur.T
    masks = reference.couplings(T, 0.5)
    for row, name in enumerate(("RR", "CR", "CC")):
        for column, gain in enumerate(GAINS):
            part = np.where(masks[name], (1 - gain) * T, 0)
            expected = change(network, trials, network.W_hh - Q @ part @ Q.T)
            assert found.change[row, column] == pytest.approx(expected, abs=1e-8)
            mass = np.linalg.norm(part) / np.linalg.norm(T)
            assert found.removed_mass[row, column] == pytest.approx(mass, abs=1e-12)
        small = [np.where(masks[name], (1 - gain) * T, 0) for gain in (0.9, 1.1)]
        effects = [change(network, trials, network.W_hh - Q @ part @ Q.T) for part in small]
        masses = [np.linalg.norm(part) / np.linalg.norm(T) for part in small]
        expected = sum(effects) / (masses[0] ** 2 + masses[1] ** 2)
        assert found.curvature[row] == pytest.approx(expected, rel=1e-6)
    W, _ = reference.ablated(network.W_hh, ["BB"])
    assert found.change[3, 0] == pytest.approx(change(network, trials, W), abs=1e-8)


def test_doses_and_intervals_are_those_of_ablate(network, trials, dtype):
    network, trials = network.astype(dtype), trials.astype(dtype)
    found = ss.dose(network, trials, gains=GAINS, couplings=["RR+CR", "BB"], alpha=0.5, rng=7)
    sectors = ss.ordered_schur(network.W_hh).sectors(0.5)
    rows = [
        ss.Ablation.of(name, sectors, gain) for name in ("RR+CR", "BB") for gain in (0.0, 0.5, 1.3)
    ]
    profile = ss.ablate(network, trials, alpha=0.5, ablations=rows)
    kept = np.array([0, 1, 3])  # gain 1 is the full network
    assert found.change[:, kept].ravel() == pytest.approx(profile.change[1:], abs=1e-10)
    assert found.removed_mass[:, kept].ravel() == pytest.approx(profile.removed_mass[1:])
    assert not found.change[:, 2].any()
    assert not found.interval[:, 2].any()
    stream = np.random.default_rng(7).spawn(4)[3]
    ends = profile.interval(rng=stream).change[1:]
    assert found.interval[:, kept].reshape(-1, 2) == pytest.approx(ends, abs=1e-9)
    assert (found.curvature_interval[:, 0] <= found.curvature).all()
    assert (found.curvature <= found.curvature_interval[:, 1]).all()
    assert len(found.to_dataframe()) == 2 * len(GAINS)
    assert "curvature" in str(found)


def test_the_curvature_of_a_linear_network_is_that_of_its_square(rng):
    """One step of a linear network: the error is quadratic in the gain, whatever the slope."""
    network = ss.Network(
        np.triu(rng.standard_normal((6, 6))),
        rng.standard_normal((6, 2)),
        rng.standard_normal((2, 6)),
        cell=ss.Cell(activation="identity"),
    )
    trials = ss.Trials(rng.standard_normal((9, 2, 2)), rng.standard_normal((9, 2, 2)))
    found = ss.dose(network, trials, gains=(0, 2), couplings=["CR"], alpha=0.5)
    both = found.change.sum() / np.square(found.removed_mass).sum()
    assert found.curvature[0] == pytest.approx(both, rel=1e-6)


def test_a_coupling_without_entries_has_no_curvature(network, trials):
    found = ss.dose(network, trials, couplings=["RR"], alpha=1.0)
    assert not found.change.any()
    assert np.isnan(found.curvature).all()
    assert np.isnan(found.curvature_interval).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"gains": []}, ValueError, "one or more distinct numbers, got"),
        ({"gains": "0.5"}, TypeError, "gains must be a list of numbers, got '0.5'"),
        ({"gains": [0.5, 0.5]}, ValueError, "distinct"),
        ({"gains": [np.nan]}, ValueError, "gains must be finite"),
        ({"couplings": "RR"}, TypeError, "collection of names, got 'RR'"),
        ({"couplings": []}, ValueError, "one or more distinct names"),
        ({"couplings": ["RR", "RR"]}, ValueError, "distinct names"),
        ({"couplings": ["full"]}, ValueError, "distinct names"),
        ({"couplings": ["XX"]}, ValueError, "must be one of"),
        ({"alpha": 2}, ValueError, "alpha must be in"),
        ({"level": 0}, ValueError, "level must be in"),
    ],
)
def test_bad_arguments(network, trials, arguments, error, message):
    with pytest.raises(error, match=message):
        ss.dose(network, trials, **arguments)
