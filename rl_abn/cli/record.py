"""`rl-abn record`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rl_abn.cli.next_command import command
from rl_abn.cli.parser import (
    RUN_OR_SHIPPED,
    Subparsers,
    add_checkpoint,
    add_device,
    add_episodes,
    add_greedy,
    add_map,
    add_max_steps,
    add_out,
    add_run,
    add_seed,
    one_of,
)
from rl_abn.protocols import KEEP


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "record",
        help="record games step by step",
        description="Play games and keep their screens and all that the agent computes, to watch "
        "and to go on from any step.",
    )
    add_run(parser, RUN_OR_SHIPPED)
    add_episodes(parser, "games to record", 1)
    add_out(parser, "where the episode folders go (default: episodes/ in the run)")
    parser.add_argument(
        "--on-exists",
        type=one_of(("new", "overwrite")),
        metavar="WHAT",
        help="if an episode folder exists: make a new one beside it, or overwrite it",
    )
    parser.add_argument(
        "--intervention",
        metavar="NAME",
        help="play with attention maps replaced, as in eval: zero, uniform, inverted, shuffled, "
        "shifted, time_average, swap or frozen; NAME:policy replaces one of two maps",
    )
    parser.add_argument(
        "--keep",
        type=one_of(KEEP),
        nargs="+",
        action="extend",
        default=[],
        metavar="WHAT",
        help="also keep the agent's observations, or evidence for the actions where it takes "
        "more than 3,200 bytes a step",
    )
    add_map(parser)
    add_greedy(parser)
    add_max_steps(parser, "record at most this many steps of a game (default: the whole game)")
    add_checkpoint(parser)
    add_seed(parser, "the first game and its sampled actions; the next games have the next ones")
    add_device(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Records the games and prints their folders."""
    from rl_abn.errors import RlAbnError
    from rl_abn.progress import ProgressReport
    from rl_abn.rl.evaluation.interventions import read_interventions
    from rl_abn.rl.evaluation.map_player import names_of
    from rl_abn.rl.evaluation.record import record_run
    from rl_abn.runs import Run
    from rl_abn.runs.shipped import own_run

    run = Run.open(own_run(arguments.path))
    label = arguments.intervention
    specs = read_interventions(
        [] if label is None else [label], run.recipe.agent_name, run.recipe.agent
    )
    if len(specs) > 1:
        raise RlAbnError(f"expected one intervention, got '{label}', which is {len(specs)}")
    (map_name,) = names_of([] if arguments.map_name is None else [arguments.map_name])
    k, most = arguments.episodes, arguments.max_steps
    total, unit = (k, "games") if most is None else (k * most, "steps")
    first: Path | None = None
    with ProgressReport("recording", total, unit) as report:
        for game in record_run(
            run,
            episodes=k,
            out=arguments.out,
            on_exists=arguments.on_exists,
            intervention=specs[0] if specs else None,
            map_name=map_name,
            greedy=arguments.greedy,
            max_steps=most,
            keep=arguments.keep,
            step=arguments.checkpoint,
            seed=arguments.seed,
            device=arguments.device,
            report=report,
        ):
            first = first or game.path
            print(
                f"score {game.score:.0f}, {game.n_steps:,} steps: {command(game.path)}", flush=True
            )
    assert first is not None
    print(f"next: {command('rl-abn', 'watch', first)}")
