"""`rl-abn eval`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from rl_abn.cli.next_command import command
from rl_abn.cli.parser import (
    RUN_OR_SHIPPED,
    Subparsers,
    add_checkpoint,
    add_device,
    add_episodes,
    add_greedy,
    add_interventions,
    add_json,
    add_max_steps,
    add_run,
    add_seed,
    one_of,
    whole_number,
)
from rl_abn.protocols import BLIND_CONTROLS, PROTOCOLS, blindnesses

if TYPE_CHECKING:
    from rl_abn.rl.evaluation.results import RunEvaluation
    from rl_abn.rl.training.teacher import Teacher
    from rl_abn.runs import Run


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "eval",
        help="score an agent over whole games",
        description="Play whole games and report raw scores: mean, interquartile mean, intervals.",
    )
    add_run(parser, RUN_OR_SHIPPED)
    add_episodes(parser, "games to play", 30)
    parser.add_argument(
        "--protocol",
        type=one_of(PROTOCOLS),
        metavar="NAME",
        help=f"{' or '.join(PROTOCOLS)} (default: the one it was trained under)",
    )
    add_greedy(parser)
    add_interventions(
        parser,
        "also play with attention maps replaced by: zero, uniform, inverted, shuffled, shifted, "
        "time_average, swap, frozen or all of these; NAME:policy replaces one of two maps, "
        "NAME:each both, then each alone",
    )
    parser.add_argument(
        "--blind",
        type=one_of(BLIND_CONTROLS),
        default="frozen",
        metavar="HOW",
        help="the blind control: the agent also plays without seeing its game. frozen shows each "
        "game's first screen all game long, swapped the screens of another game (default: frozen)",
    )
    parser.add_argument(
        "--random", action="store_true", help="also let a random player play as many games"
    )
    add_max_steps(parser)
    parser.add_argument(
        "--teacher",
        metavar="RUN|ZIP",
        help="say how faithful the agent is to this one, which plays as many games; none asks for "
        "nobody (default: the one that it learnt from, if any)",
    )
    parser.add_argument(
        "--record",
        type=whole_number(1, 16),
        default=0,
        metavar="K",
        help="also record K of the agent's games step by step, to watch (default: none)",
    )
    add_checkpoint(parser)
    add_seed(parser, "the games and the bootstrap")
    add_json(parser)
    add_device(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Evaluates, prints the table and saves the result."""
    from rich.console import Console

    from rl_abn.cli.tables import evaluation_table
    from rl_abn.progress import ProgressReport
    from rl_abn.rl.evaluation.interventions import read_interventions
    from rl_abn.rl.evaluation.kept_games import KeptGames
    from rl_abn.rl.evaluation.run_evaluation import evaluate_run
    from rl_abn.runs import Run, write_output
    from rl_abn.runs.shipped import own_run

    run = Run.open(own_run(arguments.path))
    interventions = read_interventions(
        arguments.interventions, run.recipe.agent_name, run.recipe.agent
    )
    teacher = teacher_of(run, arguments.teacher)
    blind = blindnesses(arguments.blind)
    kept = KeptGames(run)
    n_players = 1 + len(interventions) + len(blind) + arguments.random + (teacher is not None)
    try:
        with ProgressReport("playing", arguments.episodes * n_players, "games") as report:
            result = evaluate_run(
                run,
                n_games=arguments.episodes,
                protocol=arguments.protocol,
                greedy=arguments.greedy,
                interventions=interventions,
                blind=blind,
                with_random=arguments.random,
                max_steps=arguments.max_steps,
                step=arguments.checkpoint,
                seed=arguments.seed,
                device=arguments.device,
                teacher=teacher,
                record=arguments.record,
                kept=kept,
                report=report,
            )
    except KeyboardInterrupt:
        if kept.n_players:
            of = f"{kept.n_players} of {n_players} players"
            print(f"stopped; the games of {of} are kept, and the same command goes on")
        else:
            kept.forget()
        raise
    # Kept before anything is printed: nobody may be reading.
    written = result.save(run)
    kept.forget()
    if arguments.json is not None:
        write_output(arguments.json, result.as_json())
    run.mend_status()
    Console(highlight=False).print(evaluation_table(result))
    cut = sum(game.truncated for player in result.evaluations for game in player.games)
    if cut:
        print(f"{cut} of the games were cut off by the frame cap")
    print(f"kept in {command(written)}")
    if result.intervened:
        print(what_differs(result))
    if result.blind:
        print(what_it_sees(result))
    if result.map_reliance:
        print(how_it_relies(result))
    if result.faithfulness:
        print(how_faithful(result))
    if result.beats_random is not None:
        print(
            "the agent's mean lies above the random player's: the intervals do not overlap"
            if result.beats_random
            else "the two means' intervals overlap, or the random player is ahead"
        )
    for game in result.recorded:
        print(f"recorded: score {game.score:.0f}, {game.n_steps:,} steps: {command(game.path)}")
    watched = result.recorded[0].path if result.recorded else run.path
    print(f"next: {command('rl-abn', 'watch', watched)}")


