"""An actor-critic policy that says where it looks."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor, nn

from rl_abn.attention import (
    MECHANISMS,
    QUERIED,
    Attention,
    AttentionBranch,
    MapOverride,
    apply,
    override_map,
)
from rl_abn.compute import Compute, Precision
from rl_abn.networks import MEMORIES, GlimpseSampler, Lstm, RecurrentAttention, forget
from rl_abn.rl.policies import distributions
from rl_abn.rl.policies.names import expect, map_names_of
from rl_abn.rl.policies.trunk import TrunkExtractor

PolicyState = tuple[Tensor, ...] | None
"""What an agent remembers from step to step; None for agents without memory."""


class PolicyOutput(NamedTuple):
    """What an agent thinks of a batch of observations, all in fp32.

    Attributes:
        action_logits: The acting (perception) branch's policy, [B, A].
        value: Its value, [B].
        map: The maps it acted on, [B, m, h, w], in 0..1; m is 0 for agents without attention, 1
            for a shared map, 2 for a policy and a value map.
        evidence: What speaks for each action, and last for the value, in each place, [B, K, h, w].
        branch_logits: The attention branch's own policy, [B, A], or None if it has none.
        branch_value: Its own value, [B], or None.
        glimpse_logits: Log-probabilities of the places that hard attention draws from, [B, L], row
            by row; None for other mechanisms.
        glimpse: The place it looked at, int64 [B], or None.
    """

    action_logits: Tensor
    value: Tensor
    map: Tensor
    evidence: Tensor
    branch_logits: Tensor | None
    branch_value: Tensor | None
    glimpse_logits: Tensor | None = None
    glimpse: Tensor | None = None


class _Seen(NamedTuple):
    """What actor and critic get: a vector each or one for both, [B, features], and by what way."""

    latents: list[Tensor]
    attention: Attention
    state: PolicyState
    glimpse_logits: Tensor | None = None
    glimpse: Tensor | None = None


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
        mechanism: How a map gates the features: "residual", "mask" or "none"; or how an LSTM that
            asks for it reads them: "soft" or "hard".
        maps: "shared" gives actor and critic one map, "split" one each.
        branch_answers: Whether the branch states a policy and value of its own.
        memory: A name in `MEMORIES`: "none", "convlstm" on the features, or "lstm" after every
            perception stage; "soft" and "hard" need "lstm", which takes the stage's place.
            stable-baselines3's own algorithms train agents without memory only.
        memory_size: Size of an "lstm"; a "convlstm" has the features' channels.
        forget_at: Whether memory is emptied at the end of a "game", or at every lost "life".
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
    place_baseline: Tensor

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
        memory: str = "none",
        memory_size: int = 256,
        forget_at: str = "game",
        precision: Precision = "fp32",
        compiled: bool = False,
        graphs: bool = False,
        use_sde: bool = False,
        optimizer_class: type[torch.optim.Optimizer] = torch.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        expect("mechanism", mechanism, MECHANISMS)
        expect("maps", maps, ("shared", "split"))
        expect("memory", memory, MEMORIES)
        expect("forget_at", forget_at, ("game", "life"))
        if not isinstance(action_space, spaces.Discrete):
            raise ValueError(f"expected a Discrete action space, got {action_space}")
        if mechanism in QUERIED and (memory != "lstm" or maps != "shared"):
            raise ValueError(
                f"expected memory='lstm' and maps='shared' with mechanism='{mechanism}', "
                f"got '{memory}' and '{maps}'"
            )
        if use_sde:
            raise ValueError("expected use_sde=False: it is for continuous actions")
        self.extractor_name = extractor
        self.attention_at = attention_at
        self.mechanism = mechanism
        self.maps = maps
        self.branch_answers = branch_answers and mechanism not in ("none", *QUERIED)
        self.memory = memory
        self.memory_size = memory_size
        self.forget_at = forget_at
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
        """Names of the maps, in the order of `PolicyOutput.map`'s second dimension."""
        return map_names_of(self.mechanism, self.maps)

    @property
    def n_locations(self) -> int:
        """How many places hard attention draws from; 0 for agents that draw none."""
        height, width = self.features_extractor.out_shape[1:]
        return height * width if self.mechanism == "hard" else 0

    def initial_state(self, n: int) -> PolicyState:
        """Returns the memory of n games at their start; None for an agent without memory."""
        parts: list[Tensor] = []
        if self.feature_memory is not None:
            parts += self.feature_memory.initial_state(n, *self.features_extractor.out_shape[1:])
        if self.gaze is not None:
            parts += self.gaze.lstm.initial_state(n)
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
        """Looks at observations and says what to do, what it is worth, and where it looked.

        Args:
            obs: As the observation space has them, [B, C, H, W], on the policy's device; pixels
                0..255 may be floats as well.
            state: What the agent remembered; None at the start of a game.
            map_override: Maps to act on instead of the agent's own, or a function of them.
            reset_mask: None where the observations are one step of B games. Otherwise they are T
                steps of n games, B = T * n, all first steps first, and this says where a game's
                memory is emptied before a step, bool [T, n].
            glimpses: Where an agent with hard attention looks, int64 [B], or how it chooses from
                log-probabilities [n, L]; None takes the likeliest places. Others take no notice.

        Returns:
            The attention, and what the agent remembers after the last step.

        Raises:
            ValueError: If the override does not fit the maps.
        """
        with self.compute.autocast(obs.device):
            images = self.compute.images(obs, normalize=self.normalize_images)
            features = self.features_extractor(images)
            if self.gaze is None:
                seen = self._see(features, state, map_override, reset_mask)
            else:
                seen = self._gaze_at(features, state, map_override, reset_mask, glimpses)
            action_logits = self.action_net(seen.latents[0])
            value = self.value_net(seen.latents[-1])
        answer = seen.attention.logits.float() if self.branch_answers else None
        return PolicyOutput(
            action_logits=action_logits.float(),
            value=value.float().squeeze(-1),
            map=seen.attention.map.float(),
            evidence=seen.attention.evidence.float(),
            branch_logits=None if answer is None else answer[:, :-1],
            branch_value=None if answer is None else answer[:, -1],
            glimpse_logits=seen.glimpse_logits,
            glimpse=seen.glimpse,
        ), seen.state

    def _see(
        self,
        features: Tensor,
        state: PolicyState,
        map_override: MapOverride | None,
        reset_mask: Tensor | None,
    ) -> _Seen:
        """Gates the features by the branch's maps and lets the perception stages work on them."""
        remembered: list[Tensor] = []

        def remember(memory: nn.Module, inputs: Tensor) -> Tensor:
            first = len(remembered)
            before = None if state is None else state[first : first + 2]
            outputs, now = memory(inputs, before, reset_mask)
            remembered.extend(now)
            return outputs  # type: ignore[no-any-return]

        if self.feature_memory is not None:
            features = remember(self.feature_memory, features)
        attention = self._branch(features)
        attention_map = override_map(attention.map, map_override)
        latents = [
            perceive(apply(self.mechanism, prepare(features), attention_map[:, i : i + 1]))
            for i, (prepare, perceive) in enumerate(
                zip(self.before_gates, self.perceptions, strict=True)
            )
        ]
        if self.latent_memories:
            latents = list(map(remember, self.latent_memories, latents))
        return _Seen(latents, attention._replace(map=attention_map), tuple(remembered) or None)

    def _gaze_at(
        self,
        features: Tensor,
        state: PolicyState,
        map_override: MapOverride | None,
        reset_mask: Tensor | None,
        glimpses: Tensor | GlimpseSampler | None,
    ) -> _Seen:
        """Lets the LSTM ask where to look, step by step."""
        assert self.gaze is not None
        look, now = self.gaze(features, state, reset_mask, map_override, glimpses)
        silent = features[:, :0]
        attention = Attention(look.map, silent, silent.mean(dim=(2, 3)))
        return _Seen([look.output], attention, now, look.glimpse_logits, look.glimpse)

    def forward(self, obs: Tensor, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Returns actions [B], values [B, 1] and log-probabilities [B], as SB3 wants them.

        Raises:
            NotImplementedError: If the agent has memory, which SB3's own loop would lose.
        """
        if self.memory != "none":
            raise NotImplementedError("train an agent with memory by AttentionPPO or AttentionA2C")
        attention, _ = self.attend(obs)
        actions = self._choose(attention.action_logits, deterministic)
        log_prob = distributions.log_prob(attention.action_logits, actions)
        return actions, attention.value.unsqueeze(-1), log_prob

    def evaluate_actions(
        self, obs: PyTorchObs, actions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns values [B, 1], log-probabilities [B] of the actions, and entropies [B]."""
        assert isinstance(obs, Tensor)
        attention, _ = self.attend(obs)
        log_prob = distributions.log_prob(attention.action_logits, actions.long().flatten())
        entropy = distributions.entropy(attention.action_logits)
        return attention.value.unsqueeze(-1), log_prob, entropy

    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Returns actions and what the agent remembers, as SB3's `predict` does.

        Args:
            observation: Of one game or of several.
            state: What it remembered, each [n, ...]; None at the start.
            episode_start: Whose memory is emptied first, bool [n].
            deterministic: Whether it takes its likeliest action.
        """
        if self.memory == "none":
            return super().predict(observation, state, episode_start, deterministic)
        self.set_training_mode(False)
        obs, several = self.obs_to_tensor(observation)
        before = None
        if state is not None:
            before = tuple(torch.as_tensor(part, device=self.device) for part in state)
            if episode_start is not None:
                before = forget(before, torch.as_tensor(episode_start, device=self.device))
        places = None if deterministic else distributions.sample
        with torch.no_grad():
            attention, now = self.attend(obs, before, glimpses=places)  # type: ignore[arg-type]
        assert now is not None
        actions = self._choose(attention.action_logits, deterministic).cpu().numpy()
        return actions if several else actions[0], tuple(part.cpu().numpy() for part in now)

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
        return (
            action_logits.argmax(dim=-1) if deterministic else distributions.sample(action_logits)
        )

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
        queried = self.mechanism in QUERIED
        n_maps = len(self.map_names)
        self.attention_branch: AttentionBranch | None = None
        if n_maps and not queried:
            self.attention_branch = AttentionBranch(
                channels,
                self.n_actions + 1 if self.branch_answers else 0,
                n_maps=n_maps,
                # The published masks come straight from the features; ABN's from a copy of the
                # next stage.
                body=plan.branch_body(channels) if self.branch_answers else None,
            )
        n_stages = 0 if queried else max(n_maps, 1)
        self.before_gates = nn.ModuleList(plan.before_gate(channels) for _ in range(n_stages))
        self.perceptions = nn.ModuleList(plan.perception() for _ in range(n_stages))
        self.feature_memory = Lstm(channels, channels, 3) if self.memory == "convlstm" else None
        self.latent_memories = nn.ModuleList(
            Lstm(plan.features_dim, self.memory_size)
            for _ in (self.perceptions if self.memory == "lstm" else ())
        )
        self.gaze = (
            RecurrentAttention(self.mechanism, channels, self.memory_size) if queried else None
        )
        if self.mechanism == "hard":
            self.register_buffer("place_baseline", torch.zeros(()))
        self.features_dim = self.memory_size if self.memory == "lstm" else plan.features_dim
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
            self.feature_memory: 1.0,
            self.latent_memories: 1.0,
            self.gaze: 1.0,
            self.action_net: 0.01,
            self.value_net: 1.0,
        }
        if self.attention_branch is not None:
            gains[self.attention_branch.map_head] = 0.1
            gains[self.attention_branch.evidence_head] = 0.1
        if self.gaze is not None:
            gains[self.gaze.glimpses.score] = 0.1
        for module, gain in gains.items():
            if module is not None:
                module.apply(partial(self.init_weights, gain=gain))
        for module in self.modules():
            if isinstance(module, Lstm):
                module.keep_by_default()

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
            "memory": self.memory,
            "memory_size": self.memory_size,
            "forget_at": self.forget_at,
            "precision": self.compute.precision,
            "compiled": self.compute.compiled,
            "graphs": self.compute.graphs,
            "optimizer_class": self.optimizer_class,
            "optimizer_kwargs": self.optimizer_kwargs,
        }
