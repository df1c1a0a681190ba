"""Fixed points, of networks whose fixed points are known."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.optimize import brentq, root

import schurscope as ss


def one_unit(w, cell=None, b=0.0):
    return ss.Network([[w]], [[1.0]], [[1.0]], [b], cell=cell or ss.Cell())


@pytest.mark.parametrize(("form", "leak"), [("rate", 1.0), ("rate", 0.2), ("current", 0.5)])
def test_a_linear_network_has_one_for_each_input(network, rng, form, leak):
    network = replace(network, cell=ss.Cell("identity", form, leak))
    x = rng.standard_normal((4, 3))
    found = ss.fixed_points(network, x, starts=rng.standard_normal((6, 12)))
    drive = x @ network.W_xh.T + network.b_h
    wanted = np.linalg.solve(np.eye(12) - network.W_hh, drive.T).T
    np.testing.assert_allclose(found.states, wanted, rtol=1e-10, atol=1e-12)
    assert found.condition.tolist() == [0, 1, 2, 3]
    assert found.hits.tolist() == [6] * 4
    assert not found.unconverged.any()
    assert (found.speeds <= 1e-25).all()
    J = (1 - leak) * np.eye(12) + leak * network.W_hh
    radius = np.abs(np.linalg.eigvals(J)).max()
    np.testing.assert_allclose(found.spectral_radii, radius, rtol=1e-12)
    assert (found.stable == (radius < 1)).all()
    np.testing.assert_allclose(found.jacobians[1].matrix, J, rtol=1e-14, atol=1e-14)
    np.testing.assert_array_equal(found.jacobians.inputs, x)


@pytest.mark.parametrize("leak", [1.0, 0.1])
@pytest.mark.parametrize("form", ["rate", "current"])
def test_a_bistable_unit_has_two_stable_ones_and_one_between(form, leak):
    network = one_unit(2.0, ss.Cell("tanh", form, leak))
    found = ss.fixed_points(network, starts=np.linspace(-3, 3, 40)[:, None])
    if form == "rate":
        upper = brentq(lambda h: np.tanh(2 * h) - h, 0.1, 2, xtol=1e-15)
        slope = 2 * (1 - upper**2)
    else:
        upper = brentq(lambda h: 2 * np.tanh(h) - h, 0.1, 3, xtol=1e-15)
        slope = 2 * (1 - np.tanh(upper) ** 2)
    order = found.states[:, 0].argsort()
    np.testing.assert_allclose(found.states[order, 0], [-upper, 0, upper], atol=1e-9)
    assert found.stable[order].tolist() == [True, False, True]
    assert found.n_unstable[order].tolist() == [0, 1, 0]
    radii = 1 - leak + leak * np.array([slope, 2, slope])
    np.testing.assert_allclose(found.spectral_radii[order], radii, rtol=1e-8)
    assert found.hits.sum() == 40
    assert (np.diff(found.hits) <= 0).all()
    for i, hits in enumerate(found.hits):
        mine = found.point[0] == i
        assert mine.sum() == hits
        np.testing.assert_allclose(found.ends[0, mine], found.states[[i] * hits], atol=1e-6)


def test_each_input_has_its_own_points():
    # With a strong input, only the state on its side is left.
    found = ss.fixed_points(one_unit(2.0), [[-1.0], [0.0], [1.0]], starts=[[-1.0], [0.1], [1.0]])
    counts = np.bincount(found.condition)
    assert counts.tolist() == [1, 3, 1]
    assert found.states[0] == pytest.approx(-found.states[-1])
    assert found.point.shape == (3, 3)
    assert found.ends.shape == (3, 3, 1)
    assert found.point[1].min() == 1


def test_starts_without_a_fixed_point_are_told_and_kept():
    drift = ss.Network(np.eye(3), np.ones((3, 1)), np.ones((1, 3)), np.ones(3), cell=LINEAR)
    starts = np.arange(12.0).reshape(4, 3)
    found = ss.fixed_points(drift, starts=starts)
    assert len(found) == len(found.jacobians) == 0
    assert found.unconverged.all()
    np.testing.assert_allclose(found.end_speeds, 1.5)
    np.testing.assert_array_equal(found.ends[0], starts)
    assert "4 of 4 starts did not converge to a fixed point: q from 1.5e+00" in str(found)
    assert "4 of 4 starts did not converge" in found._repr_html_()


LINEAR = ss.Cell("identity")


def test_a_slow_point_is_the_minimum_of_the_speed():
    # Softplus lies above the identity: softplus(h) - h > 0 falls to 0 as h grows, so that with the
    # factor 1.2 below its argument the speed has a positive minimum.
    network = one_unit(1.2, ss.Cell("softplus"), b=-0.2)
    found = ss.fixed_points(network, starts=[[0.0], [1.0]])

    def gap(h):
        return np.logaddexp(0, 1.2 * h - 0.2) - h

    h = np.linspace(-5, 10, 200_001)
    assert gap(h).min() > 0.1
    assert found.unconverged.all()
    np.testing.assert_allclose(found.end_speeds, 0.5 * gap(h).min() ** 2, rtol=1e-8)
    np.testing.assert_allclose(found.ends[0, :, 0], h[gap(h).argmin()], atol=1e-3)


def test_a_start_that_overflows_is_told():
    network = one_unit(1e10, LINEAR)
    found = ss.fixed_points(network, starts=[[1e307], [1.0]])
    assert found.point.tolist() == [[-1, 0]]
    assert np.isnan(found.end_speeds[0, 0])
    assert "1 of 2 starts did not converge to a fixed point, not finite in 1" in str(found)


def test_on_a_line_attractor_every_start_has_its_point(rng):
    W_hh = np.diag([1.0, 0.5, 0.2])
    network = ss.Network(W_hh, np.ones((3, 1)), np.ones((1, 3)), cell=LINEAR)
    starts = rng.standard_normal((30, 3))
    found = ss.fixed_points(network, starts=starts)
    assert len(found) == 30
    np.testing.assert_allclose(found.states[found.point[0], 0], starts[:, 0], atol=1e-9)
    np.testing.assert_allclose(found.states[:, 1:], 0, atol=1e-9)
    np.testing.assert_allclose(found.spectral_radii, 1, rtol=1e-14)
    assert "and 6 more points" in str(found)
    wide = ss.fixed_points(network, starts=starts, distance=100)
    assert len(wide) == 1
    assert wide.hits.tolist() == [30]


def test_kinks_of_relu_are_told():
    network = ss.Network(-np.eye(2), np.ones((2, 1)), np.ones((1, 2)), cell=ss.Cell("relu"))
    found = ss.fixed_points(network, starts=[[0.0, 0.0]])
    assert found.jacobians.kinks.tolist() == [2]
    assert "at 1 points the argument of some relu is 0" in str(found)


def test_starts_are_drawn_and_spread_by_the_seed(network, rng):
    states = network.states(rng.standard_normal((5, 6, 3)))
    options = {"starts": states, "n_starts": 8, "spread": 0.1}
    one, again = (ss.fixed_points(network, rng=5, **options) for _ in range(2))
    np.testing.assert_array_equal(one.starts, again.starts)
    np.testing.assert_array_equal(one.ends, again.ends)
    assert one.starts.shape == (8, 12)
    away = np.linalg.norm(one.starts[:, None] - states.reshape(-1, 12), axis=2).min(axis=1)
    assert (away > 0).all()
    exact = ss.fixed_points(network, rng=5, **{**options, "spread": 0.0})
    rows = {row.tobytes() for row in states.reshape(-1, 12)}
    assert {row.tobytes() for row in exact.starts} <= rows


def test_too_few_evaluations_are_not_taken_for_a_fixed_point():
    starts = np.linspace(0.2, 3, 10)[:, None]
    found = ss.fixed_points(one_unit(2.0), starts=starts, max_evaluations=2)
    assert found.unconverged.any()
    assert (found.end_speeds[found.unconverged] > found.tolerance).all()


@pytest.mark.slow
def test_a_flip_flop_of_three_bits_has_eight_stable_ones():
    task = ss.tasks.FlipFlop()
    network = ss.train(ss.init_network(task, 32, "orthogonal", rng=0), task, rng=1).network
    trials = task.trials(64, rng=2)
    found = ss.fixed_points(network, starts=network.states(trials.inputs), n_starts=600, spread=0.1)
    memories = found.states[found.stable]
    outputs = memories @ np.float64(network.W_hy.T) + np.float64(network.biases[1])
    assert {tuple(row) for row in np.sign(outputs)} == set(product([-1.0, 1.0], repeat=3))
    assert len(memories) == 8
    np.testing.assert_allclose(np.abs(outputs), 1, atol=0.2)
    # Left alone, the network stays at each.
    quiet = np.zeros((8, 200, 3))
    after = network.astype(np.float64).states(quiet, h_0=memories)[:, -1]
    np.testing.assert_allclose(after, memories, atol=1e-9)
    # Powell's hybrid method on the core's own step finds no other point from the same starts.
    wide = network.astype(np.float64)
    still = np.zeros((1, 1, 3))
    reached = set()
    for start in found.starts:
        ended = root(lambda h: wide.states(still, h_0=h[None])[0, 0] - h, start, tol=1e-12)
        if np.linalg.norm(ended.fun) < 1e-10:
            away = np.linalg.norm(found.states - ended.x, axis=1)
            assert away.min() < 1e-6
            reached.add(int(away.argmin()))
    assert set(np.flatnonzero(found.stable)) <= reached


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"starts": np.zeros((2, 11))}, r"starts must have shape \(n, 12\)"),
        ({"inputs": np.zeros((2, 2))}, r"inputs must have shape \(conditions, 3\)"),
        ({"inputs": np.zeros(2)}, r"inputs must have shape \(3,\)"),
        ({"tolerance": 0}, "tolerance must be greater than 0"),
        ({"distance": -1}, "distance must be greater than 0"),
        ({"spread": -1}, "spread must be at least 0"),
        ({"n_starts": 0}, "n_starts must be at least 1"),
        ({"max_evaluations": 0}, "max_evaluations must be at least 1"),
        ({"alpha": 2}, r"alpha must be in \(0, 1\]"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(network, arguments, message):
    with pytest.raises(ValueError, match=message):
        ss.fixed_points(network, **{"starts": np.zeros((2, 12)), **arguments})
