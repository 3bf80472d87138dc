import re
from itertools import product

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rl_abn.attention import AttentionBranch
from rl_abn.errors import RlAbnError
from rl_abn.vision.models import MODELS, AbnNetwork, build_model
from rl_abn.vision.models.densenet import DenseNet
from tests.covering import covering, more

# One small network of each kind, and the map of a 32x32 picture.
SMALL = {
    "resnet": ({"depth": 8}, (16, 16)),
    "se_resnet": ({"depth": 8}, (16, 16)),
    "wrn": ({"depth": 10, "width": 1}, (16, 16)),
    "densenet_bc": ({"depth": 10, "growth": 4}, (8, 8)),
    "resnext": ({"depth": 11, "cardinality": 2, "width": 4}, (16, 16)),
    "vgg16_bn": ({}, (8, 8)),
}
BOTTLENECK = {"depth": 11, "block": "bottleneck"}

# Parameters of the no-attention baselines for CIFAR-10. In brackets what the papers state.
PUBLISHED = {
    "resnet20": 272_474,  # 0.27M
    "resnet56": 855_770,  # 0.85M
    "resnet110": 1_730_714,  # 1.7M
    "resnet164": 1_704_154,  # 1.7M
    "wrn_28_10": 36_479_194,  # 36.5M
    "densenet_bc_100_12": 769_162,  # 0.8M
    "resnext29_8x64d": 34_426_698,  # 34.4M
    "vgg16_bn": 14_724_042,  # the convolutions 14.7M
    "vgg19_bn": 20_035_018,  # the convolutions 20.0M
}


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def small(name, seed=0, **changes):
    torch.manual_seed(seed)
    options = {**SMALL[name][0], "n_outputs": 10, **changes}
    return build_model(name, **options)


def pictures(n=4, size=32):
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_no_attention_baseline_has_the_published_parameters(name):
    with torch.device("meta"):
        assert count(build_model(name, n_outputs=10, mechanism="none")) == PUBLISHED[name]


# Of each family one; its others differ in depth and width alone.
FAMILIES = {re.split(r"[_\d]", name)[0]: name for name in MODELS if name != "pilotnet"}
OTHERS = [name for name in MODELS if name not in {"pilotnet", *FAMILIES.values()}]


