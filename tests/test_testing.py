"""`schurscope.testing`: the analyses find what was built in."""

from __future__ import annotations

import numpy as np
import pytest

import schurscope as ss
from schurscope.testing import known_network

COUPLINGS = ("RR", "CR", "CC")


@pytest.mark.parametrize("needed", COUPLINGS)
def test_the_schur_form_is_the_one_that_was_built_in(needed):
    known = known_network(needed, rng=3)
    schur = ss.ordered_schur(known.network.W_hh)
    np.testing.assert_allclose(np.abs(schur.T), np.abs(known.T), atol=1e-12)
    assert schur.sectors(0.9).n_R == known.n_R


@pytest.mark.parametrize("needed", COUPLINGS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_only_the_needed_coupling_costs_anything(needed, dtype, tolerance):
    known = known_network(needed, dtype=dtype, rng=4)
    profile = ss.ablate(known.network, known.trials)
    assert profile["full"].value < tolerance
    for name in ("RR", "CR", "CC", "RR+CR", "RR+CC", "CR+CC", "RR+CR+CC"):
        wanted = known.loss if needed in name.split("+") else 0
        assert profile[name].change == pytest.approx(wanted, abs=tolerance)
    shapley = dict(zip(COUPLINGS, profile.shapley().value, strict=True))
    assert shapley[needed] == pytest.approx(known.loss, abs=tolerance)


@pytest.mark.parametrize("needed", COUPLINGS)
def test_the_account_finds_why_the_others_are_harmless(needed):
    known = known_network(needed)
    account = ss.account(known.network, known.trials)
    pairs = ss.atlas(known.network, known.trials).pairs.tolist()
    for coupling, entry in {"RR": (0, 1), "CR": (2, 4), "CC": (5, 6)}.items():
        assert account.kind[pairs.index(list(entry))] == known.kinds[coupling]


def test_other_names_are_refused():
    with pytest.raises(ValueError, match="needed must be"):
        known_network("RC")
