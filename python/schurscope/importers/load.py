"""`load_network` and `import_network`."""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy.typing as npt

from .._internal.brief import Brief
from .._internal.checks import choice, printable, shown
from .._internal.files import MAX_BYTES
from .._internal.html import facts
from ..networks.cell import Activation, Form, Readout, Reset
from ..networks.files import is_network_file
from ..networks.network import Network
from ..networks.verify import require_agreement
from .assemble import FORMATS, assemble, collect
from .formats.readers import from_object, read_checkpoint, refusal
from .formats.tensorflow import index_of
from .parts import Parts
from .unused import variants

__all__ = ["FORMATS", "ImportedNetwork", "contents", "import_network", "load_network"]

MOST_VARIANTS = 100


@dataclass(frozen=True, repr=False)
class ImportedNetwork(Brief):
    """A network and the record of its import; ``print`` shows it.

    Attributes
    ----------
    network : Network
    format : str
        One of `FORMATS`.
    mapped : dict
        Part of the network → its source entries; ᵀ marks a transposed one.
    ignored : dict
        Unused entries → the reason.
    notes : tuple of str
        Assumptions and conversions.
    variants : tuple of (str, callable)
        Unused entries as biases or initial states, and gates in another order, in words and as
        functions that return part → array; `load_network` tries them when its reference disagrees.
    """

    network: Network
    format: str
    mapped: dict[str, str]
    ignored: dict[str, str]
    notes: tuple[str, ...]
    variants: tuple[tuple[str, Callable[[], dict[str, Any]]], ...] = field(default=(), repr=False)

    def _repr_html_(self) -> str:
        named = {
            "network": repr(self.network),
            "cell": self.network.cell,
            "format": self.format,
            **self.mapped,
        }
        unused = [f"ignored: {name} ({why})" for name, why in self._unused().items()]
        return facts("Imported network", named, unused + [f"note: {note}" for note in self.notes])

    def __str__(self) -> str:
        lines = [f"{self.network!r} from {self.format}", f"  {self.network.cell}"]
        lines += [f"  {part} = {source}" for part, source in self.mapped.items()]
        lines += [f"  ignored: {name} ({why})" for name, why in self._unused().items()]
        return "\n".join(lines + [f"  note: {note}" for note in self.notes])

    def _unused(self) -> dict[str, str]:
        """Ignored entries → the reason, those of an optimiser's state counted."""
        of_optimizers = Counter(filter(None, map(_optimizer_of, self.ignored)))
        counted = {name: f"{n} entries" for name, n in of_optimizers.items()}
        others = {name: why for name, why in self.ignored.items() if not _optimizer_of(name)}
        return {**counted, **others}


def _optimizer_of(name: str) -> str:
    """The name of the optimiser state that contains an entry, else an empty string."""
    found = re.match(r"(.*?optimi[sz]er[^./]*)[./]", name, re.IGNORECASE)
    return found[1] if found else ""


