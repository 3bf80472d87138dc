"""Records a drive as a video: what the driver sees, where it looks and what it does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from rl_abn.attention import Abilities
from rl_abn.render import PictureMoment, PictureScene, Scale, VideoWriter, scale_of
from rl_abn.render.panels import clock
from rl_abn.vision.driving.carracing.camera import CameraDriver
from rl_abn.vision.driving.carracing.drive import DriveStep
from rl_abn.vision.driving.carracing.expert import Expert
from rl_abn.vision.driving.carracing.simulator import FPS, FRAME_SIZE, SCREEN_SIZE
from rl_abn.vision.driving.control_classes import ActionClasses
from rl_abn.vision.visualize.drive_video import PEDALS, STEERING, THROTTLE, driving_moment

STEPS_A_FRAME = 2
_STATUS = (("SPEED", 96), ("SCORE", 104), ("OF THE TRACK", 158), ("PUT BACK", 104), ("TIME", 96))


class DriveVideo:
    """Watches the steps of one drive and records every other one, in real time.

    What is shown is the simulator's own picture for people, with its indicators; the network sees
    the same view smaller and without them. The video is closed when the drive ends.

    Args:
        path: The video, which ends in .mp4.
        driver: Who drives; an expert has no maps.
        title: The line at the top.
        scale: "fixed" shows map values as they are; "frame" stretches each map on its own.

    Raises:
        RlAbnError: If the video cannot be written.
    """

    def __init__(
        self, path: Path, driver: CameraDriver | Expert, title: str, scale: Scale = "fixed"
    ) -> None:
        network = driver if isinstance(driver, CameraDriver) else None
        self._classes = ActionClasses() if network is not None and network.acts else None
        pedal = THROTTLE if network is not None and not network.brakes else PEDALS
        rows = None if network is None else network.rows
        self._abilities = Abilities(maps=None) if network is None else network.abilities
        self._scene = PictureScene(
            map_names=["shared"] * (0 if network is None else network.n_maps),
            frame_size=SCREEN_SIZE,
            title=title,
            class_names=() if self._classes is None else self._classes.labels,
            controls=(STEERING, pedal) if self._classes is None else (),
            status=_STATUS,
            frame_label="Camera",
            fps=FPS / STEPS_A_FRAME,
            scale=scale_of(scale, sums_to_one=self._abilities.sums_to_one),
            seen_rows=None if rows is None else (_on_screen(rows[0]), _on_screen(rows[1])),
        )
        self._video = VideoWriter(path, self._scene.size, FPS / STEPS_A_FRAME)
        self._n_put_back = 0
        self._starts = True

    def on_step(self, step: DriveStep) -> None:
        """Takes one step; the drive has to be asked for screens.

        Raises:
            RlAbnError: If the video cannot be written.
        """
        if step.t % STEPS_A_FRAME == 0 or step.last:
            self._video.write(self._scene.render(self._moment(step)))
            self._starts = False
        if step.intervention:
            self._n_put_back += 1
            self._starts = True
        if step.last:
            self._video.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._video.__exit__(kind, error, trace)

    def _moment(self, step: DriveStep) -> PictureMoment:
        assert step.screen is not None
        if step.attention is None:
            steering, throttle, brake = step.controls
            moment = PictureMoment(
                frame=step.screen,
                maps=np.zeros((0, 1, 1), np.float32),
                controls=np.array([steering, throttle - brake], np.float32),
            )
        else:
            moment = driving_moment(step.screen, step.attention, self._abilities, self._classes)
        return replace(moment, status=self._status(step), starts=self._starts)

    def _status(self, step: DriveStep) -> tuple[str, ...]:
        return (
            f"{step.speed:.0f}",
            f"{step.score:.0f}",
            f"{step.completed:.0%}",
            f"{self._n_put_back:,}",
            clock(step.t / FPS),
        )


def _on_screen(row: int) -> int:
    return round(row * SCREEN_SIZE[0] / FRAME_SIZE)
