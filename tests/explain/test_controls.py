"""Controls keep what they promise, and take what they promise to take."""

import torch

from rl_abn.explain.controls import (
    another_moment,
    blocks_permuted,
    controls_of,
    same_spectrum,
    shifted,
)


def maps(n: int = 12, size: int = 9) -> torch.Tensor:
    return torch.rand(n, size, size, generator=torch.Generator().manual_seed(0))


def test_another_moment_is_never_ones_own() -> None:
    given = maps()
    for seed in range(5):
        swapped = another_moment(given, torch.Generator().manual_seed(seed))
        same = (swapped[:, None] == given[None]).all(dim=(2, 3))
        assert same.sum(dim=1).eq(1).all()
        assert not same.diagonal().any()


def test_values_are_kept_by_moves() -> None:
    given = maps()
    for made in (shifted(given), blocks_permuted(given, torch.Generator().manual_seed(0))):
        assert not torch.equal(made, given)
        torch.testing.assert_close(
            made.flatten(1).sort().values, given.flatten(1).sort().values, rtol=0, atol=0
        )


def test_blocks_stay_whole() -> None:
    given = torch.arange(9.0).view(1, 3, 3).repeat_interleave(3, 1).repeat_interleave(3, 2)
    made = blocks_permuted(given, torch.Generator().manual_seed(0))
    blocks = made.view(3, 3, 3, 3).permute(0, 2, 1, 3).reshape(9, 9)
    assert (blocks == blocks[:, :1]).all()
    assert sorted(blocks[:, 0].tolist()) == list(range(9))


def test_the_spectrum_is_kept() -> None:
    given = maps()
    made = same_spectrum(given, torch.Generator().manual_seed(0))
    amplitudes = torch.fft.fft2(given.double()).abs()
    torch.testing.assert_close(
        torch.fft.fft2(made.double()).abs(), amplitudes, atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(made.mean(dim=(1, 2)), given.mean(dim=(1, 2)))
    assert (made - given).abs().mean() > 0.1


def test_controls_are_seeded() -> None:
    one, other = controls_of(maps(), 4), controls_of(maps(), 4)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(one["inverse"], -maps())
