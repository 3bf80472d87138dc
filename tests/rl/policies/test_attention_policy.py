from itertools import product

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from rl_abn.networks import NETWORKS
from rl_abn.recipes import list_recipes, load_agent
from rl_abn.rl import AttentionPolicy, AttentionPPO
from rl_abn.rl.training.build import make_model, make_training_env, policy_settings
from tests.covering import covering, full, more
from tests.rl.conftest import ProbeGame

PIXELS = spaces.Box(0, 255, (4, 84, 84), np.uint8)
ACTIONS = spaces.Discrete(6)
OBS = torch.randint(0, 256, (3, 4, 84, 84), dtype=torch.uint8)


def make(**kwargs):
    torch.manual_seed(0)
    return AttentionPolicy(PIXELS, ACTIONS, lambda _: 1e-3, **kwargs)


FORMS_OF_MAPS = [
    ("residual", "shared", ("shared",)),
    ("residual", "split", ("policy", "value")),
    ("mask", "split", ("policy", "value")),
    ("mask", "policy", ("policy",)),
    ("none", "shared", ()),
]
PLACES = [(name, size) for name, network in NETWORKS.items() for size in network.attention_at]


@pytest.mark.parametrize(("form", "place"), covering(product(FORMS_OF_MAPS, PLACES)))
def test_shapes(form, place):
    (mechanism, maps, names), (extractor, size) = form, place
    n_maps = len(names)
    policy = make(mechanism=mechanism, maps=maps, extractor=extractor, attention_at=size)
    attention, state = policy.attend(OBS)
    assert state is None
    assert policy.map_names == names
    assert attention.action_logits.shape == (3, 6)
    assert attention.value.shape == (3,)
    assert attention.map.shape == (3, n_maps, size, size)
    if n_maps:
        assert attention.evidence.shape == (3, 7, size, size)
        assert attention.branch_logits.shape == (3, 6)
        assert attention.branch_value.shape == (3,)


def test_the_branchs_answer_is_its_pooled_evidence():
    attention, _ = make().attend(OBS)
    pooled = attention.evidence.mean(dim=(2, 3))
    torch.testing.assert_close(attention.branch_logits, pooled[:, :6])
    torch.testing.assert_close(attention.branch_value, pooled[:, 6])


def test_a_zero_map_turns_abn_into_its_twin_without_attention():
    abn, twin = make(mechanism="residual"), make(mechanism="none")
    twin.load_state_dict(
        {k: v for k, v in abn.state_dict().items() if not k.startswith("attention_branch")}
    )
    blind, _ = abn.attend(OBS, map_override=torch.zeros(9, 9))
    plain, _ = twin.attend(OBS)
    torch.testing.assert_close(blind.action_logits, plain.action_logits)
    torch.testing.assert_close(blind.value, plain.value)
    assert not torch.allclose(abn.attend(OBS)[0].value, plain.value)


def test_policy_and_value_maps_gate_their_own_stage():
    policy = make(mechanism="mask", maps="split")
    both, _ = policy.attend(OBS)
    for i, untouched in ((0, "value"), (1, "action_logits")):
        painted = both.map.clone()
        painted[:, i] = 0
        after, _ = policy.attend(OBS, map_override=painted)
        torch.testing.assert_close(getattr(after, untouched), getattr(both, untouched))
        touched = {"value", "action_logits"} - {untouched}
        assert not torch.allclose(getattr(after, *touched), getattr(both, *touched))


def test_the_actor_alone_may_have_a_map():
    """The critic sees the features as they are: as an agent without attention does."""
    policy, plain = make(mechanism="mask", maps="policy"), make(mechanism="none", maps="split")
    plain.load_state_dict(
        {k: v for k, v in policy.state_dict().items() if not k.startswith("attention_branch")}
    )
    own, _ = policy.attend(OBS)
    painted, _ = policy.attend(OBS, map_override=torch.zeros_like(own.map))
    assert torch.equal(painted.value, own.value)
    assert torch.equal(plain.attend(OBS)[0].value, own.value)
    assert not torch.allclose(painted.action_logits, own.action_logits)
    own.value.sum().backward()
    assert all(parameter.grad is None for parameter in policy.attention_branch.parameters())
    with pytest.raises(ValueError, match="expected maps='shared' with mechanism='soft', got 'pol"):
        make(mechanism="soft", maps="policy", memory="lstm")


def test_the_map_that_was_acted_on_is_the_one_returned():
    painted = torch.rand(9, 9)
    attention, _ = make().attend(OBS, map_override=painted)
    torch.testing.assert_close(attention.map[1, 0], painted)


