"""An actor-critic policy that says where it looks."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor, nn

from rl_abn.attention import (
    MECHANISMS,
    Attention,
    AttentionBranch,
    Compute,
    MapOverride,
    apply,
    override_map,
)
from rl_abn.attention.compute import Precision
from rl_abn.networks import NETWORKS, trace_shape
from rl_abn.rl import categorical

PolicyState = tuple[Tensor, ...] | None
"""What an agent remembers from step to step; None for agents without memory."""


class PolicyAttention(NamedTuple):
    """What an agent thinks of a batch of observations, all in fp32.

    Attributes:
        action_logits: The acting (perception) branch's policy, [B, A].
        value: Its value, [B].
        map: The maps it acted on, [B, m, h, w], in 0..1; m is 0 for agents without attention, 1
            for a shared map, 2 for a policy and a value map.
        evidence: What speaks for each action, and last for the value, in each place, [B, K, h, w].
        branch_logits: The attention branch's own policy, [B, A], or None if it has none.
        branch_value: Its own value, [B], or None.
    """

    action_logits: Tensor
    value: Tensor
    map: Tensor
    evidence: Tensor
    branch_logits: Tensor | None
    branch_value: Tensor | None


class TrunkExtractor(BaseFeaturesExtractor):
    """The layers up to the place where attention attaches, as SB3 wants an extractor.

    Args:
        observation_space: [C, H, W].
        network: A name in `NETWORKS`.
        attention_at: Map size for 84x84 observations; None takes the network's default.
    """

    def __init__(
        self,
        observation_space: spaces.Box,
        network: str = "nature",
        attention_at: int | None = None,
    ) -> None:
        _expect("extractor", network, NETWORKS)
        in_shape = observation_space.shape
        if len(in_shape) != 3:
            raise ValueError(f"expected observations of shape [C, H, W], got {in_shape}")
        plan = NETWORKS[network](in_shape, attention_at or NETWORKS[network].attention_at[0])
        layers = plan.extractor()
        out_shape = trace_shape(layers, in_shape)
        super().__init__(observation_space, out_shape[0] * out_shape[1] * out_shape[2])
        self.plan = plan
        self.layers = layers
        self.out_shape = out_shape

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, channels, h, w]."""
        features: Tensor = self.layers(images)
        return features


