"""Figures of an ordered Schur form."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm, to_rgb
from matplotlib.image import AxesImage
from matplotlib.patches import Circle, Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ..coordinates.schur import OrderedSchur
from ..coordinates.sectors import Sectors, couplings
from .style import COLORS, INK, NORMAL, OTHER, PALE, SMALL, axes_or_new, tidy

_Float64: TypeAlias = NDArray[np.float64]


DECADES = 6.0  # at most, or nothing within the largest entries could be told apart
CELLS = 256  # along a side; a figure has too few pixels for more
ZOOMED = 16  # rows


def schur_matrix(
    schur: OrderedSchur, sectors: Sectors, ax: Axes | None = None, *, gate: str = ""
) -> Axes:
    """The ordered ``|T|`` on a log scale, every coupling in its colour, diagonal blocks in grey.

    Entries at the level of rounding, or six decades below the largest, are white. In matrices of
    more than 256 rows a cell shows its largest entry. From 32 rows on, an inset over the zeros
    below the diagonal magnifies the leading 16.

    Parameters
    ----------
    schur : OrderedSchur
    sectors : Sectors
        The cut to draw, ``schur.sectors(alpha)``.
    ax : matplotlib Axes, optional
    gate : str
        The gate that it is of, for the title.
    """
    ax = axes_or_new(ax, (4.6, 4.2))
    n, r = schur.n_hidden, sectors.n_R
    size = np.abs(schur.T)
    largest = float(size.max()) or 1.0
    rounding = max(sectors.conditioning.unit_roundoff, schur.residual) * np.linalg.norm(schur.W)
    floor = min(max(float(rounding), 10**-DECADES * largest), largest / 10)
    white = "at the level of rounding" if floor <= rounding else f"below {floor:.0e}"
    norm = LogNorm(vmin=floor, vmax=largest)
    masks = {name: sectors.mask(name) for name in couplings}
    layers = {"": (~np.any(list(masks.values()), axis=0), COLORS["full"])}
    layers |= {name: (mask, COLORS.get(name, OTHER)) for name, mask in masks.items()}

    def draw(into: Axes, end: int) -> list[AxesImage]:
        return [
            into.imshow(
                _pooled(np.where(mask & (size >= floor), size, 0.0)[:end, :end]),
                norm=norm,
                cmap=_shades(color),
                interpolation="nearest",
                extent=(-0.5, end - 0.5, end - 0.5, -0.5),
            )
            for mask, color in layers.values()
        ]

    image = draw(ax, n)[0]
    if n >= 2 * ZOOMED:
        zoom = ax.inset_axes((0.03, 0.03, 0.4, 0.4))
        draw(zoom, ZOOMED)
        zoom.set_title(f"leading {ZOOMED}", fontsize=SMALL, color=INK, pad=2)
        zoom.set_xticks([])
        zoom.set_yticks([])
    edge: dict[str, Any] = {"clip_on": False, "lw": 2.0, "solid_capstyle": "butt"}
    for name, first, end, color in (("R", 0, r, INK), ("C", r, n, PALE)):
        if first < end:
            at, ends = -0.5 - 0.015 * n, [first - 0.5, end - 0.5]
            ax.plot(ends, [at, at], color=color, **edge)
            ax.plot([n - 1 - at, n - 1 - at], ends, color=color, **edge)
            middle = (first + end - 1) / 2
            ax.text(middle, at - 0.01 * n, name, ha="center", va="bottom", fontsize=SMALL)
            ax.text(n - 1 - at + 0.02 * n, middle, name, ha="left", va="center", fontsize=SMALL)
    ax.set_xlim(-0.5, n - 0.5)
    ax.set_ylim(n - 0.5, -0.5)
    handles = [Patch(color=color, label=name or "blocks") for name, (_, color) in layers.items()]
    ax.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.14),
        ncols=len(handles),
        fontsize=SMALL,
        frameon=False,
        handlelength=1.0,
    )
    ax.set_title(
        f"ordered $T${f' of {gate}' if gate else ''},  $n_R$ = {r} of {n},  α = {sectors.alpha:g}",
        fontsize=NORMAL,
        color=INK,
        pad=20,
    )
    bar = ax.figure.colorbar(image, ax=ax, fraction=0.046, pad=0.08)
    bar.set_label(f"$|T_{{ij}}|$, white {white}", fontsize=SMALL, color=INK)
    bar.ax.tick_params(labelsize=SMALL, colors=INK)
    bar.outline.set_visible(False)
    ax.set_xlabel("column", fontsize=NORMAL, color=INK)
    ax.set_ylabel("row", fontsize=NORMAL, color=INK)
    ax.tick_params(labelsize=SMALL, colors=INK)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(
            MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
        )
    return ax


def _pooled(size: _Float64) -> np.ma.MaskedArray[Any, Any]:
    """At most `CELLS` cells along a side, each with its largest entry; zeros are masked."""
    step = -(-len(size) // CELLS)
    padded = np.pad(size, (0, -len(size) % step))
    cells = padded.reshape(len(padded) // step, step, -1, step).max(axis=(1, 3))
    return np.ma.masked_equal(cells, 0.0)


def _shades(color: str) -> LinearSegmentedColormap:
    """From almost white to the colour, which stands out from the white of zeros."""
    full = np.array(to_rgb(color))
    shades = [(0.0, tuple(0.88 + 0.12 * full)), (0.7, color), (1.0, tuple(0.3 * full))]
    return LinearSegmentedColormap.from_list(color, shades)


_LARGEST = {
    "modulus": "ρ",
    "leaky_modulus": "max |1 − a + aλ|",
    "real_part": "max Re λ",
}


def spectrum(
    schur: OrderedSchur, sectors: Sectors, ax: Axes | None = None, *, gate: str = ""
) -> Axes:
    """Eigenvalues in the complex plane, by sector, with the cut at alpha times the largest key.

    The key is that of the form's order, by default the modulus, see `OrderedSchur.keys`. The title
    names the gate, whose eigenvalues they are, and not the network's.
    """
    ax = axes_or_new(ax, (3.8, 3.8))
    values = schur.eigenvalues
    in_R = np.arange(values.size) < sectors.n_R
    rho = schur.rho or 1.0
    largest = float(schur.keys.max()) or 1.0
    for key, color, line in (
        (largest, PALE, "-"),
        (sectors.alpha * largest, INK, (0, (4, 3))),
    ):
        if schur.order == "real_part":
            ax.axvline(key, color=color, lw=1.0, linestyle=line)
        else:  # |1 - a + a lambda| = key
            centre, radius = (1 - 1 / schur.leak, 0.0), key / schur.leak
            ax.add_patch(Circle(centre, radius, fill=False, color=color, lw=1.0, linestyle=line))
    for inside, color, text in ((in_R, COLORS["RR"], "R"), (~in_R, COLORS["CC"], "C")):
        ax.scatter(
            values.real[inside],
            values.imag[inside],
            s=max(5.0, min(22.0, 22 * 64 / values.size)),
            facecolor=color,
            edgecolor="white",
            linewidth=0.5,
            label=f"{text}  ({int(inside.sum())})",
            zorder=3,
        )
    reach = 1.15 * rho
    ax.set_xlim(-reach, reach)
    ax.set_ylim(-reach, reach)
    ax.set_aspect("equal")
    ax.set_title(
        f"gate {gate}:  " * bool(gate)
        + f"ρ = {schur.rho:.3g},  cut at {sectors.alpha:g} {_LARGEST[schur.order]}",
        fontsize=NORMAL,
        color=INK,
    )
    ax.set_xlabel("Re λ", fontsize=NORMAL, color=INK)
    ax.set_ylabel("Im λ", fontsize=NORMAL, color=INK)
    ax.legend(loc="upper right", fontsize=SMALL, frameon=False, handletextpad=0.1, borderpad=0.1)
    return tidy(ax)
