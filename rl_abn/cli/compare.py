"""`rl-abn compare`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rl_abn.cli.next_command import command
from rl_abn.cli.parser import (
    Subparsers,
    add_device,
    add_episodes,
    add_out,
    add_seed,
    add_states,
)

if TYPE_CHECKING:
    from rich.table import Table

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
    parser.add_argument("paths", type=Path, nargs="+", metavar="RUN", help="run folders")
    add_episodes(parser, "games to play where a run has no evaluation of its newest checkpoint", 20)
    add_states(parser, "moments at which maps and policies are compared", 64)
    add_out(parser, "folder of the numbers and pictures", Path("comparison"))
    add_seed(parser, "games, moments and bootstraps")
    add_device(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Compares, prints the tables and names the files."""
    from rich.console import Console

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
    console.print(score_table(found))
    for line in what_is_better(found):
        print(line)
    if found.agreements:
        console.print(agreement_table(found))
    for reason in found.left_out:
        print(f"maps not compared: {reason}")
    for file in files:
        print(f"kept in {command(file)}")
    print(f"next: {command('rl-abn', 'watch', *arguments.paths)}")


def score_table(found: Comparison) -> Table:
    """Returns a row for each run: its scores."""
    from rich.text import Text

    from rl_abn.cli.tables import plain_table
    from rl_abn.estimates import mean
    from rl_abn.rl.evaluation.scores import human_normalised, interquartile_mean

    table = plain_table("raw scores of whole games; [ ]: 95% bootstrap interval over the games")
    for heading in ("run", "game", "agent", "steps", "games", "mean", "IQM", "HNS"):
        left = heading in ("run", "agent", "game")
        table.add_column(heading, justify="left" if left else "right", overflow="fold")
    for each in found.runs:
        known, average = each.run.recipe.env.scores, mean(each.scores)
        cells = (
            each.label,
            each.game,
            each.run.recipe.agent_name,
            f"{each.step:,}",
            str(len(each.scores)),
            f"{average:.1f}",
            f"{interquartile_mean(each.scores):.1f}",
            "–" if known is None else f"{human_normalised(average.value, known):.2f}",
        )
        table.add_row(*map(Text, cells))
    return table


def what_is_better(found: Comparison) -> list[str]:
    """Returns a line for every two runs of a game, and for every agent with several runs."""
    lines = []
    for (one, other), value in found.probabilities.items():
        known = value.low is not None and value.high is not None
        clear = known and (value.low > 0.5 or value.high < 0.5)  # type: ignore[operator]
        said = "" if clear else ": these games do not tell them apart"
        lines.append(f"a game of {one} scores more than one of {other} in {value:.2f}{said}")
    for agent, value in found.aggregates.items():
        lines.append(f"{agent}: interquartile mean of its runs {value:.2f}, {found.scale}")
    return lines


def agreement_table(found: Comparison) -> Table:
    """Returns a row for every two runs whose maps were compared."""
    from rich.text import Text

    from rl_abn.cli.tables import plain_table

    table = plain_table(
        "moments of the first run's games; Spearman's correlation of the maps, beside that with "
        "the other's map of another moment; KL of the policies in nats"
    )
    for heading in ("runs", "maps", "correlation", "another moment", "KL", "same action"):
        left = heading in ("runs", "maps")
        table.add_column(heading, justify="left" if left else "right", overflow="fold")
    for each in found.agreements:
        cells = (
            f"{each.one}, {each.other}",
            ", ".join(each.maps),
            f"{each.similarity:.2f}",
            f"{each.another_moment:.2f}",
            f"{each.kl:.3f}",
            f"{each.same_action:.2f}",
        )
        table.add_row(*map(Text, cells))
    return table
