"""The agents that ship with the package: they load, look, and score what their cards say."""

from __future__ import annotations

import numpy as np
import pytest

import rl_abn
from rl_abn.rl.agent import Agent
from rl_abn.rl.evaluation.card import evaluations_of, read_evaluation
from rl_abn.rl.evaluation.run_evaluation import evaluate_run
from rl_abn.runs import Run
from rl_abn.runs.shipped import AGENTS, CARD, list_shipped
from tests.covering import more

FIRST = ("breakout/ppo_abn", "ms_pacman/ppo_abn_taught", "space_invaders/ppo_abn")
EVERY_AGENT = pytest.mark.parametrize("name", list_shipped())


def test_there_are_some() -> None:
    assert set(FIRST) <= set(list_shipped())


@pytest.mark.parametrize(
    "name", [*FIRST, *more(*(name for name in list_shipped() if name not in FIRST))]
)
def test_it_acts_and_its_maps_have_contrast(name: str) -> None:
    agent = rl_abn.load(name, device="cpu")
    assert isinstance(agent, Agent)
    env = agent.make_env(1)
    obs = env.reset()
    for _ in range(20):
        obs = env.step(agent.act(obs))[0]
    maps = agent.attend(obs).map
    if agent.map_names:
        assert float(maps.std() / maps.mean()) > 0.3


@EVERY_AGENT
def test_its_card_has_scores_under_both_protocols_and_no_path_of_a_machine(name: str) -> None:
    card = (AGENTS / name / CARD).read_text()
    assert "legacy protocol" in card
    assert "machado2018 protocol" in card
    assert "| command | `rl-abn train --env" in card
    assert "## Weaknesses" in card
    assert not [word for word in card.split() if word.startswith(("/", "~"))]


@pytest.mark.full
@EVERY_AGENT
def test_ten_games_score_what_the_card_says(name: str) -> None:
    run = Run.open(AGENTS / name)
    step = run.checkpoint().step
    stored = [read_evaluation(path).intact for path in evaluations_of(run, step)]
    expected = next(e for e in stored if e.protocol == run.recipe.protocol_name and not e.greedy)
    scores = evaluate_run(run, n_games=10, seed=7, device="cpu").intact.scores
    # Of two samples: the means differ by no more than chance lets them.
    games = np.array([game["score"] for game in expected.games])
    deviation = np.sqrt(games.var() / len(games) + games.var() / len(scores))
    assert abs(scores.mean() - games.mean()) < 3 * deviation
