"""A scope for recurrent weight space.

Given a trained recurrent network and trials of its task, schurscope says which couplings of its
ordered real Schur form the behaviour needs, which it can lose, and how sure that is::

    import schurscope as ss

    task = ss.tasks.FlipFlop()
    network = ss.init_network(task, n_hidden=64, recurrent="orthogonal", rng=0)
    trained = ss.train(network, task, rng=1).network
    profile = ss.ablate(trained, task.trials(2048, rng=2))
    print(profile)
"""

from typing import TYPE_CHECKING, Any

from . import measures, pytorch, tasks
from ._embedding import get_cmake_dir, get_include
from ._version import __version__
from .ablation import Ablation, ablate
from .cayley import Cayley
from .cell import Cell
from .construction import init_network
from .external import ablate_with
from .importers import ImportedNetwork, import_network, load_network
from .measures import fvu, replay_accuracy
from .network import Network
from .profile import AblationProfile, AblationRow, Intervals
from .schur import OrderedSchur, Sectors, ordered_schur
from .tasks import Task, task_named
from .ties import TieSpread, tie_spread
from .training import TrainingResult, train
from .trials import Trials

if TYPE_CHECKING:
    from . import sweep
    from .sweep import Sweep, SweepTask

__all__ = [
    "Ablation",
    "AblationProfile",
    "AblationRow",
    "Cayley",
    "Cell",
    "ImportedNetwork",
    "Intervals",
    "Network",
    "OrderedSchur",
    "Sectors",
    "Sweep",
    "SweepTask",
    "Task",
    "TieSpread",
    "TrainingResult",
    "Trials",
    "__version__",
    "ablate",
    "ablate_with",
    "fvu",
    "get_cmake_dir",
    "get_include",
    "import_network",
    "init_network",
    "load_network",
    "measures",
    "ordered_schur",
    "pytorch",
    "replay_accuracy",
    "sweep",
    "task_named",
    "tasks",
    "tie_spread",
    "train",
]


def __getattr__(name: str) -> Any:
    """Load `sweep`, with its worker processes and file formats, when it is first asked for."""
    if name in ("Sweep", "SweepTask", "sweep"):
        from importlib import import_module

        sweep = import_module(".sweep", __name__)
        return sweep if name == "sweep" else getattr(sweep, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
