"""Shared by all tests: seeded randomness, small networks and small trials."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from schurscope.networks.network import Network
from schurscope.trials.trials import Trials

options = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.too_slow],
}
# The same examples on every run and every machine: a test that fails can be run again.
settings.register_profile("seeded", derandomize=True, **options)
# Other examples every time: pytest --hypothesis-profile=fresh --hypothesis-seed=NUMBER
settings.register_profile("fresh", print_blob=True, **options)
settings.load_profile("seeded")


def pytest_addoption(parser):
    """`pytest --slow` runs everything."""
    parser.addoption("--slow", action="store_true", help="also run the tests that are marked slow")


def pytest_collection_modifyitems(config, items):
    """Skip what is marked slow, unless asked for."""
    if not config.getoption("--slow"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow: pytest --slow runs it"))


@pytest.fixture
def rng():
    """A generator with the same seed for every test."""
    return np.random.default_rng(1234)


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    """Both dtypes in turn."""
    return np.dtype(request.param)


@pytest.fixture
def network(rng):
    """A float64 network, 12 units, 3 inputs, 2 outputs, biases, moderately nonnormal."""
    return Network(
        W_hh=rng.standard_normal((12, 12)) / np.sqrt(12),
        W_xh=rng.standard_normal((12, 3)),
        W_hy=rng.standard_normal((2, 12)) / np.sqrt(12),
        b_h=0.1 * rng.standard_normal(12),
        b_y=0.1 * rng.standard_normal(2),
    )


@pytest.fixture
def trials(rng):
    """Seven float64 trials of nine steps for `network`; some steps have weight 0."""
    return Trials(
        inputs=rng.standard_normal((7, 9, 3)),
        targets=rng.standard_normal((7, 9, 2)),
        weights=rng.integers(0, 3, (7, 9)) / 2,
    )


@pytest.fixture
def sign_trials(trials):
    """`trials` with targets of -1 and +1."""
    return Trials(trials.inputs, np.sign(trials.targets), trials.weights)