def test_without_attention_split_is_two_perception_stages():
    policy = make(mechanism="none", maps="split", attention_at=7)
    assert len(policy.perceptions) == 2
    output, _ = policy.attend(OBS)
    assert policy.map_names == ()
    with torch.no_grad():
        for parameter in policy.perceptions[1].parameters():
            parameter.zero_()
    other, _ = policy.attend(OBS)
    assert torch.equal(output.action_logits, other.action_logits)
    assert not torch.equal(output.value, other.value)


@pytest.mark.parametrize("size", [21, 11])
def test_impala_starts_as_small_as_nature(size):
    nature, impala = make(), make(extractor="impala", attention_at=size)
    with torch.no_grad():
        sizes = [policy.extract(OBS).square().mean().sqrt() for policy in (nature, impala)]
        values = [policy.attend(OBS)[0].value.abs().max() for policy in (nature, impala)]
    assert sizes[0] / 4 < sizes[1] < 4 * sizes[0]
    assert values[1] < values[0] + 1


def test_in_bf16_answers_and_maps_are_computed_in_fp32():
    """In bfloat16, 49 places had three or four different values."""
    policy = make(precision="bf16", attention_at=7)
    with torch.no_grad(), policy.compute.acting(policy.device, 3, policy):
        output, _ = policy.attend(OBS)
    assert all(len(one.unique()) > 40 for one in output.map)
    for answer in (output.action_logits, output.value, output.branch_logits):
        assert not torch.equal(answer, answer.bfloat16().float())


def test_a_published_mask_starts_with_contrast():
    def contrast(start):
        policy = make(
            mechanism="mask",
            attention_at=7,
            branch_answers=False,
            mechanism_options={"map_start": start},
        )
        with torch.no_grad():
            maps = policy.attend(OBS)[0].map
        return maps.std(dim=(2, 3)).mean()

    assert contrast("published") > 10 * contrast("even")


def test_the_policy_begins_even_and_so_does_its_map():
    attention, _ = make().attend(OBS)
    torch.testing.assert_close(
        attention.action_logits.softmax(-1), torch.full((3, 6), 1 / 6), atol=0.02, rtol=0
    )
    assert (attention.map - 0.5).abs().max() < 0.1


def test_no_dropout_or_normalisation_tells_training_from_acting():
    policy = make()
    policy.set_training_mode(True)
    training, _ = policy.attend(OBS)
    policy.set_training_mode(False)
    acting, _ = policy.attend(OBS)
    assert torch.equal(training.action_logits, acting.action_logits)


@pytest.fixture(scope="module")
def games():
    """Makes and begins the games of a run once for each protocol, since emulators start slowly."""
    made = {}

    def games(recipe):
        if recipe.protocol_name not in made:
            env = made[recipe.protocol_name] = make_training_env(recipe)
            first = env.reset()
            env.reset = lambda: first  # and the games go on
        return made[recipe.protocol_name]

    return games


FORMS = ("abn", "mask", "cnn", "se", "soft", "hard")
OF_PPO = [name for name in list_recipes("agents") if name.startswith("ppo")]
OF_A2C = [name for name in list_recipes("agents") if name not in OF_PPO]  # the same networks


@pytest.mark.parametrize(
    "name",
    [
        *OF_PPO,
        *more(*(name for name in OF_A2C if name.split("_")[1] in FORMS)),
        *full(*(name for name in OF_A2C if name.split("_")[1] not in FORMS)),
    ],
)
def test_every_parameter_of_every_agent_gets_a_gradient(name, space_invaders, games):
    from rl_abn.recipes import RunRecipe, override

    small = ["algorithm.n_envs=1", "algorithm.n_steps=16"]
    if name.startswith("ppo"):
        small.append("algorithm.batch_size=16")
    agent, env_recipe = override(load_agent(name), space_invaders, small)
    recipe = RunRecipe(agent_name=name, env_name="x", seed=0, agent=agent, env=env_recipe)
    env = games(recipe)
    model = make_model(recipe, env, "cpu")
    if name.endswith("nonlocal"):  # which begins with a last layer of 0
        torch.nn.init.normal_(model.policy.mechanism.out.weight, std=0.1)
    model._setup_learn(16)
    model.collect_rollouts(env, model._init_callback(None), model.rollout_buffer, 16)
    samples = model.rollout_buffer.samples()
    loss, _ = model.loss(samples, 0.1) if name.startswith("ppo") else model.loss(samples)
    loss.backward()
    for parameter_name, parameter in model.policy.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


