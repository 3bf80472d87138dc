import torch

from rl_abn.attention import AdditiveAttention

torch.manual_seed(0)
QUERY = AdditiveAttention(4, query_size=3, hidden=5)
FEATURES, ASKED = torch.randn(2, 4, 2, 3), torch.randn(2, 3)


def test_places_are_scored_one_by_one_and_compete():
    logits = QUERY(QUERY.keys(FEATURES), ASKED)
    assert logits.shape == (2, 6)
    torch.testing.assert_close(logits.exp().sum(dim=1), torch.ones(2))
    key, value = QUERY.key.weight[:, :, 0, 0], QUERY.score.weight[0, :, 0, 0]
    for b in range(2):
        scores = [
            value @ torch.tanh(key @ FEATURES[b, :, y, x] + QUERY.key.bias + QUERY.query(ASKED[b]))
            for y in range(2)
            for x in range(3)
        ]
        torch.testing.assert_close(logits[b], torch.stack(scores).log_softmax(dim=0))


def test_what_is_asked_decides_where_it_looks():
    keys = QUERY.keys(FEATURES)
    assert not torch.allclose(QUERY(keys, ASKED), QUERY(keys, -ASKED))


def test_probabilities_stay_fp32_under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert QUERY(QUERY.keys(FEATURES), ASKED).dtype == torch.float32
