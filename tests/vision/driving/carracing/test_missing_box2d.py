"""Without Box2D there is one line that says what to install."""

from __future__ import annotations

import sys

import pytest

from rl_abn.errors import RlAbnError
from rl_abn.vision.driving.carracing.drive import drive
from rl_abn.vision.driving.carracing.expert import Expert
from rl_abn.vision.driving.carracing.recording import record_log


@pytest.fixture
def _no_box2d(monkeypatch):
    for name in list(sys.modules):
        if name.startswith(("gymnasium.envs.box2d", "rl_abn.vision.driving.carracing.engine")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "Box2D", None)


@pytest.mark.usefixtures("_no_box2d")
def test_the_extra_is_named(tmp_path):
    for call in (lambda: drive(Expert(), [0]), lambda: record_log(tmp_path / "log", [0])):
        with pytest.raises(RlAbnError) as error:
            call()
        assert "pip install 'rl-abn[driving]'" in str(error.value)
        assert "\n" not in str(error.value)
    assert not (tmp_path / "log").exists()
