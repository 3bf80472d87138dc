"""The command line, one file per command: it parses, calls and prints, without logic of its own."""

from rl_abn.cli.main import main

__all__ = ["main"]
