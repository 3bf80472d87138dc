"""The command line: parses, calls, prints; no logic of its own. One command a file."""

from rl_abn.cli.main import main

__all__ = ["main"]
