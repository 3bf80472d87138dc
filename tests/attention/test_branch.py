import pytest
import torch
from torch import nn

from rl_abn.attention import AttentionBranch, AttentionSite


def make_branch(channels, n_outputs, options=None, **site):
    site = AttentionSite(channels, n_outputs=n_outputs, **site)
    return AttentionBranch(site, **(options or {}))


FEATURES = torch.randn(2, 8, 5, 6, generator=torch.Generator().manual_seed(0))


def test_logits_are_the_pooled_evidence():
    branch = make_branch(8, 7, body=lambda: nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()))
    attention = branch(FEATURES)
    assert attention.evidence.shape == (2, 7, 5, 6)
    torch.testing.assert_close(attention.logits, attention.evidence.sum(dim=(2, 3)) / 30)


def test_another_pooling_pools_the_evidence():
    class Sum(nn.Module):
        def forward(self, evidence):
            return evidence.sum(dim=(2, 3))

    attention = make_branch(8, 3, pool=Sum)(FEATURES)
    torch.testing.assert_close(attention.logits, attention.evidence.sum(dim=(2, 3)))


@pytest.mark.parametrize("n_outputs", [0, 7])
@pytest.mark.parametrize("n_maps", [1, 2])
def test_maps_lie_in_0_to_1_and_keep_the_size(n_outputs, n_maps):
    attention = make_branch(8, n_outputs, n_maps=n_maps)(FEATURES * 50)
    assert attention.map.shape == (2, n_maps, 5, 6)
    assert attention.logits.shape == (2, n_outputs)
    assert attention.map.min() >= 0
    assert attention.map.max() <= 1


def test_the_map_is_the_sigmoid_of_the_published_layers():
    """Fukui et al., authors' code: sigmoid(conv3x3(a)), a = conv1x1 and a rectifier."""
    branch = make_branch(8, 4)
    response = nn.functional.conv2d(FEATURES, branch.response[0].weight, branch.response[0].bias)
    head = branch.map_head[0]
    response = nn.functional.leaky_relu(response, 0.1)
    expected = nn.functional.conv2d(response, head.weight, head.bias, padding=1).sigmoid()
    assert head.kernel_size == (3, 3)
    torch.testing.assert_close(branch(FEATURES).map, expected)


def test_without_answers_the_map_comes_straight_from_the_features():
    """Itaya et al.: sigmoid(conv1x1(f))."""
    branch = make_branch(8, 0, n_maps=2)
    (head,) = branch.map_head
    assert head.kernel_size == (1, 1)
    expected = nn.functional.conv2d(FEATURES, head.weight, head.bias).sigmoid()
    torch.testing.assert_close(branch(FEATURES).map, expected)


def test_normalisation_is_where_the_published_branch_has_it():
    """BN before and after conv1x1 -> K, BN after conv3x3 -> 1, and no biases beside them."""
    branch = make_branch(8, 4, norm=nn.BatchNorm2d)
    assert [m.num_features for m in branch.modules() if isinstance(m, nn.BatchNorm2d)] == [8, 4, 1]
    assert all(m.bias is None for m in branch.modules() if isinstance(m, nn.Conv2d))
    assert isinstance(branch.response[-1], nn.ReLU)


def test_without_normalisation_no_response_can_die():
    branch = make_branch(8, 4)
    with torch.no_grad():
        branch.response[0].bias.fill_(-100.0)
    branch(FEATURES).logits.sum().backward()
    assert branch.response[0].weight.grad.abs().min() > 0


def test_without_normalisation_there_is_none():
    branch = make_branch(8, 4)
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in branch.modules())


@pytest.mark.parametrize(("channels", "outputs", "maps"), [(0, 1, 1), (8, -1, 1), (8, 1, 0)])
def test_impossible_counts_are_refused(channels, outputs, maps):
    with pytest.raises(ValueError, match=f"got {channels}, {outputs} and {maps}"):
        make_branch(channels, outputs, n_maps=maps)


def test_shapes_in_signatures_are_enforced():
    with pytest.raises(Exception, match="features"):
        make_branch(8, 4)(FEATURES[0])


