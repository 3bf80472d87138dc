"""`rl-abn export`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rl_abn.cli.next_command import command
from rl_abn.cli.parser import Subparsers, add_checkpoint, add_run


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "export",
        help="write a stable-baselines3 zip",
        description="Write a checkpoint as a zip that stable-baselines3 loads.",
    )
    add_run(parser)
    parser.add_argument("file", type=Path, metavar="FILE.zip", help="the zip to write")
    add_checkpoint(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Exports and prints how to load the zip."""
    from rl_abn.rl.interchange.sb3_export import export_sb3
    from rl_abn.runs import Run

    run = Run.open(arguments.path)
    checkpoint = export_sb3(run, arguments.file, arguments.checkpoint)
    algorithm = {"ppo": "AttentionPPO", "a2c": "AttentionA2C"}[run.recipe.agent.algorithm.name]
    print(f"{command(arguments.file)}: {checkpoint.step:,} steps trained")
    print(
        f"next: from rl_abn.rl import {algorithm}; {algorithm}.load({str(arguments.file)!r}) "
        "in Python"
    )