def test_recipes_name_what_they_build():
    policy = make(**policy_settings(load_agent("ppo_mask")).as_kwargs())
    assert (policy.settings.mechanism, policy.map_names) == ("mask", ("policy", "value"))
    assert policy.attend(OBS)[0].branch_logits is None
    assert len(policy.perceptions) == 2


@pytest.mark.parametrize("algorithm", [PPO, *more(A2C)])
def test_plain_stable_baselines3_trains_saves_loads_and_gives_maps(algorithm, ale_env, tmp_path):
    kwargs = {"n_steps": 8, "policy_kwargs": {"mechanism": "mask", "maps": "split"}, "seed": 0}
    if algorithm is PPO:
        kwargs |= {"batch_size": 8, "n_epochs": 2}
    model = algorithm(AttentionPolicy, ale_env, **kwargs)
    before = {k: v.clone() for k, v in model.policy.state_dict().items()}
    model.learn(32)
    # Plain PPO and A2C teach what the agent acts with; the branch's own answer is not part of it.
    learned = {k for k, v in model.policy.state_dict().items() if not torch.equal(v, before[k])}
    assert before.keys() - learned <= {
        "attention_branch.evidence_head.weight",
        "attention_branch.evidence_head.bias",
    }
    model.save(tmp_path / "agent.zip")
    loaded = algorithm.load(tmp_path / "agent.zip", env=ale_env)
    obs = ale_env.reset()
    old, _ = model.policy.attend(torch.as_tensor(obs))
    new, _ = loaded.policy.attend(torch.as_tensor(obs))
    assert torch.equal(old.map, new.map)
    assert new.map.shape == (2, 2, 9, 9)
    assert loaded.policy.map_names == ("policy", "value")
    actions, _ = loaded.predict(obs, deterministic=True)
    assert np.array_equal(actions, old.action_logits.argmax(-1).numpy())
    assert loaded.learn(32).num_timesteps == 32


def test_evaluate_actions_agrees_with_forward():
    policy = make()
    torch.manual_seed(1)
    actions, values, log_prob = policy(OBS)
    again, log_prob_again, entropy = policy.evaluate_actions(OBS, actions)
    torch.testing.assert_close(values, again)
    torch.testing.assert_close(log_prob, log_prob_again)
    expected = policy.get_distribution(OBS).distribution.entropy()
    torch.testing.assert_close(entropy, expected)
    torch.testing.assert_close(policy.predict_values(OBS), values)


def test_bf16_gives_fp32_answers_close_to_fp32():
    exact, _ = make().attend(OBS)
    rough, _ = make(precision="bf16").attend(OBS)
    assert rough.value.dtype == torch.float32
    torch.testing.assert_close(rough.map, exact.map, atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"mechanism": "residul"}, "expected mechanism of .* got 'residul'"),
        ({"extractor": "natur"}, "expected extractor of .* got 'natur'"),
        ({"maps": "both"}, "expected maps of .* got 'both'"),
        ({"attention_at": 8}, "expected attention_at of .* got 8"),
        ({"use_sde": True}, "use_sde=False"),
    ],
)
def test_wrong_names_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        make(**kwargs)


def test_other_spaces_are_refused():
    with pytest.raises(ValueError, match="Discrete"):
        AttentionPolicy(PIXELS, spaces.Box(-1, 1, (2,)), lambda _: 1e-3)
    with pytest.raises(ValueError, match=r"\[C, H, W\]"):
        AttentionPolicy(spaces.Box(0, 255, (8,), np.uint8), ACTIONS, lambda _: 1e-3)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (spaces.Box(-1, 1, (4,)), r"expected pictures .*\[C, H, W\], got Box\(-1.0, 1.0, \(4,\)"),
        (spaces.Dict({"a": spaces.Box(-1, 1, (4,))}), r"expected pictures .*, got Dict\('a'"),
        (spaces.Box(0, 255, (4, 16, 16), np.uint8), r"at least \[4, 36, 36\], got \[4, 16, 16\]"),
    ],
)
@pytest.mark.parametrize("algorithm", [PPO, AttentionPPO])
def test_observations_that_are_no_pictures_or_too_small(algorithm, space, said):
    class Game(ProbeGame):
        observation_space = space

    with pytest.raises(ValueError, match=said) as caught:
        algorithm(AttentionPolicy, DummyVecEnv([Game]), n_steps=8, batch_size=8)
    assert len(str(caught.value).splitlines()) == 1
