"""Losses against their closed forms, means over batches of any size, learning rates."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rl_abn.recipes.vision import OptimizerTable, ScheduleTable
from rl_abn.vision.data.batches import epoch_order
from rl_abn.vision.models.network import VisionAttention
from rl_abn.vision.tasks import TASKS
from rl_abn.vision.tasks.losses import Losses, Tally, losses_of
from rl_abn.vision.training.optimizer import learning_rate, make_optimizer

NOTHING = torch.zeros(0)


def said(outputs: Tensor, branch: Tensor | None) -> VisionAttention:
    return VisionAttention(outputs, branch, NOTHING, NOTHING)


def test_both_branches_cross_entropies_are_added() -> None:
    outputs = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    branch = torch.tensor([[0.0, 0.0], [3.0, 0.0]])
    losses = losses_of(said(outputs, branch), torch.tensor([0, 1]), TASKS["classification"], 0.5)
    perception = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-1))) / 2
    own = (math.log(2) + math.log(1 + math.exp(3))) / 2
    assert float(losses.perception) == pytest.approx(perception)
    assert losses.branch is not None
    assert float(losses.branch) == pytest.approx(own)
    assert float(losses.total) == pytest.approx(perception + 0.5 * own)


def test_controls_are_squared_errors_and_tasks_binary_cross_entropies() -> None:
    outputs, targets = torch.tensor([[0.5, 0.0]]), torch.tensor([[0.0, 1.0]])
    losses = losses_of(said(outputs, -outputs), targets, TASKS["regression"], 1.0)
    assert float(losses.total) == pytest.approx((0.25 + 1) / 2 * 2)
    losses = losses_of(said(outputs, None), targets, TASKS["multilabel"], 1.0)
    expected = (math.log(1 + math.exp(0.5)) + math.log(2)) / 2
    assert losses.branch is None
    assert float(losses.total) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("task", "outputs", "targets", "expected"),
    [
        (
            "classification",
            [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]],
            [0, 1, 1],
            {"accuracy": 2 / 3, "branch_accuracy": 1 / 3},
        ),
        (
            "multilabel",
            [[1.0, -1.0], [1.0, 1.0], [-1.0, -1.0]],
            [[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]],
            {"accuracy": 3 / 6, "branch_accuracy": 3 / 6},
        ),
        (
            "regression",
            [[1.0, 0.0], [0.0, 0.0], [0.5, 0.5]],
            [[0.0, 0.0], [0.0, 1.0], [0.5, 0.0]],
            {
                "steering_mae": 1 / 3,
                "throttle_mae": 1.5 / 3,
                "branch_steering_mae": 2 / 3,
                "branch_throttle_mae": 2.5 / 3 - 1 / 3,
            },
        ),
    ],
)
def test_a_tally_of_unequal_batches_is_the_mean_over_all(
    task: str, outputs: list, targets: list, expected: dict[str, float]
) -> None:
    every, wanted = torch.tensor(outputs), torch.tensor(targets)
    tally = Tally(TASKS[task])
    for part in (slice(0, 2), slice(2, 3)):
        attention = said(every[part], -every[part])
        losses = Losses(*(torch.tensor(float(part.start)) for _ in range(3)))
        tally.add(attention, losses, wanted[part])
    values = tally.values()
    if task == "regression":
        branch = (-every - wanted).abs().mean(dim=0).tolist()
        expected = {**expected, "branch_steering_mae": branch[0], "branch_throttle_mae": branch[1]}
    for name, number in expected.items():
        assert values[name] == pytest.approx(number), name
    assert values["loss"] == pytest.approx(2 / 3)


def table(schedule: ScheduleTable, warmup: float = 0.0) -> OptimizerTable:
    return OptimizerTable(learning_rate=0.1, schedule=schedule, warmup=warmup)


def test_steps_are_where_the_papers_have_them_whatever_the_epochs() -> None:
    wide = table(ScheduleTable(kind="steps", at=(0.3, 0.6, 0.8), factor=0.2))
    for epochs, edges in ((200, (60, 120, 160)), (20, (6, 12, 16))):
        for i, edge in enumerate(edges):
            before, after = (learning_rate(wide, done, epochs) for done in (edge - 0.01, edge))
            assert before == pytest.approx(0.1 * 0.2**i)
            assert after == pytest.approx(0.1 * 0.2 ** (i + 1))
    assert learning_rate(table(ScheduleTable()), 299.9, 300) == 0.1


def test_a_cosine_and_a_warm_up() -> None:
    cosine = table(ScheduleTable(kind="cosine"), warmup=2.0)
    assert learning_rate(cosine, 0, 10) == 0
    assert learning_rate(cosine, 1, 10) == pytest.approx(0.05 * 0.5 * (1 + math.cos(0.1 * math.pi)))
    assert learning_rate(cosine, 5, 10) == pytest.approx(0.05)
    assert learning_rate(cosine, 10, 10) == pytest.approx(0)


def test_one_step_of_sgd_is_the_rule() -> None:
    torch.manual_seed(0)  # a weight near 0 after the step could not be compared relatively
    network = torch.nn.Linear(1, 1, bias=False)
    start = float(network.weight.detach())
    recipe = OptimizerTable(learning_rate=0.1, weight_decay=0.5, momentum=0.9, nesterov=True)
    optimizer = make_optimizer(network, recipe)
    network(torch.tensor([[2.0]])).sum().backward()
    optimizer.step()
    gradient = 2.0 + 0.5 * start
    assert float(network.weight.detach()) == pytest.approx(start - 0.1 * 1.9 * gradient)


def test_an_order_is_every_example_once_and_leaves_a_lone_one_out() -> None:
    order = epoch_order(10, 4, 5)
    assert [len(batch) for batch in order] == [4, 4, 2]
    assert sorted(torch.cat(order).tolist()) == list(range(10))
    assert torch.equal(torch.cat(order), torch.cat(epoch_order(10, 4, 5)))
    assert not torch.equal(torch.cat(order), torch.cat(epoch_order(10, 4, 6)))
    assert [len(batch) for batch in epoch_order(9, 4, 5)] == [4, 4]
