"""A video of a drive: where a network looks, and what it does beside the driver."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from rl_abn.attention import Abilities
from rl_abn.compute import Compute
from rl_abn.errors import RlAbnError
from rl_abn.progress import ProgressReport
from rl_abn.render import Control, PictureMoment, PictureScene, Scale, VideoWriter, scale_of
from rl_abn.render.panels import clock
from rl_abn.vision.data.driving import DrivingLog
from rl_abn.vision.data.frames import frame_rate
from rl_abn.vision.driving.control_classes import ControlClasses
from rl_abn.vision.models.modes import evaluating
from rl_abn.vision.models.network import VisionAttention, VisionNetwork
from rl_abn.vision.visualize.look import BATCH, Prepare, look, pixels_of

STEERING = Control("steering")
THROTTLE = Control("throttle", 0.0)
PEDALS = Control("pedals")
FPS = 15.0
"""Frames a second where the log does not say."""
_STATUS = (("SPEED", 116), ("FRAME", 126), ("TIME", 92))


def write_drive_video(
    path: Path,
    network: VisionNetwork,
    log: DrivingLog,
    indices: Int64[Tensor, " n"],
    *,
    prepare: Prepare,
    title: str,
    speed: Float[Tensor, " N"] | None = None,
    classes: ControlClasses | None = None,
    pedal: Control = THROTTLE,
    fps: float | None = None,
    scale: Scale = "fixed",
    compute: Compute | None = None,
    report: ProgressReport | None = None,
) -> int:
    """Writes a video of a drive: frames, maps, and what the network does beside the driver.

    Args:
        path: The video, which ends in .mp4.
        network: Its outputs are controls (steering, and a pedal if it has two), or classes of
            them.
        log: Who drove.
        indices: The frames that are shown, in the log's order; those of a held-out stretch, say.
        prepare: As the network was trained.
        title: The line at the top.
        speed: All frames' speed as the network was trained, [N]; None for one that takes none.
        classes: What the classes stand for; None for a network whose outputs are controls.
        pedal: What the second control is.
        fps: The frames a second; None takes the log's own, or 15 where it does not say.
        scale: "fixed" shows map values as they are; "frame" stretches each map on its own.
        compute: Precision; None is fp32.
        report: Shows how many frames are done.

    Returns:
        How many frames the video has.

    Raises:
        RlAbnError: If there is no frame, the network's outputs are others, or the video cannot be
            written.
    """
    _check_driver(network, classes, indices)
    fps = fps or frame_rate(log.names) or FPS
    controls = [STEERING, pedal][: network.n_outputs]
    if classes is not None:
        controls = [] if classes.bins is None else [STEERING]
    scene = PictureScene(
        map_names=["shared"] * network.n_maps,
        frame_size=log.pictures.size,
        title=title,
        class_names=() if classes is None else classes.labels,
        controls=controls,
        status=_STATUS,
        frame_label="Camera",
        fps=fps,
        scale=scale_of(scale, sums_to_one=network.abilities.sums_to_one),
    )
    with VideoWriter(path, scene.size, fps) as video, evaluating(network):
        last = None
        for numbers in indices.split(BATCH):
            images = log.pictures.read(numbers)
            seen = None if speed is None else speed[numbers]
            attention = look(network, images, seen, prepare=prepare, compute=compute)
            for i, number in enumerate(numbers.tolist()):
                driven = log.controls[number : number + 1]
                said = _one(attention, i)
                moment = replace(
                    driving_moment(pixels_of(images[i]), said, network.abilities, classes),
                    driven=driven[0, : len(controls)].numpy() if controls else None,
                    target=None if classes is None else int(classes.encode(driven)),
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
    abilities: Abilities,
    classes: ControlClasses | None = None,
) -> PictureMoment:
    """Reads what a picture shows out of what a network says about one frame.

    Args:
        frame: What it sees, uint8 [H, W, 3].
        attention: What it says, a batch of one.
        abilities: Its mechanism's; maps that sum to 1 are shown as multiples of an even map.
        classes: What the classes stand for; None for a network whose outputs are controls.
    """
    maps = abilities.drawn(attention.map[0].float().cpu().numpy(), attention.places)
    answer = attention.outputs[0].float().cpu()
    branch = None if attention.branch_outputs is None else attention.branch_outputs[0].float().cpu()
    if classes is None:
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
    bins = classes.bins
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


def _follows(log: DrivingLog, last: int, number: int) -> bool:
    return number == last + 1 and bool(log.blocks[number] == log.blocks[last])


def _check_driver(
    network: VisionNetwork, classes: ControlClasses | None, indices: Int64[Tensor, " n"]
) -> None:
    if not len(indices):
        raise RlAbnError("expected frames to show, got none")
    if classes is None:
        fits, wanted = network.task.drives and network.n_outputs <= 2, "1 or 2 controls"
    else:
        n = len(classes.names)
        fits, wanted = network.task.categorical and network.n_outputs == n, f"{n} classes"
    if not fits:
        raise RlAbnError(
            f"expected a network of {wanted}, got one of {network.n_outputs} {network.task.unit}"
        )
