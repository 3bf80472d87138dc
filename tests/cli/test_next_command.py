"""Printed commands can be typed again, and control no terminal."""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rl_abn.cli.next_command import command, go_on

NAMES = ["plain", "a b", "it's", "$HOME", "é", "a\x1b[2Jb", "new\nline", "back\\slash\t", "\udcff"]


@pytest.mark.parametrize("name", NAMES)
def test_a_shell_reads_the_words_back(name: str) -> None:
    line = command("printf", "%s", name)
    assert line.isprintable()
    result = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    assert result.stdout == os.fsencode(name)


@pytest.mark.parametrize(
    ("on_exists", "saved", "more"),
    [
        (None, True, "--on-exists resume"),
        (None, False, "--on-exists resume"),
        ("overwrite", True, "--on-exists resume"),
        ("overwrite", False, ""),  # the older run was put back
        ("new", True, "--out 'b c' --on-exists resume"),
        ("new", False, "--out 'b c' --on-exists resume"),
        ("resume", True, ""),
        ("resume", False, ""),
    ],
)
def test_a_training_goes_on_in_its_folder(on_exists: str | None, saved: bool, more: str) -> None:
    words = ["train", "--out", "a b", "--device", "cuda:1"]
    arguments = argparse.Namespace(words=words, on_exists=on_exists)
    said = go_on(arguments, Path("b c"), saved=saved)
    assert said == f"rl-abn train --out 'a b' --device cuda:1 {more}".strip()


def test_an_error_controls_no_terminal(rl_abn: Callable[..., Any]) -> None:
    result = rl_abn("eval", "no\x1b[2Jrun")
    assert result.code == 2
    assert result.err.removesuffix("\n").isprintable()
