"""lowrank_inference: x ← x + a (-x + W φ(x + b) + W_xh u),  ŷ = W_hy φ_out(x).

Source: adrian-valente/lowrank_inference, modules.py.
"""

from __future__ import annotations

from ..parts import Parts, by_keys

__all__ = ["is_lowrank", "put_lowrank", "put_lowrank_weights"]


def is_lowrank(parts: Parts) -> str | None:
    """The prefix of its entries, or None."""
    prefix = parts.prefix_of("wrec", "wi", "si", "wo", "so")
    return parts.prefix_of("m", "n", "wi", "si", "wo", "so") if prefix is None else prefix


def put_lowrank(parts: Parts, prefix: str) -> None:
    """Fill the parts."""
    scaled = not parts.has(prefix + "wrec")
    put_lowrank_weights(parts, prefix, scaled)
    if not scaled and not parts.has(prefix + "b") and not {"W_hh", "W_hy"} <= set(parts.keys):
        named = {"W_hh": f"{prefix}wrec / n_h", "W_hy": f"({prefix}wo * {prefix}so).T / n_h"}
        parts.fail(
            "has wrec but no b, as FullRankRNNScaled saves it, which unlike FullRankRNN divides by "
            f"N_h; if it is one, name {by_keys(**named)}"
        )
    parts.stated["form"] = "current"
    parts.assumed["activation"] = "tanh"
    parts.unstated["leak"] = "alpha"
    parts.checkpoint.notes.append(
        "assumed output_non_linearity = non_linearity, the default of lowrank_inference"
    )


def put_lowrank_weights(parts: Parts, prefix: str, scaled: bool) -> None:
    """W_hh = m nᵀ / N_h or wrec; W_xh = (si wi)ᵀ; W_hy = (wo so)ᵀ, over N_h with low rank."""
    n_hidden = len(parts.entry(prefix + "wi").T)
    per_unit, over = (n_hidden, " / N_h") if scaled else (1, "")
    if parts.has(prefix + "wrec"):
        parts.put("W_hh", prefix + "wrec")
    else:
        W_hh = parts.product(parts.entry(prefix + "m"), parts.entry(prefix + "n").T) / per_unit
        parts.put_computed("W_hh", W_hh, f"{prefix}m {prefix}nᵀ{over}")
    W_xh = parts.scaled(parts.entry(prefix + "wi").T, parts.entry(prefix + "si"))
    parts.put_computed("W_xh", W_xh, f"{prefix}wiᵀ · {prefix}si")
    W_hy = parts.scaled(parts.entry(prefix + "wo"), parts.entry(prefix + "so")).T / per_unit
    parts.put_computed("W_hy", W_hy, f"({prefix}wo · {prefix}so)ᵀ{over}")
    parts.put("h_0", prefix + "h0")
    if parts.has(prefix + "b") and parts.entry(prefix + "b").any():
        parts.fail(
            "has a bias b that is not 0. It acts inside the activation of the recurrent input but "
            "not of the readout, which no schurscope.Cell does"
        )