def teacher_of(run: Run, asked: str | None) -> Teacher | None:
    """Returns the teacher to compare a run with: the one asked for, or else the run's own."""
    from rl_abn.recipes import TeacherTable
    from rl_abn.rl.training.teacher import find_teacher, own_teacher

    if asked == "none":
        return None
    return own_teacher(run) if asked is None else find_teacher(TeacherTable(path=asked), run.recipe)


def how_faithful(result: RunEvaluation) -> str:
    """Returns a sentence: how alike the agent and its teacher are on the games of either."""
    own, theirs = result.faithfulness["student_games"], result.faithfulness["teacher_games"]
    return (
        "faithfulness, KL in nats of the agent from the teacher, and how often their most probable "
        f"actions agree: on the agent's games {own.kl:.3f} and {own.agreement.value:.1%}, on the "
        f"teacher's {theirs.kl:.3f} and {theirs.agreement.value:.1%}"
    )


def what_it_sees(result: RunEvaluation) -> str:
    """Returns a sentence: whether the agent plays better than when it is blind."""
    if result.sees is None:
        return "one game has no interval: with more --episodes the blind agent can be told apart"
    if result.sees:
        return "the agent plays by what it sees: blind it scores less, by intervals that exclude 0"
    return (
        "these games do not tell the agent from itself when blind: it may have learnt a mixture of "
        "moves and no reaction to the screen"
    )


def how_it_relies(result: RunEvaluation) -> str:
    """Returns a sentence: how much the policy changes with other maps, and how much it could."""
    from rl_abn.rl.evaluation.reliance import OBSERVATION

    maps = {name: kl for name, kl in result.map_reliance.items() if name != OBSERVATION}
    changes = ", ".join(f"{name} {kl:.3f}" for name, kl in maps.items())
    return (
        f"map reliance, KL in nats of its policy from that with other maps: {changes}; "
        f"with another moment's observation {result.map_reliance[OBSERVATION]:.3f}"
    )


def what_differs(result: RunEvaluation) -> str:
    """Returns a sentence: for which interventions the difference's interval excludes 0."""
    differences = {e.player: e.difference for e in result.intervened if e.difference is not None}
    if any(difference.low is None for difference in differences.values()):
        return "one game has no interval: with more --episodes the differences can be judged"
    apart = [name for name, difference in differences.items() if difference.excludes_zero]
    alike = [name for name in differences if name not in apart]
    parts = [f"excludes 0 for {', '.join(apart)}"] if apart else []
    if alike:
        names = ", ".join(alike)
        parts.append(
            f"includes 0 for {names}: these games show no difference from the intact agent"
        )
    return f"the difference's interval {'; it '.join(parts)}"
