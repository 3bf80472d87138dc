"""`rl-abn import mask-a3c`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rl_abn.cli.next_command import command
from rl_abn.cli.parser import (
    Subparsers,
    add_agent,
    add_env,
    add_import_folder,
    add_settings,
    whole_number,
)


def add(kinds: Subparsers) -> None:
    """Adds the subcommand."""
    parser = kinds.add_parser(
        "mask-a3c",
        help="weights published with Mask-Attention A3C",
        description="Make a run of a weight file published with Mask-Attention A3C (Itaya et al.\n"
        "2021). Only tensors are read; nothing in the file is run.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the weight file to read")
    add_env(parser)
    add_agent(parser, default="a2c_mask_a3c")
    parser.add_argument(
        "--steps",
        type=whole_number(0, 2**53 - 1),
        default=0,
        metavar="N",
        help="agent steps it was trained, for the record; the file does not say",
    )
    add_import_folder(parser, "mask-a3c")
    add_settings(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Imports and prints the run folder."""
    from rl_abn.rl.interchange.mask_a3c import import_mask_a3c

    run = import_mask_a3c(
        arguments.file,
        env=arguments.env,
        agent=arguments.agent,
        settings=arguments.settings,
        steps=arguments.steps,
        folder=arguments.out,
        on_exists=arguments.on_exists,
    )
    print(f"run folder: {command(run.path)}")
    print(f"next: {command('rl-abn', 'eval', run.path, '--greedy')}")
