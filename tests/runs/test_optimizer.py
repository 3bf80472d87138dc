"""An optimizer's state is stored by name, and read back where weights never had a gradient."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from torch import nn

from rl_abn.runs.optimizer import flatten_state, load_state, unflatten_state
from tests.complaints import complaint

TENSORS, SCALARS = Path("training.safetensors"), Path("state.json")


def weights() -> list[nn.Parameter]:
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(3, 2)) for _ in range(3)]


def update(parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
    """Learns from the first two of three weights."""
    optimizer.zero_grad()
    sum(parameter.square().sum() for parameter in parameters[:2]).backward()
    optimizer.step()


@pytest.mark.parametrize("kind", [torch.optim.Adam, RMSpropTFLike, torch.optim.SGD])
@pytest.mark.parametrize("why", ["unused", "frozen"])
def test_a_weight_that_never_had_a_gradient_has_no_state(
    kind: type[torch.optim.Optimizer], why: str
) -> None:
    whole, cut = weights(), weights()
    for parameters in (whole, cut):
        parameters[2].requires_grad_(why == "unused")
    optimizer = kind(whole, lr=0.1)  # type: ignore[call-arg]
    update(whole, optimizer)
    tensors, scalars = flatten_state(optimizer)
    stored = {name: tensor.clone() for name, tensor in tensors.items()}
    again = kind(cut, lr=0.1)  # type: ignore[call-arg]
    with torch.no_grad():
        for parameter, trained in zip(cut, whole, strict=True):
            parameter.copy_(trained)
    load_state(again, unflatten_state(again, stored, scalars, TENSORS, SCALARS))
    update(whole, optimizer)
    update(cut, again)
    assert all(torch.equal(one, other) for one, other in zip(whole, cut, strict=True))


def test_what_a_weight_has_is_there_whole_or_not_at_all() -> None:
    parameters = weights()
    optimizer = torch.optim.Adam(parameters, lr=0.1)
    update(parameters, optimizer)
    tensors, scalars = flatten_state(optimizer)
    some = {name: tensor for name, tensor in tensors.items() if name != "optimizer.1.exp_avg"}
    for damaged in (some, {}):
        message = complaint(
            lambda damaged=damaged: unflatten_state(optimizer, damaged, scalars, TENSORS, SCALARS)
        )
        assert "(the file lacks it)" in message
