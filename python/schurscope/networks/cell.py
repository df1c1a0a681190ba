"""The step of a recurrent network, apart from its weights."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from .. import _core
from .._internal.checks import choice, nonnegative, real_array, real_number
from .._internal.frozen import ReadOnly

__all__ = ["ACTIVATIONS", "FORMS", "READOUTS", "Activation", "Cell", "CellNames", "Form", "Readout"]

Activation: TypeAlias = str
Form = Literal["rate", "current"]
Readout = Literal["rates", "hidden"]
Leaks: TypeAlias = npt.NDArray[np.float64]
CellNames = tuple[str, str, float | Leaks, str, str]
"""Activation, form, leak, output and readout, as the core takes them."""

ACTIVATIONS: tuple[Activation, ...] = _core.ACTIVATIONS
FORMS: tuple[Form, ...] = ("rate", "current")
READOUTS: tuple[Readout, ...] = ("rates", "hidden")


@dataclass(frozen=True, eq=False, repr=False)
class Cell(ReadOnly):
    """The step of a network.

    With the state h_t, the leak a, the activation φ, the output nonlinearity ψ and noise of
    standard deviation σ at the input of each unit, ξ_t ~ N(0, 1) and independent:

    - rate form: h_t = (1 - a) ∘ h_(t-1) + a ∘ φ(W_hh h_(t-1) + W_xh x_t + b_h + σ ξ_t),
      ŷ_t = ψ(W_hy h_t + b_y);
    - current form: h_t = (1 - a) ∘ h_(t-1) + a ∘ (W_hh φ(h_(t-1)) + W_xh x_t + b_h + σ ξ_t),
      ŷ_t = ψ(W_hy φ(h_t) + b_y), or ψ(W_hy h_t + b_y) if the readout is "hidden".

    Cells are equal if their fields are, bit for bit, and can be keys of a dictionary.

    Attributes
    ----------
    activation : {"tanh", "relu", "softplus", "sigmoid", "identity"}
        φ.
    form : {"rate", "current"}
        Whether the state is the rate φ(…) or the current, the argument of φ.
    leak : float or (N_h,)
        a = dt/τ, in (0, 1]: of all units, or of each; at 1 the last state acts only through W_hh.
        An array is kept as a read-only copy in float64. Training does not change it.
    output : {"identity", "tanh", "relu", "softplus", "sigmoid"}
        ψ.
    noise : float
        σ, per step, at the input of each unit. Networks that add √(2a) σ' ξ to the state of the
        current form (PsychRNN), or √(2/a) σ' ξ at the input, have σ = √(2/a) σ'.
    readout : {"rates", "hidden"}
        Whether W_hy reads the rates or the hidden state h_t. Only the current form tells them
        apart: in the rate form h_t are the rates.

    Raises
    ------
    TypeError, ValueError
        An unknown name, a leak outside (0, 1], a negative noise, `readout` "hidden" in the rate
        form.
    """

    activation: Activation = "tanh"
    form: Form = "rate"
    leak: float | Leaks = 1.0
    output: Activation = "identity"
    noise: float = 0.0
    readout: Readout = "rates"

    def __post_init__(self) -> None:
        choice(self.activation, "activation", ACTIVATIONS)
        choice(self.form, "form", FORMS)
        choice(self.output, "output", ACTIVATIONS)
        choice(self.readout, "readout", READOUTS)
        if self.readout == "hidden" and self.form != "current":
            raise ValueError(
                "readout must be 'rates' in the rate form, where the hidden state is the rates, "
                "got 'hidden'"
            )
        object.__setattr__(self, "leak", _leak(self.leak))
        object.__setattr__(self, "noise", nonnegative(self.noise, "noise"))
        super().__post_init__()

    @property
    def names(self) -> CellNames:
        """Activation, form, leak, output and readout."""
        return self.activation, self.form, self.leak, self.output, self.readout

    @property
    def _key(self) -> tuple[object, ...]:
        values = [getattr(self, field.name) for field in fields(self)]
        return tuple(v.tobytes() if isinstance(v, np.ndarray) else v for v in values)

    def __eq__(self, other: object) -> bool:
        return self._key == other._key if isinstance(other, Cell) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        shown = {field.name: repr(getattr(self, field.name)) for field in fields(self)}
        if isinstance(self.leak, np.ndarray):
            low, high = self.leak.min(), self.leak.max()
            shown["leak"] = f"{low:.4g} … {high:.4g} of {self.leak.size} units"
        if self.readout == "rates":
            del shown["readout"]
        return f"Cell({', '.join(f'{name}={text}' for name, text in shown.items())})"


def _leak(value: Any) -> float | Leaks:
    if isinstance(value, str) or not hasattr(value, "__len__"):
        leak = real_number(value, "leak")
        if not 0 < leak <= 1:
            raise ValueError(f"leak must lie in (0, 1], got {leak:g}")
        return leak
    leaks = real_array(value, "leak", ("N_h",))
    outside = np.flatnonzero((leaks <= 0) | (leaks > 1))
    if outside.size:
        unit = outside[0]
        raise ValueError(f"leak must lie in (0, 1], got leak[{unit}] = {leaks[unit]:g}")
    return leaks.astype(np.float64)  # a copy
