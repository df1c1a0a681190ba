"""Figures of ordered Schur forms and ablation profiles.

Every function takes ``ax=None``, draws on the given Axes or on new ones, and returns them;
``save_figure(ax.figure, path)`` writes them. No function touches pyplot or the global style, so a
script's own figures are unaffected.

A coupling has one colour everywhere: blue RR, red CR, green CC, which colour-blind readers can
distinguish. Combined ablations have colours of their own.
"""

try:
    import matplotlib as _matplotlib  # noqa: F401
except ImportError as error:
    raise ImportError('figures need matplotlib: pip install "schurscope[app]"') from error

from .bars import (
    Profiles,
    Published,
    change_bars,
    legend_handles,
    sensitivity_bars,
    value_bars,
)
from .coordinates import schur_matrix, spectrum
from .curves import accuracy_per_lag, trajectories
from .diagnoses import network_cuts, removable_by_width
from .diagnosis import (
    account_levels,
    atlas_map,
    cut_effects,
    diagnosis_page,
    dose_curves,
    gate_effects,
    removal_curve,
)
from .style import COLORS, label, save_figure
from .sweeps import effect_distributions, quantity_against_width, spectra_against_width

__all__ = [
    "COLORS",
    "Profiles",
    "Published",
    "account_levels",
    "accuracy_per_lag",
    "atlas_map",
    "change_bars",
    "cut_effects",
    "diagnosis_page",
    "dose_curves",
    "effect_distributions",
    "gate_effects",
    "label",
    "legend_handles",
    "network_cuts",
    "quantity_against_width",
    "removable_by_width",
    "removal_curve",
    "save_figure",
    "schur_matrix",
    "sensitivity_bars",
    "spectra_against_width",
    "spectrum",
    "trajectories",
    "value_bars",
]
