"""An actor-critic policy that shows where it looks."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from rl_abn.attention import (
    MECHANISMS,
    Attention,
    AttentionSite,
    GlimpseSampler,
    MapOverride,
    Mechanism,
    QueriedMechanism,
    RememberingMechanism,
    no_answer,
    override_map,
)
from rl_abn.attention.fp32 import in_fp32
from rl_abn.networks import EpisodicStore, Lstm, RecurrentAttention, trace_shape
from rl_abn.networks.network import HasOwnStart
from rl_abn.networks.recurrent_attention import N_COORDINATES
from rl_abn.rl.policies.outputs import PolicyOutput, PolicyState
from rl_abn.rl.policies.sb3_policy import Sb3AttentionPolicy
from rl_abn.rl.policies.settings import PolicySettings
from rl_abn.rl.policies.trunk import TrunkExtractor

RETURN_MOMENTS = "reward_moments"  # the buffer's name in checkpoints


class _Perceived(NamedTuple):
    """What actor and critic get, one vector each or one for both [B, features], and the maps."""

    latents: list[Tensor]
    attention: Attention
    state: PolicyState
    glimpse_logits: Tensor | None = None
    glimpse: Tensor | None = None


class AttentionPolicy(Sb3AttentionPolicy):
    """Extractor, attention mechanism, gated features, perception stage, actor and critic.

    It works with stable-baselines3's own `PPO` and `A2C`, which train what the agent acts with;
    the attention branch's own answer learns only in `AttentionPPO` and `AttentionA2C`.

    Args:
        observation_space: [C, H, W]; pixels as uint8 are divided by 255, floats are taken as they
            are.
        action_space: Discrete.
        lr_schedule: Learning rate by progress remaining.
        use_sde: Not supported; here because SB3 passes it.
        ortho_init: Whether to begin with orthogonal weights. Policies that are given others need
            not.
        optimizer_class: Optimizer.
        optimizer_kwargs: Its arguments, without the learning rate.
        settings: The fields of `PolicySettings`, by keyword.

    Raises:
        ValueError: If a setting is wrong or a space is not supported.

    Example:
        >>> from stable_baselines3 import PPO
        >>> from rl_abn.recipes import load_env
        >>> from rl_abn.rl import AleVecEnv, AttentionPolicy
        >>> recipe = load_env("pong")
        >>> env = AleVecEnv(recipe.game, recipe.protocol["legacy"], n_envs=2)
        >>> model = PPO(AttentionPolicy, env, n_steps=8, batch_size=16)
        >>> output, _ = model.policy.attend(model.policy.obs_to_tensor(env.reset())[0])
        >>> output.map.shape
        torch.Size([2, 1, 9, 9])
    """

    features_extractor: TrunkExtractor
    place_baseline: Tensor

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        lr_schedule: Schedule,
        *,
        use_sde: bool = False,
        ortho_init: bool = True,
        optimizer_class: type[torch.optim.Optimizer] = torch.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.settings = PolicySettings(**settings)
        if not isinstance(action_space, spaces.Discrete):
            raise ValueError(f"expected a Discrete action space, got {action_space}")
        if use_sde:
            raise ValueError("expected use_sde=False: it is for continuous actions")
        self.compute = self.settings.compute
        self.n_actions = int(action_space.n)
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            net_arch=[],
            ortho_init=ortho_init,
            features_extractor_class=TrunkExtractor,
            features_extractor_kwargs={
                "network": self.settings.extractor,
                "attention_at": self.settings.attention_at,
                "layer_norm": self.settings.layer_norm,
            },
            normalize_images=observation_space.dtype == np.uint8,
            optimizer_class=optimizer_class,
            optimizer_kwargs=optimizer_kwargs,
        )

    @property
    def map_names(self) -> tuple[str, ...]:
        """Names of the maps, in the order of `PolicyOutput.map`'s second dimension."""
        return self.settings.map_names

    @property
    def n_locations(self) -> int:
        """How many locations hard attention samples from; 0 for agents that sample none."""
        height, width = self.features_extractor.out_shape[1:]
        return height * width if self.settings.abilities.samples else 0

    @property
    def glimpse_baseline(self) -> Tensor:
        """The moving mean of returns that sampled glimpses are judged by, []."""
        return self.place_baseline  # its name in checkpoints

    @property
    def return_moments(self) -> Tensor | None:
        """The moments of the returns, [3], where rewards are scaled by them."""
        return self._buffers.get(RETURN_MOMENTS)

    @property
    def mechanism(self) -> Mechanism:
        """The attention mechanism, with the body of its branch."""
        found = self.attention_branch if self.gaze is None else self.gaze.glimpses
        assert found is not None
        return found

    def parameters_but(self, apart: Iterable[nn.Parameter]) -> list[nn.Parameter]:
        """Returns all weights but some, in order."""
        known = set(map(id, apart))
        return [parameter for parameter in self.parameters() if id(parameter) not in known]

    def initial_state(self, n: int) -> PolicyState:
        """Returns the memory of n games at their start; None for an agent without memory."""
        parts: list[Tensor] = []
        if self.feature_memory is not None:
            parts += self.feature_memory.initial_state(n, *self.features_extractor.out_shape[1:])
        if self.gaze is not None:
            parts += self.gaze.lstm.initial_state(n)
        if self.store is not None:
            parts += self.store.initial_state(n, self.device)
        for memory in self.latent_memories:
            parts += memory.initial_state(n)  # type: ignore[operator]
        return tuple(parts) or None

    def attend(
        self,
        obs: Tensor,
        state: PolicyState = None,
        map_override: MapOverride | None = None,
        reset_mask: Tensor | None = None,
        glimpses: Tensor | GlimpseSampler | None = None,
    ) -> tuple[PolicyOutput, PolicyState]:
        """Computes policies, values and attention maps for observations.

        Args:
            obs: As the observation space has them, [B, C, H, W], on the policy's device; pixels
                0..255 may be floats as well.
            state: The memory after the step before; None at the start of a game.
            map_override: Maps to act on instead of the agent's own, or a function of them.
            reset_mask: None where the observations are one step of B games. Otherwise they are T
                steps of n games, B = T * n, all first steps first, and this says where a game's
                memory is emptied before a step, bool [T, n].
            glimpses: Where an agent with hard attention looks, int64 [B], or how it chooses from
                log-probabilities [n, L]; None takes the most probable locations. Other agents
                ignore it.

        Returns:
            The output, and the memory after the last step.

        Raises:
            ValueError: If the override does not fit the maps.
        """
        features = self.extract(obs)
        return self.attend_features(features, state, map_override, reset_mask, glimpses)

    def extract(self, obs: Tensor) -> Tensor:
        """Computes the features that attention attaches to, [B, channels, h, w], of observations.

        Args:
            obs: As `attend` takes them.
        """
        with self.compute.autocast(obs.device):
            images = self.compute.images(obs, normalize=self.normalize_images)
            features: Tensor = self.features_extractor(images)
        return features

    def attend_features(
        self,
        features: Tensor,
        state: PolicyState = None,
        map_override: MapOverride | None = None,
        reset_mask: Tensor | None = None,
        glimpses: Tensor | GlimpseSampler | None = None,
    ) -> tuple[PolicyOutput, PolicyState]:
        """Computes everything after the trunk: `attend`, of what `extract` made of observations.

        Args:
            features: [B, channels, h, w].
            state: As in `attend`.
            map_override: As in `attend`.
            reset_mask: As in `attend`.
            glimpses: As in `attend`.

        Raises:
            ValueError: If the override does not fit the maps.
        """
        with self.compute.autocast(features.device):
            if self.gaze is None:
                perceived = self._perceive(features, state, map_override, reset_mask)
            else:
                perceived = self._glimpse(features, state, map_override, reset_mask, glimpses)
        # In bfloat16 an answer would have three digits.
        with in_fp32(features.device):
            action_logits = self.action_net(perceived.latents[0].float())
            value = self.value_net(perceived.latents[-1].float())
        answer = perceived.attention.logits.float() if self.settings.answers else None
        return PolicyOutput(
            action_logits=action_logits,
            value=value.squeeze(-1),
            map=perceived.attention.map.float(),
            evidence=perceived.attention.evidence.float(),
            branch_logits=None if answer is None else answer[:, :-1],
            branch_value=None if answer is None else answer[:, -1],
            glimpse_logits=perceived.glimpse_logits,
            glimpse=perceived.glimpse,
        ), perceived.state

    def _perceive(
        self,
        features: Tensor,
        state: PolicyState,
        map_override: MapOverride | None,
        reset_mask: Tensor | None,
    ) -> _Perceived:
        """Gates the features by the mechanism's maps and passes them to the perception stages."""
        after: list[Tensor] = []

        def remember(memory: Any, inputs: Tensor) -> Any:
            first = len(after)
            before = None if state is None else state[first : first + 2]
            outputs, now = memory(inputs, before, reset_mask)
            after.extend(now)
            return outputs

        if self.feature_memory is not None:
            features = remember(self.feature_memory, features)
        assert self.attention_branch is not None
        gate = self.attention_branch.gate
        past: tuple[Tensor, ...] = ()
        if self.store is not None:
            assert isinstance(self.attention_branch, RememberingMechanism)
            past = remember(self.store, self.attention_branch.write(features))
        attention: Attention = self.attention_branch(features, *past)
        maps = override_map(attention.map, map_override)
        latents: list[Tensor] = []
        for i, (before_gate, perception) in enumerate(
            zip(self.before_gates, self.perceptions, strict=True)
        ):
            seen = before_gate(features)
            if self.settings.is_gated(i):
                seen = gate(seen, maps[:, i : i + 1], *attention.context)
            latents.append(perception(seen))
        if self.latent_memories:
            latents = list(map(remember, self.latent_memories, latents))
        return _Perceived(latents, attention._replace(map=maps), tuple(after) or None)

    def _glimpse(
        self,
        features: Tensor,
        state: PolicyState,
        map_override: MapOverride | None,
        reset_mask: Tensor | None,
        glimpses: Tensor | GlimpseSampler | None,
    ) -> _Perceived:
        """Reads the features by glimpses that the LSTM's state asks for, step by step."""
        assert self.gaze is not None
        seen, after = self.gaze(features, state, reset_mask, map_override, glimpses)
        attention = no_answer(features, seen.map)
        return _Perceived([seen.output], attention, after, seen.glimpse_logits, seen.glimpse)

    def _build(self, lr_schedule: Schedule) -> None:
        # SB3 keeps the shared extractor under three names; saved once is enough.
        del self.pi_features_extractor, self.vf_features_extractor
        settings, plan = self.settings, self.features_extractor.plan
        channels, *map_size = self.features_extractor.out_shape
        abilities, has_lstm = settings.abilities, settings.memory == "lstm"
        n_maps = len(settings.map_names)
        mechanism = partial(MECHANISMS[settings.mechanism], **settings.mechanism_options)
        self.attention_branch = (
            None
            if abilities.queries
            else mechanism(
                AttentionSite(
                    channels,
                    n_maps=n_maps,
                    n_outputs=self.n_actions + 1 if settings.answers else 0,
                    body=partial(plan.branch_body, channels),
                    map_size=(map_size[0], map_size[1]),
                )
            )
        )
        self.store: EpisodicStore | None = None
        if isinstance(self.attention_branch, RememberingMechanism):
            remembers = self.attention_branch
            self.store = EpisodicStore(remembers.length, remembers.entry_size)
        if not abilities.any_channels:
            gated, *_ = trace_shape(plan.before_gate(channels), (channels, *map_size))
            if gated != channels:
                raise ValueError(
                    f"expected a mechanism that gates any number of channels with extractor="
                    f"'{settings.extractor}', got '{settings.mechanism}'; the nearest is 'mask'"
                )
        n_stages = 0 if abilities.queries else settings.n_stages
        self.before_gates = nn.ModuleList(plan.before_gate(channels) for _ in range(n_stages))
        self.perceptions = nn.ModuleList(plan.perception() for _ in range(n_stages))
        self.feature_memory = Lstm(channels, channels, 3) if settings.memory == "convlstm" else None
        self.latent_memories = nn.ModuleList(
            Lstm(plan.features_dim, settings.memory_size)
            for _ in (self.perceptions if has_lstm else ())
        )
        self.gaze: RecurrentAttention | None = None
        if abilities.queries:
            site = AttentionSite(channels + N_COORDINATES, query_size=settings.memory_size)
            queried = mechanism(site)
            assert isinstance(queried, QueriedMechanism)
            self.gaze = RecurrentAttention(queried, channels, settings.memory_size)
        if abilities.samples:
            self.register_buffer("place_baseline", torch.zeros(()))
        if settings.keeps_return_moments:
            self.register_buffer(RETURN_MOMENTS, torch.zeros(3, dtype=torch.float64))
        self.features_dim = settings.memory_size if has_lstm else plan.features_dim
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
            self._parameter_groups(),
            lr=lr_schedule(1),  # type: ignore[call-arg]
            **self.optimizer_kwargs,
        )

    def _parameter_groups(self) -> list[Any]:
        """Returns all weights, those of the map layers apart where they learn at their own rate."""
        factor = self.settings.map_learning_rate_factor
        apart = [] if factor == 1.0 else list(self.mechanism.map_parameters())
        rest = self.parameters_but(apart)
        return [{"params": rest}, {"params": apart, "lr_factor": factor}] if apart else rest

    def _initialise(self) -> None:
        """Orthogonal weights; small ones where an even policy and an even map should begin."""
        gains: dict[nn.Module | None, float] = {
            self.features_extractor: 2**0.5,
            self.attention_branch: 2**0.5,
            self.before_gates: 2**0.5,
            self.perceptions: 2**0.5,
            self.feature_memory: 1.0,
            self.latent_memories: 1.0,
            self.gaze: 1.0,
            self.action_net: 0.01,
            self.value_net: 1.0,
        }
        gains |= dict.fromkeys(self.mechanism.quiet_layers(), 0.1)
        for module, gain in gains.items() if self.ortho_init else ():
            if module is not None:
                module.apply(partial(self.init_weights, gain=gain))
        for module in self.modules():
            if isinstance(module, HasOwnStart):
                module.set_own_start()

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "lr_schedule": self._dummy_schedule,
            **self.settings.as_kwargs(),
            "optimizer_class": self.optimizer_class,
            "optimizer_kwargs": self.optimizer_kwargs,
        }
