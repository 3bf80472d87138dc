"""The networks of a fit: their training, and what they are once it has ended."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError
from rl_abn.runs.tensors import hash_of
from rl_abn.vision.data.examples import DataSet
from rl_abn.vision.driving.fit.request import FitRequest
from rl_abn.vision.training.build import Trained, VisionRun, load_network
from rl_abn.vision.training.prepare import prepare_run


class Fitted(NamedTuple):
    """A network that was trained.

    Attributes:
        run: Its run.
        trained: Itself, at its newest checkpoint.
        weights: SHA-256 of its weights, by which finished work is known again.
        log: What it learned from.
    """

    run: VisionRun
    trained: Trained
    weights: str
    log: Path

    @property
    def name(self) -> str:
        """What it is called."""
        return self.run.recipe.agent_name

    @property
    def has_map(self) -> bool:
        """Whether it has attention maps that are places in a picture."""
        network = self.trained.network
        return network.abilities.maps == "spatial" and network.n_maps > 0


def prepare(request: FitRequest, number: int) -> tuple[VisionRun, DataSet, bool]:
    """Makes the run of a network, or finds the one to go on with, for `train`.

    Args:
        request: What is asked for.
        number: Which of its networks.

    Raises:
        RlAbnError: If the log cannot be read, or the run there is another.
    """
    try:
        return prepare_run(
            env=request.env,
            agent=request.agents[number],
            seed=request.seed,
            data=request.log,
            settings=request.settings,
            folder=request.run_folder(request.names[number]),
            on_exists="resume",
            device=request.device,
        )
    except RlAbnError as error:
        # A fit goes on wherever it can, so its command has no --on-exists.
        said = str(error).replace("--on-exists new or overwrite", "another --out")
        raise RlAbnError(said.replace("--on-exists new", "another --out")) from None


def fitted(request: FitRequest, run: VisionRun) -> Fitted:
    """Loads a network that was trained."""
    trained = load_network(run, device=device_of(request.device))
    return Fitted(run, trained, hash_of(trained.network.state_dict()), request.log)
