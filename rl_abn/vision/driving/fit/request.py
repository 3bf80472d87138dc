"""What is asked of a fit, checked before any work is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rl_abn.errors import RlAbnError
from rl_abn.recipes import VisionRunRecipe, make_vision_recipe
from rl_abn.runs import Run
from rl_abn.vision.data import tracks_driven
from rl_abn.vision.driving.carracing.camera import check_can_drive
from rl_abn.vision.driving.carracing.looks import PLAIN, look_named
from rl_abn.vision.driving.closed_loop import track_of
from rl_abn.vision.evaluation.interventions import ON_DRIVES, read_interventions
from rl_abn.vision.training.kinds import check_recipe

LOG, PARTS = "log", "parts"
PAGE, DATA = "report.html", "report.json"


@dataclass(frozen=True)
class Extent:
    """How much a fit does where nothing else is said.

    Attributes:
        log_tracks: Tracks that the expert drives to be learned from.
        tracks: Tracks that are driven afterwards.
        interventions: On the maps, while driving.
        epochs: At most; None is what the recipe says.
    """

    log_tracks: int = 50
    tracks: int = 20
    interventions: tuple[str, ...] = ("uniform", "shuffled", "zero")
    epochs: int | None = None


FULL, QUICK = Extent(), Extent(log_tracks=12, tracks=3, interventions=("uniform",), epochs=6)


@dataclass(frozen=True)
class FitRequest:
    """What is asked for.

    Attributes:
        folder: Where everything goes.
        env: Name or path of the data recipe.
        agents: Names or paths of the network recipes; the first is the one that it is about.
        recipes: Theirs, resolved.
        seed: Of everything random.
        data: The driving log; None records the expert's.
        settings: Overrides, of all networks.
        log_tracks: Tracks of the expert's log.
        tracks: How many are driven.
        interventions: On the first network's maps, while driving.
        max_steps: Of drives and of the log's; None is what each has otherwise.
        quick: Whether it is the quick one.
        look: What the camera sees of the world, in the expert's log and while driving.
        device: Where networks run.
    """

    folder: Path
    env: str
    agents: tuple[str, ...]
    recipes: tuple[VisionRunRecipe, ...]
    seed: int
    data: Path | None
    settings: tuple[str, ...]
    log_tracks: int
    tracks: int
    interventions: tuple[str, ...]
    max_steps: int | None
    quick: bool
    look: str
    device: str

    @property
    def names(self) -> tuple[str, ...]:
        """The networks' names, which are their run folders' too."""
        return tuple(recipe.agent_name for recipe in self.recipes)

    @property
    def log(self) -> Path:
        """Where the driving log lies, or will."""
        return self.folder / LOG if self.data is None else self.data

    def run_folder(self, name: str) -> Path:
        """Returns the run folder of a network."""
        return self.folder / name


def make_request(
    *,
    env: str,
    agents: Sequence[str],
    seed: int = 0,
    data: Path | None = None,
    settings: Sequence[str] = (),
    log_tracks: int | None = None,
    tracks: int | None = None,
    interventions: Sequence[str] = (),
    epochs: int | None = None,
    max_steps: int | None = None,
    quick: bool = False,
    look: str = PLAIN,
    folder: Path | None = None,
    device: str = "auto",
) -> FitRequest:
    """Checks what is asked for; None and nothing are what `FULL` or `QUICK` have.

    Raises:
        RlAbnError: If a recipe or a setting is wrong or knows no driving, a network could not drive
            where its log is CarRacing's, two networks have one name, there is no such log or look,
            or maps are to be changed of a network that has none.
    """
    look_named(look)  # says that there is none
    extent = QUICK if quick else FULL
    settings = list(settings)
    if epochs is not None:
        settings.append(f"train.epochs={epochs}")
    recipes = [make_vision_recipe(env, agent, seed, settings) for agent in agents]
    if epochs is None and extent.epochs is not None:
        fewest = min(extent.epochs, *(recipe.agent.train.epochs for recipe in recipes))
        settings.append(f"train.epochs={fewest}")
        recipes = [make_vision_recipe(env, agent, seed, settings) for agent in agents]
    for recipe in recipes:
        check_recipe(recipe)
    first = recipes[0]
    if first.env.kind != "driving":
        raise RlAbnError(
            f"expected data of driving for --env, such as car_racing, got {first.env_name} "
            f"({first.env.kind}): 'rl-abn vision train', eval and explain are for it"
        )
    if data is None or tracks_driven(data, track_of):
        for recipe in recipes:
            check_can_drive(recipe)
    names = [recipe.agent_name for recipe in recipes]
    if len(set(names)) < len(names):
        raise RlAbnError(f"expected networks of different names, got {' and '.join(names)}")
    folder = folder or default_folder(first, quick=quick, look=look)
    run = Run(folder / first.agent_name, first)
    changes = read_interventions(interventions, run, ON_DRIVES)
    if not interventions and first.agent.attention.has_maps:
        changes = list(extent.interventions)
    return FitRequest(
        folder=folder,
        env=env,
        agents=tuple(agents),
        recipes=tuple(recipes),
        seed=seed,
        data=data,
        settings=tuple(settings),
        log_tracks=log_tracks or extent.log_tracks,
        tracks=tracks or extent.tracks,
        interventions=tuple(changes),
        max_steps=max_steps,
        quick=quick,
        look=look,
        device=device,
    )


def default_folder(recipe: VisionRunRecipe, *, quick: bool, look: str) -> Path:
    """Returns runs/ENV/AGENT/fit-seed-S, with -quick and -LOOK where it is not as usual."""
    name = f"fit-seed-{recipe.seed}{'-quick' if quick else ''}"
    name += "" if look == PLAIN else f"-{look}"
    return Path("runs", recipe.env_name, recipe.agent_name, name)
