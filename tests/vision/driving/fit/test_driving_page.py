"""The commands of docs/driving.md run, made small, on a car that needs no Box2D."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.vision.tiny_sets import write_drive

PAGE = Path(__file__).parents[4] / "docs" / "driving.md"
FEW = ("--set", "folds.margin=0", "--set", "train.n_probes=0", "--epochs", "1")
# What makes each of the page's commands small; the last of an option counts.
SMALLER = {
    "drive expert": ("--tracks", "2", "--max-steps", "50"),
    "drive": ("--tracks", "1", "--max-steps", "4"),
    "train": FEW,
    "fit": (*FEW, "--tracks", "1", "--log-tracks", "2", "--max-steps", "50"),
}


def page_commands() -> list[list[str]]:
    """Those above what was measured, whose networks are not all trained on the page."""
    text = PAGE.read_text("utf-8").partition("## Measured")[0]
    blocks = re.findall(r"```sh\n(.*?)```", text, re.S)
    return [shlex.split(line)[2:] for block in blocks for line in block.splitlines()]


@pytest.mark.more
@pytest.mark.usefixtures("car", "explained")
def test_the_pages_commands_run(vision: Callable[..., Any], tmp_path: Path) -> None:
    write_drive(tmp_path / "track.zip", n=20)  # a folder is read as an archive is
    commands = page_commands()
    assert len(commands) == 9
    for words in commands:
        kind = next(kind for kind in SMALLER if " ".join(words).startswith(kind))
        rows = ("--set", "pictures.rows=[0,64]") if "track.zip" in words else ()
        result = vision(*words, *SMALLER[kind], *rows)
        assert result.code == 0, result.err
        assert result.out.splitlines()[-1].startswith("next: rl-abn vision ")
    runs = Path("runs")
    assert (runs / "car_racing" / "driving_abn" / "fit-seed-0" / "report.html").is_file()
    assert (runs / "driving_log" / "driving_abn" / "fit-seed-0" / "report.html").is_file()
    assert Path("drive.mp4").is_file()
