"""`rl-abn vision shapes`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rl_abn.cli.next_command import command
from rl_abn.cli.parser import Subparsers, add_seed, whole_number


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "shapes",
        help="write a made set of shapes behind bars, to try detectors on",
        description="Write a set in COCO's layout: pictures of 128x128 with one to four shapes, "
        "half of them partly behind a grey bar, and the box of what can be seen of each.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder that is new or empty")
    parser.add_argument(
        "--pictures",
        type=whole_number(1, 1_000_000),
        default=600,
        metavar="N",
        help="pictures to learn from; val has a fifth as many, test half as many",
    )
    add_seed(parser, "everything that is drawn: the same seed writes the same set")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Writes the set."""
    from rl_abn.progress import ProgressReport
    from rl_abn.vision.detection.shapes import counts_of, write_shapes

    total = sum(counts_of(arguments.pictures).values())
    with ProgressReport("drawing", total, "pictures") as report:
        counts = write_shapes(
            arguments.folder, arguments.pictures, seed=arguments.seed, report=report
        )
    print(", ".join(f"{n:,} pictures in {split}" for split, n in counts.items()))
    words = ["--env", "shapes_detection", "--agent", "fasterrcnn_small_abn"]
    words += ["--data", str(arguments.folder)]
    print(f"next: {command('rl-abn', 'vision', 'train', *words)}")
