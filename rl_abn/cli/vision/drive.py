"""`rl-abn vision drive`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rl_abn.cli.next_command import command
from rl_abn.cli.parser import (
    Subparsers,
    add_device,
    add_epoch,
    add_interventions,
    add_json,
    add_look,
    whole_number,
)

if TYPE_CHECKING:
    from rl_abn.vision.driving.carracing.video import DriveVideo
    from rl_abn.vision.driving.closed_loop import ClosedLoop, Contender

EXPERT = "expert"
_MOST_TRACKS = 100_000
_MOST_TRACK = 2**31 - 1

_DESCRIPTION = """\
Let a network drive CarRacing-v3 over tracks it has never seen, beside the expert who taught it. A
car that is off the road for a second is put back on it: that is an intervention.

  rl-abn vision drive expert --log DIR   records the expert's drives, to learn from
  rl-abn vision drive RUN                lets a trained network drive

Tracks are Gymnasium's seeds. Logs are recorded on tracks from 1000 on, and networks drive those
from 0 on."""


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "drive", help="let a network drive, or record the expert", description=_DESCRIPTION
    )
    parser.add_argument("who", metavar="RUN|expert", help="run folder, or the expert alone")
    parser.add_argument(
        "--tracks",
        type=whole_number(1, _MOST_TRACKS),
        metavar="N",
        help="how many (default: 20; with --log 50)",
    )
    parser.add_argument(
        "--seed",
        type=whole_number(0, _MOST_TRACK),
        metavar="TRACK",
        help="the first of them (default: 0; with --log 1000)",
    )
    parser.add_argument(
        "--log",
        type=Path,
        metavar="DIR",
        help="with 'expert': record a driving log here, with wrong starts, wrong steering, wrong "
        "pedals and the expert's way back",
    )
    parser.add_argument(
        "--beside",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="RUN",
        help="let these networks drive the same tracks",
    )
    add_interventions(
        parser,
        "let the network drive with changed maps too: zero, uniform, inverted, shuffled, "
        "shifted, time_average, swap, frozen or all",
    )
    parser.add_argument(
        "--five-actions",
        action="store_true",
        help="drive everyone's controls as the nearest of CarRacing's five actions",
    )
    parser.add_argument(
        "--alone",
        action="store_true",
        help="put nobody back on the road: scores are the plain environment's",
    )
    add_look(parser, "with --log too")
    parser.add_argument(
        "--max-steps",
        type=whole_number(1),
        metavar="N",
        help="end drives after N steps, 50 a second (default: 1000; with --log 1500)",
    )
    parser.add_argument(
        "--video",
        type=Path,
        metavar="FILE",
        help="record RUN's drive of the first track, or the expert's, beside its maps (.mp4)",
    )
    add_epoch(parser, of="RUN's")
    add_json(parser)
    add_device(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Drives, prints the table and keeps the result; or records."""
    _check(arguments)
    if arguments.log is not None:
        _record(arguments)
    else:
        _drive(arguments)


def _check(arguments: argparse.Namespace) -> None:
    from rl_abn.errors import RlAbnError
    from rl_abn.vision.driving.carracing.looks import look_named

    look_named(arguments.look)
    given = {
        "--beside": bool(arguments.beside),
        "--intervention": bool(arguments.interventions),
        "--checkpoint": arguments.checkpoint is not None,
    }
    wrong = next((option for option, there in given.items() if there), None)
    if arguments.who == EXPERT and wrong is not None:
        raise RlAbnError(f"expected {wrong} with the run folder of a network, got 'expert'")
    if arguments.log is not None:
        if arguments.who != EXPERT:
            raise RlAbnError(f"expected --log with 'expert', who records it, got '{arguments.who}'")
        evaluates = arguments.alone or arguments.json is not None or arguments.video is not None
        if evaluates:
            raise RlAbnError(
                "expected --log without --alone, --json and --video: a log is no evaluation"
            )
    if arguments.video is not None and arguments.video.suffix.lower() != ".mp4":
        raise RlAbnError(f"expected a file that ends in .mp4, got '{arguments.video}'")


