"""A driver's controls as classes: ranges of steering, or CarRacing's five actions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from jaxtyping import Float, Int64
from torch import Tensor

from rl_abn.recipes import VisionRunRecipe
from rl_abn.recipes.vision import ControlsTable
from rl_abn.vision.data.steering import SteeringBins, steering_bins
from rl_abn.vision.driving.control_targets import ACTIONS, nearest_actions
from rl_abn.vision.tasks.outputs import Outputs


class ControlClasses(ABC):
    """What the classes of a network that drives by classification stand for.

    Attributes:
        names: Of the K classes, as outputs are called.
        labels: The same, as short as a video shows them.
        acts: Whether a class is all that a car needs: an action, pedals included.
        bins: The ranges of steering; None where classes are no steering.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    acts: ClassVar[bool]
    bins: SteeringBins | None = None

    @abstractmethod
    def encode(self, controls: Float[Tensor, "N 2"]) -> Int64[Tensor, " N"]:
        """Returns the class of each of N steerings and pedals."""


class SteeringClasses(ControlClasses):
    """Ranges of steering; the pedals are left out.

    Args:
        bins: The ranges.
    """

    acts = False

    def __init__(self, bins: SteeringBins) -> None:
        self.bins: SteeringBins = bins
        values = bins.values.tolist()
        self.names = tuple(f"steering {value:+.3f}" for value in values)
        self.labels = tuple(map(_label, values))

    def encode(self, controls: Float[Tensor, "N 2"]) -> Int64[Tensor, " N"]:
        """Returns the range of each steering, 0 (left) to K - 1 (right)."""
        return self.bins.classes(controls[:, 0])


class ActionClasses(ControlClasses):
    """CarRacing's five actions."""

    acts = True
    names = labels = ACTIONS

    def encode(self, controls: Float[Tensor, "N 2"]) -> Int64[Tensor, " N"]:
        """Returns the action nearest to each of N signed controls."""
        return nearest_actions(controls)


def learn_classes(table: ControlsTable, learned: Float[Tensor, "N 2"]) -> ControlClasses:
    """Makes the classes of a recipe.

    Args:
        table: How it encodes controls.
        learned: The controls of the training frames, which ranges of steering are cut from.

    Raises:
        RlAbnError: If there are not so many ranges.
    """
    if table.classes == "actions":
        return ActionClasses()
    return SteeringClasses(steering_bins(learned[:, 0], table.steering_bins, table.bins))


def classes_of(recipe: VisionRunRecipe, outputs: Outputs) -> ControlClasses | None:
    """Returns what a trained network's classes stand for; None where they are no controls."""
    if recipe.env.controls is None or not outputs.task.categorical:
        return None
    return ActionClasses() if outputs.steering is None else SteeringClasses(outputs.steering)


def _label(steering: float) -> str:
    text = f"{steering:+.2f}".replace("-", "−")
    return text[1:] if text[1:] == "0.00" else text
