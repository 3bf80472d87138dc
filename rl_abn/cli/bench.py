"""`rl-abn bench`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rl_abn.cli.parser import Subparsers, add_device, add_env, add_json, add_settings, whole_number

if TYPE_CHECKING:
    from rl_abn.bench.contenders import Contender
    from rl_abn.bench.result import Result


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "bench",
        help="measure speed beside stable-baselines3",
        description="Measure emulators, stable-baselines3 and ours in turn, on this machine.",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="a row, a group, growth, or a pattern such as 'ppo_*'; may be repeated",
    )
    parser.add_argument("--list", action="store_true", help="list groups and rows, measure nothing")
    parser.add_argument(
        "--quick", action="store_true", help="one round of a few rows, 2 seconds each"
    )
    parser.add_argument(
        "--repeats", type=whole_number(1), metavar="N", help="rounds (default: 3; quick: 1)"
    )
    parser.add_argument(
        "--seconds",
        type=whole_number(1),
        metavar="S",
        help="seconds per measurement, at least (default: 10; quick: 2)",
    )
    add_env(parser, default="space_invaders")
    parser.add_argument(
        "--threads",
        type=whole_number(0),
        default=0,
        metavar="N",
        help="PyTorch's threads; 0 is PyTorch's default",
    )
    add_settings(parser)
    add_device(parser)
    add_json(parser, "all of it")
    parser.add_argument(
        "--from", type=Path, metavar="FILE", dest="source", help="show this result, measure nothing"
    )
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Takes or reads measurements and prints them."""
    if arguments.source is not None:
        from rl_abn.bench.result import Result

        _show(Result.read(arguments.source), as_markdown=arguments.markdown)
        return
    contenders = _contenders(arguments)
    if arguments.list:
        from rl_abn.bench.sheets import listing

        for line in listing(contenders):
            print(line)
        return
    result = _measure(arguments, contenders)
    _show(result, as_markdown=arguments.markdown)
    if arguments.json is not None:
        print(f"kept in {arguments.json}", file=sys.stderr)
    if result.interrupted:
        raise KeyboardInterrupt
    if all(measurement.measured is None for measurement in result.measurements):
        from rl_abn.errors import RlAbnError

        reason = result.measurements[0].failure
        raise RlAbnError(f"expected a row that can be measured, got none: {reason}")


def _contenders(arguments: argparse.Namespace) -> list[Contender]:
    from rl_abn.bench.contenders import Setting, all_contenders, select
    from rl_abn.compute.device import device_of
    from rl_abn.compute.processor import usable_cores
    from rl_abn.recipes import load_game, make_run_recipe
    from rl_abn.rl.envs.ale_vec_env import check_game

    setting = Setting(
        env=arguments.env,
        device=str(device_of(arguments.device)),
        torch_threads=arguments.threads,
        seconds=arguments.seconds or (2 if arguments.quick else 10),
        settings=tuple(arguments.settings),
        cores=usable_cores(),
    )
    check_game(load_game(setting.env).game)
    make_run_recipe(setting.env, "ppo_abn", 0, setting.settings)
    found = select(all_contenders(setting), arguments.only)
    if arguments.quick and not arguments.only:
        found = [contender for contender in found if contender.quick]
    return found


def _measure(arguments: argparse.Namespace, contenders: list[Contender]) -> Result:
    from rl_abn.bench.machine import describe_machine
    from rl_abn.bench.result import Result
    from rl_abn.bench.rounds import measure_in_turn
    from rl_abn.compute.device import device_of
    from rl_abn.progress import ProgressReport

    repeats = arguments.repeats or (1 if arguments.quick else 3)
    result = Result(
        machine=describe_machine(device_of(arguments.device)),
        repeats=repeats,
        contenders=tuple(contenders),
    )

    def save() -> None:
        if arguments.json is not None:
            result.write(arguments.json)

    save()  # fails now, not after the measurements, if the file cannot be written
    total = len(contenders) * repeats
    try:
        with ProgressReport("measuring", total, "measurements") as report:
            for measurement in measure_in_turn(contenders, repeats):
                so_far = (*result.measurements, measurement)
                result = result.model_copy(update={"measurements": so_far})
                save()
                found = measurement.measured
                sps = f"{found.sps:,.0f}" if found else measurement.failure
                report.update(len(so_far), last=measurement.row, SPS=sps)
    except KeyboardInterrupt:
        result = result.model_copy(update={"interrupted": True})
        save()
    return result


def _show(result: Result, *, as_markdown: bool) -> None:
    if as_markdown:
        from rl_abn.bench.sheets import markdown

        print(markdown(result))
        return
    from rich.console import Console

    from rl_abn.bench.sheets import sheets, summary_lines
    from rl_abn.cli.tables import sheet_table

    for line in summary_lines(result):
        print(line)
    console = Console(highlight=False)
    for sheet in sheets(result):
        console.print(sheet_table(sheet))
