"""`rl-abn campaign`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rl_abn.cli.next_command import command
from rl_abn.cli.parser import Subparsers, add_minutes, number, whole_number
from rl_abn.cli.sweep import FAILED, MORE_TO_DO
from rl_abn.errors import RlAbnError

if TYPE_CHECKING:
    from rl_abn.campaign.campaign import Campaign, Done


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "campaign",
        help="measure, train, evaluate and pack, in pieces of any time",
        description="Do what a campaign's file asks for: measure speed, check that rollout and "
        "update agree, train\nsweeps, evaluate, export. The same command goes on where it "
        f"stopped. Exit code 0 is all done,\n{MORE_TO_DO} more to do, 1 done but for what failed.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the campaign's TOML file")
    add_minutes(parser, "stop after this time with everything saved (default: when all is done)")
    parser.add_argument(
        "--work",
        type=Path,
        metavar="DIR",
        help="the campaign's folder (default: runs/NAME, or runs/NAME-rehearsal)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where it is packed, for another machine to go on; unpacked from there where the "
        "campaign's folder is new (default: beside it, -pack)",
    )
    parser.add_argument(
        "--pack-mb",
        type=number(1),
        default=2000.0,
        metavar="N",
        help="limit of the pack in MB; results and finished agents come first, then what is "
        "farthest trained",
    )
    parser.add_argument(
        "--device", metavar="NAME", help="auto, cpu, cuda or cuda:N (default: the campaign's)"
    )
    parser.add_argument(
        "--workers",
        type=whole_number(1),
        metavar="N",
        help="trainings at a time (default: machine.workers of the sweep, else as the cores allow)",
    )
    parser.add_argument(
        "--rehearse",
        action="store_true",
        help="try all of it out, tiny: one seed, 2,048 steps a training, two games of 50 steps "
        "an evaluation",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Works on a campaign, and says what is done and what is next."""
    from rl_abn.campaign.campaign import Campaign
    from rl_abn.campaign.pack import unpack
    from rl_abn.campaign.recipe import read_campaign

    recipe = read_campaign(arguments.file)
    name = arguments.file.stem + ("-rehearsal" if arguments.rehearse else "")
    work = arguments.work or Path("runs", name)
    out = arguments.out or work.with_name(f"{work.name}-pack")
    device = arguments.device or ("auto" if arguments.rehearse else recipe.device)
    _check_gpu(device, arguments)
    campaign = Campaign(
        arguments.file,
        recipe,
        work,
        device=device,
        workers=arguments.workers,
        rehearse=arguments.rehearse,
    )
    for file, table in campaign.benches.items():
        _check_rows(file, table, device)
    if unpack(out, work):
        print(f"going on from the pack in {command(out)}")
    print(f"campaign folder: {command(work)}", flush=True)
    done = campaign.run(out, 60 * arguments.minutes, arguments.pack_mb)
    _print(campaign, done, out, arguments)


def _check_gpu(device: str, arguments: argparse.Namespace) -> None:
    from rl_abn.compute.device import device_of

    try:
        device_of(device)
    except RlAbnError as error:
        if arguments.device is not None:
            raise
        raise RlAbnError(
            f"{arguments.file}: {error}; --rehearse tries all of it out in minutes, and "
            "--device cpu does it without a GPU, which takes weeks"
        ) from None


def _check_rows(file: Path, table: object, device: str) -> None:
    from rl_abn.campaign.measurements import rows_of
    from rl_abn.campaign.recipe import BenchTable

    assert isinstance(table, BenchTable)
    try:
        rows_of(table, device)
    except RlAbnError as error:
        raise RlAbnError(f"{file.stem}: {error}") from None


def _print(campaign: Campaign, done: Done, out: Path, arguments: argparse.Namespace) -> None:
    from rl_abn.progress import eta

    for piece in done.pieces:
        print(f"{piece.name}: {piece.done} of {piece.total} done")
    for name, reason in done.failed.items():
        print(f"failed: {name}: {reason}")
    packed = done.packed
    print(f"packed: {packed.size / 1e6:.1f} MB in {len(packed.files)} files in {command(out)}")
    if packed.left_out:
        print(f"left out, no room (--pack-mb): {', '.join(packed.left_out)}")
    agents = command(campaign.work / "agents")
    if done.is_all:
        print(f"all done; reports are in {command(campaign.work / 'reports')}, agents in {agents}")
        if done.failed:
            sys.exit(FAILED)
        return
    left = next(piece for piece in done.pieces if piece.done < piece.total)
    line = f"more to do: next {left.name}; {done.steps_left:,} steps to train"
    if done.sps is not None and done.steps_left:
        line += f", {eta(done.steps_left / done.sps)} at {done.sps:,.0f} SPS"
    print(line)
    if done.signal is not None:
        print("stopped; what was done is saved. Go on with:")
    print(command("rl-abn", *arguments.words))
    if done.signal is not None:
        sys.exit(128 + done.signal)
    sys.exit(FAILED if done.failed and not done.time_up else MORE_TO_DO)
