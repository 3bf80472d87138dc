"""Every mechanism that asks no question, in a classifier."""

from __future__ import annotations

import pytest
import torch

from rl_abn.attention import MECHANISMS
from rl_abn.errors import RlAbnError
from rl_abn.vision.models import build_model

ABILITIES = {name: MECHANISMS[name].abilities for name in MECHANISMS}
NAMES = [
    name
    for name, found in ABILITIES.items()
    if found.maps and not (found.queries or found.remembers)
]
IMAGES = torch.rand(3, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def build(mechanism: str, **kwargs: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_model("resnet", n_outputs=3, depth=8, mechanism=mechanism, **kwargs)


@pytest.mark.parametrize("mechanism", NAMES)
def test_a_classifier_learns_by_it_and_acts_on_the_maps_it_is_given(mechanism: str) -> None:
    network = build(mechanism)
    for parameter in network.branch.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    attention = network.attend(IMAGES)
    assert attention.map.shape[:2] == (3, 1)
    assert attention.places == (6, 6)
    assert network.abilities.drawn(attention.map.detach(), attention.places).ndim == 4
    attention.outputs.square().sum().backward()
    assert any(p.grad is not None and p.grad.any() for p in network.branch.parameters())
    network.eval()
    with torch.no_grad():
        own = network.attend(IMAGES)
        same = network.attend(IMAGES, map_override=own.map)
        other = network.attend(IMAGES, map_override=torch.zeros_like)
    torch.testing.assert_close(same.outputs, own.outputs)
    assert not torch.allclose(other.outputs, own.outputs)


@pytest.mark.parametrize("mechanism", [name for name in NAMES if ABILITIES[name].splits])
def test_a_network_has_a_map_a_task(mechanism: str) -> None:
    attention = build(mechanism, task="multilabel").attend(IMAGES)
    assert attention.map.shape[:2] == (3, 3)
    assert attention.outputs.shape == (3, 3)


@pytest.mark.parametrize("mechanism", [name for name in NAMES if not ABILITIES[name].splits])
def test_a_mechanism_of_one_map_has_none_a_task(mechanism: str) -> None:
    with pytest.raises(RlAbnError, match=f"several maps for the task multilabel, got '{mechanism}"):
        build(mechanism, task="multilabel")


def test_pictures_have_no_earlier_steps() -> None:
    with pytest.raises(RlAbnError, match="single pictures, got 'causal', which looks back"):
        build("causal")
