"""Ablations of Schur couplings and their effect on a network's behaviour.

In ordered Schur coordinates W_hh = Q T Qᵀ, an ablation scales entries of T above its diagonal
blocks (0 removes them); the network then runs with W̃ = Q T̃ Qᵀ between the unchanged encoder and
decoder. Source: Dräger, arXiv:2606.18457. A gated network has a W_hh, Q and T for each gate.
"""

from __future__ import annotations

from collections.abc import Iterable

from .._internal.checks import Rng
from ..coordinates.forms import Coordinates, Schurs
from ..coordinates.orders import Order
from ..networks.network import Network
from ..trials.trials import Trials
from .assemble import Assembly
from .batch import Batch
from .evaluate import Evaluator, fitting_trials
from .measures import Measure, measure_named
from .measures.base import ScoreFunction
from .plan import Ablation
from .profile import AblationProfile

__all__ = ["ablate"]


def ablate(
    network: Network,
    trials: Trials,
    *,
    alpha: float = 0.9,
    ablations: Iterable[str | Ablation] | None = None,
    measure: str | Measure | ScoreFunction = "fvu",
    n_threads: int = 0,
    order: Order | None = None,
    schur: Schurs | None = None,
    rng: Rng = None,
    strict: bool = False,
) -> AblationProfile:
    """Ablate Schur couplings of a trained network and measure the effect.

    Parameters
    ----------
    network : Network
        Rollouts use its dtype; Schur coordinates are always computed in float64.
    trials : Trials
        Held-out trials, converted once to the network's dtype. ``"fidelity"`` needs no targets: it
        compares with the full network's outputs.
    alpha : float
        Cut of the spectrum: R holds the eigenvalues of modulus >= alpha * rho, or in another order
        of key >= alpha times the largest key. In (0, 1].
    ablations : iterable of str or Ablation, optional
        The ablations; None means every subset of the couplings RR, CR (C to R) and CC of N, and
        BB, the nonnormality inside the 2x2 blocks. The full network is always row 0 and need not be
        named. In a gated network ``"CR"`` is that of every gate, ``"n:CR"`` of one and
        ``"r:CR,z:CR+CC"`` of several together; None means the same rows in all gates together, and
        of each gate RR, CR, CC, all three, and BB.
    measure : str, Measure or callable
        ``"fvu"``, ``"replay_accuracy"``, ``"accuracy"``, ``"sign_accuracy"``, ``"cross_entropy"``
        or ``"fidelity"``, see `schurscope.measures`; a measure of your own; or a function
        ``f(outputs, trials)`` that scores each trial, (trials,), called once per ablation with
        outputs (trials, steps, N_y). The value is then the mean score.
    n_threads : int
        0 means automatic. The numbers are bit-identical for any number of threads.
    order : {"modulus", "leaky_modulus", "real_part"}, optional
        Sort key of the blocks, see `ordered_schur`; the leaky modulus uses the leak of the
        network's cell. None means the order of `schur`, or modulus.
    schur : OrderedSchur, or mapping of gates to OrderedSchur, optional
        Ordered Schur form of this network's ``W_hh``, or of each gate's, to avoid recomputing it or
        to use another admissible order.
    rng : numpy.random.Generator, SeedSequence or int
        Source of the cell's noise, if any, the same for every ablation; see `Network.rollout`.
    strict : bool
        Raise an error if rounding of the weights decides the cut. If false, the profile carries a
        warning; see `Sectors.determined`.

    Returns
    -------
    AblationProfile
        A diverging rollout does not raise: its row is flagged and its values are not finite.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong type or shape; `trials` do not fit `network`; an ablation is
        unknown or named twice; the targets do not suit the measure: no variance for FVU, values
        other than -1 and +1 for replay accuracy, not one-hot for accuracy; `strict` is true and
        the cut is not determined.
    """
    definition = measure_named(measure)
    fitting_trials(network, trials)
    coordinates = Coordinates.of(network, schur, order)
    assembly = Assembly(coordinates, alpha, ablations, network.dtype, strict=strict)
    evaluator = Evaluator(network, trials, coordinates, definition, rng=rng, n_threads=n_threads)
    batch = Batch.of(assembly.running, coordinates.gates)
    sums = evaluator.sums(batch, names=[row.name for row in assembly.running])
    return assembly.profile(
        definition,
        evaluator.statistics,
        sums,
        {
            "n_steps": trials.n_steps,
            "cell": repr(network.cell),
            "trials_caution": evaluator.statistics.caution,
        },
    )
