import math

import pytest
import torch

from rl_abn.errors import RlAbnError
from rl_abn.vision.evaluation.bayes import sample
from rl_abn.vision.models import build_model

IMAGES = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def network(dropout=0.3, seed=0, **options):
    torch.manual_seed(seed)
    return build_model("resnet", **{"n_outputs": 4, "depth": 8, "dropout": dropout, **options})


def test_without_dropout_it_is_the_plain_network():
    made = network(0.0).eval()
    attention = made.attend(IMAGES)
    answer = sample(made, IMAGES, 5)
    perception, branch = attention.outputs.softmax(1), attention.branch_outputs.softmax(1)
    torch.testing.assert_close(answer.perception_probabilities, perception)
    torch.testing.assert_close(answer.branch_probabilities, branch)
    torch.testing.assert_close(answer.map_mean, attention.map)
    assert answer.map_std.max() < 1e-6


def test_with_dropout_samples_differ():
    answer = sample(network(), IMAGES, 20)
    assert answer.map_mean.shape == answer.map_std.shape == (3, 1, 16, 16)
    assert answer.map_std.min() > 0
    assert answer.probabilities.shape == (3, 4)
    torch.testing.assert_close(answer.probabilities.sum(1), torch.ones(3))


def test_the_branch_with_the_lower_entropy_answers():
    seen = set()
    for seed in range(8):
        answer = sample(network(seed=seed), IMAGES, 5)
        for i, from_branch in enumerate(answer.from_branch.tolist()):
            seen.add(from_branch)
            assert from_branch == bool(answer.branch_entropy[i] < answer.perception_entropy[i])
            chosen = answer.branch_probabilities if from_branch else answer.perception_probabilities
            assert torch.equal(answer.probabilities[i], chosen[i])
            assert answer.entropy[i] == min(answer.branch_entropy[i], answer.perception_entropy[i])
    assert seen == {True, False}


def test_entropy_is_of_the_mean_in_units_of_the_largest():
    answer = sample(network(), IMAGES, 10)
    mean = answer.perception_probabilities
    expected = -(mean * mean.log()).sum(1) / math.log(4)
    torch.testing.assert_close(answer.perception_entropy, expected)
    assert answer.entropy.max() <= 1


@pytest.mark.parametrize(("bias", "entropy"), [(0.0, 1.0), (1000.0, 0.0)])
def test_entropy_is_1_for_all_classes_alike_and_0_for_one(bias, entropy):
    made = network(mechanism="none")
    with torch.no_grad():
        made.head.weight.zero_()
        made.head.bias[0] = bias
    assert sample(made, IMAGES, 3).entropy.tolist() == pytest.approx([entropy] * 3)


@pytest.mark.more
def test_one_batched_pass_is_what_many_would_say():
    """The extractor runs once; samples are the same in law as one pass each."""
    made = network()
    calls = {"extractor": [], "perception": []}
    for name, seen in calls.items():
        getattr(made, name).register_forward_pre_hook(
            lambda module, inputs, seen=seen: seen.append(len(inputs[0]))
        )
    small = IMAGES[..., :12, :12]
    batched = sample(made, small, 300)
    assert calls == {"extractor": [3], "perception": [900]}
    alone = torch.stack([sample(made, small, 1).perception_probabilities for _ in range(300)])
    torch.testing.assert_close(batched.perception_probabilities, alone.mean(0), rtol=0, atol=0.03)


def test_the_same_seed_gives_the_same_samples():
    made = network()
    answers = []
    for _ in range(2):
        torch.manual_seed(7)
        answers.append(sample(made, IMAGES, 5))
    assert torch.equal(answers[0].probabilities, answers[1].probabilities)


@pytest.mark.parametrize("training", [True, False])
def test_batch_normalisation_is_in_evaluation_and_modes_are_put_back(training):
    made = network().train(training)
    made.extractor.eval()  # as while only the branches are trained
    modes = [module.training for module in made.modules()]
    before = {key: tensor.clone() for key, tensor in made.state_dict().items()}
    together = sample(network(0.0).train(training), IMAGES, 2).probabilities
    alone = sample(network(0.0).train(training), IMAGES[:1], 2).probabilities
    torch.testing.assert_close(together[:1], alone)
    sample(made, IMAGES, 2)
    assert [module.training for module in made.modules()] == modes
    assert all(torch.equal(tensor, before[key]) for key, tensor in made.state_dict().items())


def test_modes_are_put_back_after_a_mistake():
    made = network()
    with pytest.raises(ValueError, match="broadcasts"):
        sample(made, IMAGES, 2, map_override=torch.zeros(1, 1, 3, 3))
    assert all(module.training for module in made.modules())


def test_a_backbones_own_dropout_stays_off():
    torch.manual_seed(0)
    made = build_model("wrn", n_outputs=4, depth=10, width=1, drop=0.5)
    assert sample(made, IMAGES, 4).map_std.max() < 1e-6


def test_the_no_attention_baseline_is_sampled_too():
    answer = sample(network(mechanism="none"), IMAGES, 5)
    assert answer.branch_probabilities is None
    assert answer.branch_entropy is None
    assert not answer.from_branch.any()
    assert answer.map_mean.shape == (3, 0, 16, 16)
    assert torch.equal(answer.probabilities, answer.perception_probabilities)


@pytest.mark.parametrize(
    "painted",
    [
        torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(3)),
        torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(3)),
        torch.rand(16, 16, generator=torch.Generator().manual_seed(3)),
    ],
)
def test_every_sample_acts_on_the_map_that_is_given(painted):
    answer = sample(network(), IMAGES, 4, map_override=painted)
    torch.testing.assert_close(answer.map_mean, painted.expand(3, 1, 16, 16))
    assert answer.map_std.max() < 1e-6


def test_a_driver_that_classifies_is_sampled_with_its_speed():
    torch.manual_seed(0)
    made = build_model(
        "driving_abn", n_outputs=5, task="classification", dropout=0.3, size=[66, 70]
    )
    frames = torch.randn(2, 3, 66, 70)
    answers = [
        sample(made, frames, 3, speed=torch.full((2,), speed)).perception_probabilities
        for speed in (0.0, 50.0)
    ]
    assert (answers[0] - answers[1]).abs().max() > 0.05


def test_no_classes_and_no_samples_are_refused():
    with pytest.raises(RlAbnError, match=r"expected a network that classifies, got .* tasks"):
        sample(network(task="multilabel"), IMAGES)
    with pytest.raises(RlAbnError, match="1 or more samples, got 0"):
        sample(network(), IMAGES, 0)
