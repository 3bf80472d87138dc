"""From a recipe to a network; from a checkpoint to a trained one."""

from __future__ import annotations

from typing import NamedTuple

import torch

from rl_abn.attention.interventions import Layout
from rl_abn.compute import Compute
from rl_abn.compute.processor import resolve_precision
from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.recipes import VisionRunRecipe
from rl_abn.runs import Checkpoint, Run
from rl_abn.vision.data.augment import STATISTICS
from rl_abn.vision.data.batches import Batches
from rl_abn.vision.data.examples import task_of
from rl_abn.vision.driving.control_classes import classes_of
from rl_abn.vision.models import MODELS, build_model
from rl_abn.vision.models.network import VisionNetwork
from rl_abn.vision.tasks import Task, tasks_for
from rl_abn.vision.tasks.outputs import Outputs

VisionRun = Run[VisionRunRecipe]


class Trained(NamedTuple):
    """A run's network, ready to be asked.

    Attributes:
        network: In evaluation mode, on its device.
        outputs: What its outputs mean.
        batches: Makes its input.
        device: Where it is.
        checkpoint: Where its weights come from.
    """

    network: VisionNetwork
    outputs: Outputs
    batches: Batches
    device: torch.device
    checkpoint: Checkpoint

    @property
    def layout(self) -> Layout:
        """What the values of its maps lie beside: the features of pictures of its data's size."""
        with torch.no_grad():
            features = self.network.extract(torch.zeros(1, 3, *self.outputs.size).to(self.device))
        return Layout(self.network.abilities, (features.shape[2], features.shape[3]))


def check_recipe(recipe: VisionRunRecipe) -> None:
    """Refuses a recipe that no network or data will fit, before anything is opened.

    Raises:
        RlAbnError: If a name or an option is unknown, or the network has no outputs for the data's
            targets.
    """
    statistics, data = recipe.env.pictures.statistics, recipe.env
    if statistics not in STATISTICS:
        raise RlAbnError(
            f"pictures.statistics: unknown channel statistics '{statistics}': "
            f"{did_you_mean(statistics, STATISTICS)}"
        )
    name, choices = recipe.agent.network.task, tasks_for(data.kind)
    if name is not None and name not in [task.name for task in choices]:
        raise RlAbnError(
            f"network.task: expected {' or '.join(task.name for task in choices)} for "
            f"{recipe.env_name} ({data.kind}), got '{name}'"
        )
    with torch.device("meta"):  # nothing is computed, nothing takes memory
        network = _build(recipe, task_of(recipe), 2, data.pictures.size)
    if network.takes_speed and data.kind != "driving":
        raise RlAbnError(
            f"expected a data set of kind 'driving' for {recipe.agent_name}, which takes the "
            f"vehicle's speed, got {recipe.env_name} ({data.kind})"
        )


def resolve_auto(recipe: VisionRunRecipe, device: torch.device) -> VisionRunRecipe:
    """Settles a recipe's "auto" for this machine; what a training is made of and records."""
    precision = resolve_precision(recipe.agent.train.precision, device)
    train = recipe.agent.train.model_copy(update={"precision": precision})
    return recipe.model_copy(update={"agent": recipe.agent.model_copy(update={"train": train})})


def compute_of(recipe: VisionRunRecipe) -> Compute:
    """Returns how a run's network computes; in fp32 where nothing was settled."""
    train = recipe.agent.train
    precision = "fp32" if train.precision == "auto" else train.precision
    return Compute(precision=precision, compiled=train.compile)


def make_network(
    recipe: VisionRunRecipe,
    outputs: Outputs,
    device: torch.device,
    seed: int | None = None,
    *,
    pretrained: bool = False,
) -> VisionNetwork:
    """Makes the network of a recipe, as its training begins.

    Args:
        recipe: The run's.
        outputs: What its outputs mean.
        device: Where it goes.
        seed: Of its weights; None draws them anyhow.
        pretrained: Whether a recipe that says so gets the weights that a package has for its
            network. They are downloaded, so not where those of a checkpoint will replace them.

    Raises:
        RlAbnError: If the recipe's network does not fit the data, or the weights cannot be had.
    """
    with torch.random.fork_rng(devices=[]):  # weights are drawn on the CPU, for every device
        if seed is not None:
            torch.manual_seed(seed)
        network = _build(
            recipe, outputs.task, len(outputs.names), outputs.size, pretrained=pretrained
        )
    compute = compute_of(recipe)
    network = compute.prepare(network.to(device))
    compute.compile(*network.children())
    return network


def load_network(
    run: VisionRun, *, step: int | None = None, device: torch.device | str = "cpu"
) -> Trained:
    """Makes the network of a run and gives it a checkpoint's weights.

    Args:
        run: The run.
        step: The checkpoint's epoch; None is the newest.
        device: Where it goes.

    Raises:
        RlAbnError: If there is no such checkpoint, or it is damaged or not this network's.
    """
    refuse_detector(run)
    device = torch.device(device)
    checkpoint = run.checkpoint(step)
    outputs = Outputs.load(run.path)
    network = make_network(run.recipe, outputs, device)
    network.load_state_dict(run.weights(checkpoint, network.state_dict()))
    batches = make_batches(run.recipe, outputs)
    return Trained(network.eval(), outputs, batches, device, checkpoint)


def refuse_detector(run: VisionRun) -> None:
    """Refuses a run of a detector, where only networks for whole pictures will do.

    Raises:
        RlAbnError: With the commands that show detectors.
    """
    if run.recipe.env.kind == "boxes":
        raise RlAbnError(
            f"{run.path}: expected a network that classifies or drives, got a detector, which "
            "'rl-abn vision record' and 'rl-abn vision explain' show"
        )


def make_batches(recipe: VisionRunRecipe, outputs: Outputs) -> Batches:
    """Makes what makes a run's batches."""
    return Batches(recipe.env, compute_of(recipe), classes_of(recipe, outputs))


def _build(
    recipe: VisionRunRecipe,
    task: Task,
    n_outputs: int,
    size: tuple[int, int] | None,
    *,
    pretrained: bool = False,
) -> VisionNetwork:
    table = recipe.agent.network
    options = table.options
    # Networks that drive are made for one size of frames: the data's.
    if size is not None and table.name in MODELS and "size" in MODELS[table.name].options:
        options.setdefault("size", list(size))
    # A key of another table, such as mechanism, would be taken for the argument of that name.
    for option, value in options.items() if table.name in MODELS else ():
        MODELS[table.name].check(table.name, option, value)
    if options.get("pretrained") is True:
        options["pretrained"] = pretrained
    return build_model(
        table.name,
        n_outputs=n_outputs,
        mechanism=recipe.agent.attention.mechanism,
        mechanism_options=recipe.agent.attention.options,
        dropout=table.dropout,
        task=task.name,
        **options,
    )
