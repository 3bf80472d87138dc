"""A trained network at the wheel: it sees what the camera sees, as it did in its log."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from rl_abn.attention import Intervention, MapOverride
from rl_abn.errors import RlAbnError
from rl_abn.recipes import VisionRunRecipe
from rl_abn.seeds import derive_seeds
from rl_abn.vision.data import drive_framing
from rl_abn.vision.data.examples import task_of
from rl_abn.vision.driving.carracing.controls import Action
from rl_abn.vision.driving.carracing.drive import Decision
from rl_abn.vision.driving.carracing.simulator import FRAME_SIZE
from rl_abn.vision.driving.control_targets import speed_seen, undone
from rl_abn.vision.models.network import VisionAttention
from rl_abn.vision.training.build import Trained

_DRAWS = 15  # keeps the seeds of one purpose apart from those of others


_NO_PEDAL = "classes of steering, which press no pedal"


def check_can_drive(recipe: VisionRunRecipe) -> None:
    """Refuses a recipe whose network could not drive CarRacing, before it is trained.

    Raises:
        RlAbnError: If nobody can drive by its outputs, or it sees rows that frames do not have.
    """
    controls, rows = recipe.env.controls, recipe.env.pictures.rows
    classifies = task_of(recipe).categorical
    if controls is None or (classifies and controls.classes != "actions"):
        raise _cannot_drive(recipe, _NO_PEDAL if controls else "no controls")
    if rows is not None and rows[1] > FRAME_SIZE:
        raise RlAbnError(
            f"expected a network that sees rows of CarRacing's frames, 0 to {FRAME_SIZE}, got "
            f"{recipe.agent_name} on {recipe.env_name}, which sees {rows[0]} to {rows[1]}; "
            f"train it with --env {'car_racing_actions' if classifies else 'car_racing'}"
        )


class CameraDriver:
    """Drives by one picture and the speed.

    Args:
        trained: A network whose outputs are controls or the five actions.
        recipe: Its run's.
        intervention: What is done to its maps, a name in `INTERVENTIONS`; None leaves them.

    Attributes:
        acts: Whether its outputs are the five actions.
        brakes: Whether its output for the pedals can be a brake.
        n_maps: How many maps it has; 0 for a no-attention baseline.
        abilities: Its mechanism's.
        rows: The first of the camera's rows that it sees and the one after the last; None is all.

    Raises:
        RlAbnError: If nobody can drive by its outputs, or it saw frames of another size.
    """

    def __init__(
        self, trained: Trained, recipe: VisionRunRecipe, intervention: str | None = None
    ) -> None:
        controls = recipe.env.controls
        classes = trained.batches.classes
        self.acts = classes is not None and classes.acts
        if controls is None or not (self.acts or trained.outputs.task.drives):
            n = len(trained.outputs.names)
            raise _cannot_drive(recipe, f"{n} {_NO_PEDAL}" if controls else "no controls")
        self.brakes = self.acts or controls.pedals == "signed"
        self.n_maps = trained.network.n_maps
        self.abilities = trained.network.abilities
        self._trained, self._controls, self._intervention = trained, controls, intervention
        self._layout = None if intervention is None else trained.layout
        pictures = recipe.env.pictures
        self.rows = pictures.rows
        self._framing = drive_framing(pictures.rows, pictures.size)
        self._override: MapOverride | None = None
        self._check_size(recipe)
        self.begin(0)

    def begin(self, track: int) -> None:
        """Starts a track: what is drawn for shuffled maps depends on nothing but its number."""
        self._override = None
        if self._intervention is not None:
            device = self._trained.device
            seed = int(derive_seeds(track, _DRAWS, count=1)[0])
            generator = torch.Generator(device).manual_seed(seed)
            rule = Intervention(self._intervention, generator=generator, layout=self._layout)
            first = [True]

            def override(maps: Tensor) -> Tensor:
                episode_start = torch.full((len(maps),), first[0], device=maps.device)
                first[0] = False
                return rule(maps, episode_start)

            self._override = override

    def __call__(self, frame: UInt8[np.ndarray, "96 96 3"], speed: float) -> Decision:
        """Decides by a picture; the decision's attention is the network's `VisionAttention`."""
        attention = self.look(frame, speed)
        answer = attention.outputs[0].float().cpu()
        if self.acts:
            return Decision(Action(int(answer.argmax())), attention)
        steering, pedal = answer.tolist()
        return Decision(undone(steering, pedal, self._controls), attention)

    def look(self, frame: UInt8[np.ndarray, "96 96 3"], speed: float) -> VisionAttention:
        """Returns all that the network says of a picture, a batch of one."""
        images, speeds = self.seen(frame, speed)
        trained = self._trained
        with torch.no_grad(), trained.batches.compute.autocast(trained.device):
            return trained.network.attend(images, speeds, self._override)

    def seen(
        self, frame: UInt8[np.ndarray, "96 96 3"], speed: float
    ) -> tuple[Float[Tensor, "1 3 H W"], Float[Tensor, " 1"]]:
        """Returns what the network gets of a picture and a speed: the same as from a log."""
        pixels = torch.from_numpy(np.ascontiguousarray(self._framing.apply(frame)))
        pixels = pixels[None].permute(0, 3, 1, 2).to(self._trained.device)
        speeds = torch.tensor([speed], dtype=torch.float32, device=self._trained.device)
        return self._trained.batches.images(pixels), speed_seen(speeds, self._controls)

    def _check_size(self, recipe: VisionRunRecipe) -> None:
        learned = self._trained.outputs.size
        blank = np.zeros((FRAME_SIZE, FRAME_SIZE, 3), np.uint8)
        try:
            got = self._framing.apply(blank).shape[:2]
        except ValueError:
            got = None
        if got != learned:
            raise RlAbnError(
                f"expected a network that learned from CarRacing's frames of {FRAME_SIZE}x"
                f"{FRAME_SIZE}, got {recipe.agent_name} on {recipe.env_name}, which saw "
                f"{learned[0]}x{learned[1]} of others; train it with --env car_racing"
            )


def _cannot_drive(recipe: VisionRunRecipe, outputs: str) -> RlAbnError:
    return RlAbnError(
        f"expected a network that outputs controls or CarRacing's five actions, got "
        f"{recipe.agent_name} on {recipe.env_name}, which outputs {outputs}; "
        "train it with --env car_racing_actions"
    )