def load_network(
    source: str | os.PathLike[str] | Mapping[Any, Any] | object,
    *,
    format: str | None = None,
    layer: str | None = None,
    keys: Mapping[str, Any] | None = None,
    activation: Activation | None = None,
    form: Form | None = None,
    leak: npt.ArrayLike | None = None,
    output: Activation | None = None,
    noise: float | None = None,
    readout: Readout | None = None,
    reset: Reset | None = None,
    residual: bool | None = None,
    dtype: npt.DTypeLike | None = None,
    max_bytes: int = MAX_BYTES,
    trusted: bool = False,
    reference: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
) -> Network:
    """The network in a file, a folder, a module or a dictionary of arrays, from any framework.

    Files from strangers are safe to load: nothing is ever unpickled, checksums are compared, and
    time and memory are bounded. Damage is found where the format has checksums: zip archives (.npz,
    .pt, .keras) and compressed MATLAB files. In safetensors, JSON and most HDF5 files, a changed
    weight is another valid weight; compare `reference` outputs, or the files' digests.

    A file's content identifies its format: PyTorch (.pt, .pth), safetensors, .npz, Keras (.keras,
    .h5, .weights.h5), TensorFlow checkpoints (.index), MATLAB (.mat, also 7.3), JSON, MessagePack
    (flax.serialization), neuralrnn folders, and files of `Network.save`. A source may also be a
    ``torch.nn.Module``, a ``flax.nnx.Module``, or nested dictionaries of arrays of any framework,
    such as a state dict or Flax's params. Of a pickle, numbers, text and NumPy's arrays are read as
    data.

    Two biases of the hidden units are summed, Keras's and Flax's kernels are transposed, prefixes
    such as ``rnn.`` are found, and the only other matrix is taken as the readout. GRU and LSTM of
    PyTorch, Keras, Flax (linen and nnx) and Equinox become gated cells. The networks of
    PsychRNN, neuralrnn, lowrank_inference, nnRNN, multitask, trainRNNbrain, smc_rnns, spikeRNN,
    pycog and nn4n are recognised and computed as their code does. `import_network` also returns a
    record of these steps.

    Parameters
    ----------
    source : path, module or dict
    format : str, optional
        Require one of `FORMATS`; None detects the format.
    layer : str, optional
        Which of several recurrent layers or directions to import alone: its prefix and PyTorch's
        suffix, or a part of them that no other has, such as ``"encoder.rnn"``, ``"l1"`` or
        ``"rnn.l0_reverse"``.
    keys : dict, optional
        Entries for parts that are not found or are ambiguous: part (``"W_hh"``, ``"W_xh"``,
        ``"W_hy"``, ``"b_h"``, ``"b_y"``, ``"b_hn"``, ``"h_0"``, ``"c_0"``) → an entry, several
        entries to sum, an array, or None to leave out a bias. An entry alone is transposed if its
        name ends in ``kernel`` or you append ``.T`` (not with both). Arithmetic takes entries as
        stored: ``"m @ n.T / n_h"``, ``"abs(w) * mask"``, ``"(w_out * scale).T"``,
        ``"kernel[n_x:].T"``; with ``+ - * / @``, numbers, slices, ``.T``, ``abs``, ``relu``,
        ``maximum`` and ``diag``, and the sizes n_x, n_h and n_y, which other parts tell or you
        give: ``"n_x": 3``. Quote names with other characters: ``"'my weights' * 2"``. Arrays are
        cast to the source's dtype. Of a gated cell, what you give for W_xh, b_h and b_hn has the
        order of `Cell.gates`.
    activation, form, leak, output, noise, readout : optional
        Fields of the `Cell` that the source does not state. Most files do not state the activation;
        if you do not either, the format's default applies, with a warning.
    reset : {"after", "before"}, optional
        Of a GRU of Keras without biases, which do not tell its reset_after.
    residual : bool, optional
        A Flax cell's ``residual=True``, which adds I to W_hh.
    dtype : float32 or float64, optional
        Dtype of the network; None keeps that of the arrays.
    max_bytes : int
        Limit on the unpacked size in bytes; a file may always unpack to four times its own size.
    trusted : bool
        Read HDF5 (.h5, .keras, MATLAB 7.3) in this process. By default a child process with limits
        on time and memory reads it, because HDF5's library can hang on damaged files.
    reference : (inputs, outputs), optional
        Outputs of the original network, (trials, steps, N_y), for inputs (trials, steps, N_x). A
        network that does not reproduce them is an error; see `verify`.

    Returns
    -------
    Network

    Raises
    ------
    OSError
        The file cannot be read, or is a pipe or a device.
    ValueError
        The source is damaged, of no known format, or takes too much time or memory; parts are
        missing or ambiguous (the message lists the candidates); there are several layers or two
        directions, of which a `Network` has one, and `layer` chooses none; the cell has
        projections, peepholes, layer normalisation or other gates and functions than `Cell`; an
        option contradicts the source;
        weights are not finite; the network does not reproduce `reference` (the message names a
        change that would).
    TypeError
        The source, `keys` or an option is of the wrong type.
    ImportError
        The package that reads this format is not installed; the message says what to install.

    Warns
    -----
    UserWarning
        The activation was assumed, or a leak of 1 although the source has an entry leak, alpha,
        tau or dt; the leak is the dt / tau of arrays of no known project; parameters or a scale
        were left out; float16 or bfloat16 became float32.

    Examples
    --------
    ::

        network = ss.load_network("model.pt", activation="relu")
        network = ss.load_network("model.pt", keys={"W_hh": "cell.U", "W_hy": "decoder.weight"})
    """
    cell = {
        "activation": activation,
        "form": form,
        "leak": leak,
        "output": output,
        "noise": noise,
        "readout": readout,
        "reset": reset,
    }
    chosen = (format, layer, keys)
    imported, concerns = _import(source, chosen, cell, residual, dtype, max_bytes, trusted)
    for concern in concerns:
        warnings.warn(concern, stacklevel=2)
    if reference is not None:
        network = imported.network
        changed = (
            (told, replace(network, cayley=None, **made())) for told, made in imported.variants
        )
        require_agreement(network, reference, changed)
    return imported.network


