"""A detector's own options: the keys of `[network]` beside its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.recipes.options import Option, check_option

PRETRAINED = ("none", "backbone", "coco")
ANCHORS = (32, 64, 128, 256, 512)
_MOST = 65_536


@dataclass(frozen=True)
class DetectorSettings:
    """How a Faster R-CNN (Ren et al., NeurIPS 2015) on a feature pyramid is built.

    Attributes:
        architecture: The trunk, a residual network of torchvision.
        channels: Channels of the pyramid's levels (Lin et al., CVPR 2017).
        hidden: Size of the box head's two layers.
        blocks: Residual blocks in front of the attention branch's answers.
        anchors: Sides of the anchors, in pixels of the resized picture, one a level.
        sampled: Proposals of a picture that the heads learn from.
        proposals: Proposals of a picture that are looked at in evaluation.
        pretrained: Weights that a training begins with: "none"; "backbone", torchvision's for the
            trunk on ImageNet; "coco", its whole detector's, all but the last layer and the branch.
            With weights the trunk's BatchNorm is frozen.
    """

    architecture: str = "resnet50"
    channels: int = 256
    hidden: int = 1024
    blocks: int = 1
    anchors: tuple[int, ...] = ANCHORS
    sampled: int = 512
    proposals: int = 1000
    pretrained: str = "none"

    def __post_init__(self) -> None:
        for name in ("channels", "hidden", "blocks", "sampled", "proposals"):
            value = getattr(self, name)
            if not 1 <= value <= _MOST:
                raise RlAbnError(f"network.{name}: expected 1 to {_MOST:,}, got {value}")
        if len(self.anchors) != len(ANCHORS) or not all(
            type(side) is int and 1 <= side <= _MOST for side in self.anchors
        ):
            raise RlAbnError(
                f"network.anchors: expected {len(ANCHORS)} sides in pixels, one a level of the "
                f"pyramid, got {list(self.anchors)}"
            )
        if self.pretrained not in PRETRAINED:
            raise RlAbnError(
                f"network.pretrained: expected weights, got '{self.pretrained}': "
                f"{did_you_mean(self.pretrained, PRETRAINED)}"
            )
        plain = DetectorSettings.architecture, DetectorSettings.channels, DetectorSettings.hidden
        own = self.architecture, self.channels, self.hidden
        if self.pretrained == "coco" and own != plain:
            raise RlAbnError(
                "network.pretrained: expected architecture, channels and hidden as torchvision's "
                f"detector has them {plain} with 'coco', got {own}"
            )

    @classmethod
    def of(cls, options: Mapping[str, Option]) -> DetectorSettings:
        """Reads a recipe's options.

        Raises:
            RlAbnError: If one is unknown or out of range.
        """
        defaults = {field.name: field.default for field in fields(cls)}
        try:
            for option, value in options.items():
                check_option("fasterrcnn", option, value, defaults)
        except ValueError as error:
            raise RlAbnError(str(error)) from None
        given = {name: tuple(v) if isinstance(v, list) else v for name, v in options.items()}
        return cls(**{**asdict(cls()), **given})
