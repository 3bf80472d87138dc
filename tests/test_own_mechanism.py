"""The own mechanism of docs/attention.md, and others, in an agent and in a classifier."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from rl_abn.attention import MECHANISMS
from rl_abn.recipes import load_agent
from rl_abn.rl.training.build import load_policy
from rl_abn.rl.training.probes import ProbeLog
from rl_abn.rl.training.train import prepare_run, train
from rl_abn.runs import METRICS, load_tensors
from rl_abn.runs.metrics import read_metrics
from rl_abn.vision.training.build import make_network
from rl_abn.vision.training.train import train as train_vision
from tests.complaints import complaint
from tests.vision.tiny_sets import small_run, write_classes

PAGE = Path("docs/attention.md")


@pytest.fixture
def brightness(monkeypatch):
    monkeypatch.setattr(MECHANISMS, "_classes", dict(MECHANISMS._classes))
    example = next(
        code
        for code in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S)
        if "register_mechanism" in code
    )
    exec(compile(example, str(PAGE), "exec"), {"__name__": "page"})
    assert "brightness" in MECHANISMS


def recipe_file(folder: Path, kind: str, base: str, attention: str) -> str:
    """A recipe that ships, with another `[attention]` table."""
    lines = Path(f"agents/{kind}{base}.toml").read_text().splitlines()
    start = lines.index("[attention]")
    end = next((i for i in range(start + 1, len(lines)) if lines[i].startswith("[")), len(lines))
    path = folder / "own.toml"
    path.write_text("\n".join([*lines[:start], "[attention]", attention, *lines[end:]]))
    return str(path)


def train_agent(folder: Path, agent: str):
    settings = [
        *("train.steps=64", "train.log_every=32", "train.n_probes=2", "train.precision=fp32"),
        *("algorithm.n_envs=4", "algorithm.n_steps=8", "algorithm.batch_size=16"),
    ]
    run, _ = prepare_run(env="pong", agent=agent, seed=0, settings=settings, folder=folder)
    assert train(run, resume=False).step == 64
    return run


@pytest.mark.more
@pytest.mark.parametrize(
    ("attention", "size"),
    [('mechanism = "brightness"\nsteepness = 3', (9, 9)), ('mechanism = "se"', (64, 1))],
)
def test_an_agent_trains_logs_and_obeys_an_override(brightness, tmp_path, attention, size):
    run = train_agent(tmp_path / "run", recipe_file(tmp_path, "", "ppo_se", attention))
    assert run.recipe.agent.attention.map_names == ("shared",)
    rows = read_metrics(run.path / METRICS)
    assert 0 < rows[-1]["attention/shared_map_mean"] < 1
    log = ProbeLog.open(run)
    assert log.maps(64).shape == (2, 1, *size)
    policy = load_policy(run, run.checkpoint(), torch.device("cpu"))
    observations = torch.as_tensor(log.probes.observations)
    with torch.no_grad():
        own, _ = policy.attend(observations)
        blind, _ = policy.attend(observations, map_override=torch.zeros_like)
    assert own.map.shape == (2, 1, *size)
    assert not torch.equal(own.action_logits, blind.action_logits)
    assert torch.equal(blind.action_logits[0], blind.action_logits[1])  # nothing is let through


def test_an_option_of_ones_own_is_checked_by_name_and_type(brightness, tmp_path):
    wrong = 'mechanism = "brightness"\nstepness = 3'
    message = complaint(lambda: load_agent(recipe_file(tmp_path, "", "ppo_se", wrong)))
    assert message.endswith("unknown key 'attention.stepness': did you mean 'steepness'?")
    wrong = 'mechanism = "brightness"\nsteepness = "a"'
    message = complaint(lambda: load_agent(recipe_file(tmp_path, "", "ppo_se", wrong)))
    assert message.endswith("expected brightness's steepness to be a number, got 'a'")
    wrong = 'mechanism = "se"\nreduction = 0'
    message = complaint(lambda: load_agent(recipe_file(tmp_path, "", "ppo_se", wrong)))
    assert message.endswith("expected a reduction of 1 or more, got 0")


@pytest.mark.parametrize(
    "attention", ['mechanism = "brightness"', 'mechanism = "se"', 'mechanism = "hard_glimpses"']
)
def test_a_classifier_trains_with_it(brightness, tmp_path, attention):
    classes = write_classes(tmp_path / "classes")
    agent = recipe_file(tmp_path, "vision/", "resnet20_se", attention)
    run, data, _ = small_run(tmp_path / "run", classes, "train.epochs=1", agent=agent)
    train_vision(run, data, resume=False, device="cpu")
    (row,) = read_metrics(run.path / METRICS)
    assert 0 < row["attention/map_mean"] < 1
    assert "train/branch_loss" not in row
    network = make_network(run.recipe, data.outputs, torch.device("cpu"), seed=1)
    stored = load_tensors(run.checkpoints[-1].path / "policy.safetensors")
    network.load_state_dict(stored)
    assert any(
        not torch.equal(new, stored[name])
        for name, new in make_network(run.recipe, data.outputs, torch.device("cpu"), seed=1)
        .state_dict()
        .items()
        if name.startswith("branch.")
    )
    images = torch.rand(2, 3, 12, 12)
    network.eval()
    with torch.no_grad():
        own, blind = network.attend(images), network.attend(images, map_override=torch.zeros_like)
    assert own.map.shape[:2] == (2, 1)
    assert not torch.equal(own.outputs, blind.outputs)
