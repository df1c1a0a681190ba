"""A scope for recurrent weight space.

Given a trained recurrent network and trials of its task, schurscope measures which couplings of
its ordered real Schur form the behaviour needs and which it can lose, with bootstrap intervals::

    import schurscope as ss

    task = ss.tasks.FlipFlop()
    network = ss.init_network(task, n_hidden=64, recurrent="orthogonal", rng=0)
    trained = ss.train(network, task, rng=1).network
    profile = ss.ablate(trained, task.trials(2048, rng=2))
    print(profile)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._internal.embedding import get_cmake_dir, get_include
from ._version import __version__
from .ablation import measures, pytorch
from .ablation.external import ablate_with
from .ablation.measures import fvu, replay_accuracy
from .ablation.plan import Ablation
from .ablation.profile import AblationProfile, AblationRow, Intervals
from .ablation.run import ablate
from .ablation.ties import TieSpread, tie_spread
from .coordinates.schur import OrderedSchur, ordered_schur
from .coordinates.sectors import Sectors
from .diagnosis.account import Account, account
from .diagnosis.atlas import Atlas, atlas
from .diagnosis.cuts import CutCurve, cut_curve
from .diagnosis.diagnose import diagnose
from .diagnosis.dose import Dose, dose
from .diagnosis.interactions import Interactions, Shapley
from .diagnosis.nulls import Null, null
from .diagnosis.removable import Removable, removable
from .diagnosis.result import Diagnosis
from .diagnosis.subset_game import SubsetGame, subset_game
from .dynamics.fixed_points import FixedPoints, fixed_points
from .dynamics.jacobians import Jacobian, Jacobians, jacobians
from .importers import ImportedNetwork, import_network, load_network
from .networks.cayley import Cayley
from .networks.cell import Cell
from .networks.constructions import init_network
from .networks.network import Network
from .networks.verify import Verification, verify
from .training import TrainingResult, train
from .trials import tasks
from .trials.tasks import Task, task_named
from .trials.trials import Trials

if TYPE_CHECKING:
    from . import plotting, sweep
    from .reporting import report
    from .sweep import Sweep, SweepTask

__all__ = [
    "Ablation",
    "AblationProfile",
    "AblationRow",
    "Account",
    "Atlas",
    "Cayley",
    "Cell",
    "CutCurve",
    "Diagnosis",
    "Dose",
    "FixedPoints",
    "ImportedNetwork",
    "Interactions",
    "Intervals",
    "Jacobian",
    "Jacobians",
    "Network",
    "Null",
    "OrderedSchur",
    "Removable",
    "Sectors",
    "Shapley",
    "SubsetGame",
    "Sweep",
    "SweepTask",
    "Task",
    "TieSpread",
    "TrainingResult",
    "Trials",
    "Verification",
    "__version__",
    "ablate",
    "ablate_with",
    "account",
    "atlas",
    "cut_curve",
    "diagnose",
    "dose",
    "fixed_points",
    "fvu",
    "get_cmake_dir",
    "get_include",
    "import_network",
    "init_network",
    "jacobians",
    "load_network",
    "measures",
    "null",
    "ordered_schur",
    "plotting",
    "pytorch",
    "removable",
    "replay_accuracy",
    "report",
    "subset_game",
    "sweep",
    "task_named",
    "tasks",
    "tie_spread",
    "train",
    "verify",
]

# Loaded on first access: figures need matplotlib, sweeps need worker processes and file formats.
_LAZY = {
    "plotting": ".plotting",
    "report": ".reporting",
    "sweep": ".sweep",
    "Sweep": ".sweep",
    "SweepTask": ".sweep",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(_LAZY[name], __name__)
    return module if _LAZY[name] == f".{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return __all__
