"""A film of a drive: where a network looks, and what it does beside the driver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from rl_abn.compute import Compute
from rl_abn.errors import RlAbnError
from rl_abn.progress import ProgressReport
from rl_abn.render import Control, PictureMoment, PictureScene, Scale, VideoWriter
from rl_abn.render.panels import clock
from rl_abn.vision.data.driving import DrivingLog
from rl_abn.vision.data.frames import frame_rate
from rl_abn.vision.data.steering import SteeringBins
from rl_abn.vision.models.modes import evaluating
from rl_abn.vision.models.network import VisionAttention, VisionNetwork
from rl_abn.vision.visualize.look import BATCH, Prepare, look, pixels_of

STEERING = Control("steering")
THROTTLE = Control("throttle", 0.0)
PEDALS = Control("pedals")
FPS = 15.0
"""Frames a second where the log does not say."""
_STATUS = (("SPEED", 116), ("FRAME", 126), ("TIME", 92))


def film_drive(
    path: Path,
    network: VisionNetwork,
    log: DrivingLog,
    indices: Int64[Tensor, " n"],
    *,
    prepare: Prepare,
    title: str,
    speed: Float[Tensor, " N"] | None = None,
    bins: SteeringBins | None = None,
    pedal: Control = THROTTLE,
    actions: Sequence[str] = (),
    targets: Int64[Tensor, " N"] | None = None,
    fps: float | None = None,
    scale: Scale = "fixed",
    compute: Compute | None = None,
    report: ProgressReport | None = None,
) -> int:
    """Films a drive: each frame, where the network looks, and what it does beside the driver.

    Args:
        path: The film, which ends in .mp4.
        network: Answers controls (steering, and a pedal if it has two), classes of steering, or
            classes that are actions.
        log: Who drove.
        indices: The frames that are shown, in the log's order; those of a held-out stretch, say.
        prepare: As the network was trained.
        title: The line at the top.
        speed: All frames' speed as the network was trained, [N]; None for one that takes none.
        bins: What steering the classes stand for; None for a network that answers something else.
        pedal: What the second control is.
        actions: The names of classes that are actions; none for a network that answers something
            else.
        targets: The driver's action at all frames, [N], with `actions`.
        fps: The frames a second; None takes the log's own, or 15 where it does not say.
        scale: "fixed" shows map values as they are; "frame" stretches each map on its own.
        compute: Precision; None is fp32.
        report: Shows how many frames are done.

    Returns:
        How many frames the film has.

    Raises:
        RlAbnError: If there is no frame, the network answers something else, or the film cannot
            be written.
    """
    _check_driver(network, bins, actions, indices)
    fps = fps or frame_rate(log.names) or FPS
    controls = [STEERING] if bins is not None or network.n_outputs == 1 else [STEERING, pedal]
    if actions:
        controls = []
    class_names = actions if bins is None else [_written(value) for value in bins.values.tolist()]
    scene = PictureScene(
        map_names=["shared"] * network.n_maps,
        frame_size=log.pictures.size,
        title=title,
        class_names=class_names,
        controls=controls,
        status=_STATUS,
        frame_label="Camera",
        fps=fps,
        scale=scale,
    )
    with VideoWriter(path, scene.size, fps) as video, evaluating(network):
        last = None
        for numbers in indices.split(BATCH):
            images = log.pictures.read(numbers)
            seen = None if speed is None else speed[numbers]
            attention = look(network, images, seen, prepare=prepare, compute=compute)
            for i, number in enumerate(numbers.tolist()):
                driven = log.controls[number, : len(controls)]
                target = None if targets is None else int(targets[number])
                moment = replace(
                    driving_moment(pixels_of(images[i]), _one(attention, i), bins, bool(actions)),
                    driven=driven.numpy() if controls else None,
                    target=target if bins is None else int(bins.classes(driven[:1])),
                    status=_status(float(log.speed[number]), number, video.n_frames / fps),
                    starts=last is None or not _follows(log, last, number),
                )
                video.write(scene.render(moment))
                last = number
                if report is not None:
                    report.update(video.n_frames)
    return video.n_frames


def driving_moment(
    frame: UInt8[np.ndarray, "H W 3"],
    attention: VisionAttention,
    bins: SteeringBins | None = None,
    acts: bool = False,
) -> PictureMoment:
    """Reads what a picture shows out of what a network says about one frame.

    Args:
        frame: What it sees, uint8 [H, W, 3].
        attention: What it says, a batch of one.
        bins: What steering the classes stand for; None for a network that answers something else.
        acts: Whether the classes are actions.
    """
    maps = attention.map[0].float().cpu().numpy()
    answer = attention.outputs[0].float().cpu()
    branch = None if attention.branch_outputs is None else attention.branch_outputs[0].float().cpu()
    if bins is None and not acts:
        return PictureMoment(
            frame=frame,
            maps=maps,
            controls=answer.numpy(),
            branch_controls=None if branch is None else branch.numpy(),
        )
    moment = PictureMoment(
        frame=frame,
        maps=maps,
        probabilities=answer.softmax(0).numpy(),
        branch_probabilities=None if branch is None else branch.softmax(0).numpy(),
    )
    if bins is None:
        return moment
    steering = [
        None if said is None else bins.steering(said.argmax(0, keepdim=True)).numpy()
        for said in (answer, branch)
    ]
    return replace(moment, controls=steering[0], branch_controls=steering[1])


def _one(attention: VisionAttention, i: int) -> VisionAttention:
    """Returns what is said about one of a batch, a batch of one."""
    branch = attention.branch_outputs
    return VisionAttention(
        outputs=attention.outputs[i : i + 1],
        branch_outputs=None if branch is None else branch[i : i + 1],
        map=attention.map[i : i + 1],
        evidence=attention.evidence[i : i + 1],
    )


def _status(speed: float, number: int, seconds: float) -> tuple[str, ...]:
    return f"{speed:.1f}", f"{number:,}", clock(seconds)


def _written(steering: float) -> str:
    text = f"{steering:+.2f}".replace("-", "−")
    return text[1:] if text[1:] == "0.00" else text


def _follows(log: DrivingLog, last: int, number: int) -> bool:
    return number == last + 1 and bool(log.blocks[number] == log.blocks[last])


def _check_driver(
    network: VisionNetwork,
    bins: SteeringBins | None,
    actions: Sequence[str],
    indices: Int64[Tensor, " n"],
) -> None:
    if not len(indices):
        raise RlAbnError("expected frames to film, got none")
    if bins is None and not actions:
        fits, wanted = network.answers == "controls" and network.n_outputs <= 2, "1 or 2 controls"
    else:
        n = len(actions) if bins is None else len(bins.values)
        fits = network.answers == "classes" and network.n_outputs == n
        wanted = f"{n} classes"
    if not fits:
        raise RlAbnError(
            f"expected a network that answers {wanted}, got one of {network.n_outputs} "
            f"{network.answers}"
        )
