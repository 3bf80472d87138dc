"""Printed commands can be typed again, and control no terminal."""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rl_abn.cli.next_command import begin_again, command

NAMES = ["plain", "a b", "it's", "$HOME", "é", "a\x1b[2Jb", "new\nline", "back\\slash\t", "\udcff"]


@pytest.mark.parametrize("name", NAMES)
def test_a_shell_reads_the_words_back(name: str) -> None:
    line = command("printf", "%s", name)
    assert line.isprintable()
    result = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    assert result.stdout == os.fsencode(name)


@pytest.mark.parametrize(
    ("on_exists", "more"),
    [(None, "--on-exists resume"), ("overwrite", ""), ("new", "--out 'b c' --on-exists resume")],
)
def test_a_training_is_begun_again_in_its_folder(on_exists: str | None, more: str) -> None:
    words = ["train", "--out", "a b"]
    arguments = argparse.Namespace(words=words, on_exists=on_exists)
    said = begin_again(arguments, Path("b c"))
    assert said == f"rl-abn train --out 'a b' {more}".strip()


def test_an_error_controls_no_terminal(rl_abn: Callable[..., Any]) -> None:
    result = rl_abn("eval", "no\x1b[2Jrun")
    assert result.code == 2
    assert result.err.removesuffix("\n").isprintable()
