"""What an agent would do at a step, had it looked elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rl_abn.attention import MapOverride
from rl_abn.errors import RlAbnError
from rl_abn.record import Episode
from rl_abn.rl.evaluation.interventions import InterventionSpec
from rl_abn.rl.policies import distributions
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
            then = changed(asked, moment, _intervention(asked, moment, label))
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


def _intervention(asked: Asked, moment: Moment, label: str) -> MapOverride:
    """Returns the override of an intervention at one moment.

    Those that take maps of other moments take them from the recording: the average of its maps, the
    first, or those of a step drawn by this step's number.
    """
    name, _, map_name = label.partition(":")
    spec = InterventionSpec(name, map_name or None)
    recorded = _of_recording(asked.opened.episode, name, moment.step)
    if recorded is None:
        rule = spec.make(asked.agent.policy, moment.step)
        start = torch.zeros(1, dtype=torch.bool, device=asked.agent.policy.device)
        return lambda own: rule(own, start)
    which = slice(None) if not map_name else [asked.maps.names.index(map_name)]

    def replace(own: Tensor) -> Tensor:
        maps = own.clone()
        maps[:, which] = torch.from_numpy(recorded).to(own)[None, which]
        return maps

    return replace


def _of_recording(episode: Episode, name: str, step: int) -> np.ndarray | None:
    """Returns maps of other moments, [m, rows, columns]; None for what needs none."""
    if name == "time_average":
        total = np.zeros(episode.meta.arrays["maps"].shape, np.float64)
        for chunk in range(episode.n_chunks):
            total += episode.array("maps", chunk).sum(axis=0, dtype=np.float64)
        return (total / episode.n_steps).astype(np.float32)
    if name == "frozen":
        other = 0
    elif name == "swap":
        other = int(np.random.default_rng(step).integers(episode.n_steps))
    else:
        return None
    maps: np.ndarray = episode.step(other)["maps"].astype(np.float32)
    return maps


def _maps(output: PolicyOutput, names: tuple[str, ...]) -> dict[str, Any]:
    maps = output.map[0].float().cpu().numpy()
    return {
        name: [[float(f"{value:.{DIGITS}g}") for value in row] for row in maps[i].tolist()]
        for i, name in enumerate(names)
    }


def _numbers(tensor: Tensor) -> list[float]:
    return [float(value) for value in tensor.double().cpu().tolist()]
