"""Attention finds what the reward depends on, wherever it is, with the settings that docs name."""

from itertools import product

import numpy as np
import pytest
import torch

from rl_abn.recipes import make_run_recipe
from rl_abn.rl.training.build import auxiliary_losses, policy_settings
from tests.rl.conftest import ColourSignal, make_algorithm, make_probe

ATTENTION = ("mechanism", "mechanism_options", "maps", "branch_answers", "map_learning_rate_factor")
SETTINGS = {
    "ppo_abn_paper": (
        "attention.map_form=softmax",
        "attention.map_layers=2",
        "attention.trunk_gradient=0.0",
        "algorithm.branch_loss=distillation",
        "algorithm.map_information_coef={start=0.0, end=0.2}",
    ),
    "ppo_mask": (
        "attention.map_form=standardised_softmax",
        "attention.map_gain=1.5",
        "attention.map_layers=2",
        "algorithm.map_information_coef=0.1",
    ),
}


@pytest.mark.more
@pytest.mark.parametrize(
    ("agent", "seed", "n_steps"),
    [
        ("ppo_abn_paper", 0, 8_192),
        *(
            pytest.param(agent, seed, 16_384, marks=pytest.mark.full)
            for agent, seed in product(SETTINGS, range(5))
        ),
    ],
)
def test_nine_tenths_of_the_acting_map_lie_on_the_patch(agent, seed, n_steps):
    """And three fifths, well above the tenth or so at the start, after half of the steps."""
    recipe = make_run_recipe("pong", agent, seed, SETTINGS[agent]).agent
    policy = policy_settings(recipe)
    model = make_algorithm(
        "ppo",
        make_probe(ColourSignal),
        seed=seed,
        policy_kwargs={name: getattr(policy, name) for name in ATTENTION},
        auxiliary_losses=auxiliary_losses(recipe),
    )

    def played():
        """Share of the first map on the patch where there is one, how often the agent is right."""
        env = make_probe(ColourSignal, 256)
        with torch.no_grad():
            attention, _ = model.policy.attend(torch.as_tensor(env.reset()))
        maps = attention.map[:, 0].numpy()
        share = maps / maps.sum(axis=(1, 2), keepdims=True)
        games = zip(share, env.envs, strict=True)
        there = [of[game.location] for of, game in games if game.marked]
        right = attention.action_logits.argmax(-1).numpy() == [game.right for game in env.envs]
        return np.mean(there), right.mean()

    share, right = played()
    assert share < 0.2
    assert right < 0.5
    model.learn(n_steps)
    share, right = played()
    assert share > (0.9 if n_steps == 16_384 else 0.6)
    assert right > (0.85 if n_steps == 16_384 else 0.65)
