"""`rl-abn sweep`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rl_abn.cli.next_command import command
from rl_abn.cli.parser import Subparsers, add_minutes, one_of, whole_number
from rl_abn.sweep import ENGINES

if TYPE_CHECKING:
    from rl_abn.sweep.drive import Outcome
    from rl_abn.sweep.plan import Plan

FAILED = 1  # exit code: all is through, and some of it failed
MORE_TO_DO = 75  # exit code: the time was up; the same command goes on


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "sweep",
        help="train games x agents x settings x seeds, and compare them",
        description="Train every game with every agent, arm and seed of a sweep's file. Ctrl-C "
        "saves;\nthe same command goes on. --report draws curves and tables of what is there.",
    )
    parser.add_argument(
        "path", type=Path, metavar="FILE", help="the sweep's TOML file; for --report its folder too"
    )
    parser.add_argument(
        "--engine",
        type=one_of(ENGINES),
        default="local",
        metavar="NAME",
        help="local, ray (pip install 'rl-abn[ray]') or slurm (pip install 'rl-abn[slurm]')",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="the sweep's folder (default: sweeps/FILE)"
    )
    parser.add_argument(
        "--workers",
        type=whole_number(1),
        metavar="N",
        help="trainings at a time (default: machine.workers, else as many as there are cores for)",
    )
    add_minutes(
        parser,
        f"stop after this time as by Ctrl-C; exit code {MORE_TO_DO} says that more is to do "
        "(default: when all is done)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="list what would be trained, and train nothing"
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="write curves, tables and comparisons of what is trained so far, and train nothing",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Trains a sweep, lists it or reports on it."""
    from rl_abn.sweep.engines.engine import check_installed
    from rl_abn.sweep.plan import find_plan, make_plan

    if arguments.report:
        _report(find_plan(arguments.path, arguments.out))
        return
    check_installed(arguments.engine)
    plan = make_plan(arguments.path, arguments.out)
    if arguments.dry_run:
        _list(plan)
        return
    _train(arguments, plan)


def _train(arguments: argparse.Namespace, plan: Plan) -> None:
    from rl_abn.sweep.board import Board
    from rl_abn.sweep.drive import drive
    from rl_abn.sweep.engines import make_engine

    print(f"sweep folder: {command(plan.out)}", flush=True)
    outcome = drive(
        plan,
        lambda: make_engine(arguments.engine, plan, arguments.workers),
        Board(plan.name, plan.units),
        60 * arguments.minutes,
    )
    _print_outcome(arguments, plan, outcome)


def _print_outcome(arguments: argparse.Namespace, plan: Plan, outcome: Outcome) -> None:
    print(f"{len(outcome.done)} of {len(plan.units)} done")
    for name, reason in outcome.failed.items():
        print(f"failed: {command(plan.out / name)}: {reason}")
    if outcome.time_up:
        print(
            f"{len(outcome.left)} left; the time is up and what was trained is saved. Go on with:"
        )
        print(command("rl-abn", *arguments.words))
        sys.exit(MORE_TO_DO)
    if outcome.goes_on:
        print("the jobs stay with the cluster; the same command watches them again:")
    if outcome.signal is not None:
        if not outcome.goes_on:
            print("stopped; what was trained is saved. Go on with:")
        print(command("rl-abn", *arguments.words))
        sys.exit(128 + outcome.signal)
    report = command("rl-abn", "sweep", "--report", plan.out)
    if outcome.failed or outcome.left:
        print(f"try again what is left: {command('rl-abn', *arguments.words)}")
        print(f"next: {report}")
        sys.exit(FAILED)
    print(f"next: {report}")


def _list(plan: Plan) -> None:
    from rl_abn.sweep.drive import check_done
    from rl_abn.sweep.status import WAITING, read_status

    settings: tuple[str, ...] = ()
    for unit in plan.units:
        if unit.settings != settings:
            settings = unit.settings
            print(f"with {command(*settings)}" if settings else "with the recipes as they are")
        found = read_status(plan.out / unit.name)
        state = "done" if check_done(plan, unit) else found.state
        said = "" if state == WAITING else f", {state} ({found.step:,} steps)"
        print(f"  {unit.name}: {unit.steps:,} steps{said}")
    steps = sum(unit.steps for unit in plan.units)
    print(f"{len(plan.units)} trainings, {steps:,} steps in all, in {command(plan.out)}")


def _report(plan: Plan) -> None:
    from rich.console import Console

    from rl_abn.sweep.report.report import make_report, write_report
    from rl_abn.sweep.report.tables import report_text

    report = make_report(plan)
    for file in write_report(report, plan.out / "report", report_text(report)):
        print(f"kept in {command(file)}", file=sys.stderr)
    print(report_text(report, Console().width), end="")
    if report.best is not None:
        print(f"next: {command('rl-abn', 'watch', plan.out / report.best)}")
