import torch

from rl_abn.attention import MECHANISMS, AttentionSite

torch.manual_seed(0)
SOFT, HARD = (MECHANISMS[name](AttentionSite(4, query_size=3)) for name in ("soft", "hard"))
FEATURES, QUERY = torch.randn(2, 4, 2, 3), torch.randn(2, 3)


def test_locations_are_scored_one_by_one_and_compete():
    logits = SOFT.log_probabilities(SOFT.keys(FEATURES), QUERY)
    assert logits.shape == (2, 6)
    torch.testing.assert_close(logits.exp().sum(dim=1), torch.ones(2))
    key, value = SOFT.key.weight[:, :, 0, 0], SOFT.score.weight[0, :, 0, 0]
    for b in range(2):
        scores = [
            value @ torch.tanh(key @ FEATURES[b, :, y, x] + SOFT.key.bias + SOFT.query(QUERY[b]))
            for y in range(2)
            for x in range(3)
        ]
        torch.testing.assert_close(logits[b], torch.stack(scores).log_softmax(dim=0))


def test_the_query_decides_where_it_looks():
    keys = SOFT.keys(FEATURES)
    assert not torch.allclose(SOFT.glimpse(keys, QUERY).map, SOFT.glimpse(keys, -QUERY).map)


def test_probabilities_stay_fp32_under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert SOFT.log_probabilities(SOFT.keys(FEATURES), QUERY).dtype == torch.float32


def test_a_soft_glimpse_is_the_distribution_and_a_hard_one_a_location():
    soft = SOFT.glimpse(SOFT.keys(FEATURES), QUERY)
    expected = SOFT.log_probabilities(SOFT.keys(FEATURES), QUERY).exp()
    torch.testing.assert_close(soft.map.flatten(1), expected)
    assert (soft.logits, soft.location) == (None, None)
    hard = HARD.glimpse(HARD.keys(FEATURES), QUERY)
    assert torch.equal(hard.location, hard.logits.argmax(dim=1))
    assert torch.equal(hard.map.flatten(1).argmax(dim=1), hard.location)
    assert torch.equal(hard.map.sum(dim=(1, 2, 3)), torch.ones(2))
