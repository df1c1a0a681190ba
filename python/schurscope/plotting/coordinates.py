"""Figures of an ordered Schur form."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.patches import Circle, Rectangle

from ..coordinates.schur import OrderedSchur
from ..coordinates.sectors import Sectors
from .style import COLORS, INK, NORMAL, PALE, SMALL, axes_or_new, tidy


def schur_matrix(schur: OrderedSchur, sectors: Sectors, ax: Axes | None = None) -> Axes:
    """The ordered ``|T|`` on a log scale, with the borders of R and C and the three couplings.

    Parameters
    ----------
    schur : OrderedSchur
    sectors : Sectors
        The cut to draw, ``schur.sectors(alpha)``.
    ax : matplotlib Axes, optional
    """
    ax = axes_or_new(ax, (4.4, 3.8))
    size = np.abs(schur.T)
    largest = float(size.max()) or 1.0
    shown = np.ma.masked_less_equal(size, 0.0)
    norm = LogNorm(vmin=1e-4 * largest, vmax=largest)
    image = ax.imshow(shown, norm=norm, cmap="Greys", interpolation="nearest")
    n, r = schur.n_hidden, sectors.n_R
    corners = {"RR": (0, 0, r, r), "CR": (r, 0, n - r, r), "CC": (r, r, n - r, n - r)}
    for name, (x, y, width, height) in corners.items():
        if width == 0 or height == 0:
            continue
        inset = 0.006 * n  # so that neighbouring borders do not hide each other
        ax.add_patch(
            Rectangle(
                (x - 0.5 + inset, y - 0.5 + inset),
                width - 2 * inset,
                height - 2 * inset,
                fill=False,
                edgecolor=COLORS[name],
                linewidth=1.8,
            )
        )
    handles = [
        Rectangle((0, 0), 1, 1, fill=False, edgecolor=COLORS[name], lw=1.8) for name in corners
    ]
    ax.legend(
        handles,
        ["RR", "C→R", "CC"],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.12),
        ncols=3,
        fontsize=SMALL,
        frameon=False,
        handlelength=1.0,
    )
    ax.set_title(
        f"ordered $|T|$,  $n_R$ = {r} of {n},  α = {sectors.alpha:g}", fontsize=NORMAL, color=INK
    )
    bar = ax.figure.colorbar(image, ax=ax, fraction=0.046, pad=0.03, extend="min")
    bar.ax.tick_params(labelsize=SMALL, colors=INK)
    bar.outline.set_visible(False)
    ax.set_xlabel("column", fontsize=NORMAL, color=INK)
    ax.set_ylabel("row", fontsize=NORMAL, color=INK)
    ax.tick_params(labelsize=SMALL, colors=INK)
    return ax


_LARGEST = {
    "modulus": "ρ",
    "leaky_modulus": "max |1 − a + aλ|",
    "real_part": "max Re λ",
}


def spectrum(schur: OrderedSchur, sectors: Sectors, ax: Axes | None = None) -> Axes:
    """Eigenvalues in the complex plane, by sector, with the cut at alpha times the largest key.

    The key is that of the form's order, by default the modulus, see `OrderedSchur.keys`.
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
            s=22,
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
        f"ρ = {schur.rho:.3g},  cut at {sectors.alpha:g} {_LARGEST[schur.order]}",
        fontsize=NORMAL,
        color=INK,
    )
    ax.set_xlabel("Re λ", fontsize=NORMAL, color=INK)
    ax.set_ylabel("Im λ", fontsize=NORMAL, color=INK)
    ax.legend(loc="upper right", fontsize=SMALL, frameon=False, handletextpad=0.1, borderpad=0.1)
    return tidy(ax)
