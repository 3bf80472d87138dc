"""`rl-abn vision record`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rl_abn.cli.next_command import command
from rl_abn.cli.parser import (
    Subparsers,
    add_data,
    add_device,
    add_epoch,
    add_run,
    add_seed,
    add_split,
    number,
    one_of,
    whole_number,
)


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "record",
        help="record where a network looks, or draw a sheet of pictures with their maps",
        description="Record the held-out stretch of a drive beside the maps, or draw a sheet of "
        "pictures with their maps, half of them with a wrong answer where there are so many. A "
        "detector's have their boxes, and the map of each object that was found.",
    )
    add_run(parser)
    add_data(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help=".mp4 of a drive, .png of pictures (default: in the run's videos/ or sheets/)",
    )
    add_split(parser)
    parser.add_argument(
        "--frames",
        type=whole_number(1),
        metavar="N",
        help="record at most N frames (default: the whole stretch)",
    )
    parser.add_argument(
        "--seconds", type=number(0.0, above=True), metavar="S", help="record at most S seconds"
    )
    parser.add_argument(
        "--pictures",
        type=whole_number(1, 256),
        metavar="N",
        help="show N pictures on a sheet (default: 16)",
    )
    parser.add_argument(
        "--tasks",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="of a network of yes-or-no tasks, show these (default: the first 8)",
    )
    parser.add_argument(
        "--scale",
        type=one_of(("fixed", "frame")),
        default="fixed",
        metavar="WHAT",
        help="fixed shows map values 0..1 as they are; frame stretches every map to its own range",
    )
    add_epoch(parser)
    add_seed(parser, "which pictures are on a sheet")
    add_device(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Records, and says where the video or the sheet is."""
    from rl_abn.progress import ProgressReport
    from rl_abn.recipes import VisionRunRecipe
    from rl_abn.runs import Run
    from rl_abn.vision.visualize.detections import record_detector
    from rl_abn.vision.visualize.watch import Wanted, record_run

    run = Run.open(arguments.path, VisionRunRecipe)
    is_detector = run.recipe.env.kind == "boxes"
    record = record_detector if is_detector else record_run
    unit = "pictures" if is_detector else "frames"
    with ProgressReport("recording", arguments.frames, unit) as report:
        recorded = record(
            run,
            data=arguments.data,
            out=arguments.out,
            split=arguments.split,
            wanted=Wanted(
                arguments.frames, arguments.seconds, arguments.pictures, tuple(arguments.tasks)
            ),
            scale=arguments.scale,
            step=arguments.checkpoint,
            seed=arguments.seed,
            device=arguments.device,
            report=report,
        )
    if recorded.n_tasks is not None:
        shown, of = recorded.n_tasks
        print(
            f"{recorded.n:,} pictures, {recorded.n_wrong:,} of them with a wrong answer, "
            f"{shown:,} of {of:,} tasks: {command(recorded.path)}"
        )
    elif is_detector:
        print(
            f"{recorded.n:,} pictures, {recorded.n_wrong:,} of them with mistakes: "
            f"{command(recorded.path)}"
        )
    elif recorded.seconds is None:
        print(
            f"{recorded.n:,} pictures, {recorded.n_wrong:,} of them wrong: {command(recorded.path)}"
        )
    else:
        print(f"{recorded.n:,} frames, {recorded.seconds:.0f} s: {command(recorded.path)}")
    paintable = run.recipe.agent.attention.abilities.paintable
    words = ["edit", str(run.path), "--list"] if paintable else ["eval", str(run.path)]
    if is_detector:
        words = ["explain", str(run.path)]
    print(f"next: {command('rl-abn', 'vision', *words)}")
