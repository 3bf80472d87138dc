"""The expert's drives as a driving log, to learn from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from rl_abn.errors import RlAbnError
from rl_abn.files.text import read_json, write_output
from rl_abn.progress import ProgressReport
from rl_abn.vision.driving.carracing.controls import nearest_action
from rl_abn.vision.driving.carracing.disturbances import Disturbances, Disturber
from rl_abn.vision.driving.carracing.expert import Expert
from rl_abn.vision.driving.carracing.log import FrameName, LogWriter, keep_whole_drives
from rl_abn.vision.driving.carracing.looks import PLAIN, look_named
from rl_abn.vision.driving.carracing.simulator import FPS, Simulator

ABOUT_NAME = "about.json"
WHOLE = "whole"
"""The key of `about.json` that says that the last track was driven, too."""


@dataclass(frozen=True)
class RecordedDrive:
    """One track's part of a log.

    Attributes:
        track: Which.
        n_frames: Its rows.
        score: The environment's, disturbances and all.
        completed: Share of the track's tiles, 0..1.
    """

    track: int
    n_frames: int
    score: float
    completed: float


@dataclass(frozen=True)
class Recording:
    """How a log is recorded.

    Attributes:
        expert: Who drives.
        disturbances: What goes wrong on purpose.
        every: One row every so many steps, of which 50 are a second. Neighbours are alike: more
            tracks teach more than more rows of each.
        max_steps: A drive's end, if its lap has none before.
        five_actions: Whether the car does what `nearest_action` makes of the controls. The log
            holds the controls all the same, in the states that a driver with five actions meets.
        seed: Of the disturbances.
        look: What the camera sees of the world, a name in `LOOKS`.
    """

    expert: Expert = field(default_factory=Expert)
    disturbances: Disturbances = field(default_factory=Disturbances)
    every: int = 5
    max_steps: int = 1500
    five_actions: bool = False
    seed: int = 0
    look: str = PLAIN


def record_log(
    folder: Path,
    tracks: Sequence[int],
    recording: Recording = Recording(),
    *,
    go_on: bool = False,
    simulator: Simulator | None = None,
    report: ProgressReport | None = None,
) -> list[RecordedDrive]:
    """Lets the expert drive and writes what the camera saw and what it did.

    The log has the columns image, steering (-1..1, full lock to the left .. to the right), throttle
    and brake (0..1), speed (the simulator's units a second) and recording (which track). Every
    picture's answer is the expert's in that state, also while the car is being steered wrongly. A
    drive depends on nothing but its track and the recording. It can be stopped at any time: what is
    there is a log.

    Args:
        folder: Where the log goes.
        tracks: Which tracks, by Gymnasium's seeds.
        recording: How.
        go_on: Whether a log that was cut off is gone on with; it ends with the same bytes.
        simulator: Which car; None is a new one.
        report: Shows how far it is, in tracks.

    Returns:
        The drives that were recorded now.

    Raises:
        RlAbnError: If a number makes no sense, Box2D is missing, there is a log already that is
            not to be gone on with or was recorded otherwise, or it cannot be written.
    """
    look_named(recording.look)  # says that there is none
    if recording.every < 1 or recording.max_steps < 1:
        raise RlAbnError(
            f"expected every and max_steps of at least 1, got {recording.every} and "
            f"{recording.max_steps}"
        )
    if len(set(tracks)) < len(tracks):
        raise RlAbnError("expected every track once, got one twice: its pictures' names are taken")
    if go_on and is_recorded(folder, tracks, recording):
        return []
    simulator = simulator or Simulator()
    drives: list[RecordedDrive] = []
    there = keep_whole_drives(folder) if go_on else []
    with LogWriter(folder, onto=go_on) as log:
        write_output(folder / ABOUT_NAME, _about(tracks, recording))
        left = [track for track in tracks if track not in there]
        for done, track in enumerate(left, len(there)):
            drives.append(_record_drive(simulator, track, recording, log))
            if report is not None:
                report.update(done + 1, frames=f"{log.n_frames:,}")
    write_output(folder / ABOUT_NAME, {**_about(tracks, recording), WHOLE: True})
    return drives


def is_recorded(folder: Path, tracks: Sequence[int], recording: Recording = Recording()) -> bool:
    """Says whether a whole log of these tracks is there; False where it was cut off, or none is.

    Args:
        folder: Where the log would be.
        tracks: Which tracks.
        recording: How it would have been recorded.

    Raises:
        RlAbnError: If a log is there that was recorded otherwise.
    """
    path = folder / ABOUT_NAME
    if not path.is_file():
        return False
    about = read_json(path)
    whole = about.pop(WHOLE, False)
    if about != json.loads(json.dumps(_about(tracks, recording))):
        raise RlAbnError(
            f"{folder}: expected a log of {len(tracks):,} tracks from {tracks[0]:,} on, got one of "
            "others or that was recorded otherwise; choose another folder"
        )
    return whole is True


def _record_drive(
    simulator: Simulator, track: int, recording: Recording, log: LogWriter
) -> RecordedDrive:
    rng = np.random.default_rng([recording.seed, track])
    disturber = Disturber(recording.disturbances, rng)
    simulator.begin(track)
    look = look_named(recording.look)
    start = disturber.start()
    simulator.put(0.0, offset=start.offset, turned=start.turned)
    score, before = 0.0, log.n_frames
    for step in range(recording.max_steps):
        answer = recording.expert.answer(simulator.state, simulator.line)
        if step % recording.every == 0:
            name = FrameName(track, recording.seed, step)
            log.write(name, look(simulator.frame(), track, step), answer, simulator.speed)
        done = disturber.disturb(answer)
        if recording.five_actions:
            done = nearest_action(done).controls
        outcome = simulator.step(done)
        score += outcome.reward
        if outcome.finished or outcome.lost:
            break
    return RecordedDrive(track, log.n_frames - before, score, simulator.completed)


def _about(tracks: Sequence[int], recording: Recording) -> dict[str, object]:
    return {
        "simulator": "CarRacing-v3",
        "tracks": list(tracks),
        "frames_a_second": FPS / recording.every,
        "speed_unit": "simulator's units a second",
        "steering_unit": "full lock, 0.4 rad; left is negative",
        "recording": asdict(recording),
    }
