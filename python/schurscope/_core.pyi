from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

# Float32 or float64, the same one throughout a call; the core converts nothing.
_Real: TypeAlias = npt.NDArray[np.floating[Any]]
_Float64: TypeAlias = npt.NDArray[np.float64]
_Int64: TypeAlias = npt.NDArray[np.int64]
_Complex128: TypeAlias = npt.NDArray[np.complex128]

# Activation, form, leak and output of `schurscope.Cell`.
_Cell: TypeAlias = tuple[str, str, float, str]

LEVELS: tuple[str, ...]
RUNNABLE_LEVELS: tuple[str, ...]
BUILT_LEVELS: tuple[str, ...]
LEVEL: str

def build_info() -> dict[str, str]: ...
def active_threads() -> int: ...
def resolve_threads(n_threads: int) -> int: ...
def block_starts(T: _Float64) -> _Int64: ...
def block_order(T: _Float64, by_real_part: bool, shift: float) -> _Int64: ...
def reorder_schur(T: _Float64, Q: _Float64, order: _Int64) -> tuple[int, _Complex128]: ...
def ablated_matrix(
    W: _Float64,
    Q: _Float64,
    T: _Float64,
    rectangles: _Int64,
    gains: _Float64,
    out: _Float64,
) -> float: ...
def removed_masses(
    T: _Float64, offsets: _Int64, rectangles: _Int64, gains: _Float64, out: _Float64
) -> None: ...
def sweep(
    W_hh: _Real,
    W_xh: _Real,
    b_h: _Real,
    W_hy: _Real,
    b_y: _Real,
    cell: _Cell,
    Q: _Float64,
    T: _Float64,
    offsets: _Int64,
    rectangles: _Int64,
    gains: _Float64,
    inputs: _Real,
    targets: _Real,
    weights: _Real,
    h_0: _Real | None,
    noise: _Real | None,
    measure: str,
    per_trial: _Float64,
    per_step: _Float64,
    n_threads: int,
) -> None: ...
def rollout(
    W_hh: _Real,
    W_xh: _Real,
    b_h: _Real,
    W_hy: _Real,
    b_y: _Real,
    cell: _Cell,
    inputs: _Real,
    h_0: _Real | None,
    noise: _Real | None,
    outputs: _Real | None,
    states: _Real | None,
    n_threads: int,
) -> None: ...
def activate(activation: str, x: _Real, out: _Real) -> None: ...
def cayley_matrix(U: _Float64, pairs: _Float64, reals: _Float64, out: _Float64) -> None: ...
def train(
    theta: _Real,
    first_moment: _Real,
    second_moment: _Real,
    steps_done: int,
    n_hidden: int,
    n_inputs: int,
    n_outputs: int,
    n_pairs: int,
    has_b_h: bool,
    has_b_y: bool,
    cell: _Cell,
    inputs: _Real,
    targets: _Real,
    weights: _Real,
    h_0: _Real | None,
    noise: _Real | None,
    batch_size: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    decoupled: bool,
    clip: float,
    loss: _Float64,
) -> None: ...
def loss_gradient(
    theta: _Real,
    n_hidden: int,
    n_inputs: int,
    n_outputs: int,
    n_pairs: int,
    has_b_h: bool,
    has_b_y: bool,
    cell: _Cell,
    inputs: _Real,
    targets: _Real,
    weights: _Real,
    h_0: _Real | None,
    noise: _Real | None,
    gradient: _Real,
) -> float: ...
