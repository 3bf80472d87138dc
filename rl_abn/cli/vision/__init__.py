"""`rl-abn vision`: one command of the vision track a module."""

from __future__ import annotations

from rl_abn.cli.parser import Subparsers
from rl_abn.cli.vision import drive as vision_drive
from rl_abn.cli.vision import edit as vision_edit
from rl_abn.cli.vision import eval as vision_eval
from rl_abn.cli.vision import explain as vision_explain
from rl_abn.cli.vision import fit as vision_fit
from rl_abn.cli.vision import record as vision_record
from rl_abn.cli.vision import shapes as vision_shapes
from rl_abn.cli.vision import train as vision_train
from rl_abn.cli.vision import translate as vision_translate

COMMANDS = (
    vision_train,
    vision_eval,
    vision_drive,
    vision_fit,
    vision_record,
    vision_edit,
    vision_explain,
    vision_shapes,
    vision_translate,
)


def add(commands: Subparsers) -> None:
    """Adds the command and what it can do."""
    parser = commands.add_parser(
        "vision",
        help="train networks that classify pictures, find objects and drive",
        description="Networks that classify pictures, find objects and drive, and show where they "
        "look.",
    )
    of_vision = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(of_vision)
