"""Whether an imported network computes what it computed where it was trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt

from .._internal.checks import FloatArray, positive, real_array
from .cell import ACTIVATIONS, FORMS, READOUTS, Cell
from .network import Network
from .verify_gates import TRIED_GATES, gate_variants

__all__ = ["Verification", "require_agreement", "verify"]

FEW_TRIALS = 16  # to try variants on
LARGEST_FITTED = 128  # N_h up to which a missing bias is fitted
TRIED = (
    "activation, leak, form, readout, transposes or biases agrees, nor a common activation, leak "
    "and form"
)
LEAKS = (0.5, 0.25, 0.2, 0.1, 0.05, 0.04, 0.02, 0.01)  # usual values of dt / tau


@dataclass(frozen=True)
class Verification:
    """A network's outputs beside reference outputs for the same inputs; ``print`` shows it.

    Attributes
    ----------
    agrees : bool
        Whether `difference` is at most `tolerance`.
    difference : float
        Largest absolute difference over the largest absolute reference output; NaN if the network
        diverges.
    tolerance : float
    suggestions : tuple of str
        Changes that make the network agree; empty if it does, or if none is known.
    tried : str
        The changes that were tried, in words.
    """

    agrees: bool
    difference: float
    tolerance: float
    suggestions: tuple[str, ...]
    tried: str = ""

    def __str__(self) -> str:
        if self.agrees:
            return f"agrees with the reference: relative difference {self.difference:.1e}"
        lines = [
            f"disagrees with the reference: relative difference {self.difference:.2g}, more than "
            f"{self.tolerance:.0e}"
        ]
        lines += [f"  would agree with {change}" for change in self.suggestions]
        if not self.suggestions:
            lines.append(f"  no single change of {self.tried}")
        return "\n".join(lines)


def verify(
    network: Network,
    inputs: npt.ArrayLike,
    outputs: npt.ArrayLike,
    *,
    tolerance: float | None = None,
) -> Verification:
    """Compare a network's outputs with those of the code that it was trained in.

    If they disagree, changes are tried: another activation, output nonlinearity, form, readout or
    leak, a transposed matrix, the identity added to W_hh, a bias too many, swapped axes; if none of
    these agrees, activation, form and leak together, any leak, and a bias that is missing. Of a
    gated network: another order of the gates, the other reset, z and 1 - z exchanged, transposed
    matrices, another output nonlinearity, a bias too many or a missing b_y, swapped axes.

    Parameters
    ----------
    network : Network
        Without noise.
    inputs : (trials, steps, N_x)
    outputs : (trials, steps, N_y)
        Reference outputs for these inputs.
    tolerance : float, optional
        On the relative difference; None means 1e-4 for float32 and 1e-8 for float64.

    Raises
    ------
    TypeError, ValueError
        Arrays that are not finite real numbers or do not fit the network; a noisy cell.
    """
    return _verification(network, *_checked(network, inputs, outputs, tolerance), ())


def _checked(
    network: Network, inputs: npt.ArrayLike, outputs: npt.ArrayLike, tolerance: float | None
) -> tuple[FloatArray, FloatArray, float]:
    """Inputs, outputs and the tolerance."""
    if not isinstance(network, Network):
        raise TypeError(f"network must be a schurscope.Network, got {type(network).__name__}")
    if network.cell.noise > 0:
        raise ValueError(
            f"network must have no noise, got noise={network.cell.noise:g}; compare it without: "
            "dataclasses.replace(network, cell=dataclasses.replace(network.cell, noise=0))"
        )
    x = real_array(inputs, "inputs", ("trials", "steps", network.n_inputs))
    because = f"inputs has shape {x.shape} and W_hy has shape {network.W_hy.shape}"
    wanted = real_array(outputs, "outputs", (*x.shape[:2], network.n_outputs), because=because)
    single = np.float32 in (network.dtype, wanted.dtype)
    limit = (1e-4 if single else 1e-8) if tolerance is None else positive(tolerance, "tolerance")
    return x, wanted, limit


def _verification(
    network: Network,
    x: FloatArray,
    wanted: FloatArray,
    limit: float,
    further: Iterable[tuple[str, Network]],
) -> Verification:
    difference = _difference(network, x, wanted)
    if difference <= limit:
        return Verification(True, difference, limit, ())
    gated = bool(network.cell.gates)
    few = slice(FEW_TRIALS)
    found = [
        change
        for change, variant in (*(gate_variants if gated else _variants)(network), *further)
        if _difference(variant, x[few], wanted[few]) <= limit
    ]
    found = list(dict.fromkeys(found))  # an importer may suggest the same
    for fit in (_missing_bias,) if gated else (_common_cells, _fitted_leak, _missing_bias):
        found = found or fit(network, x[few], wanted[few], limit)
    if _difference(network, x.swapaxes(0, 1), wanted.swapaxes(0, 1)) <= limit:
        found.append("the first two axes of inputs and outputs swapped: (trials, steps, channels)")
    return Verification(False, difference, limit, tuple(found), TRIED_GATES if gated else TRIED)


def require_agreement(
    network: Network,
    reference: tuple[npt.ArrayLike, npt.ArrayLike],
    further: Iterable[tuple[str, Network]] = (),
) -> None:
    """ValueError, with what would help, unless the network reproduces (inputs, outputs).

    Further variants, in words and made, are tried too.
    """
    try:
        inputs, outputs = reference
    except (TypeError, ValueError) as error:
        raise TypeError("reference must be a pair (inputs, outputs)") from error
    x, wanted, limit = _checked(network, inputs, outputs, None)
    found = _verification(network, x, wanted, limit, further)
    if not found.agrees:
        raise ValueError(f"the network {found}")


def _difference(network: Network, inputs: FloatArray, wanted: FloatArray) -> float:
    with np.errstate(all="ignore"):
        error = np.abs(network.rollout(inputs) - wanted).max()
    scale = np.abs(wanted).max()
    return float(error / scale) if scale > 0 else float(error)


def _variants(network: Network) -> Iterator[tuple[str, Network]]:
    """Single changes, in words and made."""
    network = replace(network, cayley=None)
    cell = network.cell
    for told, changed in _cells(cell):
        if changed != cell:
            yield told, replace(network, cell=changed)
    for name in ("W_hh", "W_xh", "W_hy"):
        matrix = getattr(network, name)
        if matrix.shape[0] == matrix.shape[1] > 1:
            yield f"{name} transposed", replace(network, **{name: matrix.T})
    identity = np.eye(network.n_hidden, dtype=network.dtype)
    yield (
        "the identity added to W_hh (residual=True)",
        replace(network, W_hh=network.W_hh + identity),
    )
    for name in ("b_h", "b_y", "h_0"):
        if getattr(network, name) is not None:
            yield f"no {name}", replace(network, **{name: None})  # type: ignore[arg-type]


def _cells(cell: Cell) -> Iterator[tuple[str, Cell]]:
    for name in ("activation", "output"):
        for value in ACTIVATIONS:
            yield f"{name}={value!r}", replace(cell, **{name: value})  # type: ignore[arg-type]
    yield "form='rate'", replace(cell, form="rate", readout="rates")
    for readout in READOUTS:
        form = "" if cell.form == "current" else "form='current'"
        read = "" if readout == cell.readout else f"readout={readout!r}"
        told = ", ".join(filter(None, [form, read]))
        yield told, replace(cell, form="current", readout=readout)
    for leak in (*LEAKS, 1.0):
        yield f"leak={leak:g}", replace(cell, leak=leak)


def _common_cells(
    network: Network, inputs: FloatArray, wanted: FloatArray, limit: float
) -> list[str]:
    """Activation, form and leak that agree together."""
    network, cell = replace(network, cayley=None), network.cell
    found = []
    leaks = {cell.leak: None} if np.ndim(cell.leak) else dict.fromkeys((*LEAKS, 1.0, cell.leak))
    for activation, form, leak in product(ACTIVATIONS, FORMS, leaks):
        readout = cell.readout if form == "current" else "rates"
        changed = replace(cell, activation=activation, form=form, leak=leak, readout=readout)
        if _difference(replace(network, cell=changed), inputs, wanted) <= limit:
            told = "" if np.ndim(leak) else f", leak={leak:g}"
            found.append(f"activation={activation!r}, form={form!r}{told}")
    return found


def _missing_bias(
    network: Network, inputs: FloatArray, wanted: FloatArray, limit: float
) -> list[str]:
    """The bias without which the network does not agree, if there is one."""
    single, network = network, replace(network, cayley=None).astype(np.float64)
    x, y = inputs.astype(np.float64), wanted.astype(np.float64)
    if single.b_y is None and network.cell.output == "identity":
        b_y = (y - network.rollout(x)).mean((0, 1))
        if _difference(replace(network, b_y=b_y), x, y) <= limit:
            return [f"a bias of the outputs, b_y = {np.array2string(b_y, precision=4)}"]
    if single.b_h is not None or network.n_hidden > LARGEST_FITTED or network.cell.gates:
        return []
    from scipy.optimize import least_squares

    start, end = x[:4, :50], y[:4, :50]
    if end.size < 2 * network.n_hidden:  # any outputs could be fitted
        return []

    def residual(b_h: FloatArray) -> FloatArray:
        error = replace(network, b_h=b_h).rollout(start) - end
        return np.nan_to_num(error, nan=1e9, posinf=1e9, neginf=-1e9).ravel()

    zeros = np.zeros(network.n_hidden)
    b_h = least_squares(residual, zeros, max_nfev=30, xtol=1e-15, ftol=1e-15, gtol=1e-15).x
    if _difference(replace(network, b_h=b_h), x, y) > limit:
        return []
    return ["a bias of the hidden units, b_h, which is missing"]


def _fitted_leak(
    network: Network, inputs: FloatArray, wanted: FloatArray, limit: float
) -> list[str]:
    """A leak that is none of the usual ones, if one agrees."""
    from scipy.optimize import minimize_scalar

    network = replace(network, cayley=None)

    def difference(logarithm: float) -> float:
        cell = replace(network.cell, leak=float(np.exp(logarithm)))
        found = _difference(replace(network, cell=cell), inputs, wanted)
        return found if np.isfinite(found) else np.finfo(np.float64).max

    best = min(np.linspace(np.log(1e-3), 0, 40).tolist(), key=difference)
    near = (best - 0.2, min(best + 0.2, 0.0))
    found = minimize_scalar(difference, bounds=near, method="bounded", options={"xatol": 1e-10})
    # Written down, a leak has few digits.
    for digits in (3, 6, 9):
        leak = float(f"{np.exp(found.x):.{digits}g}")
        if 0 < leak <= 1 and difference(np.log(leak)) <= limit:
            return [f"leak={leak:g}" if digits < 9 else f"leak={leak:.9g}"]
    return []
