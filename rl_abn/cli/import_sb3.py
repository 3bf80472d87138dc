"""`rl-abn import sb3`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rl_abn.cli.next_command import command
from rl_abn.cli.parser import Subparsers, add_agent, add_env, add_import_folder, add_settings
from rl_abn.errors import RlAbnError


def add(kinds: Subparsers) -> None:
    """Adds the subcommand."""
    parser = kinds.add_parser(
        "sb3",
        help="a stable-baselines3 zip",
        description="Make a run of a stable-baselines3 zip: one of 'rl-abn export', or a plain\n"
        "PPO or A2C CnnPolicy as rl-baselines3-zoo has them.",
    )
    parser.add_argument("file", type=Path, metavar="FILE.zip", help="the zip to read")
    add_env(parser)
    add_agent(parser)
    parser.add_argument(
        "--trust-pickle",
        action="store_true",
        help="say that you trust the zip's author: its format is pickle",
    )
    add_import_folder(parser, "sb3")
    add_settings(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Imports and prints the run folder.

    Raises:
        RlAbnError: Without --trust-pickle.
    """
    if not arguments.trust_pickle:
        raise RlAbnError(
            f"expected --trust-pickle for '{arguments.file}', got none: a stable-baselines3 zip "
            "holds pickles, and loading a pickle can run its author's code; only tensors are "
            "read here, yet import nothing from a stranger"
        )
    from rl_abn.rl.interchange.sb3_import import import_sb3

    run = import_sb3(
        arguments.file,
        env=arguments.env,
        agent=arguments.agent,
        settings=arguments.settings,
        folder=arguments.out,
        on_exists=arguments.on_exists,
    )
    print(f"run folder: {command(run.path)}")
    print(f"next: {command('rl-abn', 'eval', run.path)}")