class AttentionPolicy(ActorCriticPolicy):
    """Extractor, attention branch, gated features, perception stage, actor and critic.

    It works with stable-baselines3's own `PPO` and `A2C`, which train what the agent acts with;
    the branch's own answer learns only in `AttentionPPO` and `AttentionA2C`.

    Args:
        observation_space: [C, H, W]; pixels as uint8 are divided by 255, floats are taken as they
            are.
        action_space: Discrete.
        lr_schedule: Learning rate by progress remaining.
        extractor: A name in `NETWORKS`.
        attention_at: Map size for 84x84 observations; None takes the network's default.
        mechanism: How a map gates the features: "residual", "mask" or "none".
        maps: "shared" gives actor and critic one map, "split" one each.
        branch_answers: Whether the branch states a policy and value of its own.
        precision: "fp32" or "bf16".
        compiled: Whether `torch.compile` makes kernels of the network's parts.
        graphs: Whether a GPU replays recorded CUDA graphs; nothing changes on a CPU.
        use_sde: Not supported; here because SB3 passes it.
        optimizer_class: Optimizer.
        optimizer_kwargs: Its arguments, without the learning rate.

    Raises:
        ValueError: If a name is unknown or a space is not supported.

    Example:
        >>> from stable_baselines3 import PPO
        >>> from rl_abn.recipes import load_env
        >>> from rl_abn.rl import AleVecEnv, AttentionPolicy
        >>> recipe = load_env("pong")
        >>> env = AleVecEnv(recipe.game, recipe.protocol["legacy"], n_envs=2)
        >>> model = PPO(AttentionPolicy, env, n_steps=8, batch_size=16)
        >>> attention, _ = model.policy.attend(model.policy.obs_to_tensor(env.reset())[0])
        >>> attention.map.shape
        torch.Size([2, 1, 9, 9])
    """

    features_extractor: TrunkExtractor

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        lr_schedule: Schedule,
        *,
        extractor: str = "nature",
        attention_at: int | None = None,
        mechanism: str = "residual",
        maps: str = "shared",
        branch_answers: bool = True,
        precision: Precision = "fp32",
        compiled: bool = False,
        graphs: bool = False,
        use_sde: bool = False,
        optimizer_class: type[torch.optim.Optimizer] = torch.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        _expect("mechanism", mechanism, MECHANISMS)
        _expect("maps", maps, ("shared", "split"))
        if not isinstance(action_space, spaces.Discrete):
            raise ValueError(f"expected a Discrete action space, got {action_space}")
        if use_sde:
            raise ValueError("expected use_sde=False: it is for continuous actions")
        self.extractor_name = extractor
        self.attention_at = attention_at
        self.mechanism = mechanism
        self.maps = maps
        self.branch_answers = branch_answers and mechanism != "none"
        self.compute = Compute(precision, compiled=compiled, graphs=graphs)
        self.n_actions = int(action_space.n)
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            net_arch=[],
            features_extractor_class=TrunkExtractor,
            features_extractor_kwargs={"network": extractor, "attention_at": attention_at},
            normalize_images=observation_space.dtype == np.uint8,
            optimizer_class=optimizer_class,
            optimizer_kwargs=optimizer_kwargs,
        )

    @property
    def map_names(self) -> tuple[str, ...]:
        """Names of the maps, in the order of `PolicyAttention.map`'s second dimension."""
        if self.mechanism == "none":
            return ()
        return ("shared",) if self.maps == "shared" else ("policy", "value")

    def attend(
        self, obs: Tensor, state: PolicyState = None, map_override: MapOverride | None = None
    ) -> tuple[PolicyAttention, PolicyState]:
        """Looks at observations and says what to do, what it is worth, and where it looked.

        Args:
            obs: As the observation space has them, [B, C, H, W], on the policy's device; pixels
                0..255 may be floats as well.
            state: What the agent remembered; None at the start of a game.
            map_override: Maps to act on instead of the agent's own, or a function of them.

        Returns:
            The attention, and what the agent remembers now.

        Raises:
            ValueError: If the override does not fit the maps.
        """
        with self.compute.autocast(obs.device):
            images = self.compute.images(obs, normalize=self.normalize_images)
            features = self.features_extractor(images)
            attention = self._branch(features)
            attention_map = override_map(attention.map, map_override)
            latents = [
                perceive(apply(self.mechanism, prepare(features), attention_map[:, i : i + 1]))
                for i, (prepare, perceive) in enumerate(
                    zip(self.before_gates, self.perceptions, strict=True)
                )
            ]
            action_logits = self.action_net(latents[0])
            value = self.value_net(latents[-1])
        answer = attention.logits.float() if self.branch_answers else None
        return PolicyAttention(
            action_logits=action_logits.float(),
            value=value.float().squeeze(-1),
            map=attention_map.float(),
            evidence=attention.evidence.float(),
            branch_logits=None if answer is None else answer[:, :-1],
            branch_value=None if answer is None else answer[:, -1],
        ), state

    def forward(self, obs: Tensor, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Returns actions [B], values [B, 1] and log-probabilities [B], as SB3 wants them."""
        attention, _ = self.attend(obs)
        actions = self._choose(attention.action_logits, deterministic)
        log_prob = categorical.log_prob(attention.action_logits, actions)
        return actions, attention.value.unsqueeze(-1), log_prob

    def evaluate_actions(
        self, obs: PyTorchObs, actions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns values [B, 1], log-probabilities [B] of the actions, and entropies [B]."""
        assert isinstance(obs, Tensor)
        attention, _ = self.attend(obs)
        log_prob = categorical.log_prob(attention.action_logits, actions.long().flatten())
        entropy = categorical.entropy(attention.action_logits)
        return attention.value.unsqueeze(-1), log_prob, entropy

    def get_distribution(self, obs: PyTorchObs) -> Any:
        """Returns SB3's action distribution for observations."""
        assert isinstance(obs, Tensor)
        attention, _ = self.attend(obs)
        return self.action_dist.proba_distribution(action_logits=attention.action_logits)

    def predict_values(self, obs: PyTorchObs) -> Tensor:
        """Returns values [B, 1]."""
        assert isinstance(obs, Tensor)
        return self.attend(obs)[0].value.unsqueeze(-1)

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> Tensor:
        assert isinstance(observation, Tensor)
        return self._choose(self.attend(observation)[0].action_logits, deterministic)

    @staticmethod
    def _choose(action_logits: Tensor, deterministic: bool) -> Tensor:
        return action_logits.argmax(dim=-1) if deterministic else categorical.sample(action_logits)

    def _branch(self, features: Tensor) -> Attention:
        if self.attention_branch is None:
            empty = features[:, :0]
            return Attention(empty, empty, features.new_zeros(len(features), 0))
        attention: Attention = self.attention_branch(features)
        return attention

    def _build(self, lr_schedule: Schedule) -> None:
        # SB3 keeps the shared extractor under three names; saved once is enough.
        del self.pi_features_extractor, self.vf_features_extractor
        channels = self.features_extractor.out_shape[0]
        plan = self.features_extractor.plan
        n_maps = len(self.map_names)
        self.attention_branch: AttentionBranch | None = None
        if n_maps:
            self.attention_branch = AttentionBranch(
                channels,
                self.n_actions + 1 if self.branch_answers else 0,
                n_maps=n_maps,
                # The published masks come straight from the features; ABN's from a copy of the
                # next stage.
                body=plan.branch_body(channels) if self.branch_answers else None,
            )
        n_stages = max(n_maps, 1)
        self.before_gates = nn.ModuleList(plan.before_gate(channels) for _ in range(n_stages))
        self.perceptions = nn.ModuleList(plan.perception() for _ in range(n_stages))
        self.features_dim = plan.features_dim
        self.action_net = nn.Linear(self.features_dim, self.n_actions)
        self.value_net = nn.Linear(self.features_dim, 1)
        self._initialise()
        self.compute.prepare(self)
        self.compute.compile(
            self.features_extractor,
            *filter(None, (self.attention_branch,)),
            *self.perceptions,
        )
        self.optimizer = self.optimizer_class(
            self.parameters(),
            lr=lr_schedule(1),  # type: ignore[call-arg]
            **self.optimizer_kwargs,
        )

    def _initialise(self) -> None:
        """Orthogonal weights; small ones where an even policy and an even map should begin."""
        gains: dict[nn.Module | None, float] = {
            self.features_extractor: 2**0.5,
            self.attention_branch: 2**0.5,
            self.before_gates: 2**0.5,
            self.perceptions: 2**0.5,
            self.action_net: 0.01,
            self.value_net: 1.0,
        }
        if self.attention_branch is not None:
            gains[self.attention_branch.map_head] = 0.1
            gains[self.attention_branch.evidence_head] = 0.1
        for module, gain in gains.items():
            if module is not None:
                module.apply(partial(self.init_weights, gain=gain))

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "lr_schedule": self._dummy_schedule,
            "extractor": self.extractor_name,
            "attention_at": self.attention_at,
            "mechanism": self.mechanism,
            "maps": self.maps,
            "branch_answers": self.branch_answers,
            "precision": self.compute.precision,
            "compiled": self.compute.compiled,
            "graphs": self.compute.graphs,
            "optimizer_class": self.optimizer_class,
            "optimizer_kwargs": self.optimizer_kwargs,
        }


def _expect(field: str, name: str, names: Any) -> None:
    if name not in names:
        raise ValueError(f"expected {field} of {sorted(names)}, got '{name}'")
