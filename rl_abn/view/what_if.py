"""What an agent would do at a step, had it looked elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rl_abn.attention import MapOverride
from rl_abn.attention.interventions import Rule
from rl_abn.errors import RlAbnError
from rl_abn.record import Episode
from rl_abn.rl.evaluation.interventions import InterventionSpec
from rl_abn.rl.policies import distributions
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.policies.outputs import PolicyOutput
from rl_abn.view.agents import Asked, Moment, attend
from rl_abn.view.bodies import Body
from rl_abn.view.painted import intervention_labels, read_painted

DIGITS = 5


def what_if(asked: Asked, data: dict[str, Any]) -> dict[str, Any]:
    """Answers a question: {"step", "map"} or {"step", "intervention"}.

    With neither the agent's own maps are answered; so a step is made ready before it is edited.

    Returns:
        For JSON: probabilities, value and what else the agent computes then, the maps it acted on,
        the same of its "own", and the "kl" of its own policy to the new one in nats.

    Raises:
        RlAbnError: If the question is wrong, or the step cannot be reached.
    """
    body = Body(data, ("step", "map", "intervention"))
    step = body.whole("step", 0, asked.opened.episode.n_steps - 1)
    if body.has("map") and body.has("intervention"):
        raise RlAbnError("expected a map or an intervention, got both")
    painted = read_painted(body.data["map"], asked.maps) if body.has("map") else None
    label = None
    if body.has("intervention"):
        label = body.one_of("intervention", intervention_labels(asked.maps.names))
    with asked.lock:
        moment = asked.moment(step)
        if painted is not None:
            then = changed(asked, moment, painted.replace)
        elif label is not None:
            rule = Interventions(asked.opened.episode, asked.agent.policy).rule(label, step)
            start = torch.zeros(1, dtype=torch.bool, device=asked.agent.policy.device)
            with asked.opened.lock:  # the rule reads the recording
                then = changed(asked, moment, lambda own: rule(own, start))
        else:
            then = moment.own
    return {
        "step": step,
        **shown(then),
        "maps": _maps(then, asked.maps.names),
        "own": {**shown(moment.own), "maps": _maps(moment.own, asked.maps.names)},
        "kl": float(distributions.divergence(moment.own.action_logits, then.action_logits)[0]),
    }


def changed(asked: Asked, moment: Moment, override: MapOverride) -> PolicyOutput:
    """Returns what the agent computes at a moment with other maps.

    Hard attention then looks at what is given, and not at a location of its own.
    """
    return attend(asked.agent, moment.observation, moment.state, override, moment.glimpse)


def shown(output: PolicyOutput) -> dict[str, Any]:
    """Returns an agent's answer, for JSON."""
    answer: dict[str, Any] = {
        "probabilities": _numbers(output.action_logits[0].softmax(dim=-1)),
        "value": float(output.value[0]),
    }
    if output.branch_logits is not None:
        answer["branch_probabilities"] = _numbers(output.branch_logits[0].softmax(dim=-1))
    if output.branch_value is not None:
        answer["branch_value"] = float(output.branch_value[0])
    return answer


class Interventions:
    """Interventions in the middle of a recorded game, on the agent that played it.

    What they know of other moments is the recording: `time_average` is the mean of all its maps,
    `frozen` its first ones, and `swap` draws one of its steps anew at every step.

    Args:
        episode: The recording; it is read when a rule is called, too.
        policy: The agent's.
    """

    def __init__(self, episode: Episode, policy: AttentionPolicy) -> None:
        self.episode = episode
        self.policy = policy

    def rule(self, label: str, seed: int) -> Rule:
        """Returns the rule of an intervention, made anew.

        Args:
            label: As on the command line, such as "swap" or "swap:policy".
            seed: Of what it draws.
        """
        name, _, map_name = label.partition(":")
        maps_now = self._of_recording(name, seed)
        if maps_now is None:
            return InterventionSpec(name, map_name or None).make(self.policy, seed)
        which = [self.policy.map_names.index(map_name)] if map_name else slice(None)

        def replace(own: Tensor, episode_start: Tensor) -> Tensor:
            maps = own.clone()
            maps[:, which] = torch.from_numpy(maps_now()).to(own)[None, which]
            return maps

        return replace

    def _of_recording(self, name: str, seed: int) -> Callable[[], np.ndarray] | None:
        """Returns what gives maps of other moments, [m, rows, columns]; None where none are."""
        if name == "time_average":
            return lambda: self._average
        if name == "frozen":
            return lambda: self._maps_at(0)
        if name == "swap":
            rng = np.random.default_rng(seed)
            return lambda: self._maps_at(int(rng.integers(self.episode.n_steps)))
        return None

    def _maps_at(self, step: int) -> np.ndarray:
        maps: np.ndarray = self.episode.step(step)["maps"].astype(np.float32)
        return maps

    @cached_property
    def _average(self) -> np.ndarray:
        episode = self.episode
        total = np.zeros(episode.meta.arrays["maps"].shape, np.float64)
        for chunk in range(episode.n_chunks):
            total += episode.array("maps", chunk).sum(axis=0, dtype=np.float64)
        return (total / episode.n_steps).astype(np.float32)


def _maps(output: PolicyOutput, names: tuple[str, ...]) -> dict[str, Any]:
    maps = output.map[0].float().cpu().numpy()
    return {
        name: [[float(f"{value:.{DIGITS}g}") for value in row] for row in maps[i].tolist()]
        for i, name in enumerate(names)
    }


def _numbers(tensor: Tensor) -> list[float]:
    return [float(value) for value in tensor.double().cpu().tolist()]
