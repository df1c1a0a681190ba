"""TensorFlow 1's cells: h ← (1 - a) h + a φ([x, h] kernel + bias),  ŷ = ψ(h weights + biases).

Sources: gyyang/multitask, network.py, whose a = dt / τ, φ and ψ stand in hp.json beside the
checkpoint; and TensorFlow's BasicRNNCell, with a = 1. The kernel is (N_x + N_h, N_h).
"""

from __future__ import annotations

from pathlib import Path

from ..._internal.files import open_file
from ..._internal.json import parse_json
from ..formats.checkpoint import Checkpoint, from_tree
from ..gated import GATES_HINT
from ..parts import Parts, by_keys

__all__ = ["is_multitask", "put_multitask"]

_MOST_BYTES = 2**20  # of hp.json


def is_multitask(parts: Parts) -> str | None:
    """The prefix of its kernel, or None."""
    for name, array in parts.parameters().items():
        prefix = name.removesuffix("kernel")
        if parts.has(f"{prefix}recurrent_kernel"):
            continue  # Keras
        if name.endswith(("gates/kernel", "candidate/kernel", "lstm_cell/kernel")):
            parts.fail(
                f"holds the gates of TensorFlow 1's GRU or LSTM ({name}), which are not read. "
                f"{GATES_HINT}"
            )
        is_cell = "rnn" in prefix.lower()
        if prefix != name and is_cell and array.ndim == 2 and array.shape[0] > array.shape[1]:
            return prefix
    return None


def put_multitask(parts: Parts, prefix: str) -> None:
    """Fill the parts; the leak, φ and ψ, if hp.json says them."""
    name = f"{prefix}kernel"
    kernel = parts.entry(name)
    n_hidden = kernel.shape[1]
    n_inputs = len(kernel) - n_hidden
    parts.put_computed("W_hh", kernel[n_inputs:].T, f"{name}[{n_inputs}:]ᵀ")
    parts.put_computed("W_xh", kernel[:n_inputs].T, f"{name}[:{n_inputs}]ᵀ")
    parts.put("b_h", f"{prefix}bias")
    _put_readout(parts, n_hidden)
    settings = _settings(parts)
    if settings is None:
        if "leaky" in prefix:
            parts.unstated["leak"] = "dt / tau in hp.json"
        return
    kind = settings.texts.get("rnn_type", "LeakyRNN")
    if kind != "LeakyRNN":
        parts.fail(f"is a {kind} by its hp.json. {GATES_HINT}")
    parts.stated["form"] = "rate"
    if "activation" in settings.texts:
        parts.stated["activation"] = settings.texts["activation"]
    if settings.texts.get("loss_type") == "lsq":
        parts.stated["output"] = "sigmoid"
    elif "loss_type" in settings.texts:
        parts.stated["output"] = "identity"
        parts.checkpoint.warnings.append("the outputs are logits: the softmax is left out")
    dt, tau = settings.numbers.get("dt"), settings.numbers.get("tau")
    if dt and tau:
        parts.state_leak(dt / tau, f"dt / tau = {dt:g} / {tau:g} in hp.json")
    else:
        parts.unstated["leak"] = "dt / tau"


def _put_readout(parts: Parts, n_hidden: int) -> None:
    found = [
        name
        for name, array in parts.parameters().items()
        if name.rpartition("/")[2] in ("weights", "kernel")
        and name not in parts.used
        and array.ndim == 2
        and len(array) == n_hidden
    ]
    if "W_hy" in parts.keys:
        return
    if len(found) > 1:
        parts.fail(
            f"has several matrices that could be its readout: {', '.join(found)}; name it with "
            f"{by_keys(W_hy=found[0] + '.T')}"
        )
    for name in found:
        parts.put_computed("W_hy", parts.entry(name).T, f"{name}ᵀ")
        stem = name.rpartition("/")[0]
        parts.put("b_y", f"{stem}/biases" if name.endswith("weights") else f"{stem}/bias")


def _settings(parts: Parts) -> Checkpoint | None:
    path = Path(parts.checkpoint.origin).with_name("hp.json")
    if not Path(parts.checkpoint.origin).is_file() or not path.is_file():
        return None
    try:
        with open_file(path) as stream:
            content = parse_json(stream.read(_MOST_BYTES))
        return from_tree(content if isinstance(content, dict) else {}, Checkpoint(str(path)))
    except (ValueError, RecursionError) as error:
        parts.fail(f"has a damaged hp.json, or one of more than a megabyte: {error}")
