import pytest
import torch
from torch import nn

from rl_abn.networks import NETWORKS, check_size, trace_shape

SHAPE = (4, 84, 84)
PLACES = [(name, size) for name, network in NETWORKS.items() for size in network.attention_at]
SHAPES = {
    ("nature", 9): (64, 9, 9),
    ("nature", 7): (64, 7, 7),
    ("nature_wide", 9): (128, 9, 9),
    ("nature_wide", 7): (128, 7, 7),
    ("impala", 21): (32, 21, 21),
    ("impala", 11): (32, 11, 11),
    ("mask_a3c", 10): (64, 10, 10),
}


@pytest.mark.parametrize(("name", "size"), PLACES)
def test_the_map_has_the_size_in_the_name(name, size):
    assert trace_shape(NETWORKS[name](SHAPE, size).extractor(), SHAPE) == SHAPES[name, size]


@pytest.mark.parametrize(("name", "size"), PLACES)
def test_parts_fit_together_and_every_parameter_learns(name, size):
    plan = NETWORKS[name](SHAPE, size)
    extractor, perception = plan.extractor(), plan.perception()
    channels = SHAPES[name, size][0]
    body, before_gate = plan.branch_body(channels), plan.before_gate(channels)
    features = extractor(torch.rand(2, *SHAPE))
    assert body(features).shape == features.shape
    latent = perception(before_gate(features + body(features)))
    assert latent.shape == (2, plan.features_dim)
    latent.square().sum().backward()
    for part in (extractor, before_gate, perception, body):
        for parameter_name, parameter in part.named_parameters():
            assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", NETWORKS)
def test_the_split_does_not_change_the_trunk(name):
    """Both places cut the same layers: the parameters are the same in number and shape."""
    counts = set()
    for size in NETWORKS[name].attention_at:
        plan = NETWORKS[name](SHAPE, size)
        whole = nn.ModuleList([plan.extractor(), plan.perception()])
        counts.add(tuple(tuple(p.shape) for p in whole.parameters()))
    assert len(counts) == 1


def test_nature_has_the_published_parameters():
    """Mnih et al. 2015: conv 32x8x8, 64x4x4, 64x3x3, 3136 -> 512."""
    plan = NETWORKS["nature"](SHAPE, 9)
    whole = nn.ModuleList([plan.extractor(), plan.perception()])
    assert sum(p.numel() for p in whole.parameters()) == (
        (4 * 64 + 1) * 32 + (32 * 16 + 1) * 64 + (64 * 9 + 1) * 64 + (3136 + 1) * 512
    )


def test_mask_a3c_has_the_published_shapes_and_parameters():
    """Itaya et al. 2021: 64x10x10 for 80x80; a 1x1 convolution to 32 channels, then 3200."""
    plan = NETWORKS["mask_a3c"]((1, 80, 80), 10)
    extractor, before_gate = plan.extractor(), plan.before_gate(64)
    assert trace_shape(extractor, (1, 80, 80)) == (64, 10, 10)
    assert trace_shape(before_gate, (64, 10, 10)) == (32, 10, 10)
    assert sum(p.numel() for p in extractor.parameters()) == (
        (25 + 1) * 32 + (32 * 9 + 1) * 32 + (32 * 9 + 1) * 64
    )
    assert sum(p.numel() for p in before_gate.parameters()) == (64 + 1) * 32
    assert plan.features_dim == 3200
    assert not list(plan.perception().parameters())


def test_mask_a3c_is_as_wide_as_what_it_sees():
    assert NETWORKS["mask_a3c"]((1, 96, 64), 10).features_dim == 32 * 12 * 8


@pytest.mark.parametrize("name", NETWORKS)
def test_no_batch_normalisation(name):
    """Rollout and update have to compute the same function."""
    plan = NETWORKS[name](SHAPE, NETWORKS[name].attention_at[0])
    parts = nn.ModuleList([plan.extractor(), plan.perception(), plan.branch_body(64)])
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in parts.modules())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_size_there_is_not_is_refused(name):
    with pytest.raises(ValueError, match="got 8"):
        NETWORKS[name](SHAPE, 8)


@pytest.mark.parametrize(("name", "least"), [("nature", 36), ("impala", 1), ("mask_a3c", 8)])
def test_the_least_size_is_named_and_enough(name, least):
    network = NETWORKS[name]
    place = network.attention_at[0]
    check_size(network, (3, least, least), place)
    plan = network((3, least, least), place)
    assert plan.perception()(
        plan.before_gate(trace_shape(plan.extractor(), plan.in_shape)[0])(
            plan.extractor()(torch.zeros(2, 3, least, least))
        )
    ).shape == (2, plan.features_dim)
    if least > 1:
        with pytest.raises(
            ValueError, match=rf"at least \[3, {least}, {least}\], got \[3, 84, 7\]"
        ):
            check_size(network, (3, 84, 7), place)


def test_checking_a_size_draws_no_random_numbers():
    state = torch.get_rng_state()
    check_size(NETWORKS["nature"], SHAPE, 9)
    assert torch.equal(torch.get_rng_state(), state)


def test_too_small_observations_are_refused():
    plan = NETWORKS["nature"]((4, 20, 20), 9)
    with pytest.raises(ValueError, match="too small"):
        plan.perception()


@pytest.mark.parametrize("name", ["nature", "impala"])
def test_a_layer_norm_follows_the_fully_connected_layer(name):
    size = NETWORKS[name].attention_at[0]
    perception = NETWORKS[name](SHAPE, size, layer_norm=True).perception()
    linear, norm, _ = list(perception)[-3:]
    assert isinstance(linear, nn.Linear)
    assert norm.normalized_shape == (NETWORKS[name].features_dim,)
    with pytest.raises(ValueError, match="no fully connected layer"):
        NETWORKS["mask_a3c"]((1, 80, 80), 10, layer_norm=True)


def test_a_wide_nature_has_twice_the_channels():
    shapes = [
        [p.shape[0] for p in NETWORKS[name](SHAPE, 7).extractor().parameters() if p.ndim == 4]
        for name in ("nature", "nature_wide")
    ]
    assert shapes == [[32, 64, 64], [64, 128, 128]]
