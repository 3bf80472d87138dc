"""Maps by gradients: Grad-CAM, the attention gradient, integrated and expected gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from rl_abn.explain.cells import to_cells
from rl_abn.explain.responses import objective
from rl_abn.explain.subject import Answer, Ask, Subject

_BATCH = 64


def grad_cam(subject: Subject, choice: Tensor | None) -> Tensor:
    """Computes Grad-CAM at the features where attention attaches (Selvaraju et al., ICCV 2017).

    Args:
        subject: What is explained; it has features.
        choice: What is explained of each picture, int64 [N]; None is the value.

    Returns:
        [N, h, w] of the grid, from 0.
    """
    assert subject.features is not None
    assert subject.ask_features is not None
    maps = []
    for images, numbers in subject.batches(_BATCH):
        with torch.no_grad():
            features = subject.features(images, numbers)
        features = features.detach().float()
        gradient = _gradient_to(features, numbers, subject.ask_features, choice)
        weights = gradient.mean(dim=(2, 3), keepdim=True)
        maps.append((weights * features).sum(dim=1).clamp_min(0.0))
    return to_cells(torch.cat(maps), subject.grid)


def attention_gradient(subject: Subject, choice: Tensor | None) -> Tensor:
    """Computes the subject's maps times the gradient to them: what each cell's gate adds.

    A map says how much of a cell passes, not whether that speaks for the choice or against it. This
    is its share in the first-order change of the choice (after Chefer et al., ICCV 2021, who keep
    what is above 0 of it), of the map that the choice hangs on.

    Args:
        subject: What is explained; it has features and maps that can be replaced.
        choice: As in `grad_cam`.

    Returns:
        [N, h, w] of the grid; below 0 where the gate speaks against the choice.
    """
    assert subject.features is not None
    assert subject.ask_features is not None
    assert subject.ask_maps is not None
    ask_maps = subject.ask_maps
    found = []
    for images, numbers in subject.batches(_BATCH):
        with torch.no_grad():
            features = subject.features(images, numbers)
            own = subject.ask_features(features, numbers).maps
        assert own is not None

        def act_on(maps: Tensor, numbers: Tensor, features: Tensor = features) -> Answer:
            return ask_maps(maps, features, numbers)

        gradient = _gradient_to(own, numbers, act_on, choice)
        found.append((own * gradient).sum(dim=1))
    return to_cells(torch.cat(found), subject.grid)


def integrated_gradients(
    subject: Subject, choice: Tensor | None, baseline: Tensor, n_steps: int = 16
) -> Tensor:
    """Computes integrated gradients (Sundararajan et al., ICML 2017), [N, C, H, W].

    The path is straight from the baseline; its steps are taken in the middle of n equal parts.

    Args:
        subject: What is explained.
        choice: As in `grad_cam`.
        baseline: [N, C, H, W].
        n_steps: Points of the path.
    """
    total = torch.zeros_like(subject.images)
    change = subject.images - baseline
    for step in range(n_steps):
        at = baseline + (step + 0.5) / n_steps * change
        total += _gradient(subject, at, choice)
    return change * total / n_steps


def expected_gradients(
    subject: Subject, choice: Tensor | None, n_samples: int = 16, seed: int = 0
) -> Tensor:
    """Computes expected gradients (Erion et al., 2021), [N, C, H, W].

    Integrated gradients with other pictures as baselines, one random point of each path.

    Args:
        subject: What is explained.
        choice: As in `grad_cam`.
        n_samples: Baselines a picture.
        seed: Of the baselines and points.
    """
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros_like(subject.images)
    for _ in range(n_samples):
        others = torch.randint(subject.n, (subject.n,), generator=generator).to(subject.device)
        point = torch.rand(subject.n, 1, 1, 1, generator=generator).to(subject.device)
        baseline = subject.images[others]
        change = subject.images - baseline
        total += change * _gradient(subject, baseline + point * change, choice)
    return total / n_samples


def magnitude_in_cells(attributions: Tensor, grid: tuple[int, int]) -> Tensor:
    """Returns attributions to pixels [N, C, H, W] as their mean size in each cell, [N, h, w]."""
    return to_cells(attributions.abs().sum(dim=1), grid)


def _gradient(subject: Subject, images: Tensor, choice: Tensor | None) -> Tensor:
    gradients = []
    numbers, size = torch.arange(subject.n, device=subject.device), min(_BATCH, subject.batch)
    for part, which in zip(images.split(size), numbers.split(size), strict=True):
        gradients.append(_gradient_to(part, which, subject.ask, choice))
    return torch.cat(gradients)


def _gradient_to(at: Tensor, numbers: Tensor, ask: Ask, choice: Tensor | None) -> Tensor:
    """Returns the gradient of what is explained to what is asked about, of its shape.

    It is 0 where the answer does not hang on it, such as on a map that is shown and ignored.

    Args:
        at: Pictures, features or maps, [B, ...].
        numbers: Which of the N pictures they are of, int64 [B].
        ask: From both to the answer.
        choice: As in `grad_cam`, of all N.
    """
    at = at.detach().clone().requires_grad_()
    with torch.enable_grad():
        answer = ask(at, numbers)
        target = objective(answer, None if choice is None else choice[numbers]).sum()
    if not target.requires_grad:
        return torch.zeros_like(at)
    (gradient,) = torch.autograd.grad(target, at, materialize_grads=True)
    return gradient