def _record(arguments: argparse.Namespace) -> None:
    import numpy as np

    from rl_abn.progress import ProgressReport
    from rl_abn.vision.driving.carracing.recording import (
        ABOUT_NAME,
        Recording,
        is_recorded,
        record_log,
    )
    from rl_abn.vision.driving.carracing.simulator import Simulator
    from rl_abn.vision.driving.closed_loop import LEARNED_FROM

    simulator = Simulator()
    recording = Recording(
        five_actions=arguments.five_actions,
        max_steps=arguments.max_steps or Recording.max_steps,
        look=arguments.look,
    )
    tracks = _tracks(arguments, LEARNED_FROM, 50)
    is_whole = is_recorded(arguments.log, tracks, recording)
    goes_on = not is_whole and (arguments.log / ABOUT_NAME).is_file()
    if goes_on:
        print(f"going on in: {command(arguments.log)}", flush=True)
    try:
        with ProgressReport("recording", len(tracks), "tracks") as report:
            drives = record_log(
                arguments.log, tracks, recording, go_on=goes_on, simulator=simulator, report=report
            )
    except KeyboardInterrupt:
        print(f"stopped; what {command(arguments.log)} holds is a log all the same. Go on with:")
        print(command("rl-abn", *arguments.words))
        raise
    frames = sum(drive.n_frames for drive in drives)
    score = np.mean([drive.score for drive in drives])
    completed = np.mean([drive.completed for drive in drives])
    first, last = drives[0].track, drives[-1].track
    print(f"{frames:,} frames of tracks {first} to {last} in {command(arguments.log)}")
    print(f"driven with disturbances: mean score {score:.0f}, {completed:.1%} of the tracks")
    recipes = ("car_racing", "driving_abn")
    if arguments.five_actions:
        recipes = ("car_racing_actions", "driving_abn_classes")
    words = ["train", "--env", recipes[0], "--agent", recipes[1], "--data", str(arguments.log)]
    print(f"next: {command('rl-abn', 'vision', *words)}")


def _drive(arguments: argparse.Namespace) -> None:
    from contextlib import ExitStack

    from rich.console import Console

    from rl_abn.cli.vision.drive_table import captions_of, drive_tables
    from rl_abn.errors import warn
    from rl_abn.progress import ProgressReport
    from rl_abn.recipes import VisionRunRecipe
    from rl_abn.runs import Run, write_output
    from rl_abn.vision.driving.carracing.drive import Rules
    from rl_abn.vision.driving.carracing.simulator import Simulator
    from rl_abn.vision.driving.closed_loop import (
        DRIVEN_FROM,
        contenders_of,
        drive_all,
        what_was_learned,
    )
    from rl_abn.vision.evaluation.interventions import ON_DRIVES, read_interventions

    folders = [] if arguments.who == EXPERT else [Path(arguments.who), *arguments.beside]
    runs = [Run.open(folder, VisionRunRecipe) for folder in folders]
    words = arguments.interventions
    changes = read_interventions(words, runs[0], ON_DRIVES) if runs else []
    rules = Rules(
        max_steps=arguments.max_steps or Rules.max_steps,
        off_road_s=None if arguments.alone else Rules.off_road_s,
        five_actions=arguments.five_actions,
        look=arguments.look,
    )
    simulator = Simulator()  # says first that Box2D is missing
    contenders = contenders_of(
        runs,
        interventions=changes,
        step=arguments.checkpoint,
        five_actions=arguments.five_actions,
        device=arguments.device,
    )
    tracks = _tracks(arguments, DRIVEN_FROM, 20)
    for said in filter(None, (what_was_learned(run, tracks) for run in runs)):
        warn(said)
    with ExitStack() as stack:
        videos = []
        if arguments.video is not None:
            videos.append(stack.enter_context(_video(arguments.video, contenders[0], tracks[0])))
        report = stack.enter_context(
            ProgressReport("driving", len(tracks) * len(contenders), "drives")
        )
        result = drive_all(
            contenders, tracks, rules, observers=videos, simulator=simulator, report=report
        )
    # Kept before anything is printed: nobody may be reading.
    written = None
    if not result.interrupted:
        if runs:
            written = result.keep(runs[0])
            runs[0].mend_status()
        if arguments.json is not None:
            write_output(arguments.json, result.as_json())
    console = Console(highlight=False)
    console.print(*drive_tables(result, console), sep="")
    console.print(*captions_of(result), sep="\n", markup=False)
    if arguments.video is not None:
        print(f"track {tracks[0]}: {command(arguments.video)}")
    if result.interrupted:
        print(f"stopped after {len(result.tracks):,} of {len(tracks):,} tracks; nothing is kept")
        raise KeyboardInterrupt
    if written is not None:
        print(f"kept in {command(written)}")
    print(f"next: {command('rl-abn', 'vision', *_next(arguments, result))}")


def _video(path: Path, contender: Contender, track: int) -> DriveVideo:
    from rl_abn.vision.driving.carracing.video import DriveVideo

    epoch = "" if contender.step is None else f", epoch {contender.step}"
    title = f"{contender.name} on CarRacing-v3{epoch}, track {track}"
    return DriveVideo(path, contender.driver, title)


def _next(arguments: argparse.Namespace, result: ClosedLoop) -> list[str]:
    if arguments.who == EXPERT:
        return ["drive", EXPERT, "--log", "car_racing_log"]
    first = result.drivers[0].contender.driver
    if not arguments.interventions and bool(getattr(first, "n_maps", 0)):
        return ["drive", arguments.who, "--intervention", "zero", "shuffled"]
    return ["eval", arguments.who]


def _tracks(arguments: argparse.Namespace, first: int, count: int) -> list[int]:
    start = first if arguments.seed is None else arguments.seed
    return list(range(start, start + (arguments.tracks or count)))
