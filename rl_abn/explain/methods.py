"""All maps to set beside the studied one, by name: what each needs, and how it is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from rl_abn.explain.cells import to_cells
from rl_abn.explain.responses import chosen
from rl_abn.explain.rivals.gradient import (
    attention_gradient,
    expected_gradients,
    grad_cam,
    integrated_gradients,
    magnitude_in_cells,
)
from rl_abn.explain.rivals.perturbation import cell_answers, greydanus, occlusion, rise, sarfa
from rl_abn.explain.rivals.priors import centre, motion, random
from rl_abn.explain.subject import Answer, Subject


class Effort(NamedTuple):
    """How much work the sampling methods do.

    Attributes:
        path_steps: Points of integrated gradients' path.
        samples: Baselines of expected gradients.
        masks: Masks of RISE.
    """

    path_steps: int = 16
    samples: int = 16
    masks: int = 128


class Request(NamedTuple):
    """What such a map is made of.

    Attributes:
        subject: What is explained.
        own: Its answer to the pictures as they are, with evidence where there is any.
        substrate: What stands where something is hidden, [N, C, H, W].
        effort: Of sampling methods.
        seed: Of what is drawn.
        without: Answers with a cell removed each, which two methods share; made when asked for.
    """

    subject: Subject
    own: Answer
    substrate: Tensor
    effort: Effort = Effort()
    seed: int = 0
    without: Callable[[], Answer] | None = None

    @property
    def choice(self) -> Tensor | None:
        """What is explained of each picture."""
        return chosen(self.own)

    def without_cells(self) -> Answer:
        """Returns the answers with each cell removed."""
        if self.without is not None:
            return self.without()
        return cell_answers(self.subject, self.substrate)


class Method(NamedTuple):
    """A way to make a map to set beside the studied one.

    Attributes:
        make: Makes it, [N, h, w] of the grid; higher is more important.
        says: What it is, in a line.
        needs: What the subject has to have, of "choices", "evidence", "cam", "features", "maps" and
            "previous".
    """

    make: Callable[[Request], Tensor]
    says: str
    needs: frozenset[str] = frozenset()


def _evidence(request: Request) -> Tensor:
    """The evidence for the choice, where it speaks for it."""
    evidence, choice = request.own.evidence, request.choice
    assert evidence is not None
    assert choice is not None
    of_choice = evidence[torch.arange(len(evidence), device=evidence.device), choice]
    return to_cells(of_choice, request.subject.grid)


@torch.no_grad()
def _cam(request: Request) -> Tensor:
    """Class activation mapping (Zhou et al., CVPR 2016) of the choice."""
    subject, choice = request.subject, request.choice
    assert subject.cam is not None
    assert choice is not None
    parts = []
    for images, numbers in subject.batches(64):
        maps = subject.cam(images, numbers)
        parts.append(maps[torch.arange(len(maps), device=maps.device), choice[numbers]])
    return to_cells(torch.cat(parts), subject.grid)


def _integrated(request: Request) -> Tensor:
    subject = request.subject
    found = integrated_gradients(
        subject, request.choice, request.substrate, request.effort.path_steps
    )
    return magnitude_in_cells(found, subject.grid)


def _expected(request: Request) -> Tensor:
    subject, effort = request.subject, request.effort
    found = expected_gradients(subject, request.choice, effort.samples, request.seed)
    return magnitude_in_cells(found, subject.grid)


def _motion(request: Request) -> Tensor:
    previous = request.subject.previous
    assert previous is not None
    images = request.subject.images
    # Of a stack of frames the newest is last.
    return motion(images[:, -previous.shape[1] :], previous, request.subject.grid)


METHODS: dict[str, Method] = {
    "evidence": Method(
        _evidence, "the branch's evidence for the action", frozenset({"evidence", "choices"})
    ),
    "cam": Method(
        _cam, "class activation maps of the last features", frozenset({"cam", "choices"})
    ),
    "grad_cam": Method(
        lambda r: grad_cam(r.subject, r.choice),
        "Grad-CAM at the features where attention attaches",
        frozenset({"features"}),
    ),
    "attention_gradient": Method(
        lambda r: attention_gradient(r.subject, r.choice),
        "the attention map times the gradient to it: what each cell's gate adds",
        frozenset({"features", "maps"}),
    ),
    "integrated_gradients": Method(_integrated, "gradients along a path from the substrate"),
    "expected_gradients": Method(_expected, "gradients along paths from other pictures"),
    "occlusion": Method(
        lambda r: occlusion(r.own, r.without_cells(), r.subject.grid),
        "loss when one cell is hidden",
    ),
    "rise": Method(
        lambda r: rise(r.subject, r.own, r.substrate, r.effort.masks, r.seed),
        "mean of random masks, by what is lost under them",
    ),
    "sarfa": Method(
        lambda r: sarfa(r.own, r.without_cells(), r.subject.grid),
        "drop of the action alone when one cell is hidden",
        frozenset({"choices"}),
    ),
    "greydanus": Method(
        lambda r: greydanus(r.subject, r.own), "change of the logits under a soft local blur"
    ),
    "motion": Method(_motion, "difference to the frame before", frozenset({"previous"})),
    "centre": Method(
        lambda r: centre(r.subject.n, r.subject.grid).to(r.subject.device),
        "a Gaussian in the middle",
    ),
    "random": Method(
        lambda r: random(r.subject.n, r.subject.grid, r.seed).to(r.subject.device), "noise"
    ),
}
"""By name; the last three know nothing of the network."""


def has(subject: Subject, own: Answer) -> set[str]:
    """Returns what a subject has that methods may need."""
    found = set()
    if own.logits is not None and own.logits.shape[1] > 1:
        found.add("choices")
    if own.evidence is not None and own.evidence.shape[1] and own.logits is not None:
        found.add("evidence")
    if subject.features is not None and subject.ask_features is not None:
        found.add("features")
    if subject.ask_maps is not None and own.maps is not None:
        found.add("maps")
    if subject.cam is not None:
        found.add("cam")
    if subject.previous is not None:
        found.add("previous")
    return found


def possible(subject: Subject, own: Answer) -> list[str]:
    """Returns the names of the methods that a subject has everything for."""
    there = has(subject, own)
    return [name for name, method in METHODS.items() if method.needs <= there]


def make_maps(
    request: Request,
    names: Sequence[str] | None = None,
    tick: Callable[[str], None] | None = None,
) -> dict[str, Tensor]:
    """Makes these maps, by name, [N, h, w] each.

    Args:
        request: Of what.
        names: Which; None is all that can be made.
        tick: Told each name when it is done.
    """
    shared: list[Answer] = []

    def without() -> Answer:
        if not shared:
            shared.append(cell_answers(request.subject, request.substrate))
        return shared[0]

    request = request._replace(without=without)
    made = {}
    for name in possible(request.subject, request.own) if names is None else names:
        made[name] = METHODS[name].make(request).detach().float()
        if tick is not None:
            tick(name)
    return made
