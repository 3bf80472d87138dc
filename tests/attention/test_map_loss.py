import pytest
import torch

from rl_abn.attention import map_loss


def maps(*values, shape=(2, 3)):
    return torch.stack([torch.full((1, *shape), value) for value in values])


def test_it_is_the_norm_a_sample_and_the_mean_over_those_with_an_edit():
    own, edited = maps(0.5, 0.9, 0.2), maps(0.0, 0.0, 1.0)
    loss = map_loss(own, edited, torch.tensor([True, False, True]))
    # The root of 6 places: 0.5 and 0.8 times.
    assert loss.item() == pytest.approx((0.5 + 0.8) / 2 * 6**0.5)


def test_one_edited_map_is_for_all_and_the_norm_is_over_all():
    own = torch.rand(4, 2, 3, 3)
    edited = torch.rand(4, 1, 3, 3)
    every = torch.ones(4, dtype=torch.bool)
    expected = (own - edited).square().sum((1, 2, 3)).sqrt().mean()
    torch.testing.assert_close(map_loss(own, edited, every), expected)
    both = map_loss(own, edited.expand(-1, 2, -1, -1), every)
    torch.testing.assert_close(both, expected)
    with pytest.raises(ValueError, match="1 or 2 a sample, got 3"):
        map_loss(own, torch.rand(4, 3, 3, 3), every)


def test_the_gradient_at_no_distance_is_0():
    own = torch.full((2, 1, 2, 2), 0.5, requires_grad=True)
    map_loss(own, own.detach().clone(), torch.tensor([True, True])).backward()
    assert torch.equal(own.grad, torch.zeros_like(own))


def test_what_has_no_edit_counts_for_nothing():
    own = torch.rand(3, 1, 2, 2, requires_grad=True)
    edited = torch.rand(3, 1, 2, 2)
    edited[1] = float("nan")
    loss = map_loss(own, edited, torch.tensor([True, False, True]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.equal(own.grad[1], torch.zeros(1, 2, 2))
    assert (own.grad[0] != 0).all()
    none = map_loss(own, edited, torch.zeros(3, dtype=torch.bool))
    assert none.item() == 0


def test_the_gradient_leads_to_the_edit():
    logits = torch.zeros(1, 1, 4, 4, requires_grad=True)
    edited = torch.zeros(1, 1, 4, 4)
    edited[..., :2] = 1
    optimizer = torch.optim.Adam([logits], 0.1)
    for _ in range(200):
        loss = map_loss(logits.sigmoid(), edited, torch.tensor([True]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


def test_half_precision_maps_are_compared_in_full():
    own, edited = maps(0.5).bfloat16(), maps(0.25)
    assert map_loss(own, edited, torch.tensor([True])).dtype == torch.float32
