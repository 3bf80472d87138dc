"""`rl-abn import`: one module per kind of file."""

from __future__ import annotations

from rl_abn.cli import import_mask_a3c, import_sb3
from rl_abn.cli.parser import Subparsers

KINDS = (import_sb3, import_mask_a3c)


def add(commands: Subparsers) -> None:
    """Adds the command and its subcommands."""
    parser = commands.add_parser(
        "import",
        help="make a run of other people's weights",
        description="Make a run folder of weights that were trained elsewhere.",
    )
    kinds = parser.add_subparsers(title="kinds", metavar="KIND", required=True)
    for kind in KINDS:
        kind.add(kinds)
