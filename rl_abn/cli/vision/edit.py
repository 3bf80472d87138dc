"""`rl-abn vision edit`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rl_abn.cli.next_command import command
from rl_abn.cli.parser import (
    Subparsers,
    add_data,
    add_device,
    add_epoch,
    add_run,
    add_seed,
    add_settings,
    number,
    one_of,
    whole_number,
)

if TYPE_CHECKING:
    from rl_abn.vision.training.build import VisionRun

_DESCRIPTION = """\
Fine-tune a network so that it looks where you say, into a new run folder.

  rl-abn vision edit RUN --list            writes pictures, their maps and an edits.toml to fill
  rl-abn vision edit RUN --edits FOLDER    fine-tunes both branches to the edited maps"""


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "edit", help="fine-tune a network to maps that you edit", description=_DESCRIPTION
    )
    add_run(parser)
    parser.add_argument(
        "--edits", type=Path, metavar="FOLDER", help="edits.toml and what it names; or a .zip"
    )
    parser.add_argument(
        "--list",
        type=whole_number(1, 1_000),
        nargs="?",
        const=12,
        metavar="N",
        dest="examples",
        help="write N pictures (12 if not said) to begin with, half of them wrong ones",
    )
    parser.add_argument(
        "--gamma",
        type=number(0.0),
        metavar="G",
        help="weight of the distance to the edited maps (default: the recipe's edit.gamma)",
    )
    parser.add_argument(
        "--epochs",
        type=whole_number(1, 1_000_000),
        metavar="N",
        help="passes over the training pictures (default: the recipe's edit.epochs)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="new run folder (default: RUN-edited); with --list the folder to edit in (RUN/edits)",
    )
    parser.add_argument(
        "--on-exists",
        type=one_of(("new", "overwrite")),
        metavar="WHAT",
        help="if the folder exists: make a new one beside it, or overwrite it",
    )
    add_data(parser)
    add_epoch(parser)
    add_settings(parser)
    add_seed(parser, "the fine-tuning, or of what --list draws")
    add_device(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Fine-tunes and prints the table, or writes what there is to edit."""
    from rl_abn.recipes import VisionRunRecipe
    from rl_abn.runs import Run
    from rl_abn.vision.training.build import refuse_detector

    _check(arguments)
    run = Run.open(arguments.path, VisionRunRecipe)
    refuse_detector(run)
    if arguments.edits is None:
        _list(arguments, run)
    else:
        _edit(arguments, run)


def _check(arguments: argparse.Namespace) -> None:
    from rl_abn.errors import RlAbnError

    if (arguments.edits is None) == (arguments.examples is None):
        got = "neither" if arguments.edits is None else "both"
        raise RlAbnError(f"expected --edits FOLDER, or --list for pictures to edit, got {got}")
    tuning = arguments.gamma is not None or arguments.epochs is not None or arguments.settings
    if arguments.edits is None and tuning:
        raise RlAbnError("expected --gamma, --epochs and --set with --edits, got --list")
    if arguments.edits is None and arguments.on_exists == "overwrite":
        raise RlAbnError(
            "expected --on-exists new with --list, got overwrite: somebody's edits may lie there"
        )


def _list(arguments: argparse.Namespace, run: VisionRun) -> None:
    from rl_abn.progress import ProgressReport
    from rl_abn.vision.training.edit_examples import write_examples

    with ProgressReport("looking", None, "pictures") as report:
        begun = write_examples(
            run,
            arguments.examples,
            data=arguments.data,
            folder=arguments.out,
            new=arguments.on_exists == "new",
            step=arguments.checkpoint,
            seed=arguments.seed,
            device=arguments.device,
            report=report,
        )
    for i, name in enumerate(begun.names):
        print(f"  pictures/{i:05}.png  {name}")
    toml = command(begun.folder / "edits.toml")
    print(f"{len(begun.names):,} pictures and their maps; edit {toml}")
    words = ["edit", str(arguments.path), "--edits", str(begun.folder)]
    # Without these it would tune another epoch's network, or look for the pictures elsewhere.
    if arguments.data is not None:
        words += ["--data", str(arguments.data)]
    if arguments.checkpoint is not None:
        words += ["--checkpoint", str(arguments.checkpoint)]
    print(f"next: {command('rl-abn', 'vision', *words)}")


def _edit(arguments: argparse.Namespace, run: VisionRun) -> None:
    from rich.console import Console

    from rl_abn.cli.vision.edit_table import edit_table
    from rl_abn.progress import ProgressReport
    from rl_abn.vision.training.edit_run import edit_run, edit_table_of

    settings = list(arguments.settings)
    if arguments.gamma is not None:
        settings.append(f"edit.gamma={arguments.gamma}")
    if arguments.epochs is not None:
        settings.append(f"edit.epochs={arguments.epochs}")
    epochs = edit_table_of(run, settings).epochs
    with ProgressReport("fine-tuning", epochs, "epochs") as report:
        edited = edit_run(
            run,
            arguments.edits,
            settings=settings,
            data=arguments.data,
            folder=arguments.out,
            on_exists=arguments.on_exists,
            step=arguments.checkpoint,
            seed=arguments.seed,
            device=arguments.device,
            report=report,
        )
    written = edited.keep()  # before anything is printed: nobody may be reading
    Console(highlight=False).print(edit_table(edited))
    print(f"kept in {command(written)}")
    print(f"run folder: {command(edited.run.path)}")
    print(f"next: {command('rl-abn', 'vision', 'record', edited.run.path)}")
