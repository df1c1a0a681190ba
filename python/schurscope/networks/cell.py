"""The step of a recurrent network, apart from its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from .. import _core
from .._internal.checks import choice, nonnegative, real_number

__all__ = ["ACTIVATIONS", "FORMS", "Activation", "Cell", "CellNames", "Form"]

Activation: TypeAlias = str
Form = Literal["rate", "current"]
CellNames = tuple[str, str, float, str]
"""Activation, form, leak and output, as the core takes them."""

ACTIVATIONS: tuple[Activation, ...] = _core.ACTIVATIONS
FORMS: tuple[Form, ...] = ("rate", "current")


@dataclass(frozen=True)
class Cell:
    """The step of a network.

    With the state h_t, the leak a, the activation φ, the output nonlinearity ψ and noise of
    standard deviation σ at the input of each unit, ξ_t ~ N(0, 1) and independent:

    - rate form: h_t = (1 - a) h_(t-1) + a φ(W_hh h_(t-1) + W_xh x_t + b_h + σ ξ_t),
      ŷ_t = ψ(W_hy h_t + b_y);
    - current form: h_t = (1 - a) h_(t-1) + a (W_hh φ(h_(t-1)) + W_xh x_t + b_h + σ ξ_t),
      ŷ_t = ψ(W_hy φ(h_t) + b_y).

    Attributes
    ----------
    activation : {"tanh", "relu", "softplus", "sigmoid", "identity"}
        φ.
    form : {"rate", "current"}
        Whether the state is the rate φ(…) or the current, the argument of φ.
    leak : float
        a = dt/τ, in (0, 1]; at 1 the last state acts only through W_hh.
    output : {"identity", "tanh", "relu", "softplus", "sigmoid"}
        ψ.
    noise : float
        σ, per step, at the input of each unit. Networks that add √(2a) σ' ξ to the state of the
        current form (PsychRNN), or √(2/a) σ' ξ at the input, have σ = √(2/a) σ'.

    Raises
    ------
    TypeError, ValueError
        An unknown name, a leak outside (0, 1], a negative noise.
    """

    activation: Activation = "tanh"
    form: Form = "rate"
    leak: float = 1.0
    output: Activation = "identity"
    noise: float = 0.0

    def __post_init__(self) -> None:
        choice(self.activation, "activation", ACTIVATIONS)
        choice(self.form, "form", FORMS)
        choice(self.output, "output", ACTIVATIONS)
        leak = real_number(self.leak, "leak")
        if not 0 < leak <= 1:
            raise ValueError(f"leak must lie in (0, 1], got {leak:g}")
        object.__setattr__(self, "leak", leak)
        object.__setattr__(self, "noise", nonnegative(self.noise, "noise"))

    @property
    def names(self) -> CellNames:
        """Activation, form, leak and output."""
        return self.activation, self.form, self.leak, self.output
