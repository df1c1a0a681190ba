"""The step of a recurrent network, apart from its weights."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from .. import _core
from .._internal.checks import choice, nonnegative, real_array, real_number, shown
from .._internal.frozen import ReadOnly

__all__ = [
    "ACTIVATIONS",
    "FORMS",
    "KINDS",
    "READOUTS",
    "RESETS",
    "Activation",
    "Cell",
    "CellNames",
    "Form",
    "Kind",
    "Readout",
    "Reset",
]

Activation: TypeAlias = str
Form = Literal["rate", "current"]
Readout = Literal["rates", "hidden"]
Kind = Literal["vanilla", "gru", "lstm"]
Reset = Literal["after", "before"]
Leaks: TypeAlias = npt.NDArray[np.float64]
CellNames = tuple[str, str, float | Leaks, str, str]
"""Activation, form, leak, output and readout, as the core takes them; the form tells the gates."""

ACTIVATIONS: tuple[Activation, ...] = _core.ACTIVATIONS
FORMS: tuple[Form, ...] = ("rate", "current")
READOUTS: tuple[Readout, ...] = ("rates", "hidden")
KINDS: tuple[Kind, ...] = ("vanilla", "gru", "lstm")
RESETS: tuple[Reset, ...] = ("after", "before")

_GATES = {"vanilla": (), "gru": ("r", "z", "n"), "lstm": ("i", "f", "g", "o")}
_OF_VANILLA = {
    "activation": "whose nonlinearities are fixed",
    "form": "whose equations are fixed",
    "leak": "whose gates take its place",
    "readout": "whose W_hy reads h_t",
}


@dataclass(frozen=True, eq=False, repr=False)
class Cell(ReadOnly):
    """The step of a network.

    With the state h_t, the leak a, the activation φ, the output nonlinearity ψ and noise of
    standard deviation σ at the input of each unit, ξ_t ~ N(0, 1) and independent:

    - rate form: h_t = (1 - a) ∘ h_(t-1) + a ∘ φ(W_hh h_(t-1) + W_xh x_t + b_h + σ ξ_t),
      ŷ_t = ψ(W_hy h_t + b_y);
    - current form: h_t = (1 - a) ∘ h_(t-1) + a ∘ (W_hh φ(h_(t-1)) + W_xh x_t + b_h + σ ξ_t),
      ŷ_t = ψ(W_hy φ(h_t) + b_y), or ψ(W_hy h_t + b_y) if the readout is "hidden".

    Gated cells have their own recurrent matrix, encoder and bias for each gate (`Network.gates`);
    with the logistic function σ(·), they are those of PyTorch:

    - kind "gru": r = σ(W_hh^r h + W_xh^r x + b_h^r), z likewise, h_t = (1 - z) ∘ n + z ∘ h with
      h = h_(t-1), x = x_t, and the candidate n =
      tanh(W_xh^n x + b_h^n + r ∘ (W_hh^n h + b_hn) + σ ξ_t) if the reset comes after, or
      tanh(W_xh^n x + b_h^n + W_hh^n (r ∘ h) + σ ξ_t) if it comes before the recurrent product;
    - kind "lstm": i, f and o = σ(W_hh h + W_xh x + b_h), g = tanh(W_hh h + W_xh x + b_h + σ ξ_t),
      each with the matrices of its gate, c_t = f ∘ c_(t-1) + i ∘ g, h_t = o ∘ tanh(c_t).

    Their output is ŷ_t = ψ(W_hy h_t + b_y). The noise enters where the input of a unit does, in the
    candidate (n or g), as in Song, Yang & Wang (2017, doi:10.7554/eLife.21492): N_h numbers a step,
    and with z = 0 and r = 1 the GRU is the vanilla cell.

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
    kind : {"vanilla", "gru", "lstm"}
        The equations; the vanilla cell has no gates. Gated cells leave out activation, form, leak
        and readout.
    reset : {"after", "before"} or None
        Of the GRU alone: whether r multiplies W_hh^n h + b_hn ("after": PyTorch, cuDNN, Flax,
        Keras; the default) or h ("before": Cho et al. 2014, Keras with reset_after=False).

    Raises
    ------
    TypeError, ValueError
        An unknown name, a leak outside (0, 1], a negative noise, `readout` "hidden" in the rate
        form, an attribute that the kind does not have.
    """

    activation: Activation = "tanh"
    form: Form = "rate"
    leak: float | Leaks = 1.0
    output: Activation = "identity"
    noise: float = 0.0
    readout: Readout = "rates"
    kind: Kind = "vanilla"
    reset: Reset | None = None

    def __post_init__(self) -> None:
        choice(self.kind, "kind", KINDS)
        if self.gates:
            self._refuse_vanilla()
        self._check_reset()
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
    def gates(self) -> tuple[str, ...]:
        """The gates in the order in which W_hh, W_xh and b_h stack them; none of the vanilla cell.

        r, z, n of the GRU and i, f, g, o of the LSTM.
        """
        return _GATES[self.kind]

    @property
    def names(self) -> CellNames:
        """Activation, form, leak, output and readout."""
        form: str = self.form
        if self.gates:
            form = self.kind if self.reset is None else f"{self.kind}-{self.reset}"
        return self.activation, form, self.leak, self.output, self.readout

    def _refuse_vanilla(self) -> None:
        """ValueError if an attribute of the vanilla cell was set."""
        for name, because in _OF_VANILLA.items():
            default, given = getattr(Cell, name), getattr(self, name)
            if np.ndim(given) or given != default:
                raise ValueError(
                    f"{name} must be left out for kind={self.kind!r}, {because}, got {shown(given)}"
                )

    def _check_reset(self) -> None:
        if self.kind == "gru":
            after = RESETS[0] if self.reset is None else self.reset
            object.__setattr__(self, "reset", choice(after, "reset", RESETS))
        elif self.reset is not None:
            raise ValueError(
                f"reset must be left out for kind={self.kind!r}, it belongs to kind='gru', "
                f"got {shown(self.reset)}"
            )

    @property
    def _key(self) -> tuple[object, ...]:
        values = [getattr(self, field.name) for field in fields(self)]
        return tuple(v.tobytes() if isinstance(v, np.ndarray) else v for v in values)

    def __eq__(self, other: object) -> bool:
        return self._key == other._key if isinstance(other, Cell) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        parts = {field.name: repr(getattr(self, field.name)) for field in fields(self)}
        if isinstance(self.leak, np.ndarray):
            low, high = self.leak.min(), self.leak.max()
            parts["leak"] = f"{low:.4g} … {high:.4g} of {self.leak.size} units"
        if self.readout == "rates":
            del parts["readout"]
        if self.gates:
            parts = {name: parts[name] for name in ("kind", "reset", "output", "noise")}
        if self.reset is None:
            del parts["reset"]
        if not self.gates:
            del parts["kind"]
        return f"Cell({', '.join(f'{name}={text}' for name, text in parts.items())})"


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
