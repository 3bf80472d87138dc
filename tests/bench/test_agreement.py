"""Whether rollout and update agree: they do, and where they do not it is found."""

from __future__ import annotations

import pytest
import torch

from rl_abn.bench.agreement import measure_agreement
from rl_abn.rl.algorithms.on_policy import AttentionOnPolicy
from tests.covering import more

PPO = ("algorithm.n_envs=2", "algorithm.n_steps=16", "algorithm.batch_size=16")


@pytest.mark.parametrize(
    ("agent", "settings", "policies"),
    [
        ("ppo_abn", PPO, {"log_prob", "branch_log_prob"}),
        *more(("a2c_abn", (), {"log_prob", "branch_log_prob"})),
        (
            "ppo_abn_convlstm",
            (*PPO, "algorithm.sequence_length=8"),
            {"log_prob", "branch_log_prob"},
        ),
        pytest.param("ppo_mask", PPO, {"log_prob"}, marks=pytest.mark.full),
        pytest.param("ppo_hard", PPO, {"log_prob", "glimpse_log_prob"}, marks=pytest.mark.full),
    ],
)
def test_rollout_and_update_agree(
    agent: str, settings: tuple[str, ...], policies: set[str]
) -> None:
    found = measure_agreement(agent, "cpu", settings=(*settings, "train.precision=fp32"))
    assert found.agrees
    assert found.deviation.keys() == policies
    assert max(found.deviation.values()) < 1e-4
    assert found.mixed_up > 0.05
    assert (found.device, found.precision) == ("cpu", "fp32")


def test_acting_with_other_weights_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    act = AttentionOnPolicy.act

    def stale(self, observations, noise, state):  # type: ignore[no-untyped-def]
        step, state = act(self, observations, noise, state)
        return {**step, "action_logits": step["action_logits"].roll(1, dims=0)}, state

    monkeypatch.setattr(AttentionOnPolicy, "act", stale)
    torch.manual_seed(0)
    found = measure_agreement("ppo_abn", "cpu", settings=(*PPO, "train.precision=fp32"))
    assert not found.agrees
    assert found.deviation["log_prob"] > 0.01
