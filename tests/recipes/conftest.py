from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rl_abn.errors import RlAbnError
from rl_abn.recipes import recipe_path

Changed = Callable[[str, str], Path]
Complaint = Callable[[Callable[[], object]], str]


@pytest.fixture
def complaint() -> Complaint:
    """Calls what has to be refused; returns the message, which has to be one line."""

    def call(mistake: Callable[[], object]) -> str:
        with pytest.raises(RlAbnError) as caught:
            mistake()
        message = str(caught.value)
        assert len(message.splitlines()) == 1
        assert "Traceback" not in message
        assert "pydantic" not in message
        return message

    return call


def changed(original: Path, copy: Path) -> Changed:
    text = original.read_text("utf-8")

    def write(old: str, new: str) -> Path:
        assert old in text
        copy.write_text(text.replace(old, new, 1), "utf-8")
        return copy

    return write


@pytest.fixture
def agent_with(tmp_path: Path) -> Changed:
    """Writes ppo_abn_paper with one place changed."""
    return changed(recipe_path("agents", "ppo_abn_paper"), tmp_path / "agent.toml")


@pytest.fixture
def env_with(tmp_path: Path) -> Changed:
    """Writes space_invaders with one place changed."""
    return changed(recipe_path("envs", "space_invaders"), tmp_path / "env.toml")
