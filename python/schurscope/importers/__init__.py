"""Networks trained elsewhere: files, modules and dictionaries of arrays become a `Network`.

A reader turns the source into a `Checkpoint` (readers.py, hdf5.py); a layout finds the parts of the
network in it (layouts.py, and gated.py for GRU and LSTM) or computes them (projects/); assemble.py
builds the network.
"""

from .load import FORMATS, ImportedNetwork, contents, import_network, load_network

__all__ = ["FORMATS", "ImportedNetwork", "contents", "import_network", "load_network"]
