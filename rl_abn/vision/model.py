"""A trained model of the vision track for notebooks: it answers, and shows where it looked."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rl_abn.attention import MapOverride
from rl_abn.attention.override import as_override
from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError
from rl_abn.vision.driving.control_targets import speed_seen
from rl_abn.vision.evaluation.evaluate import evaluate_run
from rl_abn.vision.evaluation.interventions import on_pictures
from rl_abn.vision.loaded import Loaded, Override
from rl_abn.vision.models.network import VisionAttention, VisionNetwork
from rl_abn.vision.training.build import VisionRun, load_network
from rl_abn.vision.visualize.look import BATCH


class Model(Loaded):
    """A vision run's network at one of its checkpoints; `rl_abn.load` makes it.

    Args:
        run: The run.
        step: The checkpoint's epoch; None is the newest.
        device: Where the network runs.
        seed: Of shuffled maps and of samples.

    Attributes:
        run: The run.
        network: In evaluation mode.
        step: Epochs it was trained for.
        seed: Of shuffled maps and of samples.
        output_names: Names of the K outputs: classes, tasks or controls.

    Raises:
        RlAbnError: If there is no such checkpoint or device.
    """

    def __init__(
        self, run: VisionRun, *, step: int | None = None, device: str = "auto", seed: int = 0
    ) -> None:
        self._trained = load_network(run, step=step, device=device_of(device))
        super().__init__(
            run,
            step=self._trained.checkpoint.step,
            seed=seed,
            device=self._trained.device,
            score=evaluate_run,
        )
        self.network: VisionNetwork = self._trained.network
        self.output_names = self._trained.outputs.names

    @property
    def map_names(self) -> tuple[str, ...]:
        """Names of the maps: "shared" for one, the outputs' names for a map an output."""
        n_maps, names = self.network.n_maps, self.output_names
        if n_maps == 1:
            return ("shared",)
        return names if n_maps == len(names) else tuple(map(str, range(n_maps)))

    def predict(self, images: np.ndarray, speed: np.ndarray | float | None = None) -> np.ndarray:
        """Returns the network's outputs, float32 [N, K]: logits, or controls in -1..1.

        The arguments are those of `attend`.
        """
        outputs: np.ndarray = self.attend(images, speed=speed).outputs.numpy()
        return outputs

    def attend(
        self,
        images: np.ndarray,
        map_override: Override | None = None,
        speed: np.ndarray | float | None = None,
    ) -> VisionAttention:
        """Returns the outputs of both branches, the maps and the evidence, without gradients.

        Args:
            images: RGB, uint8 [N, H, W, 3], or one, [H, W, 3], of the size trained on.
            map_override: Maps to act on, broadcastable to [N, m, h, w]: an array, a tensor, a
                function of the network's own (float32 on the CPU, some of the N at a time), or the
                name of an intervention, such as "uniform".
            speed: The vehicle's, [N] or one number, in the unit of the driving log; only for
                networks that take it.

        Returns:
            Tensors on the CPU without gradients, which NumPy and Matplotlib take as they are.
            `model.network.attend` gives tensors with gradients.

        Raises:
            RlAbnError: If a shape is wrong, a speed is missing, or there is no such intervention.
        """
        trained = self._trained
        pixels = self._pixels(images)
        speeds = self._speeds(speed, len(pixels))
        try:
            override = self._override(map_override, len(pixels))
        except ValueError as error:
            raise RlAbnError(f"map_override: {error}") from None
        parts = []
        for start in range(0, len(pixels), BATCH):
            part = slice(start, start + BATCH)
            batch = trained.batches.images(pixels[part].to(trained.device))
            now = override[part] if isinstance(override, Tensor) else override
            seen = None if speeds is None else speeds[part]
            try:
                with torch.no_grad(), trained.batches.compute.autocast(trained.device):
                    parts.append(self.network.attend(batch, seen, now))
            except ValueError as error:
                raise RlAbnError(str(error)) from None
        fields = zip(*parts, strict=True)
        return VisionAttention(
            *(None if values[0] is None else torch.cat(values).cpu() for values in fields)  # type: ignore[arg-type]
        )

    def __repr__(self) -> str:
        recipe, outputs = self.recipe, len(self.output_names)
        return (
            f"Model({recipe.agent_name} on {recipe.env_name}, epoch {self.step:,}, "
            f"{self.network.n_maps} maps, {outputs} outputs, {self._trained.device})"
        )

    def _pixels(self, images: np.ndarray) -> Tensor:
        """Returns images as networks' input is made of them, uint8 [N, 3, H, W]."""
        batch = np.asarray(images)
        if batch.ndim == 3:
            batch = batch[None]
        size = self._trained.outputs.size
        if batch.dtype != np.uint8 or batch.shape[1:] != (*size, 3) or not len(batch):
            expected = f"[N, {size[0]}, {size[1]}, 3]"
            raise RlAbnError(
                f"expected images uint8 {expected}, got {batch.dtype} {list(np.shape(images))}"
            )
        return torch.as_tensor(np.ascontiguousarray(batch.transpose(0, 3, 1, 2)))

    def _speeds(self, speed: np.ndarray | float | None, n: int) -> Tensor | None:
        if not self.network.takes_speed:
            return None
        got = "none" if speed is None else str(list(np.shape(speed)))
        if speed is None or np.shape(speed) not in ((), (n,)):
            raise RlAbnError(f"expected the speed of each image, [{n}], got {got}")
        speeds = torch.as_tensor(np.broadcast_to(np.asarray(speed, np.float32), (n,)).copy())
        controls = self.recipe.env.controls
        assert controls is not None  # only data of drives have speeds
        return speed_seen(speeds, controls).to(self._trained.device)

    def _override(self, override: Override | None, n: int) -> MapOverride | None:
        """Returns an override for batches of n images; a tensor has n first, to be cut."""
        if isinstance(override, str):
            device, name = self._trained.device, self._intervention(override)
            return on_pictures(name, self.seed, self._trained.layout, device)
        if override is None:
            return None
        maps = as_override(override)
        if not isinstance(maps, Tensor):
            return maps
        if maps.ndim > 4 or (maps.ndim == 4 and len(maps) not in (1, n)):
            raise RlAbnError(
                f"expected a map that broadcasts to [{n}, m, h, w], got {list(maps.shape)}"
            )
        return maps.reshape((1,) * (4 - maps.ndim) + maps.shape).expand(n, -1, -1, -1)
