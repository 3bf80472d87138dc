"""An agent's policy at fixed moments, as `rl_abn.explain` takes it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from rl_abn.attention import MapOverride
from rl_abn.explain.cells import grid_of
from rl_abn.explain.randomisation import MakeMap
from rl_abn.explain.subject import Answer, Subject
from rl_abn.rl.evaluation.explained_states import ExplainedStates, memory_of
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.policies.outputs import PolicyOutput, PolicyState


def in_fp32(policy: AttentionPolicy) -> AttentionPolicy:
    """Makes a policy compute in fp32, whatever it was trained in, and returns it.

    In bfloat16 a small perturbation would vanish in rounding.
    """
    policy.compute = replace(policy.compute, precision="fp32")
    return policy


def policy_subject(
    policy: AttentionPolicy, states: ExplainedStates, device: torch.device
) -> Subject:
    """Returns a policy at moments of its games, with the memory that it had there.

    Args:
        policy: In evaluation mode and fp32.
        states: The moments.
        device: Where the policy is.
    """
    images = torch.as_tensor(states.observations, device=device).float()
    newest = images.shape[1] // states.labels.shape[1]
    previous = torch.as_tensor(states.previous, device=device).float()[:, -newest:]
    return _subject(policy, images, previous, memory_of(states, device))


def observation_subject(
    policy: AttentionPolicy, images: Tensor, state: PolicyState, previous: Tensor | None = None
) -> Subject:
    """Returns a policy at observations as they come, with the memory before them.

    Args:
        policy: In evaluation mode and fp32.
        images: float32 [N, C, H, W].
        state: Of as many games, or None.
        previous: The newest frames of the step before, float32 [N, c, H, W]; None is not known.
    """
    return _subject(policy, images, previous, state)


def _subject(
    policy: AttentionPolicy, images: Tensor, previous: Tensor | None, memory: PolicyState
) -> Subject:
    def state_at(numbers: Tensor) -> PolicyState:
        return None if memory is None else tuple(part[numbers] for part in memory)

    def ask(pixels: Tensor, numbers: Tensor) -> Answer:
        return answer_of(policy, policy.attend(pixels, state_at(numbers))[0])

    def features(pixels: Tensor, numbers: Tensor) -> Tensor:
        return policy.extract(pixels)

    def ask_features(extracted: Tensor, numbers: Tensor) -> Answer:
        return answer_of(policy, policy.attend_features(extracted, state_at(numbers))[0])

    def ask_maps(maps: Tensor, extracted: Tensor, numbers: Tensor) -> Answer:
        output, _ = policy.attend_features(extracted, state_at(numbers), maps)
        return answer_of(policy, output)

    def rebuilt(module: nn.Module) -> Subject:
        assert isinstance(module, AttentionPolicy)
        return _subject(module, images, previous, memory)

    with torch.no_grad():
        first = torch.zeros(1, dtype=torch.int64, device=images.device)
        rows, columns = policy.extract(images[:1]).shape[-2:]
        maps = ask(images[:1], first).maps
    if maps is not None:
        rows, columns = maps.shape[-2:]
    return Subject(
        images=images,
        ask=ask,
        module=policy,
        grid=grid_of(rows, columns),
        features=features,
        ask_features=ask_features,
        rebuilt=rebuilt,
        previous=previous,
        ask_maps=ask_maps if policy.settings.abilities.paintable else None,
    )


def answer_of(policy: AttentionPolicy, output: PolicyOutput) -> Answer:
    """Returns a policy output as an answer; maps that have no place in the picture are left out."""
    evidence = output.evidence[:, : policy.n_actions]
    return Answer(
        logits=output.action_logits,
        value=output.value,
        maps=policy.settings.abilities.on_picture(output.map, output.places),
        evidence=evidence if evidence.shape[1] else None,
    )


def own_maps(subject: Subject) -> dict[str, MakeMap]:
    """Returns by name what makes an agent's own maps, as they lie on the pictures; none for bars.

    Args:
        subject: A policy's.
    """
    policy = subject.module
    assert isinstance(policy, AttentionPolicy)
    if not subject.has_maps:
        return {}
    if len(policy.map_names) == 1:
        return {"map": Subject.own_map}
    return {
        f"{name} map": partial(Subject.own_map, number=i) for i, name in enumerate(policy.map_names)
    }


def answers_with(subject: Subject, override: MapOverride | None, memory: PolicyState) -> Answer:
    """Returns the answers at all moments with other maps; the memory before them is as it was.

    Args:
        subject: A policy's.
        override: [N, m, h, w], or a function of all N maps.
        memory: Before the moments.
    """
    policy = subject.module
    assert isinstance(policy, AttentionPolicy)
    with torch.no_grad():
        output, _ = policy.attend(subject.images, memory, override)
    return Answer(output.action_logits, output.value)