def import_network(
    source: str | os.PathLike[str] | Mapping[Any, Any] | object,
    *,
    format: str | None = None,
    layer: str | None = None,
    keys: Mapping[str, Any] | None = None,
    activation: Activation | None = None,
    form: Form | None = None,
    leak: npt.ArrayLike | None = None,
    output: Activation | None = None,
    noise: float | None = None,
    readout: Readout | None = None,
    reset: Reset | None = None,
    residual: bool | None = None,
    dtype: npt.DTypeLike | None = None,
    max_bytes: int = MAX_BYTES,
    trusted: bool = False,
) -> ImportedNetwork:
    """`load_network` with a record of entries mapped and ignored, assumptions and conversions.

    Parameters and errors are those of `load_network`; its warnings become notes.
    """
    cell = {
        "activation": activation,
        "form": form,
        "leak": leak,
        "output": output,
        "noise": noise,
        "readout": readout,
        "reset": reset,
    }
    chosen = (format, layer, keys)
    return _import(source, chosen, cell, residual, dtype, max_bytes, trusted)[0]


def contents(
    source: str | os.PathLike[str] | Mapping[Any, Any] | object,
    max_bytes: int = MAX_BYTES,
    *,
    trusted: bool = False,
) -> dict[str, str]:
    """Every entry of a source → its dtype and shape, its value, or why it is no array.

    Also of sources that hold no network. Errors are those of reading, as in `load_network`.
    """
    if isinstance(source, (str, os.PathLike)):
        checkpoint = read_checkpoint(index_of(Path(source)), max_bytes, trusted=trusted)
    else:
        checkpoint = from_object(source)
    texts = {name: shown(text) for name, text in checkpoint.texts.items()}
    numbers = {name: f"{number:g}" for name, number in checkpoint.numbers.items()}
    arrays = {
        name: f"{checkpoint.narrow.get(name, array.dtype)} {array.shape}"
        for name, array in checkpoint.arrays.items()
    }
    return {**arrays, **checkpoint.skipped, **texts, **numbers}


def _import(
    source: object,
    chosen: tuple[str | None, str | None, Mapping[str, Any] | None],
    cell: dict[str, Any],
    residual: bool | None,
    dtype: npt.DTypeLike | None,
    max_bytes: int,
    trusted: bool,
) -> tuple[ImportedNetwork, list[str]]:
    """The imported network, and the notes worth a warning."""
    format, layer, keys = chosen
    if format is not None:
        choice(format, "format", FORMATS)
    if layer is not None and not isinstance(layer, str):
        raise TypeError(f"layer must be the name of a recurrent layer, got {shown(layer)}")
    options = {name: value for name, value in cell.items() if value is not None}
    if residual is not None:
        options["residual"] = residual
    if isinstance(source, (str, os.PathLike)):
        source = index_of(Path(source))
        if format in (None, "schurscope") and is_network_file(source, max_bytes):
            named = {name: value for name, value in (("keys", keys), ("layer", layer)) if value}
            return _own(source, {**options, **named}, dtype, max_bytes), []
        checkpoint = read_checkpoint(source, max_bytes, trusted=trusted)
    else:
        checkpoint = from_object(source)
    parts = Parts(checkpoint, {} if keys is None else keys, layer)
    try:
        found = collect(parts, format)
        network, ignored, notes, concerns = assemble(parts, found, options, dtype)
        alternatives = tuple(islice(variants(parts, network), MOST_VARIANTS))
    except TypeError:
        raise
    except Exception as error:  # entries may have any shapes and values
        raise refusal(checkpoint.origin, error) from error
    concerns = [printable(concern) for concern in concerns]
    notes = [printable(note) for note in notes]
    imported = ImportedNetwork(
        network, found, parts.mapped, ignored, (*notes, *concerns), alternatives
    )
    return imported, concerns


def _own(
    path: str | os.PathLike[str],
    options: dict[str, Any],
    dtype: npt.DTypeLike | None,
    max_bytes: int,
) -> ImportedNetwork:
    if options:
        raise ValueError(
            f"{path} is a file of Network.save and needs no options, got {', '.join(options)}"
        )
    network = Network.load(path, max_bytes=max_bytes)
    network = network if dtype is None else network.astype(dtype)
    parts = [item.name for item in fields(Network) if getattr(network, item.name) is not None]
    return ImportedNetwork(network, "schurscope", {part: part for part in parts}, {}, ())
