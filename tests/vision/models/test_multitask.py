import pytest
import torch
from torch.nn import functional as F

from rl_abn.errors import RlAbnError
from rl_abn.vision.models import MultiTaskAbn, build_model
from rl_abn.vision.models.driving import DrivingTrunk

IMAGES = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
TASKS = 5


def network(mechanism="residual"):
    torch.manual_seed(0)
    made = build_model("resnet", n_outputs=TASKS, mechanism=mechanism, task="multilabel", depth=8)
    assert isinstance(made, MultiTaskAbn)
    return made


def test_each_task_has_a_map():
    attention = network().eval().attend(IMAGES)
    assert attention.map.shape == (3, TASKS, 16, 16)
    assert attention.evidence.shape == (3, TASKS, 16, 16)
    assert attention.outputs.shape == attention.branch_outputs.shape == (3, TASKS)
    assert not torch.equal(attention.map[:, 0], attention.map[:, 1])


@pytest.mark.parametrize("mechanism", ["residual", "mask"])
def test_the_batched_pass_is_the_loop_over_tasks(mechanism):
    """Fukui et al., section 3.4: the perception branch, the same weights, once a task."""
    made = network(mechanism).eval()
    attention = made.attend(IMAGES)
    features = made.extract(IMAGES)
    for task in range(TASKS):
        gated = made.branch.gate(features, attention.map[:, task : task + 1])
        expected = made.head(made.perception(gated))[:, task]
        torch.testing.assert_close(attention.outputs[:, task], expected, rtol=1e-5, atol=1e-5)


def test_another_map_for_one_task_changes_its_answer_alone():
    made = network().eval()
    own = made.attend(IMAGES)
    painted = own.map.clone()
    painted[:, 2] = 0.0
    other = made.attend(IMAGES, map_override=painted)
    unchanged = [0, 1, 3, 4]
    torch.testing.assert_close(other.outputs[:, unchanged], own.outputs[:, unchanged])
    assert (other.outputs[:, 2] - own.outputs[:, 2]).abs().min() > 1e-5


def test_maps_of_zeros_are_the_no_attention_baseline():
    made, baseline = network().eval(), network("none").eval()
    attention = made.attend(IMAGES, map_override=torch.zeros_like)
    plain = baseline.attend(IMAGES)
    torch.testing.assert_close(attention.outputs, plain.outputs, rtol=1e-5, atol=1e-5)
    assert plain.map.shape == (3, 0, 16, 16)
    assert (made.n_maps, baseline.n_maps) == (TASKS, 0)


def test_every_parameter_learns():
    made = network()
    attention = made.attend(IMAGES)
    labels = (torch.rand(3, TASKS, generator=torch.Generator().manual_seed(2)) > 0.5).float()
    loss = sum(
        F.binary_cross_entropy_with_logits(logits, labels)
        for logits in (attention.outputs, attention.branch_outputs)
    )
    loss.backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_memory_stays_channels_last():
    made = network().to(memory_format=torch.channels_last)
    seen = []
    made.perception[1].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    made.attend(IMAGES.to(memory_format=torch.channels_last))
    assert seen[0].shape[0] == 3 * TASKS
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def test_a_network_that_drives_has_no_tasks():
    with pytest.raises(RlAbnError, match="for DrivingTrunk, got 'multilabel'"):
        MultiTaskAbn(DrivingTrunk(), 4)
