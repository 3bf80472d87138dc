"""`rl-abn`: finds the command, runs it, and turns mistakes into one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from rl_abn import __version__
from rl_abn.cli import bench, evaluate, export, imports, recipes, train, vision, watch
from rl_abn.cli.parser import Parser, parse
from rl_abn.process_memory import keep_freed_memory
from rl_abn.errors import RlAbnError, did_you_mean

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
    """Runs a command line and exits: 0 done, 2 a mistake in it, 130 interrupted.

    Args:
        arguments: The words after `rl-abn`; None takes those of this process.
    """
    # Before torch loads: threads that wait by spinning starve each other and the emulator's when
    # anything else runs on the machine (measured on two cores: 33 steps a second against 351).
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
        # The reader of a pipe left; Python would complain once more when it closes stdout.
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
