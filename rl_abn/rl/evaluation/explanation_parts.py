"""The parts of an explanation that are an agent's: its games, fixed moments, objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rl_abn.aggregates import probability_of_improvement
from rl_abn.attention import INTERVENTIONS, Intervention
from rl_abn.estimates import Estimate, bootstrap, mean
from rl_abn.explain.certificate import Lost
from rl_abn.explain.controls import CONTROLS
from rl_abn.explain.objects import under_map
from rl_abn.explain.responses import chosen, losses
from rl_abn.explain.subject import Subject
from rl_abn.files.parts import Part
from rl_abn.progress import ProgressReport
from rl_abn.rl.evaluation.blind import BlindPlayer
from rl_abn.rl.evaluation.evaluate import evaluate
from rl_abn.rl.evaluation.explained_policy import answers_with
from rl_abn.rl.evaluation.explained_states import ExplainedStates, memory_of
from rl_abn.rl.evaluation.interventions import InterventionSpec, layout_of
from rl_abn.rl.evaluation.players import AgentPlayer, Player
from rl_abn.rl.evaluation.run_evaluation import has_all_actions
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.runs import Run

INTACT = "intact"
ANOTHER_MOMENT = CONTROLS[0]
FROZEN_IS_OF_GAMES = "frozen"
OVER_MAPS = tuple(name for name in INTERVENTIONS if name != FROZEN_IS_OF_GAMES)
"""Interventions that fixed moments can have."""


def play_player(
    run: Run,
    policy: AttentionPolicy,
    label: str,
    *,
    n_games: int,
    seed: int,
    max_steps: int | None,
    report: ProgressReport | None,
) -> Part:
    """Lets the agent play whole games: intact, under an intervention, or blind.

    Args:
        run: Whose agent.
        policy: Its policy.
        label: "intact", the label of an intervention, or "blind: HOW".
        n_games: How many.
        seed: Of the games and actions.
        max_steps: Cuts games off.
        report: Shows how it goes.
    """
    recipe = run.recipe
    spec = None
    if label != INTACT and not label.startswith("blind: "):
        spec = InterventionSpec(*label.partition(":")[::2]) if ":" in label else None
        spec = spec or InterventionSpec(label)
    agent: Player = AgentPlayer(
        label,
        policy,
        greedy=False,
        seed=seed,
        intervention=None if spec is None else spec.make(policy, seed),
    )
    if label.startswith("blind: "):
        agent = BlindPlayer(agent, label.removeprefix("blind: "))
    found = evaluate(
        agent,
        recipe.env,
        recipe.protocol_name,
        n_games,
        seed=seed,
        full_action_space=has_all_actions(recipe),
        max_steps=max_steps,
        report=report,
    )
    return Part(
        {
            "scores": found.scores.tolist(),
            "lengths": [game.length for game in found.games],
            "cut": sum(game.truncated for game in found.games),
        },
        {},
    )


def lost_score(name: str, scores: Sequence[float], intact: Sequence[float], seed: int) -> Lost:
    """Returns what an intervention does to the score.

    Args:
        name: Of the intervention.
        scores: Under it.
        intact: Without.
        seed: Of the bootstrap.
    """
    one, own = np.array(scores, np.float64), np.array(intact, np.float64)
    value = float(_share(one, own))
    ends = (None, None) if min(len(one), len(own)) < 2 else bootstrap((one, own), _share, seed)
    return Lost(name, Estimate(value, *ends), probability_of_improvement([own], [one]))


def _share(scores: np.ndarray, intact: np.ndarray, axis: int = -1) -> Any:
    base = np.mean(intact, axis=axis)
    return (np.mean(scores, axis=axis) - base) / np.maximum(np.abs(base), 1e-9)


def fixed_moments(
    policy: AttentionPolicy, subject: Subject, states: ExplainedStates, seed: int
) -> Part:
    """Replaces the maps at fixed moments, each map apart where there are two.

    Args:
        policy: The agent's, with maps.
        subject: The same at the moments.
        states: The moments.
        seed: Of what is drawn.
    """
    device = policy.device
    memory = memory_of(states, device)
    own = answers_with(subject, None, memory)
    choice = chosen(own)
    starts = torch.ones(subject.n, dtype=torch.bool, device=device)
    arrays = {}
    which: list[tuple[str, int | None]] = [("", None)]
    if len(policy.map_names) > 1:
        which += [(f":{name}", i) for i, name in enumerate(policy.map_names)]
    average = _own_maps(policy, subject, memory).mean(dim=0, keepdim=True)
    for intervention in OVER_MAPS:
        for suffix, only in which:
            rule: Callable[[Tensor], Tensor]
            if intervention == "time_average":
                # Of all moments: the running mean of one moment alone would be the moment's own.
                rule = partial(_replaced, average, only)
            else:
                generator = torch.Generator(device).manual_seed(seed)
                made = Intervention(intervention, only, generator, layout_of(policy))
                rule = partial(made, episode_start=starts)
            now = answers_with(subject, rule, memory)
            for response, lost in losses(own, now, choice).items():
                arrays[f"{intervention}{suffix}|{response}"] = lost.cpu().numpy()
    return Part(None, arrays)


def _replaced(average: Tensor, only: int | None, maps: Tensor) -> Tensor:
    """Returns maps, or one of them, replaced by the same one for all."""
    new = maps.clone()
    part = slice(None) if only is None else slice(only, only + 1)
    new[:, part] = average[:, part].expand_as(new[:, part])
    return new


def _own_maps(
    policy: AttentionPolicy, subject: Subject, memory: tuple[Tensor, ...] | None
) -> Tensor:
    with torch.no_grad():
        return policy.attend(subject.images, memory)[0].map


class ObjectFinding(NamedTuple):
    """An object, and what maps and the agent make of it.

    Attributes:
        name: The object's.
        pictures: In how many moments it is there.
        area: Its mean share of the observation.
        lift: By map: share of the map over share of the area; 1 is an even map's.
        share: By map: share of the map.
        pointing: By map: how often its highest point lies on the object.
        follows: By how much the first map's lift exceeds that of the same map of another moment, in
            the same moments; None without such a map.
        effect: What its removal changes: the policy in nats, in moments that show it.
    """

    name: str
    pictures: int
    area: float
    lift: dict[str, Estimate]
    share: dict[str, Estimate]
    pointing: dict[str, Estimate]
    follows: Estimate | None
    effect: Estimate | None

    def as_json(self) -> dict[str, Any]:
        """Returns plain data for JSON."""
        plain: dict[str, Any] = {"name": self.name, "moments": self.pictures, "area": self.area}
        for field in ("lift", "share", "pointing"):
            plain[field] = {name: value._asdict() for name, value in getattr(self, field).items()}
        plain["follows"] = None if self.follows is None else self.follows._asdict()
        plain["removal_kl"] = None if self.effect is None else self.effect._asdict()
        return plain


def removed_objects(subject: Subject, states: ExplainedStates) -> Part:
    """Removes every object, with the screen's own background in its place, and asks again.

    The background is the median over the moments. In a stack of frames the object goes from all of
    them; an agent with memory still remembers it.
    """
    own = subject.answers()
    choice = chosen(own)
    background = subject.images.median(dim=0, keepdim=True).values
    channels, stack = subject.images.shape[1], states.labels.shape[1]
    labels = torch.as_tensor(states.labels, device=subject.device)
    labels = labels.repeat_interleave(channels // stack, dim=1)
    arrays = {}
    for number, _ in enumerate(states.objects, 1):
        there = labels == number
        now = subject.answers(torch.where(there, background, subject.images))
        for response, lost in losses(own, now, choice).items():
            arrays[f"{number}|{response}"] = lost.cpu().numpy()
    return Part(None, arrays)


def object_findings(
    states: ExplainedStates,
    maps: dict[str, np.ndarray],
    removed: dict[str, np.ndarray],
    seed: int = 0,
    least: int = 3,
) -> list[ObjectFinding]:
    """Returns what maps have to do with every object that enough moments show.

    Args:
        states: The moments.
        maps: By name, [N, h, w]; the studied one first.
        removed: As `removed_objects` has it.
        seed: Of the bootstrap.
        least: Moments that have to show an object.
    """
    found = []
    tensors = {name: torch.as_tensor(values) for name, values in maps.items()}
    for number, name in enumerate(states.objects, 1):
        mask = states.mask(name)
        seen = np.flatnonzero(mask.any(axis=(1, 2)))
        if len(seen) < least:
            continue
        under = {which: under_map(tensor, mask) for which, tensor in tensors.items()}
        effect = removed.get(f"{number}|kl")
        own, moved = next(iter(under.values())), under.get(ANOTHER_MOMENT)
        follows = None if moved is None else mean(own.lift - moved.lift, seed)
        found.append(
            ObjectFinding(
                name,
                len(seen),
                float(mask[seen].mean()),
                {which: mean(each.lift, seed) for which, each in under.items()},
                {which: mean(each.share, seed) for which, each in under.items()},
                {which: mean(each.hit, seed) for which, each in under.items()},
                follows,
                None if effect is None else mean(effect[seen], seed),
            )
        )
    return found


def evidence_on_objects(
    subject: Subject, states: ExplainedStates, action_names: Sequence[str], least: int = 3
) -> dict[str, dict[str, float]]:
    """Returns by action and object the mean lift of the evidence for the action; none without."""
    evidence = subject.answers().evidence
    if evidence is None:
        return {}
    table: dict[str, dict[str, float]] = {}
    for action, name in enumerate(action_names):
        row = {}
        for object_name in states.objects:
            mask = states.mask(object_name)
            if mask.any(axis=(1, 2)).sum() >= least:
                row[object_name] = float(under_map(evidence[:, action], mask).lift.mean())
        table[name] = row
    return table
