"""A few frames beside the network's map of each: from the log, and from a drive of its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from rl_abn.files.parts import Part, Parts
from rl_abn.vision.driving.carracing.camera import CameraDriver
from rl_abn.vision.driving.carracing.drive import DriveStep, drive
from rl_abn.vision.driving.carracing.simulator import FPS
from rl_abn.vision.driving.fit.drives import Drives
from rl_abn.vision.driving.fit.film_strip import film_strip
from rl_abn.vision.driving.fit.networks import Fitted
from rl_abn.vision.evaluation.splits import open_split

N_FRAMES = 4
_EVERY = FPS // 2  # steps between frames of a drive that are looked at


class Frames(NamedTuple):
    """Frames, and what a network makes of them.

    Attributes:
        pixels: uint8 [N, H, W, 3].
        maps: [N, h, w]; None without maps.
        labels: Lines on each.
        rows: Of the frame that the network sees, from and to; None is all.
    """

    pixels: np.ndarray
    maps: np.ndarray | None
    labels: list[str]
    rows: tuple[int, int] | None = None

    def sheet(self) -> bytes:
        """Draws them in a row, their maps below; a PNG."""
        return film_strip(self.pixels, self.maps, self.labels, seen_rows=self.rows)


def held_out_frames(parts: Parts, fitted: Fitted) -> Frames:
    """Returns frames spread over what the network did not learn from.

    Args:
        parts: Where they are kept.
        fitted: The network.
    """
    part = parts.do(
        f"frames-{fitted.weights[:12]}",
        lambda: _look_at_log(fitted),
        weights=fitted.weights,
        log=str(fitted.log.resolve()),
    )
    return _frames(part, None)


def driven_frames(parts: Parts, drives: Drives, fitted: Fitted) -> Frames:
    """Lets the first driver drive the first track once more and returns frames spread over it.

    Args:
        parts: Where they are kept.
        drives: Whose first driver is the network.
        fitted: The network.
    """
    driver = drives.contenders[0].driver
    assert isinstance(driver, CameraDriver)
    part = parts.do(
        f"driven-frames-{fitted.weights[:12]}",
        lambda: _look_while_driving(driver, drives, fitted.has_map),
        weights=fitted.weights,
        rules=str(drives.rules),
        track=drives.tracks[0],
    )
    return _frames(part, driver.rows)


def _frames(part: Part, rows: tuple[int, int] | None) -> Frames:
    return Frames(part.arrays["pixels"], part.arrays.get("maps"), part.result, rows)


def _look_at_log(fitted: Fitted) -> Part:
    trained = fitted.trained
    examples = open_split(fitted.run, trained.outputs, fitted.log, "held_out", trained.device)
    count = min(N_FRAMES, len(examples))
    which = torch.linspace(0, len(examples) - 1, count).round().long()
    batch = trained.batches.batch(examples, which)
    with torch.no_grad(), trained.batches.compute.autocast(trained.device):
        attention = trained.network.attend(batch.images, batch.speed)
    pixels = examples.pictures.read(examples.indices[which]).permute(0, 2, 3, 1).cpu().numpy()
    outputs, targets = attention.outputs.float().cpu(), batch.targets.cpu()
    names = trained.outputs.names
    labels = [
        f"frame {int(i):,}\n"
        + trained.outputs.task.describe(said, right, names).replace(", ", "\n")
        for i, said, right in zip(which, outputs, targets, strict=True)
    ]
    arrays = {"pixels": np.ascontiguousarray(pixels)}
    if fitted.has_map:
        arrays["maps"] = attention.map.float().mean(dim=1).cpu().numpy()
    return Part(labels, arrays)


def _look_while_driving(driver: CameraDriver, drives: Drives, has_map: bool) -> Part:
    watched = _Watched(has_map)
    driver.begin(drives.tracks[0])
    drive(driver, drives.tracks[:1], drives.rules, observers=[watched], simulator=drives.simulator)
    which = np.linspace(0, len(watched.labels) - 1, N_FRAMES)
    chosen = np.unique(which.round().astype(int))
    arrays = {"pixels": np.stack([watched.pixels[i] for i in chosen])}
    if has_map:
        arrays["maps"] = np.stack([watched.maps[i] for i in chosen])
    return Part([watched.labels[i] for i in chosen], arrays)


class _Watched:
    """Keeps two frames a second of a drive."""

    def __init__(self, has_map: bool) -> None:
        self.pixels: list[np.ndarray] = []
        self.maps: list[np.ndarray] = []
        self.labels: list[str] = []
        self._has_map = has_map

    def on_step(self, step: DriveStep) -> None:
        """Takes one step."""
        if step.t % _EVERY:
            return
        self.pixels.append(step.frame)
        if self._has_map:
            self.maps.append(step.attention.map[0].float().mean(dim=0).cpu().numpy())
        steering, throttle, brake = step.controls
        self.labels.append(
            f"{step.t / FPS:.1f} s, speed {step.speed:.0f}, score {step.score:.0f}\n"
            f"steering {steering:+.2f}, pedals {throttle - brake:+.2f}"
        )
