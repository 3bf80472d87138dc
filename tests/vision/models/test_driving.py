import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rl_abn.attention import WeightedGlobalPooling
from rl_abn.errors import RlAbnError
from rl_abn.vision.models import build_model


def frames(n=4, size=(66, 200)):
    return torch.randn(n, 3, *size, generator=torch.Generator().manual_seed(1))


SPEED = torch.tensor([0.0, 0.5, 1.0, -1.0])


def driver(**options):
    torch.manual_seed(0)
    return build_model("driving_abn", **{"n_outputs": 2, **options})


def test_pilotnet_has_the_published_parameters():
    """Bojarski et al. 2016: "about 250 thousand"; 24, 36, 48, 64, 64; 1164 -> 100, 50, 10, 1."""
    network = build_model("pilotnet", n_outputs=1, mechanism="none")
    assert sum(p.numel() for p in network.parameters()) == (
        (3 * 25 + 1) * 24
        + (24 * 25 + 1) * 36
        + (36 * 25 + 1) * 48
        + (48 * 9 + 1) * 64
        + (64 * 9 + 1) * 64
        + (64 * 1 * 18 + 1) * 100
        + (100 + 1) * 50
        + (50 + 1) * 10
        + 11
    )


def test_pilotnet_has_no_attention_no_normalisation_and_no_speed():
    network = build_model("pilotnet", n_outputs=2, mechanism="none")
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert not network.takes_speed
    attention = network.attend(frames(), SPEED)
    assert torch.equal(attention.outputs, network.attend(frames()).outputs)
    assert attention.map.shape[1] == 0
    with pytest.raises(RlAbnError, match="expected mechanism 'none' for PilotNet"):
        build_model("pilotnet", n_outputs=2)


@pytest.mark.parametrize(
    ("size", "map_size"), [((66, 200), (14, 47)), ((96, 96), (21, 21)), ((80, 160), (17, 37))]
)
def test_maps_belong_to_the_size_of_the_frames(size, map_size):
    network = driver(size=list(size)).eval()
    attention = network.attend(frames(2, size), SPEED[:2])
    assert attention.map.shape == (2, 1, *map_size)
    assert attention.evidence.shape == (2, 2, *map_size)
    assert attention.outputs.shape == attention.branch_outputs.shape == (2, 2)


def test_both_answers_lie_in_minus_1_to_1():
    network = driver().eval()
    attention = network.attend(1000 * frames(), SPEED)
    for answer in (attention.outputs, attention.branch_outputs):
        assert answer.abs().max() <= 1
        assert answer.abs().max() > 0


def test_the_branch_answers_by_weighted_global_pooling():
    network = driver().eval()
    pool = network.branch.pool
    assert isinstance(pool, WeightedGlobalPooling)
    with torch.no_grad():
        pool.kernel.copy_(torch.randn_like(pool.kernel))
    attention = network.attend(frames(), SPEED)
    kernels = pool.kernel.unsqueeze(1)
    expected = F.conv2d(attention.evidence, kernels, pool.bias, groups=2).flatten(1).tanh()
    torch.testing.assert_close(attention.branch_outputs, expected)


def test_speed_enters_the_perception_branch_alone():
    """Mori et al., IV 2019: the first fully connected layer, and nothing else."""
    network = driver().eval()
    slow, fast = (network.attend(frames(), SPEED + more) for more in (0.0, 0.5))
    assert torch.equal(slow.map, fast.map)
    assert torch.equal(slow.evidence, fast.evidence)
    assert torch.equal(slow.branch_outputs, fast.branch_outputs)
    assert (slow.outputs != fast.outputs).all()
    assert network.head[0].in_features == 64 * 1 * 18 + 1
    with torch.no_grad():
        network.head[0].weight[:, -1] = 0
    slow, fast = (network.attend(frames(), SPEED + more) for more in (0.0, 0.5))
    assert torch.equal(slow.outputs, fast.outputs)


@pytest.mark.parametrize("mechanism", ["residual", "none"])
def test_every_parameter_learns_from_the_published_loss(mechanism):
    """L = MSE(branch) + MSE(perception)."""
    network = driver(mechanism=mechanism)
    attention = network.attend(frames(), SPEED)
    target = torch.tensor([[0.5, 0.2], [-0.5, 0.2], [0.9, -0.2], [0.0, 1.0]])
    loss = F.mse_loss(attention.outputs, target)
    if attention.branch_outputs is not None:
        loss = loss + F.mse_loss(attention.branch_outputs, target)
    loss.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_a_map_of_zeros_is_the_no_attention_baseline():
    network, baseline = driver().eval(), driver(mechanism="none").eval()
    attention = network.attend(frames(), SPEED, map_override=torch.zeros_like)
    plain = baseline.attend(frames(), SPEED)
    assert torch.equal(attention.outputs, plain.outputs)
    assert plain.branch_outputs is None


def test_the_classification_form_answers_logits_by_averages():
    network = driver(n_outputs=5, task="classification").eval()
    attention = network.attend(frames(), SPEED)
    assert network.branch.pool is None
    torch.testing.assert_close(attention.branch_outputs, attention.evidence.mean(dim=(2, 3)))
    with torch.no_grad():
        network.head[-1].bias.fill_(7.0)
    assert network.attend(frames(), SPEED).outputs.min() > 1


def test_the_form_belongs_to_the_network():
    assert driver().task.name == "regression"
    assert driver(task="classification").task.name == "classification"
    with pytest.raises(RlAbnError, match="got 'multilabel'"):
        driver(task="multilabel")


def test_no_speed_and_frames_of_another_size_are_refused():
    network = driver().eval()
    with pytest.raises(ValueError, match="expected the speed"):
        network.attend(frames())
    with pytest.raises(ValueError, match=r"expected pictures of 66x200 .* got 66x180"):
        network.attend(frames(4, (66, 180)), SPEED)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ([60, 200], "expected frames of at least 61x61 .* got 60x200"),
        ([66], r"\[height, width\], got \[66\]"),
        ([66, "200"], r"\[height, width\]"),
        ("66x200", "size to be a list, got '66x200'"),
    ],
)
def test_a_size_that_will_not_do_is_refused(size, message):
    with pytest.raises(RlAbnError, match=message):
        driver(size=size)
    if message.startswith("expected frames"):
        assert driver(size=[61, 61]).size == (61, 61)
