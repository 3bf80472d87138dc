"""`rl-abn`: finds the command, runs it, and prints a user's mistake as one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from rl_abn import __version__
from rl_abn.cli import bench, evaluate, export, imports, recipes, train, vision, watch
from rl_abn.cli.parser import Parser, parse
from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.process_memory import keep_freed_memory

COMMANDS = {
    "train": train,
    "eval": evaluate,
    "watch": watch,
    "export": export,
    "import": imports,
    "recipes": recipes,
    "bench": bench,
    "vision": vision,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command line and exits: 0 done, 2 a user's mistake, 130 interrupted."""
    # Before torch loads: OpenMP threads that wait by spinning take the cores from each other and
    # from the emulators when anything else runs on the machine (33 steps/s instead of 351,
    # measured on two cores).
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    keep_freed_memory()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        namespace = parse(_parser(words), words)
        namespace.run(namespace)
        sys.stdout.flush()
    except RlAbnError as error:
        print(f"rl-abn: error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("rl-abn: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The pipe's reader has gone; without this Python prints another error at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _parser(words: Sequence[str]) -> Parser:
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
