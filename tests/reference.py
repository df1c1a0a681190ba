"""Plain reference implementations of the package: slow, obviously right, sharing no code.

NumPy, SciPy and LAPACK's dtrexc only; everything in float64.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import scipy.linalg
import scipy.special

COUPLINGS = ("RR", "CR", "CC")
SUBSETS = ("full", "RR", "CR", "CC", "RR+CR", "RR+CC", "CR+CC", "RR+CR+CC", "BB")
TIE = 1e-12


# Ordered Schur coordinates


def block_starts(T):
    """First row of each diagonal block."""
    starts, row = [], 0
    while row < len(T):
        starts.append(row)
        row += 2 if row + 1 < len(T) and T[row + 1, row] != 0 else 1
    return starts


def block_size(T, start):
    return 2 if start + 1 < len(T) and T[start + 1, start] != 0 else 1


def eigenvalues(T):
    """One eigenvalue per row of T; those of a pair side by side, positive imaginary part first."""
    values = []
    for start in block_starts(T):
        size = block_size(T, start)
        pair = scipy.linalg.eigvals(T[start : start + size, start : start + size])
        values.extend(sorted(pair, key=lambda value: -value.imag))
    return np.array(values, dtype=complex)


def first_block(T, done, rho):
    """Start of the block that comes first among those from row `done` on, by the tie rule.

    Largest modulus; of moduli that agree to 1e-12 rho the largest real part; of real parts that
    agree as well the one that stands first. Agreement may pass along a chain of values.
    """
    values = eigenvalues(T)
    starts = [start for start in block_starts(T) if start >= done]
    tied = chain([(abs(values[start]), start) for start in starts], TIE * rho)
    tied = chain([(values[start].real, start) for start in tied], TIE * rho)
    return min(tied)


def chain(keyed, tolerance):
    """Items whose key is connected to the largest key by steps of at most `tolerance`."""
    keyed = sorted(keyed, reverse=True)
    items = [keyed[0][1]]
    for (above, _), (below, item) in itertools.pairwise(keyed):
        if above - below > tolerance:
            break
        items.append(item)
    return items


def ordered_schur(W):
    """Q and T with W = Q T Q^T and the blocks of T in nonincreasing modulus."""
    T, Q = scipy.linalg.schur(np.asarray(W, dtype=float), output="real")
    rho = np.abs(eigenvalues(T)).max()
    done = 0
    while done < len(T):
        start = first_block(T, done, rho)
        T, Q, info = scipy.linalg.lapack.dtrexc(T, Q, start + 1, done + 1)
        assert info == 0, "LAPACK refused a swap: not a matrix for this reference"
        done += block_size(T, done)
    return Q, T


def n_slow(T, alpha):
    """n_R: how many rows belong to eigenvalues with modulus at least alpha rho."""
    modulus = np.abs(eigenvalues(T))
    return int((modulus >= (alpha - 1e-12) * modulus.max()).sum())


def couplings(T, alpha):
    """Masks of T_RR, T_C->R and T_CC: entries strictly above the diagonal blocks."""
    n = len(T)
    above = np.zeros((n, n), dtype=bool)
    for start in block_starts(T):
        end = start + block_size(T, start)
        above[start:end, end:] = True
    in_R = np.arange(n) < n_slow(T, alpha)
    return {
        "RR": above & np.outer(in_R, in_R),
        "CR": above & np.outer(in_R, ~in_R),
        "CC": above & np.outer(~in_R, ~in_R),
    }


def normal_blocks(T):
    """T with each 2x2 block replaced by the normal block of the same eigenvalues."""
    normal = T.copy()
    for start in block_starts(T):
        if block_size(T, start) == 2:
            block = slice(start, start + 2)
            real, imaginary = (lambda z: (z.real, abs(z.imag)))(
                np.linalg.eigvals(T[block, block])[0]
            )
            turn = imaginary * np.sign(T[start, start + 1])
            normal[block, block] = [[real, turn], [-turn, real]]
    return normal


def ablated(W, names, alpha=0.9):
    """W~ = Q T~ Q^T with the named couplings removed, and the removed mass |dT| / |T|."""
    Q, T = ordered_schur(W)
    kept = normal_blocks(T) if "BB" in names else T.copy()
    for name in names:
        if name != "BB":
            kept[couplings(T, alpha)[name]] = 0
    norm = np.linalg.norm(T)
    return Q @ kept @ Q.T, (np.linalg.norm(T - kept) / norm if norm else 0.0)


def cayley_matrix(U, pairs, reals):
    """O D O^T, O = (I - A)(I + A)^-1, A = (U - U^T) / 2."""
    U = np.asarray(U, dtype=float)
    eye = np.eye(len(U))
    A = (U - U.T) / 2
    O = np.linalg.solve((eye + A).T, (eye - A).T).T  # noqa: E741
    D = scipy.linalg.block_diag(*[[[a, -b], [b, a]] for a, b in pairs], *[[[r]] for r in reals])
    return O @ D @ O.T


# Rollouts and measures


def rollout(W_hh, W_xh, W_hy, inputs, b_h=0.0, b_y=0.0):
    """Outputs and hidden states, step by step."""
    inputs = np.asarray(inputs, dtype=float)
    state = np.zeros((len(inputs), len(W_hh)))
    outputs, states = [], []
    for step in range(inputs.shape[1]):
        state = np.tanh(inputs[:, step] @ W_xh.T + state @ W_hh.T + b_h)
        states.append(state)
        outputs.append(state @ W_hy.T + b_y)
    return np.stack(outputs, axis=1), np.stack(states, axis=1)


def fvu(outputs, targets, weights):
    n_channels = targets.shape[2]
    mean = [np.average(targets[..., c], weights=weights) for c in range(n_channels)]
    error = variance = 0.0
    for trial, step in np.ndindex(weights.shape):
        for c in range(n_channels):
            weight, y = weights[trial, step], targets[trial, step, c]
            error += weight * (outputs[trial, step, c] - y) ** 2
            variance += weight * (y - mean[c]) ** 2
    return error / variance


def replay_accuracy(outputs, targets, weights):
    right = total = 0.0
    for trial, step in np.ndindex(weights.shape):
        for y_hat, y in zip(outputs[trial, step], targets[trial, step], strict=True):
            sign = 1 if y_hat > 0 else -1 if y_hat < 0 else 0
            right += weights[trial, step] * (sign == y)
            total += weights[trial, step]
    return right / total


def profile(network, inputs, targets, weights, measure, alpha=0.9, eps=2.0**-52):
    """Value, change, removed mass and sensitivity of the subsets: a dict of 4-tuples.

    `network` is a dict of arrays: W_hh, W_xh, W_hy and perhaps b_h, b_y. Subsets that remove no
    more than N_h `eps` are vacuous: nothing is run, no change, no sensitivity.
    """
    network = {name: np.asarray(array, dtype=float) for name, array in network.items()}
    full = measure(rollout(**network, inputs=inputs)[0], targets, weights)
    rows = {}
    for subset in SUBSETS:
        names = () if subset == "full" else subset.split("+")
        W, mass = ablated(network["W_hh"], names, alpha)
        if mass <= len(W) * eps:
            rows[subset] = (full, 0.0, mass, math.nan)
            continue
        outputs, _ = rollout(**{**network, "W_hh": W}, inputs=inputs)
        value = measure(outputs, targets, weights)
        rows[subset] = (value, value - full, mass, (value - full) / mass)
    return rows


# Training


def unflatten(theta, n_hidden, n_inputs, n_outputs, n_pairs=-1, has_b_h=False, has_b_y=False):
    """The arrays in a parameter vector: W_hh or (U, pairs, reals), then W_xh, W_hy, b_h, b_y."""
    if n_pairs < 0:
        shapes = {"W_hh": (n_hidden, n_hidden)}
    else:
        shapes = {
            "U": (n_hidden, n_hidden),
            "pairs": (n_pairs, 2),
            "reals": (n_hidden - 2 * n_pairs,),
        }
    shapes |= {"W_xh": (n_hidden, n_inputs), "W_hy": (n_outputs, n_hidden)}
    shapes |= {"b_h": (n_hidden,)} if has_b_h else {}
    shapes |= {"b_y": (n_outputs,)} if has_b_y else {}
    parts = np.split(theta, np.cumsum([math.prod(shape) for shape in shapes.values()]))
    assert parts.pop().size == 0
    return {
        name: part.reshape(shape) for part, (name, shape) in zip(parts, shapes.items(), strict=True)
    }


def loss(parameters, inputs, targets, weights):
    """Weighted mean squared error over trials, steps and channels."""
    network = dict(parameters)
    if "U" in network:
        network["W_hh"] = cayley_matrix(*(network.pop(name) for name in ("U", "pairs", "reals")))
    outputs, _ = rollout(**network, inputs=inputs)
    squares = np.square(outputs - targets).sum(axis=2)
    return (weights * squares).sum() / (targets.shape[2] * weights.sum())


def central_differences(function, theta, step=1e-5):
    """Gradient of a scalar function of a vector."""
    gradient = np.empty(theta.size)
    for i in range(theta.size):
        shift = np.zeros(theta.size)
        shift[i] = step
        gradient[i] = (function(theta + shift) - function(theta - shift)) / (2 * step)
    return gradient


def clipped(gradient, largest_norm):
    """The gradient, shortened to `largest_norm` if it is longer."""
    return gradient * min(1.0, largest_norm / (np.linalg.norm(gradient) + 1e-6))


def adam_step(
    theta,
    gradient,
    first_moment,
    second_moment,
    step,
    learning_rate=1e-3,
    beta1=0.9,
    beta2=0.999,
    epsilon=1e-8,
    weight_decay=0.0,
    decoupled=False,
):
    """New theta and moments after step number `step`, which counts from 1; decoupled is AdamW."""
    if decoupled:
        theta = theta - learning_rate * weight_decay * theta
    else:
        gradient = gradient + weight_decay * theta
    first_moment = beta1 * first_moment + (1 - beta1) * gradient
    second_moment = beta2 * second_moment + (1 - beta2) * gradient**2
    mean = first_moment / (1 - beta1**step)
    scale = np.sqrt(second_moment / (1 - beta2**step)) + epsilon
    return theta - learning_rate * mean / scale, first_moment, second_moment


# Tasks: the targets that follow from the inputs


def copy_targets(inputs, n_symbols):
    """Targets and weights: the first `n_symbols` inputs, over and over, after they were shown."""
    targets, weights = np.zeros(inputs.shape), np.zeros(inputs.shape[:2])
    for trial, step in np.ndindex(weights.shape):
        k = step - n_symbols + 1
        if k >= 1:
            targets[trial, step] = inputs[trial, (k - 1) % n_symbols]
            weights[trial, step] = 1
    return targets, weights


def flip_flop_targets(inputs):
    """The last pulse of each channel, this step included."""
    targets = np.zeros(inputs.shape)
    for trial, channel in np.ndindex(inputs.shape[0], inputs.shape[2]):
        last = 0.0
        for step in range(inputs.shape[1]):
            if inputs[trial, step, channel] != 0:
                last = inputs[trial, step, channel]
            targets[trial, step, channel] = last
    return targets


def sine_targets(inputs):
    """sin(2 pi f t / steps) with f = 1 + 2u for the static cue u."""
    n_trials, n_steps, _ = inputs.shape
    targets = np.zeros((n_trials, n_steps, 1))
    for trial, step in np.ndindex(n_trials, n_steps):
        f = 1 + 2 * float(inputs[trial, step, 0])
        targets[trial, step, 0] = math.sin(2 * math.pi * f * step / n_steps)
    return targets


def integration_targets(inputs):
    """Running sum of the stimulus (channel 0 or 1) whose context channel (2 or 3) is on."""
    n_trials, n_steps, _ = inputs.shape
    targets = np.zeros((n_trials, n_steps, 1))
    for trial in range(n_trials):
        total = 0.0
        for step in range(n_steps):
            cued = 0 if inputs[trial, step, 2] == 1 else 1
            total += float(inputs[trial, step, cued])
            targets[trial, step, 0] = total
    return targets


# Cells


ACTIVATIONS = {
    "tanh": np.tanh,
    "relu": lambda z: np.where(z > 0, z, 0.0),
    "softplus": lambda z: np.logaddexp(0, z),
    "sigmoid": scipy.special.expit,
    "identity": lambda z: z,
}


def cell_rollout(network, inputs, h_0=None, noise=None):
    """Outputs (trials, steps, N_y) and states (trials, steps, N_h) by the equations of cell.py.

    `h_0` (trials, N_h) or (N_h,) comes before the network's own; `noise` is xi.
    """
    cell = network.cell
    phi, psi = ACTIVATIONS[cell.activation], ACTIVATIONS[cell.output]
    W_hh, W_xh, W_hy = (np.asarray(W, float) for W in (network.W_hh, network.W_xh, network.W_hy))
    b_h, b_y = (np.asarray(b, float) for b in network.biases)
    inputs = np.asarray(inputs, float)
    h = np.zeros((len(inputs), len(W_hh)))
    start = network.h_0 if h_0 is None else h_0
    if start is not None:
        h = h + np.asarray(start, float)
    outputs, states = [], []
    for t in range(inputs.shape[1]):
        drive = inputs[:, t] @ W_xh.T + b_h
        if noise is not None:
            drive = drive + cell.noise * noise[:, t]
        if cell.form == "rate":
            h = (1 - cell.leak) * h + cell.leak * phi(h @ W_hh.T + drive)
            read = h
        else:
            h = (1 - cell.leak) * h + cell.leak * (phi(h) @ W_hh.T + drive)
            read = h if cell.readout == "hidden" else phi(h)
        states.append(h)
        outputs.append(psi(read @ W_hy.T + b_y))
    return np.stack(outputs, 1), np.stack(states, 1)


def gated_rollout(network, inputs, h_0=None, c_0=None, noise=None):
    """Outputs and states h by the equations of a GRU or an LSTM; see `cell_rollout`."""
    cell, n, sigma = network.cell, network.W_hh.shape[1], scipy.special.expit
    W, U = np.asarray(network.W_hh, float), np.asarray(network.W_xh, float)
    W_hy, psi = np.asarray(network.W_hy, float), ACTIVATIONS[cell.output]
    b_h, b_y = (np.asarray(b, float) for b in network.biases)
    b_hn = 0.0 if network.b_hn is None else np.asarray(network.b_hn, float)
    x = np.asarray(inputs, float)
    starts = [network.h_0 if h_0 is None else h_0, network.c_0 if c_0 is None else c_0]
    h, c = (np.zeros((len(x), n)) + (0 if start is None else start) for start in starts)
    xi = np.zeros((*x.shape[:2], n)) if noise is None else cell.noise * np.asarray(noise, float)

    def driven(gate, t):
        rows = slice(gate * n, gate * n + n)
        return x[:, t] @ U[rows].T + b_h[rows]

    def recurrent(gate, state):
        return state @ W[gate * n : gate * n + n].T

    outputs, states = [], []
    for t in range(x.shape[1]):
        if cell.kind == "gru":
            r = sigma(recurrent(0, h) + driven(0, t))
            z = sigma(recurrent(1, h) + driven(1, t))
            if cell.reset == "after":
                drive = r * (recurrent(2, h) + b_hn)
            else:
                drive = recurrent(2, r * h)
            candidate = np.tanh(driven(2, t) + drive + xi[:, t])
            h = (1 - z) * candidate + z * h
        else:
            i, f, o = (sigma(recurrent(gate, h) + driven(gate, t)) for gate in (0, 1, 3))
            c = f * c + i * np.tanh(recurrent(2, h) + driven(2, t) + xi[:, t])
            h = o * np.tanh(c)
        states.append(h)
        outputs.append(psi(h @ W_hy.T + b_y))
    return np.stack(outputs, 1), np.stack(states, 1)


# Measures of classes and signs


def accuracy(outputs, classes, weights):
    """Weighted share of steps whose first largest output is that of the class."""
    right = total = 0.0
    for trial, step in np.ndindex(*weights.shape):
        answer = outputs[trial, step].tolist()
        right += weights[trial, step] * (answer.index(max(answer)) == classes[trial, step])
        total += weights[trial, step]
    return right / total


def sign_accuracy(outputs, targets, weights):
    """Weighted share of entries with the sign of their target, of those whose target has one."""
    w = np.broadcast_to(weights[..., None], targets.shape)[targets != 0]
    right = outputs[targets != 0] * targets[targets != 0] > 0
    return np.average(right, weights=w)


def cross_entropy(outputs, probabilities, weights):
    """Weighted mean of the cross entropy of softmax(outputs), in nats."""
    each = -(probabilities * scipy.special.log_softmax(outputs, axis=2)).sum(axis=2)
    return np.average(each, weights=weights)


# Diagnosis


def pair_labels(T):
    """Block indices (I, J), I < J and I = J for 2x2 blocks, and what their removal takes from T."""
    starts = block_starts(T)
    spans = [range(start, start + block_size(T, start)) for start in starts]
    removed = T - normal_blocks(T)
    pairs, parts = [], []
    for I, rows in enumerate(spans):  # noqa: E741
        for J in range(I, len(spans)):
            if I == J and len(rows) == 1:
                continue
            D = np.zeros_like(T)
            for i in rows:
                for j in spans[J]:
                    D[i, j] = removed[i, j] if I == J else T[i, j]
            pairs.append((I, J))
            parts.append(D)
    return pairs, parts


def features(adjoints, rates, Q, parts):
    """s_p(b), trial by trial and step by step: (trials, pairs)."""
    found = np.zeros((len(rates), len(parts)))
    for trial in range(len(rates)):
        for delta, r in zip(adjoints[trial], rates[trial], strict=True):
            for p, D in enumerate(parts):
                found[trial, p] += (Q.T @ delta) @ D @ (Q.T @ r)
    return found


def greedy(linear, samples, price):
    """The order in which each next pair adds least per price, from the model itself."""
    quadratic = samples.T @ samples
    order = []
    while len(order) < len(price):
        base = linear[order].sum() + quadratic[np.ix_(order, order)].sum()
        best, score = None, math.inf
        for p in range(len(price)):
            if p in order:
                continue
            more = [*order, p]
            change = linear[more].sum() + quadratic[np.ix_(more, more)].sum() - base
            if change / price[p] < score:
                best, score = p, change / price[p]
        order.append(best)
    return order


def model_loss(model, steps):
    """The model's loss after steps of 1 (removed), -1 (restored) or 0 for each pair."""
    return model.linear @ steps + sum((row @ steps) ** 2 for row in model.samples)


