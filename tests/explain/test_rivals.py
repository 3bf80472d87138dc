"""Rival maps: all find a planted patch, priors do not, and captum computes the same."""

import pytest
import torch

from rl_abn.explain.methods import METHODS, Effort, Request, make_maps, possible
from rl_abn.explain.responses import chosen, objective
from rl_abn.explain.rivals.gradient import (
    attention_gradient,
    expected_gradients,
    grad_cam,
    integrated_gradients,
)
from rl_abn.explain.rivals.perturbation import cell_answers, occlusion
from rl_abn.explain.subject import Answer, Subject
from rl_abn.explain.substrates import make_substrate

BLIND = {"motion", "centre", "random"}
EFFORT = Effort(path_steps=8, samples=8, masks=128)


def request_of(subject: Subject) -> Request:
    substrate = make_substrate("blur", subject.images, torch.Generator())
    return Request(subject, subject.answers(), substrate, EFFORT)


def test_what_can_be_made(subject: Subject) -> None:
    missing = {"evidence", "cam", "attention_gradient"}
    assert set(possible(subject, subject.answers())) == set(METHODS) - missing
    only_value = Answer(None, torch.zeros(subject.n))
    assert "sarfa" not in possible(subject, only_value)


def test_methods_that_see_the_network_find_the_patch(subject: Subject, module) -> None:
    truth = module.planted(subject.n).bool().flatten(1)
    for name, made in make_maps(request_of(subject)).items():
        assert made.shape == (subject.n, *subject.grid)
        assert torch.isfinite(made).all()
        top = made.flatten(1).topk(4, dim=1).indices
        hits = truth.gather(1, top).float().mean().item()
        assert hits < 0.5 if name in BLIND else hits > 0.7, (name, hits)


def test_occlusion_by_hand(subject: Subject) -> None:
    own, nothing = subject.answers(), torch.zeros_like(subject.images)
    made = occlusion(own, cell_answers(subject, nothing), subject.grid)
    changed = subject.images.clone()
    changed[:, :, 4:6, 10:12] = 0.0  # cell (2, 5)
    choice = chosen(own)
    expected = objective(own, choice) - objective(subject.answers(changed), choice)
    torch.testing.assert_close(made[:, 2, 5], expected)


def test_attention_gradient_by_hand() -> None:
    """Of a gated sum it is each cell's own addend, also where that speaks against the choice."""
    generator = torch.Generator().manual_seed(0)
    images, weights = torch.rand(3, 2, 4, 4, generator=generator), torch.randn(2, 4, 4)

    def ask_maps(maps: torch.Tensor, features: torch.Tensor, numbers: torch.Tensor) -> Answer:
        # The second map is the value's, on which the choice does not hang.
        logits = (weights * features * maps[:, :1]).sum(dim=(1, 2, 3))[:, None]
        return Answer(logits, (features * maps[:, 1:]).sum(dim=(1, 2, 3)), maps)

    def ask(features: torch.Tensor, numbers: torch.Tensor) -> Answer:
        maps = torch.stack([features.mean(dim=1), features.amax(dim=1)], dim=1)
        return ask_maps(maps, features, numbers)

    subject = Subject(
        images,
        ask,
        torch.nn.Identity(),
        (4, 4),
        features=lambda pixels, numbers: pixels,
        ask_features=ask,
        ask_maps=ask_maps,
    )
    assert "attention_gradient" in possible(subject, subject.answers())
    addends = (weights * images * images.mean(dim=1, keepdim=True)).sum(dim=1)
    some = torch.tensor([2, 0])
    for of, expected in ((subject, addends), (subject.part(some), addends[some])):
        choice = torch.zeros(of.n, dtype=torch.int64)
        torch.testing.assert_close(attention_gradient(of, choice), expected)
    of_value = attention_gradient(subject, None)
    torch.testing.assert_close(of_value, images.sum(dim=1) * images.amax(dim=1))


@pytest.mark.parametrize("learned", [True, False])
def test_a_map_that_is_ignored_has_no_gradient(learned: bool) -> None:
    """Such as one that is shown for its looks: its gradient is 0, and no error."""
    images, weight = torch.rand(3, 2, 4, 4), torch.ones((), requires_grad=learned)

    def ask(features: torch.Tensor, numbers: torch.Tensor) -> Answer:
        logits = torch.stack([weight * features.sum(dim=(1, 2, 3)), torch.zeros(len(features))], 1)
        return Answer(logits, None, features.mean(dim=1, keepdim=True))

    subject = Subject(
        images,
        ask,
        torch.nn.Identity(),
        (4, 4),
        features=lambda pixels, numbers: pixels,
        ask_features=ask,
        ask_maps=lambda maps, features, numbers: ask(features, numbers),
    )
    made = attention_gradient(subject, chosen(subject.answers()))
    assert made.shape == (3, 4, 4)
    assert not made.any()


def test_integrated_gradients_are_complete(subject: Subject) -> None:
    """They sum up to the difference of what is explained."""
    choice, baseline = chosen(subject.answers()), torch.zeros_like(subject.images)
    found = integrated_gradients(subject, choice, baseline, 64).sum(dim=(1, 2, 3))
    change = objective(subject.answers(), choice) - objective(subject.answers(baseline), choice)
    torch.testing.assert_close(found, change, atol=1e-3, rtol=1e-3)


def test_expected_gradients_are_complete_on_average(subject: Subject) -> None:
    choice = torch.full((subject.n,), 2)
    found = expected_gradients(subject, choice, 256).sum(dim=(1, 2, 3))
    own = objective(subject.answers(), choice)
    torch.testing.assert_close(found, own - own.mean(), atol=0.1, rtol=0.1)


def test_captum_agrees(subject: Subject, module) -> None:
    attr = pytest.importorskip("captum.attr")
    choice = chosen(subject.answers())
    assert choice is not None
    assert choice.eq(2).all()  # theirs may ask about several copies at once

    def forward(pixels: torch.Tensor) -> torch.Tensor:
        numbers = torch.arange(len(pixels))
        return objective(subject.ask(pixels, numbers), torch.full_like(numbers, 2))

    baseline = torch.zeros_like(subject.images)
    theirs = attr.IntegratedGradients(forward).attribute(
        subject.images, baseline, n_steps=64, method="riemann_middle"
    )
    ours = integrated_gradients(subject, choice, baseline, 64)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)

    class Forward(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            logits = self.inner.head(self.inner.conv(pixels))
            return objective(Answer(logits, None), torch.full((len(pixels),), 2))

    wrapped = Forward()
    theirs = attr.LayerGradCam(wrapped, wrapped.inner.conv).attribute(
        subject.images, relu_attributions=True
    )
    torch.testing.assert_close(grad_cam(subject, choice), theirs[:, 0], atol=1e-6, rtol=1e-4)
    theirs = attr.Occlusion(forward).attribute(
        subject.images, (1, 2, 2), (1, 2, 2), baseline, perturbations_per_eval=1
    )
    ours = occlusion(subject.answers(), cell_answers(subject, baseline), subject.grid)
    torch.testing.assert_close(ours, theirs[:, 0, ::2, ::2], atol=1e-5, rtol=1e-4)


def test_nothing_is_left_on_the_network(subject: Subject, module) -> None:
    make_maps(request_of(subject))
    assert all(p.grad is None for p in module.parameters())
    assert not module.conv._forward_hooks
    assert not module.conv._backward_hooks


def test_maps_are_seeded(subject: Subject) -> None:
    one, other = make_maps(request_of(subject)), make_maps(request_of(subject))
    assert all(torch.equal(one[name], other[name]) for name in one)
