import pytest
import torch

from rl_abn.attention import INTERVENTIONS, Abilities, Intervention
from rl_abn.attention.interventions import (
    SWAP_FROM,
    Frozen,
    Layout,
    Swap,
    TimeAverage,
    inverted,
    shifted,
    shuffled,
    uniform,
    zero,
)

MAP = torch.rand(3, 2, 4, 5, generator=torch.Generator().manual_seed(0))
ALL_BEGIN = torch.ones(3, dtype=torch.bool)
NONE_BEGINS = ~ALL_BEGIN


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_zero_and_inverted():
    assert zero(MAP).abs().sum() == 0
    torch.testing.assert_close(inverted(MAP) + MAP, torch.ones_like(MAP))


def test_uniform_keeps_each_maps_mass_and_has_no_structure():
    even = uniform(MAP)
    torch.testing.assert_close(even.sum(dim=(2, 3)), MAP.sum(dim=(2, 3)))
    assert even.flatten(2).std(dim=2).max() < 1e-6


def test_shuffled_keeps_the_values_and_moves_them():
    moved = shuffled(MAP, torch.Generator().manual_seed(1))
    assert torch.equal(moved.flatten(2).sort(dim=2).values, MAP.flatten(2).sort(dim=2).values)
    assert not torch.equal(moved, MAP)
    assert torch.equal(moved, shuffled(MAP, torch.Generator().manual_seed(1)))


def test_shuffled_draws_anew_at_every_step_and_as_its_seed_says():
    first, again = (Intervention("shuffled", generator=seeded(1)) for _ in range(2))
    steps = [first(MAP, NONE_BEGINS) for _ in range(3)]
    assert not torch.equal(steps[0], steps[1])
    assert all(torch.equal(step, again(MAP, NONE_BEGINS)) for step in steps)
    other = Intervention("shuffled", generator=seeded(2))
    assert not torch.equal(steps[0], other(MAP, NONE_BEGINS))


def test_shifted_moves_every_map_by_a_third():
    moved = shifted(MAP)
    assert torch.equal(moved[:, :, 2, 2], MAP[:, :, 0, 0])
    assert torch.equal(moved[:, :, 0, 0], MAP[:, :, 2, 3])
    channels = torch.rand(2, 1, 6, 1)
    assert torch.equal(shifted(channels)[:, :, 2], channels[:, :, 0])


PAIRS = Layout(Abilities(maps="pairwise", sums_to_one=True), (4, 5))
CHANNELS_AND_PLACES = Layout(Abilities(maps="featurewise"), (4, 5))


@pytest.mark.parametrize("layout", [PAIRS, CHANNELS_AND_PLACES])
def test_each_row_of_a_map_of_rows_and_places_is_moved_as_a_picture(layout):
    """A row a location that asks, of two heads, or a channel; a column a location."""
    rows = torch.rand(2, 1, 2 * 20, 4 * 5).softmax(dim=3)
    moved = shifted(rows, layout)
    assert torch.equal(moved.unflatten(3, (4, 5)), rows.unflatten(3, (4, 5)).roll((2, 2), (3, 4)))
    mixed = shuffled(rows, seeded(1), layout)
    assert torch.equal(mixed.sort(dim=3).values, rows.sort(dim=3).values)
    assert not torch.equal(mixed, rows)
    for name, changed in (("shifted", moved), ("shuffled", mixed)):
        rule = Intervention(name, generator=seeded(1), layout=layout)
        assert torch.equal(rule(rows, ALL_BEGIN[:2]), changed)


def test_bars_of_past_steps_are_moved_within_each_head():
    """Heads have equal shares of a map's sum, and keep them."""
    layout = Layout(Abilities(maps="temporal", sums_to_one=True), (4, 5), steps=6)
    heads = torch.rand(2, 1, 3, 6).softmax(dim=3) / 3
    moved = shifted(heads.view(2, 1, 18, 1), layout).view(2, 1, 3, 6)
    assert torch.equal(moved, heads.roll(2, 3))
    mixed = shuffled(heads.view(2, 1, 18, 1), seeded(), layout).view(2, 1, 3, 6)
    assert torch.equal(mixed.sort(dim=3).values, heads.sort(dim=3).values)
    # Where entries keep the locations apart there is a column for each.
    placed = torch.rand(2, 1, 6, 20)
    assert torch.equal(shifted(placed, layout), shifted(placed, PAIRS))


