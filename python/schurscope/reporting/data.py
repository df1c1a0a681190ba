"""The numbers that the script of a page reads: JSON, with large arrays deflated."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from .._internal.json import plain
from ..coordinates.schur import OrderedSchur
from ..coordinates.sectors import COUPLINGS
from ..diagnosis.account import KINDS

if TYPE_CHECKING:
    from ..ablation.profile import AblationProfile
    from ..diagnosis.cuts import CutCurve
    from ..diagnosis.result import Diagnosis
    from ..diagnosis.single_trials import Trajectories, TrialEffects

__all__ = [
    "LISTED",
    "diagnosis_data",
    "gate_data",
    "json_element",
    "largest_pairs",
    "packed",
    "pairs_of_gate",
]

_Int64 = npt.NDArray[np.int64]

LISTED = 2000
"""Pairs in the table of a page, the largest."""
STATES = ("–", "core", "interchangeable", "free")
_DECADES = 4.0  # of |T| in the map


def packed(array: npt.ArrayLike, kind: str) -> dict[str, Any]:
    """An array of dtype u1, i2, i4 or f4: planes of bytes, little-endian, deflated, in base64."""
    numbers = np.ascontiguousarray(array, dtype=f"<{kind}")
    planes = numbers.reshape(-1).view(np.uint8).reshape(-1, numbers.itemsize).T
    text = base64.b64encode(zlib.compress(planes.tobytes(), 9)).decode("ascii")
    return {"packed": kind, "shape": list(numbers.shape), "data": text}


def json_element(content: Mapping[str, Any]) -> Markup:
    """An element of JSON that no string in it can end."""
    text = json.dumps(plain(content), allow_nan=False, separators=(",", ":"))
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return Markup('<script type="application/json" id="data">{}</script>').format(Markup(text))


def schur_data(schur: OrderedSchur) -> dict[str, Any]:
    """Blocks, keys, eigenvalues and |T| by level."""
    largest = float(np.abs(schur.T).max()) or 1.0
    with np.errstate(divide="ignore"):
        decades = np.log10(np.abs(schur.T) / largest)
    level = np.where(schur.T == 0, 0.0, 1 + 254 * np.clip(1 + decades / _DECADES, 0, 1))
    scale = float(schur.keys.max()) or 1.0
    return {
        "starts": schur.starts.tolist(),
        "sizes": schur.block_sizes.tolist(),
        "keys": packed(schur.keys / scale, "f4"),
        "eigenvalues": packed([schur.eigenvalues.real, schur.eigenvalues.imag], "f4"),
        "T": {"level": packed(np.rint(level), "u1"), "largest": largest, "decades": _DECADES},
    }


def diagnosis_data(found: Diagnosis) -> dict[str, Any]:
    """Everything that the page of a diagnosis shows on demand."""
    gates = gate_data(found.profile)
    for gate, of_gate in gates.items():
        mine = pairs_of_gate(found, gate)
        of_gate["pairs"] = _pairs(found, gate, mine)
        if gate in found.curves:
            of_gate["cuts"] = _cuts(found.curves[gate])
        if found.trial_effects is not None:
            of_gate["trials"] = _trials(found.trial_effects, mine)
    content = {
        "change": found.profile.definition.change_label,
        "sectors": COUPLINGS,
        "alpha": found.profile.alpha,
        "tolerance": found.settings["tolerance"],
        "gates": gates,
    }
    if found.trajectories is not None:
        content["trajectories"] = _trajectories(found.trajectories)
    return content


def gate_data(profile: AblationProfile) -> dict[str, dict[str, Any]]:
    """Where each gate's spectrum is cut, and its Schur form; the vanilla cell's gate is ``""``."""
    return {
        gate: {"n_R": cut.n_R, "N_h": cut.n_hidden, "schur": schur_data(cut.schur)}
        for gate, cut in profile.cuts.items()
    }


def pairs_of_gate(found: Diagnosis, gate: str) -> _Int64:
    """Indices in the atlas of the pairs of one gate."""
    return np.flatnonzero(found.atlas.gate == gate)


def largest_pairs(found: Diagnosis, mine: _Int64, count: int) -> _Int64:
    """Which of these pairs have the largest effects, as indices into `mine`."""
    effect = np.abs(np.nan_to_num(found.atlas.effect[mine]))
    return np.argsort(-effect, kind="stable")[:count]


def _cuts(curve: CutCurve) -> dict[str, Any]:
    """The cut curve, and the range of α that makes each cut."""
    keys = curve.schur.keys
    largest = float(keys.max()) or 1.0
    above = np.minimum.accumulate(keys)[curve.cut - 1] / largest
    below = np.maximum.accumulate(keys[::-1])[::-1][curve.cut] / largest
    return {
        "k": curve.cut.tolist(),
        "change": curve.change,
        "low": curve.interval[:, 0],
        "high": curve.interval[:, 1],
        "mass": curve.removed_mass,
        "gap": curve.gap,
        "tied": curve.tied,
        "determined": curve.determined,
        "alpha_high": above,
        "alpha_low": below,
    }


def _pairs(found: Diagnosis, gate: str, mine: _Int64) -> dict[str, Any]:
    """The atlas of a gate; columns of the listed pairs, and what the map shows of all."""
    atlas, account, removable = found.atlas, found.account, found.removable
    blocks, listed = atlas.pairs[mine], largest_pairs(found, mine, LISTED)
    kind = np.zeros(len(mine))
    if account is not None:
        kind = 1 + np.array([KINDS.index(name) for name in account.kind[mine]])
    state = np.zeros(len(mine))
    if removable is not None:
        n_blocks = len(atlas.coordinates[gate].starts)
        number = np.zeros((n_blocks, n_blocks), dtype=np.int64)
        number[tuple(blocks.T)] = np.arange(len(mine))
        state[:] = STATES.index("interchangeable")
        for name in ("core", "free"):
            ours = getattr(removable, f"{name}_gates") == gate
            state[number[tuple(getattr(removable, name)[ours].T)]] = STATES.index(name)
    return {
        "to": packed(blocks[:, 0], "i4"),
        "from": packed(blocks[:, 1], "i4"),
        "effect": packed(atlas.effect[mine], "f4"),
        "mass": packed(atlas.mass[mine], "f4"),
        "exact": packed(atlas.exact[mine], "u1"),
        "kind": packed(kind, "u1"),
        "state": packed(state, "u1"),
        "kinds": ["–", *KINDS],
        "states": STATES,
        "listed": packed(listed, "i4"),
        "predicted": packed(atlas.predicted[mine[listed]], "f4"),
        "error": packed(atlas.standard_error[mine[listed]], "f4"),
    }


def _trials(found: TrialEffects, mine: _Int64) -> dict[str, Any]:
    """Effects on trials in 16 bits: shares of the largest of the pair; −32768 is NaN.

    Pairs are numbered among `mine`, the pairs of the gate.
    """
    kept, rest = np.isin(found.pair, mine), np.isin(found.rest, mine)
    effect = found.effect[kept]
    with np.errstate(invalid="ignore"):
        finite = np.where(np.isfinite(effect), effect, np.nan)
        scale = np.nan_to_num(
            np.nanmax(np.abs(np.append(finite, np.zeros((len(finite), 1)), 1)), 1)
        )
        shares = finite / np.where(scale > 0, scale, 1.0)[:, None]
    return {
        "pair": packed(np.searchsorted(mine, found.pair[kept]), "i4"),
        "trial": packed(found.trial, "i4"),
        "scale": packed(scale, "f4"),
        "effect": packed(np.where(np.isnan(shares), -32768, np.rint(shares * 32767)), "i2"),
        "rest": packed(np.searchsorted(mine, found.rest[rest]), "i4"),
        "quantiles": packed(found.quantiles[rest], "f4"),
    }


def _trajectories(found: Trajectories) -> dict[str, Any]:
    return {
        "names": found.names,
        "trial": found.trial.tolist(),
        "outputs": packed(found.outputs, "f4"),
        "targets": packed(found.targets, "f4"),
    }
