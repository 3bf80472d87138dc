"""`rl-abn vision explain`."""

from __future__ import annotations

import argparse

from rl_abn.cli.explain import lines_of
from rl_abn.cli.next_command import command
from rl_abn.cli.parser import (
    Subparsers,
    add_data,
    add_device,
    add_epoch,
    add_out,
    add_quick,
    add_run,
    add_seed,
    add_split,
    whole_number,
)


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "explain",
        help="test whether a network's map is used, right and better than simple ones",
        description="Score the network with its map replaced, compare the map with maps that need "
        "no branch and with controls of its own smoothness, and write one page and its numbers.\n"
        "What is finished is kept: an explanation that was cut off goes on where it was.",
    )
    add_run(parser)
    add_data(parser)
    add_split(parser)
    add_quick(parser, "fewer pictures and controls: minutes")
    add_out(parser, "folder of the page (default: in the run's explanations/)")
    parser.add_argument(
        "--pictures",
        type=whole_number(4, 4096),
        metavar="N",
        help="pictures that maps are tested on (default: 256, quick: 48)",
    )
    add_epoch(parser)
    add_seed(parser, "everything that is drawn")
    add_device(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Explains, prints the certificate and names the page."""
    from rl_abn.explain.work import SHARES
    from rl_abn.progress import ProgressReport
    from rl_abn.recipes import VisionRunRecipe
    from rl_abn.runs import Run
    from rl_abn.vision.detection.explanation import explain_detector
    from rl_abn.vision.evaluation.explanation import explain_network
    from rl_abn.vision.evaluation.explanation_extent import FULL_EXTENT, QUICK_EXTENT

    run = Run.open(arguments.path, VisionRunRecipe)
    extent = QUICK_EXTENT if arguments.quick else FULL_EXTENT
    if arguments.pictures is not None:
        extent = extent._replace(pictures=arguments.pictures)
    explain = explain_detector if run.recipe.env.kind == "boxes" else explain_network
    with ProgressReport("explaining", SHARES, "of the work") as report:
        written = explain(
            run,
            extent,
            data=arguments.data,
            split=arguments.split,
            out=arguments.out,
            step=arguments.checkpoint,
            seed=arguments.seed,
            device=arguments.device,
            report=report,
        )
    for line in lines_of(written):
        print(line)
    print(f"next: {command('rl-abn', 'vision', 'record', run.path)}")
