"""Several gates in `ablate_with`: alone and together, against a plain GRU in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

import reference
import schurscope as ss
from schurscope.ablation.names import SUBSETS, default_names
from schurscope.reporting.profile import print_profile, save_profile

N_H, N_X = 8, 3


@pytest.fixture
def W(rng):
    return {gate: rng.standard_normal((N_H, N_H)) / np.sqrt(N_H) for gate in "rzn"}


@pytest.fixture
def evaluate(rng):
    """The mean square of the last states of a GRU, for 12 trials."""
    x = rng.standard_normal((12, 6, N_X))
    U = {gate: rng.standard_normal((N_H, N_X)) for gate in "rzn"}

    def scores(W):
        h = np.zeros((12, N_H))
        for t in range(6):
            r, z = (scipy.special.expit(x[:, t] @ U[g].T + h @ W[g].T) for g in "rz")
            n = np.tanh(x[:, t] @ U["n"].T + r * (h @ W["n"].T))
            h = (1 - z) * n + z * h
        return np.square(h).mean(axis=1)

    return scores


def expected(W, evaluate, name, alpha):
    """Scores, mass over the named gates and mass of each gate, by the reference."""
    parts = {} if name == "full" else dict(part.split(":") for part in name.split(","))
    ablated, masses = dict(W), dict.fromkeys(W, 0.0)
    for gate, couplings in parts.items():
        ablated[gate], masses[gate] = reference.ablated(W[gate], couplings.split("+"), alpha)
    removed = sum((masses[gate] * np.linalg.norm(W[gate])) ** 2 for gate in parts)
    whole = sum(np.linalg.norm(W[gate]) ** 2 for gate in parts)
    return evaluate(ablated), np.sqrt(removed / whole) if parts else 0.0, masses


def test_every_gate_alone_and_all_together(W, evaluate):
    profile = ss.ablate_with(W, evaluate, alpha=0.5, measure="power")
    assert profile.names == default_names(("r", "z", "n"))
    for place, row in enumerate(profile):
        name = row.name
        if name != "full" and ":" not in name:
            name = ",".join(f"{gate}:{name}" for gate in W)
        scores, mass, masses = expected(W, evaluate, name, 0.5)
        assert row.removed_mass == pytest.approx(mass, abs=1e-12)
        for gate in W:
            found = profile.gate_masses[gate][place]
            assert np.nan_to_num(found) == pytest.approx(masses[gate], abs=1e-12)
            assert np.isnan(found) == (f"{gate}:" not in name)
        if not row.vacuous:
            np.testing.assert_allclose(profile.per_trial[place], scores, rtol=1e-11)
            assert row.value == pytest.approx(scores.mean(), rel=1e-11)
    np.testing.assert_array_equal(profile.vacuous[1:], profile.removed_mass[1:] < 1e-12)
    low, high = profile.interval().change.T
    assert (low <= profile.change).all()
    assert (profile.change <= high).all()


def test_a_name_gives_the_couplings_of_each_gate(W, evaluate):
    names = ["n:CR", "n:CR,r:CC+RR", "z:BB", "full"]
    profile = ss.ablate_with(W, evaluate, alpha=0.5, ablations=names)
    # In the order of W, and of the couplings.
    assert profile.names == ("full", "n:CR", "r:RR+CC,n:CR", "z:BB")
    for place in (1, 2):
        scores, _, _ = expected(W, evaluate, profile.names[place], 0.5)
        np.testing.assert_allclose(profile.per_trial[place], scores, rtol=1e-11)
    assert profile.gate_masses["z"][3] > 0
    assert np.isnan(profile.gate_masses["n"][3])


def test_gates_that_are_not_named_keep_their_bits(W):
    seen = []

    def evaluate(given):
        seen.append({gate: matrix.tobytes() for gate, matrix in given.items()})
        given["r"][:] = np.nan  # ours: what is done to it must not reach the next one
        return [1.0]

    ss.ablate_with(W, evaluate, alpha=0.5, ablations=["n:CR"])
    for given in seen:
        assert list(given) == ["r", "z", "n"]
        assert given["r"] == W["r"].tobytes()
        assert given["z"] == W["z"].tobytes()
    assert seen[0]["n"] == W["n"].tobytes() != seen[2]["n"]


def test_one_gate_in_a_dictionary_is_that_matrix(W, evaluate):
    def of_n(matrix):
        return evaluate({**W, "n": matrix})

    plain = ss.ablate_with(W["n"], of_n, alpha=0.5)
    gated = ss.ablate_with({"n": W["n"]}, lambda given: of_n(given["n"]), alpha=0.5)
    assert gated.names == ("full", *(f"n:{name}" for name in SUBSETS[1:]))
    np.testing.assert_array_equal(gated.per_trial, plain.per_trial)
    np.testing.assert_allclose(gated.removed_mass, plain.removed_mass, rtol=1e-14)
    assert gated.schur.W.tobytes() == plain.schur.W.tobytes()
    assert gated.sectors.n_R == plain.sectors.n_R


def test_your_own_ablations_and_schur_forms(W, evaluate):
    schurs = {gate: ss.ordered_schur(matrix) for gate, matrix in W.items()}
    order = np.roll(np.arange(len(schurs["z"].starts)), 1)
    schurs["z"] = schurs["z"].reordered(order)
    cuts = {gate: schur.sectors(0.5) for gate, schur in schurs.items()}
    half = ss.Ablation.of("z:CC", cuts, gain=0.5)
    profile = ss.ablate_with(W, evaluate, alpha=0.5, ablations=[half], schur=schurs)
    assert profile.names == ("full", "0.5*z:CC")
    assert profile.gates["z"].schur is schurs["z"]
    wanted = evaluate({**W, "z": schurs["z"].ablated({"CC"}, 0.5, 0.5)})
    np.testing.assert_allclose(profile.per_trial[1], wanted, rtol=1e-11)


def test_tables_figures_and_files_tell_the_gates(W, evaluate, tmp_path, capsys):
    profile = ss.ablate_with(W, evaluate, alpha=0.5, ablations=["n:CR", "r:CR,z:CR"])
    for gate, cut in profile.gates.items():
        assert f"\n  {gate}: n_R {cut.n_R} of N_h 8" in str(profile)
        assert profile.settings["n_R"][gate] == cut.n_R
    assert "n: n_R" in profile._repr_html_()
    assert profile.determined == all(cut.determined for cut in profile.gates.values())
    with pytest.raises(AttributeError, match="a Schur form for each of the gates 'r', 'z', 'n'"):
        _ = profile.schur
    frame = profile.to_dataframe()
    assert list(frame["name"]) == list(profile.names)
    assert frame["gates"].tolist() == ["", "n", "r,z"]
    assert "r " in profile.plot().get_title(loc="left")
    intervals = profile.interval()
    print_profile(profile, intervals)
    assert f"n {profile.gates['n'].n_R} (" in " ".join(capsys.readouterr().out.split())
    save_profile(tmp_path, profile, intervals, profile.settings)
    figures = {path.stem for path in tmp_path.glob("*.png")}
    drawn = {f"{kind}_{gate}" for kind in ("schur_matrix", "spectrum") for gate in "rzn"}
    assert figures == {*drawn, "change"}


def test_a_cut_that_is_not_determined_names_its_gate(W, evaluate):
    chain = {**W, "z": np.eye(N_H, k=1)}
    profile = ss.ablate_with(chain, evaluate, ablations=["z:CR"])
    assert profile.warning.startswith("the cut at alpha=0.9 is not determined in gate z (z: ")
    assert not profile.determined
    assert not profile.settings["determined"]["z"]
    with pytest.raises(ValueError, match=r"not determined.*strict=True"):
        ss.ablate_with(chain, evaluate, strict=True)


EYE = np.eye(N_H)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"W": {}}, ValueError, "W must have a matrix for each gate, got an empty dictionary"),
        ({"W": {"n": EYE, "z": np.eye(3)}}, ValueError, r"W\['z'\] must have the shape and dtype"),
        ({"W": {"n": EYE, "z": np.float32(EYE)}}, ValueError, r"W\['z'\] must have the shape and"),
        ({"W": {"n": np.ones((2, 3))}}, ValueError, r"W\['n'\] must have shape \(N_h, N_h\)"),
        ({"W": {"n:": EYE}}, ValueError, "W must have names of gates as keys, such as 'n', got"),
        ({"ablations": ["i:CR"]}, ValueError, "must name gates of 'r', 'z', 'n', got 'i'"),
        ({"ablations": ["n:CR,n:CC"]}, ValueError, "each gate once, got 'n' twice"),
        ({"ablations": ["n:RC"]}, ValueError, "ablations must be one of"),
        ({"ablations": ["n:CR", "n:CR"]}, ValueError, "distinct names, got 'n:CR' twice"),
        ({"ablations": "n:CR"}, TypeError, r"ablations must be an iterable.*\['n:CR'\]"),
        ({"ablations": [3]}, TypeError, "ablations must be names or Ablation objects, got 3"),
        ({"schur": ss.ordered_schur(EYE)}, TypeError, "schur must be a dictionary with the gates"),
        (
            {"schur": dict.fromkeys("rzn", ss.ordered_schur(EYE))},
            ValueError,
            r"schur\['r'\] must be the Schur form of W",
        ),
    ],
)
def test_bad_arguments_are_named(W, evaluate, options, error, message):
    with pytest.raises(error, match=message):
        ss.ablate_with(**{"W": W, "evaluate": evaluate, **options})