@pytest.mark.parametrize("kind", ["spatial", "channel"])
def test_a_layout_changes_nothing_of_maps_that_lie_on_the_picture_nor_of_channels(kind):
    maps = MAP if kind == "spatial" else torch.rand(3, 1, 6, 1)
    layout = Layout(Abilities(maps=kind), (4, 5))
    assert torch.equal(shifted(maps, layout), shifted(maps))
    assert torch.equal(shuffled(maps, seeded(), layout), shuffled(maps, seeded()))


def test_the_time_average_is_the_mean_of_the_maps_so_far():
    average, maps = TimeAverage(), torch.rand(5, 3, 2, 4, 5)
    for t, now in enumerate(maps):
        expected = maps[: t + 1].mean(dim=(0, 1)).expand_as(now)
        torch.testing.assert_close(average(now), expected)


def numbered(first, count=4):
    return torch.arange(first, first + count).float().view(-1, 1, 1, 1).expand(-1, 2, 3, 3)


def test_swapped_maps_are_whole_maps_of_other_moments():
    swap = Swap(seeded())
    assert swap(numbered(0))[:, 0, 0, 0].tolist() == [3, 0, 1, 2]
    for first in range(4, 40, 4):
        moments = swap(numbered(first))
        assert torch.equal(moments, moments[:, :1, :1, :1].expand_as(moments))
        assert moments.max() < first


def test_swap_draws_from_all_moments_alike():
    swap = Swap(seeded())
    for first in range(0, 8 * SWAP_FROM, 64):
        swap(numbered(first, 64))
    drawn = swap(numbered(0, 2048))[:, 0, 0, 0]
    assert drawn.mean().item() == pytest.approx(4 * SWAP_FROM, rel=0.1)


def test_frozen_keeps_each_games_first_maps_and_renews_them_where_a_game_begins():
    frozen = Frozen()
    maps = torch.rand(4, 3, 2, 4, 5)
    assert torch.equal(frozen(maps[0], ALL_BEGIN), maps[0])
    assert torch.equal(frozen(maps[1], NONE_BEGINS), maps[0])
    second = torch.tensor([False, True, False])
    expected = torch.stack([maps[0, 0], maps[2, 1], maps[0, 2]])
    assert torch.equal(frozen(maps[2], second), expected)
    assert torch.equal(frozen(maps[3], NONE_BEGINS), expected)
    assert torch.equal(frozen(maps[3], ALL_BEGIN), maps[3])


def test_frozen_keeps_no_memory_that_somebody_else_may_write_to():
    frozen, maps = Frozen(), MAP.clone()
    frozen(maps, ALL_BEGIN)
    maps.zero_()
    assert torch.equal(frozen(maps, NONE_BEGINS), MAP)


@pytest.mark.parametrize("name", INTERVENTIONS)
def test_one_map_alone_is_changed_as_all_are_and_the_other_is_the_agents(name):
    own = MAP.clone()
    for only, other in ((0, 1), (1, 0)):
        intervention = Intervention(name, only, seeded())
        alone = Intervention(name, None, seeded())
        for episode_start, maps in ((ALL_BEGIN, own), (NONE_BEGINS, own.flip(0))):
            changed = intervention(maps, episode_start)
            assert torch.equal(changed[:, other], maps[:, other])
            expected = alone(maps[:, only : only + 1], episode_start)
            torch.testing.assert_close(changed[:, only : only + 1], expected)
        assert not torch.equal(changed[:, only], maps[:, only])
    assert torch.equal(own, MAP)


@pytest.mark.parametrize("name", INTERVENTIONS)
def test_maps_stay_maps(name):
    changed = Intervention(name, generator=seeded())(MAP.bfloat16(), ALL_BEGIN)
    assert changed.shape == MAP.shape
    assert changed.dtype == torch.bfloat16
    assert changed.min() >= 0
    assert changed.max() <= 1


def test_a_map_that_there_is_not_is_an_error():
    with pytest.raises(IndexError):
        Intervention("zero", 2)(MAP, ALL_BEGIN)


def test_an_intervention_that_there_is_not_is_an_error():
    with pytest.raises(ValueError, match=r"expected an intervention of .*'frozen'.*, got 'zro'"):
        Intervention("zro")
