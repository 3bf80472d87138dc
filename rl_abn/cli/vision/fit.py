"""`rl-abn vision fit`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rl_abn.cli.next_command import command
from rl_abn.cli.parser import (
    Subparsers,
    add_device,
    add_interventions,
    add_look,
    add_out,
    add_quick,
    add_seed,
    add_settings,
    whole_number,
)

if TYPE_CHECKING:
    from rl_abn.explain.written import Written
    from rl_abn.vision.driving.closed_loop import ClosedLoop
    from rl_abn.vision.driving.fit.drives import Drives
    from rl_abn.vision.driving.fit.networks import Fitted
    from rl_abn.vision.driving.fit.report import Report
    from rl_abn.vision.driving.fit.request import FitRequest

_MOST_TRACKS = 1000

_DESCRIPTION = """\
Train a network to drive, let it drive tracks it has never seen, test its map, and write one page.

Without --data the expert drives CarRacing-v3 first, and its log is what is learned. With the log of
another vehicle nothing is driven: the page has errors on held-out frames and the explanation.
What is finished is kept: the same command goes on after a Ctrl-C."""


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "fit", help="train a driver, let it drive and write one report", description=_DESCRIPTION
    )
    parser.add_argument(
        "--agent",
        required=True,
        metavar="RECIPE",
        help="network: a name of 'rl-abn recipes vision', or a path",
    )
    parser.add_argument(
        "--env",
        default="car_racing",
        metavar="RECIPE",
        help="kind of driving log: a name of 'rl-abn recipes vision', or a path",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="driving log: a folder, a .zip or a .csv (default: the expert's, which is recorded)",
    )
    parser.add_argument(
        "--beside",
        nargs="+",
        action="extend",
        default=[],
        metavar="RECIPE",
        help="train these networks on the same log, such as the no-attention baseline, and let "
        "them drive the same tracks",
    )
    parser.add_argument(
        "--epochs",
        type=whole_number(1),
        metavar="N",
        help="passes over the log (default: the recipe's train.epochs, quick: at most 6)",
    )
    parser.add_argument(
        "--tracks",
        type=whole_number(1, _MOST_TRACKS),
        metavar="N",
        help="tracks that are driven (default: 20, quick: 3)",
    )
    parser.add_argument(
        "--log-tracks",
        type=whole_number(1, _MOST_TRACKS),
        metavar="N",
        help="tracks that the expert is recorded on (default: 50, quick: 12)",
    )
    add_interventions(
        parser,
        "let the network drive with changed maps too (default, where it has maps: uniform, "
        "shuffled and zero, quick: uniform)",
    )
    parser.add_argument(
        "--max-steps",
        type=whole_number(1),
        metavar="N",
        help="end drives after N steps, 50 a second (default: 1000; the expert's log: 1500)",
    )
    add_look(parser, "in the expert's log and in the drives")
    add_quick(parser, "a short log, few epochs and few tracks: a first look")
    add_out(
        parser,
        "folder of it all (default: runs/ENV/AGENT/fit-seed-S, with -quick and -LOOK behind it)",
    )
    add_seed(parser, "everything random")
    add_settings(parser)
    add_device(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Takes every step that is not done yet, and names the page."""
    from rl_abn.runs.holding import held
    from rl_abn.vision.driving.carracing.looks import PLAIN
    from rl_abn.vision.driving.fit.folder import take_folder
    from rl_abn.vision.driving.fit.request import make_request

    request = make_request(
        env=arguments.env,
        agents=[arguments.agent, *arguments.beside],
        seed=arguments.seed,
        data=arguments.data,
        settings=arguments.settings,
        log_tracks=arguments.log_tracks,
        tracks=arguments.tracks,
        interventions=arguments.interventions,
        epochs=arguments.epochs,
        max_steps=arguments.max_steps,
        quick=arguments.quick,
        look=arguments.look,
        folder=arguments.out,
        device=arguments.device,
    )
    _check_can_begin(request)
    go_on = f"everything finished is kept. Go on with:\n{command('rl-abn', *arguments.words)}"
    goes_on = take_folder(request)
    try:
        with held(request.folder):  # two at once would write one log
            where = "going on in" if goes_on else "folder"
            print(f"{where}: {command(request.folder)}", flush=True)
            report = _fit(request)
    except KeyboardInterrupt:
        print(f"stopped; {go_on}")
        raise
    print(f"numbers: {command(report.data)}")
    print(f"page: {command(report.page)}")
    run = str(request.run_folder(request.names[0]))
    look = [] if request.look == PLAIN else ["--look", request.look]
    drive = ["drive", run, "--tracks", "1", *look, "--video", "drive.mp4"]
    print(f"next: {command('rl-abn', 'vision', *(drive if report.driven else ['record', run]))}")


