"""An agent that shows another map than its own, such as Grad-CAM, and plays on."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rl_abn.attention import Intervention
from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.explain.methods import METHODS, Effort, Request, make_maps, possible
from rl_abn.explain.rivals.priors import motion
from rl_abn.explain.substrates import make_substrate
from rl_abn.rl.evaluation.explained_policy import in_fp32, observation_subject
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.policies.outputs import PolicyOutput

OWN = "own"
"""The name of the agent's own maps."""
# No agent averages its last features (CAM); expected gradients need other pictures, and the last
# two know nothing of what is seen.
LIVE_MAPS = tuple(
    name for name in METHODS if name not in ("cam", "expected_gradients", "centre", "random")
)
_NEEDED = {"evidence": "states evidence", "attention_gradient": "acts on maps of places"}
_EFFORT = Effort(path_steps=8, samples=0, masks=64)


def check_map_name(name: str) -> None:
    """Checks that a map can be shown while an agent plays.

    Raises:
        RlAbnError: If there is none of that name.
    """
    if name not in (OWN, *LIVE_MAPS):
        raise RlAbnError(f"unknown map '{name}': {did_you_mean(name, (OWN, *LIVE_MAPS))}")


class MapPlayer(AgentPlayer):
    """An agent that plays as it does and shows another map of its decisions.

    The map is of its most probable action, computed in fp32 at every step, and shares out a sum of
    1: it is drawn in multiples of an even map, on one scale for all methods.

    Args:
        name: What to call it.
        policy: Its policy, in evaluation mode.
        map_name: Of `LIVE_MAPS`.
        newest: Channels of an observation that are the newest frame's.
        greedy: Whether it takes its likeliest action instead of drawing one.
        seed: Of the draws.
        intervention: Changes the maps it acts on; None leaves it intact.

    Raises:
        RlAbnError: If there is no such map, or the agent lacks what it is made of.
    """

    def __init__(
        self,
        name: str,
        policy: AttentionPolicy,
        map_name: str,
        *,
        newest: int,
        greedy: bool,
        seed: int,
        intervention: Intervention | None = None,
    ) -> None:
        super().__init__(name, policy, greedy=greedy, seed=seed, intervention=intervention)
        check_map_name(map_name)
        self.map_names = (map_name,)
        self._newest = newest
        self._before: Tensor | None = None
        # Shares the weights; what is played stays as it was trained.
        self._explained = in_fp32(copy.copy(policy))
        self._check()

    @property
    def map_size(self) -> tuple[int, int]:
        """Rows and columns of the map."""
        shape = self.policy.observation_space.shape
        assert shape is not None
        nothing = torch.zeros((1, *shape), device=self.policy.device)
        return observation_subject(self._explained, nothing, self.policy.initial_state(1)).grid

    def attend(
        self,
        observations: np.ndarray | Tensor,
        episode_start: np.ndarray,
        lost_life: np.ndarray | None = None,
        glimpse: Tensor | None = None,
    ) -> PolicyOutput:
        """Computes what `act` chooses by, with the map in place of the agent's own."""
        memory = self.memory_before(episode_start, lost_life) or None
        output = super().attend(observations, episode_start, lost_life, glimpse)
        images = torch.as_tensor(observations, device=self.policy.device).float()
        subject = observation_subject(self._explained, images, memory)
        if self.map_names == ("motion",):
            now = images[:, -self._newest :]
            before = now if self._before is None else self._before
            starts = torch.as_tensor(episode_start, device=now.device)[:, None, None, None]
            made = motion(now, torch.where(starts, now, before), subject.grid)
            self._before = now
        else:
            substrate = make_substrate("blur", images, torch.Generator(images.device))
            request = Request(subject, subject.answers(), substrate, _EFFORT)
            made = make_maps(request, self.map_names)[self.map_names[0]]
        return output._replace(map=shares(made)[:, None])

    def _check(self) -> None:
        shape = self.policy.observation_space.shape
        assert shape is not None
        nothing = torch.zeros((1, *shape), device=self.policy.device)
        subject = observation_subject(self._explained, nothing, self.policy.initial_state(1))
        if self.map_names[0] not in ("motion", *possible(subject, subject.answers())):
            raise RlAbnError(
                f"expected an agent that {_NEEDED[self.map_names[0]]} for --map "
                f"{self.map_names[0]}, got '{self.name}', which does not"
            )


def shares(maps: Tensor) -> Tensor:
    """Returns maps [N, h, w] as shares of a sum of 1; what is below 0 counts as 0.

    A map without any mass is even.
    """
    positive = maps.clamp_min(0.0)
    total = positive.sum(dim=(1, 2), keepdim=True)
    even = torch.full_like(positive, 1.0 / positive[0].numel())
    return torch.where(total > 0, positive / total.clamp_min(1e-30), even)


def player_of(
    name: str,
    policy: AttentionPolicy,
    map_name: str | None,
    *,
    newest: int,
    greedy: bool,
    seed: int,
    intervention: Intervention | None = None,
) -> AgentPlayer:
    """Returns an agent that shows its own maps, or one of `LIVE_MAPS`; the others as there."""
    if map_name in (None, OWN):
        return AgentPlayer(name, policy, greedy=greedy, seed=seed, intervention=intervention)
    assert map_name is not None
    return MapPlayer(
        name,
        policy,
        map_name,
        newest=newest,
        greedy=greedy,
        seed=seed,
        intervention=intervention,
    )


def names_of(asked: Sequence[str]) -> list[str | None]:
    """Reads the names of maps to show; none is the agent's own.

    Raises:
        RlAbnError: If there is none of a name.
    """
    for name in asked:
        check_map_name(name)
    return [None if name == OWN else name for name in dict.fromkeys(asked)] or [None]
