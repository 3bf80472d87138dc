"""The commands of `rl-abn`, by name."""

from __future__ import annotations

from collections.abc import Sequence

from rl_abn import __version__
from rl_abn.cli import (
    bench,
    campaign,
    compare,
    evaluate,
    explain,
    export,
    imports,
    recipes,
    record,
    sweep,
    train,
    view,
    vision,
    watch,
)
from rl_abn.cli.parser import Parser, parse
from rl_abn.errors import RlAbnError, did_you_mean

COMMANDS = {
    "train": train,
    "eval": evaluate,
    "record": record,
    "watch": watch,
    "view": view,
    "explain": explain,
    "compare": compare,
    "export": export,
    "import": imports,
    "recipes": recipes,
    "bench": bench,
    "sweep": sweep,
    "campaign": campaign,
    "vision": vision,
}


def run_command(words: Sequence[str]) -> None:
    """Finds a command and runs it.

    Raises:
        RlAbnError: If the command line or what it asks for is wrong.
    """
    namespace = parse(make_parser(words), words)
    namespace.words = list(words)
    namespace.run(namespace)


def make_parser(words: Sequence[str]) -> Parser:
    """Makes the parser of all commands.

    Raises:
        RlAbnError: If the first word is a command that does not exist.
    """
    parser = Parser(
        prog="rl-abn",
        description="Train Atari agents that show where they look.",
        epilog="Start here: rl-abn train --env space_invaders --agent ppo_abn --steps 200000",
    )
    parser.add_argument("--version", action="version", version=f"rl-abn {__version__}")
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        raise RlAbnError(f"unknown command '{words[0]}': {did_you_mean(words[0], COMMANDS)}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in COMMANDS.values():
        module.add(commands)
    return parser