def _check_can_begin(request: FitRequest) -> None:
    """Says what is missing before a folder is made."""
    from rl_abn.vision.data.driving import list_driving_log
    from rl_abn.vision.driving.carracing.simulator import Simulator
    from rl_abn.vision.driving.fit.log import has_log

    if request.data is not None:
        list_driving_log(request.data)
    elif not has_log(request):
        Simulator()


def _fit(request: FitRequest) -> Report:
    from rl_abn.errors import RlAbnError, warn
    from rl_abn.files.parts import Parts
    from rl_abn.vision.driving.closed_loop import what_was_learned
    from rl_abn.vision.driving.fit.drives import Drives
    from rl_abn.vision.driving.fit.frames import driven_frames, held_out_frames
    from rl_abn.vision.driving.fit.held_out import held_out_scores
    from rl_abn.vision.driving.fit.report import Found, write_report
    from rl_abn.vision.driving.fit.request import PARTS

    _record(request)
    networks = [_train(request, number) for number in range(len(request.agents))]
    parts = Parts(request.folder / PARTS, {"seed": request.seed})
    held_out = held_out_scores(parts, networks, request.device)
    result, shown, why_not, notes = None, None, "", []
    try:
        drives = Drives(request, networks, parts)
    except RlAbnError as error:
        why_not = str(error)
        warn(f"nothing is driven: {why_not}")
    else:
        notes = [said for f in networks if (said := what_was_learned(f.run, drives.tracks))]
        for note in notes:
            warn(note)
        result = _drive(drives)
        shown = driven_frames(parts, drives, networks[0])
    found = Found(
        networks=networks,
        held_out=held_out,
        drives=result,
        why_not=why_not,
        notes=notes,
        explanation=_explain(request, networks[0]),
        log_frames=held_out_frames(parts, networks[0]),
        drive_frames=shown,
    )
    return write_report(request, found)


def _record(request: FitRequest) -> None:
    from rl_abn.progress import ProgressReport
    from rl_abn.vision.driving.fit.log import has_log, record

    if not has_log(request):
        with ProgressReport("recording the expert", request.log_tracks, "tracks") as report:
            record(request, report)
    print(f"log: {command(request.log)}", flush=True)


def _train(request: FitRequest, number: int) -> Fitted:
    from rl_abn.errors import warn
    from rl_abn.progress import ProgressReport
    from rl_abn.stop_signal import Ended
    from rl_abn.vision.driving.fit.networks import fitted, prepare
    from rl_abn.vision.training.prepare import n_batches
    from rl_abn.vision.training.train import train

    run, data, resume = prepare(request, number)
    for note in data.notes:
        warn(note)
    total, epochs = n_batches(run, data), run.recipe.agent.train.epochs
    done = run.checkpoints[-1].step if resume and run.checkpoints else 0
    label = f"training {run.recipe.agent_name}"
    with ProgressReport(label, total, "batches", start=total // epochs * done) as report:
        outcome = train(run, data, resume=resume, device=request.device, report=report)
    if outcome.signal is not None and outcome.step < epochs:
        raise Ended(outcome.signal)
    print(f"{run.recipe.agent_name}: {command(run.path)}, epoch {outcome.step:,}", flush=True)
    return fitted(request, run)


def _drive(drives: Drives) -> ClosedLoop:
    from rich.console import Console

    from rl_abn.cli.vision.drive_table import captions_of, drive_tables
    from rl_abn.progress import ProgressReport

    with ProgressReport("driving", drives.n_drives, "drives", start=drives.n_kept) as report:
        result = drives.drive(report)
    if result.interrupted:
        raise KeyboardInterrupt
    console = Console(highlight=False)
    console.print(*drive_tables(result, console), sep="")
    console.print(*captions_of(result), sep="\n", markup=False)
    return result


def _explain(request: FitRequest, first: Fitted) -> Written:
    from rl_abn.explain.work import SHARES
    from rl_abn.progress import ProgressReport
    from rl_abn.vision.evaluation.explanation import explain_network
    from rl_abn.vision.evaluation.explanation_extent import QUICK_EXTENT

    with ProgressReport("explaining", SHARES, "of the work") as report:
        written = explain_network(
            first.run,
            QUICK_EXTENT,
            data=first.log,
            seed=request.seed,
            device=request.device,
            report=report,
        )
    print(written.explanation.certificate, flush=True)
    return written
