from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

# Float32 or float64, the same one throughout a call; the core converts nothing.
_Real: TypeAlias = npt.NDArray[np.floating[Any]]
_Float64: TypeAlias = npt.NDArray[np.float64]
_Int64: TypeAlias = npt.NDArray[np.int64]
_Complex128: TypeAlias = npt.NDArray[np.complex128]

# `schurscope.Cell.names`: activation, form, leak (of all units or (N_h,)), output and readout.
_Cell: TypeAlias = tuple[str, str, float | _Float64, str, str]
# W_hh, W_xh, b_h, W_hy, b_y, b_hn and the cell.
_Network: TypeAlias = tuple[_Real, _Real, _Real, _Real, _Real, _Real | None, _Cell]
# Inputs, targets, weights, h_0 (of an LSTM [h_0, c_0] side by side) and noise.
_Trials: TypeAlias = tuple[_Real, _Real | None, _Real | None, _Real | None, _Real | None]
# Q and T.
_Schur: TypeAlias = tuple[_Float64, _Float64]
# Offsets, places of T, and gains: ablation a has the places offsets[a] to offsets[a + 1].
_Places: TypeAlias = tuple[_Int64, _Int64, _Float64]
# Gains on rectangles of N, and on ranges of blocks of B.
_Ablations: TypeAlias = tuple[_Places, _Places]
# Q of a recurrent matrix, and D and the labels of the entries of its T.
_Entries: TypeAlias = tuple[_Float64, _Float64, _Int64]
# N_h, N_x, N_y, the pairs of a Cayley parametrisation or -1, and whether there are b_h, b_y, b_hn.
_Layout: TypeAlias = tuple[int, int, int, int, bool, bool, bool]
# Learning rate, beta1, beta2, epsilon, weight decay, whether it is decoupled, and the clip.
_Adam: TypeAlias = tuple[float, float, float, float, float, bool, float]

LEVELS: tuple[str, ...]
RUNNABLE_LEVELS: tuple[str, ...]
BUILT_LEVELS: tuple[str, ...]
LEVEL: str
ACTIVATIONS: tuple[str, ...]
MEASURES: tuple[str, ...]

def build_info() -> dict[str, str]: ...
def active_threads() -> int: ...
def resolve_threads(n_threads: int) -> int: ...
def block_starts(T: _Float64) -> _Int64: ...
def sort_blocks(
    T: _Float64, Q: _Float64, by_real_part: bool, shift: float
) -> tuple[int, _Complex128]: ...
def reorder_schur(T: _Float64, Q: _Float64, order: _Int64) -> tuple[int, _Complex128]: ...
def ablated_matrix(W: _Float64, schur: _Schur, ablation: _Ablations, out: _Float64) -> float: ...
def removed_masses(T: _Float64, ablations: _Ablations, out: _Float64) -> None: ...
def cayley_matrix(U: _Float64, pairs: _Float64, reals: _Float64, out: _Float64) -> None: ...
def activate(activation: str, x: _Real, out: _Real) -> None: ...
def rollout(
    network: _Network,
    trials: _Trials,
    outputs: _Real | None,
    states: _Real | None,
    n_threads: int,
) -> None: ...
def run_ablations(
    network: _Network,
    schurs: list[_Schur],
    ablations: list[_Ablations],
    trials: _Trials,
    measure: str,
    sums: tuple[_Float64, _Float64],
    n_threads: int,
) -> None: ...
def coupling_features(
    network: _Network,
    entries: list[_Entries],
    trials: _Trials,
    cotangents: _Real,
    features: _Real,
    n_threads: int,
) -> None: ...
def adjoints(
    network: _Network,
    gate: int,
    trials: _Trials,
    cotangents: _Real,
    rates: _Real,
    deltas: _Real,
    n_threads: int,
) -> None: ...
def train(
    parameters: tuple[_Real, _Real, _Real],
    steps_done: int,
    layout: _Layout,
    cell: _Cell,
    trials: _Trials,
    batch_size: int,
    options: _Adam,
    loss: _Float64,
) -> None: ...
def loss_gradient(
    theta: _Real, layout: _Layout, cell: _Cell, trials: _Trials, gradient: _Real
) -> float: ...
