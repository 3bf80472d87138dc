"""Shows a run at work: a video of the drive it held out, or a sheet of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.progress import ProgressReport
from rl_abn.render import Scale
from rl_abn.vision.data.examples import Examples, task_of
from rl_abn.vision.data.frames import frame_rate
from rl_abn.vision.data.pictures import ChosenPictures
from rl_abn.vision.driving.control_targets import driven, speed_seen
from rl_abn.vision.evaluation.splits import SplitName, open_split, usual_split
from rl_abn.vision.tasks.outputs import MOST_TASKS_SHOWN, Outputs
from rl_abn.vision.training.build import Trained, VisionRun, load_network
from rl_abn.vision.training.prepare import data_of
from rl_abn.vision.visualize.drive_video import FPS, PEDALS, THROTTLE, write_drive_video
from rl_abn.vision.visualize.sheets import picture_sheet

N_PICTURES = 16


class Recording(NamedTuple):
    """What was made.

    Attributes:
        path: The video or the sheet.
        n: Its frames or pictures.
        seconds: How long the video plays; None of a sheet.
        n_wrong: How many pictures of the sheet the network gets wrong; None of a video.
        n_tasks: How many tasks the sheet shows, of how many; None for other tasks.
    """

    path: Path
    n: int
    seconds: float | None = None
    n_wrong: int | None = None
    n_tasks: tuple[int, int] | None = None


class Wanted(NamedTuple):
    """How much is to be shown.

    Attributes:
        frames: At most so many frames of a drive.
        seconds: At most so long, of a drive.
        pictures: So many pictures on a sheet; None is 16.
        tasks: The names of the tasks on a sheet; none is the first 8.
    """

    frames: int | None = None
    seconds: float | None = None
    pictures: int | None = None
    tasks: tuple[str, ...] = ()


def record_run(
    run: VisionRun,
    *,
    data: Path | None = None,
    out: Path | None = None,
    split: SplitName | None = None,
    wanted: Wanted = Wanted(),  # noqa: B008 - a tuple never changes
    scale: Scale = "fixed",
    step: int | None = None,
    seed: int = 0,
    device: str = "auto",
    report: ProgressReport | None = None,
) -> Recording:
    """Records the drive that a run held out, or draws a sheet of pictures, half of them wrong ones.

    Args:
        run: The run.
        data: Where the data lies; None is where it lay in training.
        out: The video, .mp4, or the sheet, .png; None is videos/ or sheets/ in the run folder.
        split: "test" or "held_out"; None is the test pictures, where there are any.
        wanted: How much is shown.
        scale: "fixed" shows map values as they are, "frame" stretches each map.
        step: The checkpoint's epoch; None is the newest.
        seed: Of which pictures are on a sheet.
        device: Where the network runs.
        report: Shows how many frames of a video are done.

    Raises:
        RlAbnError: If the checkpoint, the data or the file will not do, or the network has no such
            task.
    """
    _check(run, out, wanted)
    where = device_of(device)
    trained = load_network(run, step=step, device=where)
    tasks = _tasks(trained.outputs, wanted.tasks)
    path = data or data_of(run)
    split = split or usual_split(run, path)
    examples = open_split(run, trained.outputs, path, split, where)
    title = f"{run.recipe.agent_name} on {run.recipe.env.title}, epoch {trained.checkpoint.step}"
    name = f"epoch-{trained.checkpoint.step}-{split.replace('_', '-')}"
    if examples.drive is not None:
        out = out or run.path / "videos" / f"{name}.mp4"
        return _drive(run, trained, examples, out, wanted, title=title, scale=scale, report=report)
    out = out or run.path / "sheets" / f"{name}.png"
    return _sheet(trained, examples, out, wanted, tasks, title=title, scale=scale, seed=seed)


def _sheet(
    trained: Trained,
    examples: Examples,
    out: Path,
    wanted: Wanted,
    tasks: list[int],
    *,
    title: str,
    scale: Scale,
    seed: int,
) -> Recording:
    n = min(wanted.pictures or N_PICTURES, len(examples))
    names = trained.outputs.names
    if tasks:
        title = f"{title}, {len(tasks)} of {len(names)} tasks"
    n_wrong = picture_sheet(
        out,
        trained.network,
        ChosenPictures(examples.pictures, examples.indices),
        examples.targets.cpu(),
        names,
        n,
        prepare=trained.batches.images,
        title=title,
        shown=tasks,
        seed=seed,
        scale=scale,
        compute=trained.batches.compute,
    )
    n_tasks = (len(tasks), len(names)) if tasks else None
    return Recording(out, n, n_wrong=n_wrong, n_tasks=n_tasks)


def _tasks(outputs: Outputs, wanted: Sequence[str]) -> list[int]:
    """Returns the numbers of the tasks that are shown; none where all outputs share a map."""
    names = outputs.map_names
    for name in wanted:
        if name not in names:
            raise RlAbnError(f"unknown task '{name}': {did_you_mean(name, names)}")
    shown = dict.fromkeys(wanted or names[:MOST_TASKS_SHOWN])
    return [names.index(name) for name in shown]


def _drive(
    run: VisionRun,
    trained: Trained,
    examples: Examples,
    out: Path,
    wanted: Wanted,
    *,
    title: str,
    scale: Scale,
    report: ProgressReport | None,
) -> Recording:
    assert examples.drive is not None
    table = run.recipe.env.controls
    assert table is not None
    log, batches = examples.drive.log, trained.batches
    controls = driven(log, table)
    fps = frame_rate(log.names) or FPS
    most = wanted.frames or len(examples)
    if wanted.seconds is not None:
        most = min(most, max(round(wanted.seconds * fps), 1))
    n_frames = write_drive_video(
        out,
        trained.network,
        replace(log, controls=controls),
        examples.indices[:most],
        prepare=batches.images,
        title=title,
        speed=speed_seen(log.speed, table) if trained.network.takes_speed else None,
        classes=batches.classes,
        pedal=PEDALS if table.pedals == "signed" else THROTTLE,
        fps=fps,
        scale=scale,
        compute=batches.compute,
        report=report,
    )
    return Recording(out, n_frames, n_frames / fps)


def _check(run: VisionRun, out: Path | None, wanted: Wanted) -> None:
    kind = run.recipe.env.kind
    if wanted.tasks and not task_of(run.recipe).map_per_output:
        raise RlAbnError(
            f"expected --tasks for a network of tasks, got '{run.recipe.agent_name}', which "
            f"{'drives' if kind == 'driving' else 'classifies'}"
        )
    drives = kind == "driving"
    if drives and wanted.pictures is not None:
        raise RlAbnError("expected --frames or --seconds for a drive, got --pictures")
    if not drives and (wanted.frames is not None or wanted.seconds is not None):
        raise RlAbnError("expected --pictures for a sheet, got --frames or --seconds")
    suffix = ".mp4" if drives else ".png"
    if out is not None and out.suffix.lower() != suffix:
        raise RlAbnError(f"expected a file that ends in {suffix}, got '{out}'")