@pytest.mark.parametrize("scale", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("n_outputs", [0, 4])
def test_so_much_of_the_branchs_gradient_reaches_the_trunk(scale, n_outputs):
    branch = make_branch(8, n_outputs, {"trunk_gradient": scale})

    def gradient(of):
        features = FEATURES.clone().requires_grad_()
        attention = of(features)
        (attention.map.sum() + attention.logits.square().sum()).backward()
        return torch.zeros(()) if features.grad is None else features.grad

    whole = make_branch(8, n_outputs)
    whole.load_state_dict(branch.state_dict())
    assert torch.equal(branch(FEATURES).map, whole(FEATURES).map)
    torch.testing.assert_close(gradient(branch).expand(2, 8, 5, 6), scale * gradient(whole))


def test_in_bfloat16_the_map_has_as_many_values_as_places():
    branch = make_branch(8, 4)
    with torch.no_grad():
        branch.map_head[0].weight.mul_(0.1)
    with torch.autocast("cpu", torch.bfloat16):
        attention = branch(FEATURES)
    assert attention.map.dtype == attention.logits.dtype == torch.float32
    assert len(attention.map[0].unique()) == 30


def test_a_map_head_of_two_layers():
    branch = make_branch(8, 4, {"map_layers": 2}, n_maps=2)
    first, _, last = branch.map_head
    assert (first.kernel_size, last.kernel_size) == ((3, 3), (1, 1))
    assert list(branch.quiet_layers()) == [last, branch.evidence_head]
    assert branch(FEATURES).map.shape == (2, 2, 5, 6)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_map_of_the_body_does_not_pass_through_the_answers(layers):
    branch = make_branch(8, 4, {"map_input": "body", "map_layers": layers})
    attention = branch(FEATURES)
    attention.map.square().sum().backward()
    assert branch.response[0].weight.grad is None
    assert branch.map_head[0].weight.grad.abs().max() > 0
    with torch.no_grad():
        branch.response[0].weight.zero_()
    assert torch.equal(branch(FEATURES).map, attention.map)


def test_a_map_of_the_features_is_learnt_by_the_agents_loss_alone():
    branch = make_branch(8, 4, {"map_input": "features", "trunk_gradient": 0.0})

    def gradient(of):
        features = FEATURES.clone().requires_grad_()
        of(branch(features)).backward()
        return features.grad

    assert gradient(lambda attention: attention.map.square().sum()).abs().max() > 0
    through_answers = gradient(lambda attention: attention.logits.square().sum())
    assert through_answers is None or through_answers.abs().max() == 0
    assert branch.map_head[0].kernel_size == (1, 1)


def test_weighted_pooling_takes_a_weight_a_place():
    branch = make_branch(8, 4, {"pooling": "weighted"}, map_size=(5, 6))
    attention = branch(FEATURES)
    torch.testing.assert_close(attention.logits, attention.evidence.mean(dim=(2, 3)))
    with torch.no_grad():
        branch.pool.kernel.zero_()[:, 2, 3] = 1.0
    attention = branch(FEATURES)
    torch.testing.assert_close(attention.logits, attention.evidence[:, :, 2, 3])
    with pytest.raises(ValueError, match="known map_size"):
        make_branch(8, 4, {"pooling": "weighted"})


def test_the_published_start_of_a_mask_is_20_times_as_uneven():
    """Itaya et al.'s code: Xavier's uniform weights times sqrt(2), a row norm of about 1.98."""
    torch.manual_seed(0)
    branch = make_branch(64, 0, {"map_start": "published"}, n_maps=1)
    assert list(branch.quiet_layers()) == []
    branch.set_own_start()
    (head,) = branch.map_head
    assert 1.6 < head.weight.norm() < 2.4
    assert head.bias.abs().max() == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"map_form": "softmx"}, "map_form"),
        ({"map_layers": 3}, "map_layers of 1 or 2"),
        ({"map_input": "bdy"}, "map_input"),
        ({"map_gain": 0.0}, "map_gain above 0"),
        ({"map_start": "evn"}, "map_start"),
        ({"pooling": "max"}, "pooling"),
        ({"trunk_gradient": 1.5}, "trunk_gradient of 0 to 1"),
    ],
)
def test_an_option_out_of_range_is_named(options, said):
    with pytest.raises(ValueError, match=said):
        make_branch(8, 4, options)


def test_the_maps_of_a_softmax_sum_to_one():
    branch = make_branch(8, 4, {"map_form": "softmax"})
    torch.testing.assert_close(branch(FEATURES).map.sum(dim=(2, 3)), torch.ones(2, 1))
    assert AttentionBranch.abilities_with(map_form="softmax").sums_to_one
    assert not AttentionBranch.abilities_with(map_form="sigmoid").sums_to_one
    assert not AttentionBranch.abilities_with().sums_to_one
