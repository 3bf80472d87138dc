"""`rl-abn explain`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rl_abn.cli.next_command import command
from rl_abn.cli.parser import (
    RUN_OR_SHIPPED,
    Subparsers,
    add_checkpoint,
    add_device,
    add_episodes,
    add_max_steps,
    add_out,
    add_quick,
    add_run,
    add_seed,
    add_states,
)
from rl_abn.errors import RlAbnError

if TYPE_CHECKING:
    from rl_abn.explain.written import Written


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "explain",
        help="test whether an agent's map is used, right and better than simple ones",
        description="Play games with the map replaced, compare the map with maps made in other "
        "ways and with controls of its own smoothness, and write one page and its numbers.\n"
        "What is finished is kept: an explanation that was cut off goes on where it was.",
    )
    add_run(parser, RUN_OR_SHIPPED)
    add_quick(parser, "fewer games, moments and controls: minutes instead of an hour")
    add_out(parser, "folder of the page (default: in the run's explanations/)")
    add_episodes(parser, "games of each player (default: 30, quick: 8)")
    add_states(
        parser,
        "moments of the agent's games that maps are tested on (default: 256, quick: 32)",
    )
    add_max_steps(parser)
    parser.add_argument(
        "--over-training",
        action="store_true",
        help="with --quick, too: follow objects over the run's checkpoints, on the same moments "
        "(default: without --quick, where there are two)",
    )
    parser.add_argument(
        "--gaze",
        type=Path,
        metavar="FOLDER",
        help="also set maps beside where people look: a folder of trials of Atari-HEAD, or one "
        "trial's table",
    )
    parser.add_argument(
        "--map",
        nargs="+",
        action="extend",
        default=[],
        dest="maps",
        metavar="NAME",
        help="with --gaze: score this map, too, such as grad_cam or occlusion",
    )
    add_checkpoint(parser)
    add_seed(parser, "the games, moments and everything that is drawn")
    add_device(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Explains, prints the certificate and names the page."""
    from rl_abn.explain.work import SHARES
    from rl_abn.progress import ProgressReport
    from rl_abn.rl.evaluation.explanation import explain_run
    from rl_abn.rl.evaluation.explanation_extent import FULL_EXTENT, QUICK_EXTENT, with_changes
    from rl_abn.runs import Run
    from rl_abn.runs.shipped import own_run

    if arguments.maps and arguments.gaze is None:
        raise RlAbnError("expected --gaze FOLDER with --map, got none")
    run = Run.open(own_run(arguments.path))
    extent = with_changes(
        QUICK_EXTENT if arguments.quick else FULL_EXTENT,
        episodes=arguments.episodes,
        states=arguments.states,
        max_steps=arguments.max_steps,
    )
    if arguments.over_training:
        extent = extent._replace(over_training=True)
    with ProgressReport("explaining", SHARES, "of the work") as report:
        written = explain_run(
            run,
            extent,
            out=arguments.out,
            step=arguments.checkpoint,
            seed=arguments.seed,
            device=arguments.device,
            gaze=arguments.gaze,
            gaze_maps=arguments.maps,
            report=report,
        )
    for line in lines_of(written):
        print(line)
    if arguments.quick:
        words = ["explain", str(run.path)]
    else:
        own = ["own"] if run.recipe.agent.attention.has_maps else []
        words = ["watch", str(run.path), "--map", *own, "grad_cam"]
    print(f"next: {command('rl-abn', *words)}")


def lines_of(written: Written) -> list[str]:
    """Returns the certificate, and where the numbers and the page are."""
    return [
        str(written.explanation.certificate),
        f"numbers: {command(written.data)}",
        f"page: {command(written.page)}",
    ]
