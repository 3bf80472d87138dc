import sys
from types import ModuleType

import pytest

from rl_abn.errors import RlAbnError
from rl_abn.recipes import make_run_recipe
from rl_abn.runs import Run
from rl_abn.runs.wandb_sync import wandb_sync


class Session:
    exit_code = None

    def finish(self, exit_code):
        self.exit_code = exit_code


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path, make_run_recipe("pong", "ppo_abn_paper", 3))


@pytest.fixture
def wandb(monkeypatch):
    """A stand-in for the package: what it was told, and the session it began."""
    module = ModuleType("wandb")
    module.__spec__ = sys.__spec__
    module.told, module.session = [], Session()

    def init(**kwargs):
        module.told.append(kwargs)
        return module.session

    module.init = init
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def test_it_syncs_tensorboard_and_ends_with_the_training(run, wandb):
    with wandb_sync(run, "maps"):
        assert wandb.session.exit_code is None
    (told,) = wandb.told
    assert (told["project"], told["name"]) == ("maps", "pong/ppo_abn_paper/seed-3")
    assert told["sync_tensorboard"] is True
    assert told["config"]["agent"]["algorithm"]["name"] == "ppo"
    assert wandb.session.exit_code == 0


def test_a_failed_training_is_a_failed_run(run, wandb):
    with pytest.raises(KeyError), wandb_sync(run, "maps"):
        raise KeyError
    assert wandb.session.exit_code == 1


def test_nothing_is_sent_unasked(run, wandb):
    with wandb_sync(run, None):
        pass
    assert wandb.told == []


def test_what_wandb_refuses_is_one_line(run, wandb, monkeypatch):
    def refuse(**kwargs):
        raise ConnectionError("no API key\nconfigured")

    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(RlAbnError, match=r"--wandb: expected a W&B run, got no API key$"):
        wandb_sync(run, "maps").__enter__()
