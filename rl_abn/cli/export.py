"""`rl-abn export`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rl_abn.cli.next_command import command
from rl_abn.cli.parser import RUN_OR_SHIPPED, Subparsers, add_checkpoint, add_run, one_of
from rl_abn.errors import RlAbnError

if TYPE_CHECKING:
    from rl_abn.runs import Run


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "export",
        help="write an agent to hand on: a stable-baselines3 zip, or a folder with a card",
        description="Write a checkpoint as a zip that stable-baselines3 loads, or as a small run "
        "folder that every command takes:\nrecipe, weights in 16 bits, curves, evaluations, and a "
        "card that tells where the agent comes from and what it scores.",
    )
    add_run(parser, RUN_OR_SHIPPED)
    parser.add_argument(
        "file", type=Path, metavar="FILE.zip|FOLDER", help="the zip or the folder to write"
    )
    add_checkpoint(parser)
    parser.add_argument(
        "--notes",
        type=Path,
        metavar="FILE.md",
        help="of a folder: text for its card, such as weaknesses you know",
    )
    parser.add_argument(
        "--on-exists",
        type=one_of(("new", "overwrite")),
        metavar="WHAT",
        help="if a run is in the folder: make a new one beside it, or overwrite it (a zip is "
        "always replaced)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Exports and prints how to load what was written."""
    from rl_abn.runs import Run
    from rl_abn.runs.shipped import find_run

    run = Run.open(find_run(arguments.path))
    if arguments.file.suffix:
        if arguments.notes is not None:
            raise RlAbnError("expected a folder for --notes, whose card tells them, got a file")
        _export_zip(run, arguments)
    else:
        _export_folder(run, arguments)


def _export_zip(run: Run, arguments: argparse.Namespace) -> None:
    from rl_abn.rl.interchange.sb3_export import export_sb3

    checkpoint = export_sb3(run, arguments.file, arguments.checkpoint)
    algorithm = {"ppo": "AttentionPPO", "a2c": "AttentionA2C"}[run.recipe.agent.algorithm.name]
    print(f"{command(arguments.file)}: {checkpoint.step:,} steps trained")
    print(
        f"next: from rl_abn.rl import {algorithm}; {algorithm}.load({str(arguments.file)!r}) "
        "in Python"
    )


def _export_folder(run: Run, arguments: argparse.Namespace) -> None:
    from rl_abn.rl.interchange.folder_export import export_folder

    notes = "" if arguments.notes is None else _notes_in(arguments.notes)
    checkpoint = export_folder(
        run,
        arguments.file,
        arguments.checkpoint,
        on_exists=arguments.on_exists,
        notes=notes,
    )
    folder = checkpoint.path.parents[1]
    n_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{command(folder)}: {checkpoint.step:,} steps trained, {n_bytes / 1e6:.1f} MB")
    print(f"next: {command('rl-abn', 'watch', folder)}")


def _notes_in(path: Path) -> str:
    from rl_abn.files.text import brief, read_text

    try:
        return read_text(path)
    except (OSError, ValueError) as error:
        raise RlAbnError(f"{path}: expected a text file with notes, got {brief(error)}") from None
