"""Curves over time: accuracy per lag, and single trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from .._internal.checks import positive
from ..ablation.batch import Batch
from ..ablation.plan import Ablation, ablated_weights
from ..coordinates.forms import Coordinates, Schurs
from ..networks.network import Network
from ..trials.trials import Trials
from .bars import Profiles, profile_list
from .style import INK, NORMAL, PALE, SMALL, axes_or_new, color_of, label, tidy

_Float64: TypeAlias = NDArray[np.float64]


def accuracy_per_lag(profiles: Profiles, ax: Axes | None = None) -> Axes:
    """An accuracy at each lag after the inputs, one curve per ablation.

    With several profiles (seeds of one experiment) the curve is their mean and the band runs from
    the lowest to the highest. Steps of weight 0 are left out, and so are ablations that are
    vacuous in every profile, whose curve is the full network's, and those of single gates where
    some are of all gates together.
    """
    several = profile_list(profiles)
    measure = several[0].definition
    if measure.limits != (0.0, 1.0):
        raise ValueError(f"profiles must be of an accuracy, got {measure.name!r}")
    ax = axes_or_new(ax, (5.6, 3.4))
    stack = np.stack([profile.per_step for profile in several])
    counted = np.isfinite(stack).any(axis=(0, 1))
    stack = stack[:, :, counted]
    lags = 1 + np.arange(stack.shape[2])
    vacuous: list[bool] = np.all([profile.vacuous for profile in several], axis=0).tolist()
    joint = [":" not in name for name in several[0].names]
    shown = joint if sum(joint) > 1 else [True] * len(joint)  # the full network is always there
    for row, name in enumerate(several[0].names):
        if vacuous[row] or not shown[row]:
            continue  # same curve as the full network, or too many curves
        color = color_of(name)
        on_top = "CC" in name.split("+")  # often equal to its partner without CC: dashes show both
        ax.plot(
            lags,
            stack[:, row].mean(axis=0),
            color=color,
            lw=1.6 if on_top else 2.2,
            linestyle=(0, (3, 2)) if on_top else "-",
            label=label(name),
            zorder=3 if on_top else 2,
        )
        if len(several) > 1:
            low, high = stack[:, row].min(axis=0), stack[:, row].max(axis=0)
            ax.fill_between(lags, low, high, color=color, alpha=0.13, lw=0, zorder=1)
    ax.set_ylim(min(several[0].chance, float(np.nanmin(stack))) - 0.02, 1.02)
    ax.set_xlim(1, int(lags[-1]))
    ax.axhline(several[0].chance, color=PALE, lw=0.8, zorder=0)
    ax.set_xlabel("lag (generated step)", fontsize=NORMAL, color=INK)
    ax.set_ylabel(measure.axis_label, fontsize=NORMAL, color=INK)
    ax.legend(
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        fontsize=SMALL,
        frameon=False,
        handlelength=2.2,
        title=f"{sum(vacuous)} ablations vacuous" if any(vacuous) else None,
        title_fontsize=SMALL,
    )
    return tidy(ax)


def trajectories(
    network: Network,
    trials: Trials,
    *,
    ablations: Sequence[str] = ("CR",),
    alpha: float = 0.9,
    trial: int = 0,
    channel: int = 0,
    schur: Schurs | None = None,
    dt: float | None = None,
    unit: str = "",
    ax: Axes | None = None,
) -> Axes:
    """One output channel over one trial: the full and the ablated networks, a row each.

    The target is drawn behind every row. All rows have one scale, that of the bar on the right;
    what leaves a row by far, because the ablated network diverges, is not drawn.

    Parameters
    ----------
    network : Network
    trials : Trials
    ablations : sequence of str
        Names such as ``"CR"``, ``"RR+CC"`` or ``"n:CR"``, one row each.
    alpha : float
        Cut of the spectrum.
    trial, channel : int
        Indices of the trial and output channel to show.
    schur : OrderedSchur, or mapping of gates to OrderedSchur, optional
        Ordered Schur form of ``network.W_hh``, or of each gate's, if already computed.
    dt : float, optional
        Duration of a step in `unit`; None counts steps.
    unit : str
        Unit of time, such as ``"ms"``, for the label of the axis.
    ax : matplotlib Axes, optional
    """
    if dt is None and unit:
        raise ValueError(f"dt must be the duration of a step in {unit}, got None")
    time = np.arange(trials.n_steps) * (1.0 if dt is None else positive(dt, "dt"))
    ax = axes_or_new(ax, (5.0, 1.2 + 0.6 * (1 + len(ablations))))
    target, outputs = _curves(network, trials, ablations, alpha, trial, channel, schur)
    reference = target if np.isfinite(target).any() else outputs["full"]
    reference = reference[np.isfinite(reference)]
    low, high = (reference.min(), reference.max()) if len(reference) else (0.0, 1.0)
    # Rows are as high as the curves need, but a diverging one does not flatten the others.
    room = (high - low) or 1.0
    every = np.concatenate([values[np.isfinite(values)] for values in outputs.values()])
    low = max(min(low, every.min(initial=low)), low - room)
    high = min(max(high, every.max(initial=high)), high + room)
    height = 1.15 * ((high - low) or 1.0)
    for row, (name, values) in enumerate(outputs.items()):
        base = -row * height
        ax.plot(
            time,
            target + base,
            color=PALE,
            lw=4.0,
            label="target" if row == 0 else None,
            solid_capstyle="round",
        )
        shown = np.where((values >= low) & (values <= high), values, np.nan)
        color = color_of(name)
        ax.plot(time, shown + base, color=color, lw=1.4, label=label(name))
    names = [label(name) for name in outputs]
    middle = (low + high) / 2
    ax.set_yticks([middle - row * height for row in range(len(names))], names)
    ax.set_ylim(low - (len(names) - 1) * height - 0.08 * height, high + 0.08 * height)
    ax.set_xlim(time[0], time[-1] if len(time) > 1 else time[0] + 1)
    _scale_bar(ax, low, high)
    ax.set_xlabel(
        "step" if dt is None else f"time ({unit})" if unit else "time", fontsize=NORMAL, color=INK
    )
    ax.set_title(f"output {channel}", fontsize=SMALL, color=INK, loc="right")
    if np.isfinite(target).any():
        ax.legend(
            handles=ax.lines[:1],
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            fontsize=SMALL,
            frameon=False,
            handlelength=1.6,
            borderpad=0.1,
        )
    tidy(ax)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    for text, name in zip(ax.get_yticklabels(), outputs, strict=True):
        text.set_color(color_of(name))
    return ax


def _curves(
    network: Network,
    trials: Trials,
    ablations: Sequence[str],
    alpha: float,
    trial: int,
    channel: int,
    schur: Schurs | None,
) -> tuple[_Float64, dict[str, _Float64]]:
    """The target, NaN where it does not count, and the output of the full and ablated networks."""
    coordinates = Coordinates.of(network, schur, None)
    cuts = coordinates.sectors(alpha)
    trials = trials.astype(network.dtype)
    inputs = trials.inputs[trial : trial + 1]
    h_0, c_0 = (
        None if state is None else state[trial : trial + 1] for state in (trials.h_0, trials.c_0)
    )
    rng = 0 if network.cell.noise else None  # the same noise for every curve
    target = np.full(trials.n_steps, np.nan)
    if trials.has_targets:
        counts = trials.step_weights[trial] > 0
        target[counts] = trials.targets[trial, counts, channel]
    outputs = {}
    for name in ("full", *ablations):
        row = Batch.of([Ablation.of(name, cuts)], coordinates.gates)
        W_hh = ablated_weights(coordinates, row, network.dtype)
        ablated = network if name == "full" else replace(network, W_hh=W_hh, cayley=None)
        rolled = ablated.rollout(inputs, h_0=h_0, c_0=c_0, rng=rng)
        outputs[name] = rolled[0, :, channel].astype(np.float64)
    return target, outputs


def _scale_bar(ax: Axes, low: float, high: float) -> None:
    """A bar of a round number of units beside the first row."""
    length = float(f"{(high - low) / 2:.0e}") or 1.0
    middle = (low + high) / 2
    transform = ax.get_yaxis_transform()
    ends = [middle - length / 2, middle + length / 2]
    ax.plot([1.015, 1.015], ends, transform=transform, color=INK, lw=1.4, clip_on=False)
    ax.text(
        1.03, middle, f"{length:g}", transform=transform, va="center", fontsize=SMALL, color=INK
    )
