"""`rl-abn compare`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rl_abn.cli.next_command import command
from rl_abn.cli.parser import (
    RUN_OR_SHIPPED,
    Subparsers,
    add_device,
    add_episodes,
    add_out,
    add_seed,
    add_states,
)

if TYPE_CHECKING:
    from rl_abn.rl.evaluation.compare import Comparison


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "compare",
        help="set runs beside each other: scores, curves, profiles, maps",
        description="Compare runs at their newest checkpoints: scores with intervals, how probably "
        "one scores more than another, curves, performance profiles, and how alike their maps and "
        "policies are at the same moments.\nA run without an evaluation plays games first.",
    )
    parser.add_argument("paths", type=Path, nargs="+", metavar="RUN", help=RUN_OR_SHIPPED)
    add_episodes(parser, "games to play where a run has no evaluation of its newest checkpoint", 20)
    add_states(parser, "moments at which maps and policies are compared", 64)
    add_out(parser, "folder of the numbers and pictures", Path("comparison"))
    add_seed(parser, "games, moments and bootstraps")
    add_device(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Compares, prints the tables and names the files."""
    from rich.console import Console

    from rl_abn.cli.compare_tables import agreement_tables, score_tables
    from rl_abn.progress import ProgressReport
    from rl_abn.rl.evaluation.compare import compare_runs, write_comparison
    from rl_abn.runs import Run
    from rl_abn.runs.shipped import find_run

    runs = [Run.open(find_run(path)) for path in arguments.paths]
    with ProgressReport("comparing", len(runs), "runs") as report:
        found = compare_runs(
            runs,
            episodes=arguments.episodes,
            n_states=arguments.states,
            seed=arguments.seed,
            device=arguments.device,
            report=report,
        )
    files = write_comparison(found, arguments.out)
    console = Console(highlight=False)
    for table in score_tables(found, console):
        console.print(table)
    for line in what_is_better(found):
        print(line)
    for reason in found.scores_left_out:
        print(f"scores not compared: {reason}")
    if found.agreements:
        for table in agreement_tables(found, console):
            console.print(table)
    for reason in found.left_out:
        print(f"maps not compared: {reason}")
    for file in files:
        print(f"kept in {command(file)}")
    print(f"next: {command('rl-abn', 'watch', *arguments.paths)}")


def what_is_better(found: Comparison) -> list[str]:
    """Returns a line for every two runs of a game, and for every agent with several runs."""
    lines = []
    for (one, other), value in found.probabilities.items():
        known = value.low is not None and value.high is not None
        clear = known and (value.low > 0.5 or value.high < 0.5)  # type: ignore[operator]
        said = "" if clear else ": these games do not tell them apart"
        lines.append(f"a game of {one} scores more than one of {other} in {value:.2f}{said}")
    for agent, of in found.aggregates.items():
        lines.append(f"{agent}: interquartile mean of its runs {of.iqm:.2f}, {of.scale}")
    return lines
