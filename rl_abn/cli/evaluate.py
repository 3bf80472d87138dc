"""`rl-abn eval`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from rl_abn.cli.parser import (
    Subparsers,
    add_checkpoint,
    add_device,
    add_greedy,
    add_interventions,
    add_json,
    add_run,
    add_seed,
    one_of,
    whole_number,
)
from rl_abn.protocols import PROTOCOLS

if TYPE_CHECKING:
    from rl_abn.rl.evaluation.evaluate import RunEvaluation


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "eval",
        help="score an agent over whole games",
        description="Play whole games and report raw scores: mean, interquartile mean, intervals.",
    )
    add_run(parser)
    parser.add_argument(
        "--episodes", type=whole_number(1), default=30, metavar="N", help="games to play"
    )
    parser.add_argument(
        "--protocol",
        type=one_of(PROTOCOLS),
        metavar="NAME",
        help=f"{' or '.join(PROTOCOLS)} (default: the one it was trained under)",
    )
    add_greedy(parser)
    add_interventions(
        parser,
        "let the agent play with changed maps too: zero, uniform, inverted, shuffled, frozen "
        "or all of these; NAME:policy changes one of two maps, NAME:each both and then each alone",
    )
    parser.add_argument(
        "--random", action="store_true", help="let a random player play as many games beside it"
    )
    parser.add_argument(
        "--max-steps",
        type=whole_number(1),
        metavar="N",
        help="cut games off after N agent steps (default: the protocol's frame cap)",
    )
    add_checkpoint(parser)
    add_seed(parser, "the games and the bootstrap")
    add_json(parser)
    add_device(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Evaluates, prints the table and keeps the result."""
    from rich.console import Console

    from rl_abn.cli.tables import evaluation_table
    from rl_abn.progress import ProgressReport
    from rl_abn.rl.evaluation.evaluate import evaluate_run
    from rl_abn.rl.evaluation.interventions import read_changes
    from rl_abn.runs import Run, write_output

    run = Run.open(arguments.path)
    changes = read_changes(arguments.interventions, run.recipe.agent_name, run.recipe.agent)
    n_players = 1 + len(changes) + arguments.random
    with ProgressReport("playing", arguments.episodes * n_players, "games") as report:
        result = evaluate_run(
            run,
            n_games=arguments.episodes,
            protocol=arguments.protocol,
            greedy=arguments.greedy,
            changes=changes,
            beside_random=arguments.random,
            max_steps=arguments.max_steps,
            step=arguments.checkpoint,
            seed=arguments.seed,
            device=arguments.device,
            report=report,
        )
    Console(highlight=False).print(evaluation_table(result))
    cut = sum(game.truncated for player in result.evaluations for game in player.games)
    if cut:
        print(f"{cut} of the games were cut off by the frame cap")
    written = result.keep(run)
    if arguments.json is not None:
        write_output(arguments.json, result.as_json())
    print(f"kept in {written}")
    if result.changed:
        print(what_differs(result))
    if result.beats_random is not None:
        print(
            "the agent's mean lies above the random player's: the intervals do not overlap"
            if result.beats_random
            else "the two means' intervals overlap, or the random player is ahead"
        )
    print(f"next: rl-abn watch {run.path}")


def what_differs(result: RunEvaluation) -> str:
    """Returns in a sentence which changed agents' scores these games tell from the intact one's."""
    differences = {e.player: e.difference for e in result.changed if e.difference is not None}
    if any(difference.low is None for difference in differences.values()):
        return "one game has no interval: with more --episodes the differences can be judged"
    apart = [name for name, difference in differences.items() if difference.excludes_zero]
    alike = [name for name in differences if name not in apart]
    said = [f"excludes 0 for {', '.join(apart)}"] if apart else []
    if alike:
        said.append(
            f"holds 0 for {', '.join(alike)}: not to be told from the intact agent by these games"
        )
    return f"the difference's interval {'; it '.join(said)}"