def projector(W, eigenvalues_in_R):
    """The orthogonal projector on the invariant subspace of these eigenvalues of W."""
    values, vectors = np.linalg.eig(W)
    chosen = [int(np.abs(values - value).argmin()) for value in eigenvalues_in_R]
    assert len(set(chosen)) == len(chosen)
    span = np.hstack([vectors[:, chosen].real, vectors[:, chosen].imag])
    left, sizes, _ = np.linalg.svd(span)
    assert (sizes[len(chosen) :] < 1e-8).all()
    return left[:, : len(chosen)] @ left[:, : len(chosen)].T


def cut_apart(W, eigenvalues_in_R):
    """W without the coupling from C to R, and the norm of that coupling over that of W."""
    P = projector(W, eigenvalues_in_R)
    rest = np.eye(len(W)) - P
    return P @ W @ P + rest @ W @ rest, np.linalg.norm(P @ W @ rest) / np.linalg.norm(W)


def shapley(n, value):
    """Shapley values and interactions of a game on frozensets, by going through all orders."""
    credit, interaction = np.zeros(n), np.zeros((n, n))
    for order in itertools.permutations(range(n)):
        for place, player in enumerate(order):
            before = frozenset(order[:place])
            credit[player] += value(before | {player}) - value(before)
    # In the orders in which i and j act as one, the context is what comes before both.
    for i, j in itertools.combinations(range(n), 2):
        others = [player for player in range(n) if player not in (i, j)]
        contexts = []
        for order in itertools.permutations([*others, "ij"]):
            S = frozenset(order[: order.index("ij")])
            both, first, second = value(S | {i, j}), value(S | {i}), value(S | {j})
            contexts.append(both - first - second + value(S))
        interaction[i, j] = interaction[j, i] = np.mean(contexts)
    return credit / math.factorial(n), interaction


def random_gains(squares, target, order):
    """Gains that remove pairs in this order up to a total squared mass, the last one in part."""
    gains, left = [1.0] * len(squares), target
    for pair in order:
        if left <= 0:
            break
        removed = min(left, squares[pair])
        gains[pair] = 1 - math.sqrt(removed / squares[pair])
        left -= removed
    return np.array(gains)


def permutation_test(observed, draws):
    """One-sided p-values above and below, and the two-sided one."""
    above = (1 + sum(draw >= observed for draw in draws)) / (1 + len(draws))
    below = (1 + sum(draw <= observed for draw in draws)) / (1 + len(draws))
    return above, below, min(1.0, 2 * min(above, below))


def bootstrap(outputs, outputs_full, targets, weights, counts):
    """Change of the FVU on each multiset of the trials, given how often each occurs."""
    changes = []
    for row in counts:
        chosen = np.repeat(np.arange(len(row)), row)
        y, w = targets[chosen], weights[chosen]
        changes.append(fvu(outputs[chosen], y, w) - fvu(outputs_full[chosen], y, w))
    return np.array(changes)