@pytest.mark.parametrize("name", [*FAMILIES.values(), *more(*OTHERS)])
def test_the_branch_adds_a_copy_of_the_last_stage_and_the_published_heads(name):
    """BN, 1x1 -> K, BN; 1x1 K -> K; 3x3 -> 1, BN (Fukui et al., authors' code)."""
    if name in ("torchvision", "timm"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    with torch.device("meta"):
        network = build_model(name, n_outputs=10, task="classification")
        baseline = build_model(name, n_outputs=10, task="classification", mechanism="none")
    assert count(network) == count(baseline) + count(network.branch)
    channels = network.branch.response[0].num_features
    heads = 2 * channels + channels * 10 + 2 * 10 + 10 * 10 + 9 * 10 + 2
    assert count(network.branch) - count(network.branch.body) == heads


@pytest.mark.parametrize("name", ["resnet", "wrn", "resnext", "vgg16_bn"])
def test_the_branch_copies_the_last_stage(name):
    """Its shapes and no more: stride 1 changes no weight's shape."""
    network = small(name)
    body = sorted(tuple(p.shape) for p in network.branch.body.parameters())
    stage = sorted(tuple(p.shape) for p in network.perception.parameters())
    if name == "wrn":  # whose last BatchNorm stands behind the stage
        stage.remove((64,))
        stage.remove((64,))
    assert body == stage


@pytest.mark.parametrize(("name", "size"), covering(product(SMALL, [32, 40])))
def test_maps_have_the_published_size_and_answers_their_shapes(name, size):
    """For 32x32: 16x16 of residual networks, 8x8 of DenseNet (Fukui et al.)."""
    attention = small(name).eval().attend(pictures(2, size))
    h, w = (side * size // 32 for side in SMALL[name][1])
    assert attention.map.shape == (2, 1, h, w)
    assert attention.evidence.shape == (2, 10, h, w)
    assert attention.outputs.shape == attention.branch_outputs.shape == (2, 10)
    assert attention.map.min() >= 0
    assert attention.map.max() <= 1
    torch.testing.assert_close(attention.branch_outputs, attention.evidence.mean(dim=(2, 3)))


def test_the_map_is_half_as_large_in_the_full_networks_too():
    with torch.device("meta"):
        images = torch.zeros(1, 3, 32, 32)
        for name, side in {"wrn_28_10": 16, "resnext29_8x64d": 16, "densenet_bc_100_12": 8}.items():
            attention = build_model(name, n_outputs=100).attend(images)
            assert attention.map.shape == (1, 1, side, side)
            assert attention.outputs.shape == (1, 100)


@pytest.mark.parametrize(
    ("name", "mechanism"), covering(product(SMALL, ["residual", "mask", "none"]))
)
def test_every_parameter_learns_from_the_published_loss(name, mechanism):
    """L = CE(branch) + CE(perception)."""
    network = small(name, mechanism=mechanism)
    attention = network.attend(pictures())
    labels = torch.tensor([0, 3, 7, 9])
    loss = F.cross_entropy(attention.outputs, labels)
    if attention.branch_outputs is not None:
        loss = loss + F.cross_entropy(attention.branch_outputs, labels)
    loss.backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


def test_a_bottleneck_network_is_four_times_as_wide():
    network = small("resnet", **BOTTLENECK)
    assert network.head.in_features == 256
    assert network.eval().attend(pictures(1)).map.shape == (1, 1, 16, 16)


@pytest.mark.parametrize("name", SMALL)
def test_a_map_of_zeros_is_the_no_attention_baseline(name):
    """(1 + 0) · f is f; and the same seed gives the baseline the same weights."""
    network, baseline = small(name).eval(), small(name, mechanism="none").eval()
    attention = network.attend(pictures(), map_override=torch.zeros(1, 1, 1, 1))
    plain = baseline.attend(pictures())
    assert torch.equal(attention.outputs, plain.outputs)
    assert attention.map.abs().max() == 0
    weights = network.state_dict()
    assert all(torch.equal(tensor, weights[key]) for key, tensor in baseline.state_dict().items())


def test_the_no_attention_baseline_has_no_branch():
    baseline = small("resnet", mechanism="none")
    attention = baseline.attend(pictures(2))
    assert not any(isinstance(module, AttentionBranch) for module in baseline.modules())
    assert attention.branch_outputs is None
    assert attention.map.shape == (2, 0, 16, 16)
    assert attention.evidence.shape == (2, 0, 16, 16)
    assert (baseline.n_maps, small("resnet").n_maps) == (0, 1)
    with pytest.raises(ValueError, match="a map for one without"):
        baseline.attend(pictures(2), map_override=torch.ones(1, 1, 16, 16))


def test_a_gate_of_zeros_shows_a_masked_network_nothing():
    network = small("resnet", mechanism="mask").eval()
    blind = network.attend(pictures(), map_override=torch.zeros_like).outputs
    assert torch.equal(blind[0], blind[1])
    assert not torch.equal(*network.attend(pictures(2)).outputs)


def test_other_maps_come_in_by_the_door():
    network = small("resnet").eval()
    own = network.attend(pictures())
    same = network.attend(pictures(), map_override=lambda maps: maps)
    assert torch.equal(own.outputs, same.outputs)
    painted = torch.rand(4, 1, 16, 16)
    other = network.attend(pictures(), map_override=painted)
    assert torch.equal(other.map, painted)
    assert not torch.equal(other.outputs, own.outputs)
    assert torch.equal(other.branch_outputs, own.branch_outputs)
    with pytest.raises(ValueError, match=r"got \(4, 1, 8, 8\)"):
        network.attend(pictures(), map_override=painted[..., :8, :8])


def test_the_two_halves_are_the_whole():
    network = small("resnet").eval()
    whole = network(pictures())
    halves = network.attend_features(network.extract(pictures()))
    assert whole._fields == halves._fields
    for mine, other in zip(whole, halves, strict=True):
        assert (mine is other is None) or torch.equal(mine, other)


def test_answers_are_fp32_in_half_precision_too():
    network = small("resnet").eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        attention = network.attend(pictures())
    assert {part.dtype for part in attention if part is not None} == {torch.float32}


def test_convolutions_start_as_he_initialisation_says():
    """Standard deviation sqrt(2 / fan-out), in trunk and branch; the last bias is 0."""
    network = small("wrn", width=4)
    checked = 0
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.weight.numel() > 5000:
            fan_out = layer.out_channels * layer.kernel_size[0] ** 2
            assert layer.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)
            checked += 1
    assert checked > 10
    assert network.head.bias.abs().max() == 0


def test_wide_networks_drop_in_training_alone():
    network = small("wrn", drop=0.5)
    first, second = (network.attend(pictures()).outputs for _ in range(2))
    assert not torch.equal(first, second)
    network.eval()
    assert torch.equal(network.attend(pictures()).outputs, network.attend(pictures()).outputs)


def test_networks_stay_in_channels_last_memory():
    network = small("resnet").to(memory_format=torch.channels_last)
    features = network.extract(pictures().to(memory_format=torch.channels_last))
    assert features.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet21", {}, "did you mean 'resnet20'"),
        ("resnet20", {"depth": 56}, "expected an option that resnet20 has, got 'depth'"),
        ("wrn_28_10", {"dropp": 0.1}, "did you mean 'drop'"),
        ("vgg16_bn", {"depth": 19}, "it has none"),
        ("resnet", {"depth": 21}, r"6n \+ 2 for ResNet, got 21: the nearest is 20"),
        ("resnet", {"depth": 1}, "the nearest is 8"),
        ("resnet", {"depth": "20"}, "depth to be a whole number, got '20'"),
        ("resnet", {"depth": True}, "a whole number, got True"),
        ("resnet", {"block": "wide"}, "'basic' or 'bottleneck', got 'wide'"),
        ("wrn", {"depth": 27}, "the nearest is 28"),
        ("wrn", {"drop": 1.0}, "0 <= drop < 1"),
        ("densenet_bc", {"growth": 0}, "growth of 1 or more, got 0"),
        ("resnext", {"width": 0}, "width of 1 or more"),
        ("resnet", {"n_outputs": 0}, "1 or more outputs, got 0"),
        ("resnet", {"mechanism": "residul"}, "did you mean 'residual'"),
        ("resnet", {"mechanism": "soft"}, "got 'soft', .* the nearest is 'soft_glimpses'"),
        ("resnet", {"mechanism": "hard"}, "an agent's LSTM"),
        ("resnet", {"dropout": 1.0}, "got 1.0"),
        (
            "resnet",
            {"task": "regression"},
            r"\['classification', 'multilabel'\] for resnet, got 'regression'",
        ),
    ],
)
def test_a_mistake_is_one_line_with_the_nearest_choice(name, options, message):
    with pytest.raises(RlAbnError, match=message) as caught:
        build_model(name, **{"n_outputs": 10, **options})
    assert "\n" not in str(caught.value)


def test_a_depth_of_vgg_is_one_there_is():
    from rl_abn.vision.models.vgg import Vgg

    with pytest.raises(RlAbnError, match="got 17: the nearest is 16"):
        Vgg(17)


def test_a_network_takes_any_plan():
    network = AbnNetwork(DenseNet(10, 4), 7, mechanism="none")
    assert network.attend(pictures(2)).outputs.shape == (2, 7)


def test_an_option_that_does_not_go_with_a_backbone_is_one_line():
    with pytest.raises(RlAbnError, match="pooling 'weighted'"):
        small("resnet", mechanism_options={"pooling": "weighted"})
