"""`rl-abn watch`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rl_abn.cli.next_command import command
from rl_abn.cli.parser import (
    Subparsers,
    add_checkpoint,
    add_device,
    add_greedy,
    add_run,
    add_seed,
    one_of,
    whole_number,
)


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "watch",
        help="make an attention video",
        description="Record a game beside its maps, or how the maps formed over training.",
    )
    add_run(parser)
    parser.add_argument(
        "--out", type=Path, metavar="FILE.mp4", help="video (default: in the run's videos/)"
    )
    parser.add_argument(
        "--over-training",
        action="store_true",
        help="show how the maps of fixed observations formed over training",
    )
    parser.add_argument(
        "--scale",
        type=one_of(("fixed", "frame")),
        default="fixed",
        metavar="WHAT",
        help="fixed shows map values 0..1 as they are; frame stretches every map to its own range",
    )
    add_greedy(parser)
    parser.add_argument(
        "--max-steps",
        type=whole_number(1),
        metavar="N",
        help="record at most this many steps (default: the whole game)",
    )
    add_checkpoint(parser)
    add_seed(parser, "the game and the sampled actions")
    add_device(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Records the video and prints its path."""
    from rl_abn.progress import ProgressReport
    from rl_abn.rl.evaluation.watch import watch_game, watch_training
    from rl_abn.runs import Run

    run = Run.open(arguments.path)
    if arguments.over_training:
        with ProgressReport("recording", None, "logging points") as report:
            video = watch_training(run, out=arguments.out, scale=arguments.scale, report=report)
        print(f"{video.n_frames:,} frames, {video.seconds:.0f} s: {command(video.path)}")
        words = ["tensorboard", "--logdir", str(run.path), "--samples_per_plugin", "images=1000"]
        print(f"next: {command(*words)}")
        return
    with ProgressReport("recording", arguments.max_steps, "steps") as report:
        video = watch_game(
            run,
            out=arguments.out,
            scale=arguments.scale,
            greedy=arguments.greedy,
            max_steps=arguments.max_steps,
            step=arguments.checkpoint,
            seed=arguments.seed,
            device=arguments.device,
            report=report,
        )
    print(
        f"score {video.score:.0f}, {video.n_frames:,} frames, {video.seconds:.0f} s: "
        f"{command(video.path)}"
    )
    # Imported weights come without the maps of their training.
    if not run.recipe.agent.attention.has_maps or run.is_imported:
        print(f"next: {command('rl-abn', 'eval', run.path, '--greedy')}")
    else:
        print(f"next: {command('rl-abn', 'watch', run.path, '--over-training')}")
