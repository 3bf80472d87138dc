"""What every network of the vision track is, and what it says about a batch of pictures."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from rl_abn.attention import Abilities, MapOverride
from rl_abn.vision.tasks import Task


class VisionAttention(NamedTuple):
    """What a network says about a batch of pictures, all in fp32.

    Attributes:
        outputs: The perception branch's, [B, K]: logits, or controls in -1..1.
        branch_outputs: The attention branch's own, [B, K]; None for the no-attention baseline.
        map: The maps the perception branch acted on, [B, m, h, w], in 0..1; m is 0 for the
            no-attention baseline.
        evidence: Evidence for each output at each location, [B, K, h, w]; K is 0 for the
            no-attention baseline.
        own_loss: What the mechanism adds to the loss, [B]; None is nothing.
        log_prob: Log-probability of the locations it sampled, [B]; None where it sampled none.
    """

    outputs: Tensor
    branch_outputs: Tensor | None
    map: Tensor
    evidence: Tensor
    own_loss: Tensor | None = None
    log_prob: Tensor | None = None

    @property
    def places(self) -> tuple[int, int]:
        """Height and width of the features that the maps were made of."""
        height, width = self.evidence.shape[-2:]
        return height, width


class VisionNetwork(nn.Module):
    """A network for pictures, cut in two where attention attaches.

    Pictures become features (`extract`), and features become outputs (`attend_features`). What
    runs the second half many times, as sampling does, needs the first half only once.

    Attributes:
        mechanism: How the map gates the features, a name in `MECHANISMS`; "none" is the
            no-attention baseline, which has no attention branch.
        abilities: What that mechanism can do.
        n_outputs: K, the number of outputs.
        n_maps: m, the number of maps; 0 for the no-attention baseline.
        task: What it is trained to do; says what the outputs are.
        takes_speed: Whether `attend` wants the vehicle's speed.
    """

    mechanism: str
    abilities: Abilities
    n_outputs: int
    n_maps: int
    task: Task
    takes_speed: bool

    def extract(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        """Computes the features before the split, [B, C, h, w]."""
        raise NotImplementedError

    def attend_features(
        self,
        features: Float[Tensor, "B C h w"],
        speed: Float[Tensor, " B"] | None = None,
        map_override: MapOverride | None = None,
    ) -> VisionAttention:
        """Computes everything after the split; the arguments are those of `attend`."""
        raise NotImplementedError

    def attend(
        self,
        images: Float[Tensor, "B 3 H W"],
        speed: Float[Tensor, " B"] | None = None,
        map_override: MapOverride | None = None,
    ) -> VisionAttention:
        """Looks at pictures and says what they are, or what to do, and where it looked.

        Args:
            images: RGB, [B, 3, H, W], normalised as the network was trained.
            speed: The vehicle's, [B], normalised as the network was trained; a network that takes
                none ignores it.
            map_override: Maps to act on instead of the network's own, or a function of them.

        Raises:
            ValueError: If the override does not fit the maps, pictures have a size that the
                network cannot take, or there is no speed and it takes one.
        """
        return self.attend_features(self.extract(images), speed, map_override)

    def forward(
        self,
        images: Float[Tensor, "B 3 H W"],
        speed: Float[Tensor, " B"] | None = None,
        map_override: MapOverride | None = None,
    ) -> VisionAttention:
        """Does what `attend` does, as wrappers that share a network among devices want it."""
        return self.attend(images, speed, map_override)
