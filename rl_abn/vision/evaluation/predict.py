"""What a trained network says about examples, and what is said without one."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from rl_abn.attention import MapOverride
from rl_abn.progress import ProgressReport
from rl_abn.vision.data.examples import Examples
from rl_abn.vision.evaluation.bayes import sample
from rl_abn.vision.models.network import VisionNetwork
from rl_abn.vision.tasks.outputs import Outputs
from rl_abn.vision.tasks.scores import Truth
from rl_abn.vision.training.build import Trained

BATCH = 256
"""So many pictures, or looks at them by a network that looks once a map, are in memory at once."""
_ORDER = 0  # the seed of the order in which interventions see pictures


class Predictions(NamedTuple):
    """Outputs for N examples, on the CPU.

    Attributes:
        targets: Classes [N], tasks [N, T] or controls [N, 2].
        outputs: The perception branch's, [N, K].
        branch_outputs: The attention branch's, [N, K]; None for the no-attention baseline.
    """

    targets: Shaped[Tensor, "N ..."]
    outputs: Float[Tensor, "N K"]
    branch_outputs: Float[Tensor, "N K"] | None


class Samples(NamedTuple):
    """A classifier's predictions of N examples under MC dropout, on the CPU.

    Attributes:
        probabilities: Of the branch that is surer, [N, K].
        perception: The perception branch's, [N, K].
        branch: The attention branch's, [N, K]; None for the no-attention baseline.
        entropy: Of `probabilities`, [N], in 0..1.
        from_branch: Where the prediction is the attention branch's, bool [N].
    """

    probabilities: Tensor
    perception: Tensor
    branch: Tensor | None
    entropy: Tensor
    from_branch: Tensor


def predict(
    trained: Trained,
    examples: Examples,
    map_override: MapOverride | None = None,
    report: ProgressReport | None = None,
    done_before: int = 0,
) -> Predictions:
    """Asks a network about all examples, and returns what it says in their order.

    A function of maps, such as an intervention, sees them in a random order, the same at every
    call: in the order of the files those of a class are neighbours, and a map of another picture
    would mostly be one of the same class. Frames of a drive stay in the order of time.

    Args:
        trained: The network.
        examples: What about.
        map_override: Maps to act on instead of its own, or a function of them.
        report: Shows how far it is, in pictures.
        done_before: Pictures that the report counts already.
    """
    batches, network = trained.batches, trained.network
    targets, outputs, branch_outputs = [], [], []
    order = torch.arange(len(examples))
    if callable(map_override) and examples.drive is None:
        order = torch.randperm(len(order), generator=torch.Generator().manual_seed(_ORDER))
    done = done_before
    with torch.no_grad():
        for numbers in order.split(batch_size(network)):
            batch = batches.batch(examples, numbers)
            with batches.compute.autocast(trained.device):
                attention = network.attend(batch.images, batch.speed, map_override)
            targets.append(batch.targets.cpu())
            outputs.append(attention.outputs.float().cpu())
            if attention.branch_outputs is not None:
                branch_outputs.append(attention.branch_outputs.float().cpu())
            done += len(numbers)
            if report is not None:
                report.update(done)
    back = order.argsort()
    return Predictions(
        torch.cat(targets)[back],
        torch.cat(outputs)[back],
        torch.cat(branch_outputs)[back] if branch_outputs else None,
    )


def batch_size(network: VisionNetwork) -> int:
    """Returns how many pictures a network is asked about at once: it may look once a map."""
    return max(1, BATCH // max(1, network.n_maps))


def truth_of(outputs: Outputs, examples: Examples, predictions: Predictions) -> Truth:
    """Returns what is right for examples, as their task scores them.

    Args:
        outputs: What the network's outputs mean.
        examples: What it was asked about.
        predictions: What it said, with the targets of its loss.
    """
    drive = examples.drive
    return Truth(
        targets=predictions.targets,
        driven=None if drive is None else examples.targets.cpu(),
        blocks=None if drive is None else drive.blocks,
        bins=outputs.steering,
    )


def predict_sampled(
    trained: Trained,
    examples: Examples,
    n: int,
    seed: int,
    report: ProgressReport | None = None,
    done_before: int = 0,
) -> Samples:
    """Asks a classifier n times about every example, under MC dropout.

    Args:
        trained: The network.
        examples: What about.
        n: Samples.
        seed: Of the dropout.
        report: Shows how far it is, in pictures.
        done_before: Pictures that the report counts already.

    Raises:
        RlAbnError: If the network is no classifier.
    """
    torch.manual_seed(seed)
    batches, samples = trained.batches, []
    for numbers, batch in batches.in_order(examples, max(1, 2 * BATCH // n)):
        with batches.compute.autocast(trained.device):
            samples.append(sample(trained.network, batch.images, n, speed=batch.speed))
        if report is not None:
            report.update(done_before + int(numbers[-1]) + 1)
    branches = [s.branch_probabilities for s in samples if s.branch_probabilities is not None]
    return Samples(
        probabilities=torch.cat([s.probabilities.cpu() for s in samples]),
        perception=torch.cat([s.perception_probabilities.cpu() for s in samples]),
        branch=torch.cat(branches).cpu() if branches else None,
        entropy=torch.cat([s.entropy.cpu() for s in samples]),
        from_branch=torch.cat([s.from_branch.cpu() for s in samples]),
    )
