import pytest
import torch
from torch.nn import functional as F

from rl_abn.attention import AttentionBranch, AttentionSite, WeightedGlobalPooling

EVIDENCE = torch.randn(4, 3, 5, 6, generator=torch.Generator().manual_seed(0))


def with_weights(n_outputs=3, size=(5, 6)):
    pool = WeightedGlobalPooling(n_outputs, size)
    with torch.no_grad():
        pool.kernel.copy_(torch.randn(n_outputs, *size, generator=torch.Generator().manual_seed(1)))
        pool.bias.copy_(torch.arange(float(n_outputs)))
    return pool


def test_it_is_a_convolution_whose_kernel_is_the_whole_map():
    """Mori et al., IV 2019; one kernel an answer, on the answer's own evidence."""
    pool = with_weights()
    kernels = pool.kernel.unsqueeze(1)
    expected = F.conv2d(EVIDENCE, kernels, pool.bias, groups=3)
    assert expected.shape == (4, 3, 1, 1)
    torch.testing.assert_close(pool(EVIDENCE), expected.flatten(1))


def test_it_starts_as_the_average():
    pool = WeightedGlobalPooling(3, (5, 6))
    torch.testing.assert_close(pool(EVIDENCE), EVIDENCE.mean(dim=(2, 3)))


def test_an_answer_reads_its_own_evidence_alone():
    changed = EVIDENCE.clone()
    changed[:, 1] += 1.0
    difference = with_weights()(changed) - with_weights()(EVIDENCE)
    assert difference[:, [0, 2]].abs().max() == 0
    torch.testing.assert_close(difference[:, 1], with_weights().kernel[1].sum().expand(4))


def test_where_something_is_matters():
    pool = with_weights(1)
    left, right = torch.zeros(2, 1, 1, 5, 6)
    left[..., 0] = right[..., -1] = 1.0
    assert (pool(left) - pool(right)).abs() > 1e-3


def test_a_branch_takes_it():
    branch = AttentionBranch(AttentionSite(8, n_outputs=3, pool=with_weights))
    attention = branch(torch.randn(2, 8, 5, 6))
    torch.testing.assert_close(attention.logits, with_weights()(attention.evidence))


def test_evidence_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"expected evidence of \(3, 5, 6\), got \(3, 6, 5\)"):
        with_weights()(EVIDENCE.transpose(2, 3))


@pytest.mark.parametrize(("n_outputs", "size"), [(0, (5, 6)), (3, (0, 6))])
def test_impossible_counts_are_refused(n_outputs, size):
    with pytest.raises(ValueError, match="expected counts of 1 or more"):
        WeightedGlobalPooling(n_outputs, size)
