"""Curves over time: accuracy per lag, and single trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes

from ..coordinates.schur import OrderedSchur, ordered_schur
from ..networks.network import Network
from ..trials.trials import Trials
from .bars import Profiles, profile_list
from .style import COLORS, INK, NORMAL, OTHER, PALE, SMALL, axes_or_new, label, tidy


def accuracy_per_lag(profiles: Profiles, ax: Axes | None = None) -> Axes:
    """An accuracy at each lag after the inputs, one curve per ablation.

    With several profiles (seeds of one experiment) the curve is their mean and the band runs from
    the lowest to the highest. Steps of weight 0 are left out, and so are ablations that are
    vacuous in every profile, whose curve is the full network's.
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
    for row, name in enumerate(several[0].names):
        if vacuous[row]:
            continue  # same curve as the full network
        color = COLORS.get(name, OTHER)
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
    schur: OrderedSchur | None = None,
    ax: Axes | None = None,
) -> Axes:
    """One output channel over one trial: target, full network, ablated networks.

    Parameters
    ----------
    network : Network
    trials : Trials
    ablations : sequence of str
        Names such as ``"CR"`` or ``"RR+CC"``, one curve each.
    alpha : float
        Cut of the spectrum.
    trial, channel : int
        Indices of the trial and output channel to show.
    schur : OrderedSchur, optional
        Ordered Schur form of ``network.W_hh``, if already computed.
    ax : matplotlib Axes, optional
    """
    ax = axes_or_new(ax, (5.0, 2.4))
    if schur is None:
        schur = ordered_schur(network.W_hh.astype(np.float64))
    trials = trials.astype(network.dtype)
    inputs = trials.inputs[trial : trial + 1]
    h_0 = None if trials.h_0 is None else trials.h_0[trial : trial + 1]
    rng = 0 if network.cell.noise else None  # the same noise for every curve
    steps = np.arange(trials.n_steps)
    if trials.has_targets:
        target = trials.targets[trial, :, channel]
        if trials.weights is not None:
            target = np.where(trials.weights[trial] > 0, target, np.nan)
        ax.plot(steps, target, color=PALE, lw=4.5, label="target", solid_capstyle="round")
    outputs = network.rollout(inputs, h_0=h_0, rng=rng)
    ax.plot(steps, outputs[0, :, channel], color=COLORS["full"], lw=1.5, label="full")
    for name in ablations:
        W_hh = schur.ablated(set(name.split("+")), alpha=alpha).astype(network.dtype)
        ablated = replace(network, W_hh=W_hh, cayley=None)
        outputs = ablated.rollout(inputs, h_0=h_0, rng=rng)
        color = COLORS.get(name, OTHER)
        ax.plot(steps, outputs[0, :, channel], color=color, lw=1.5, label=label(name))
    ax.set_xlim(0, trials.n_steps - 1)
    ax.set_xlabel("step", fontsize=NORMAL, color=INK)
    ax.set_ylabel(f"output {channel}", fontsize=NORMAL, color=INK)
    ax.legend(
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        fontsize=SMALL,
        frameon=False,
        handlelength=1.6,
    )
    return tidy(ax)
