"""F at one place."""

from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from rl_abn.attention.mechanisms.soft import soft


def hard(
    features: Float[Tensor, "B C h w"], attention_map: Float[Tensor, "B one h w"]
) -> Float[Tensor, "B C 1 1"]:
    """Reads what is at the one place where the map is 1 (Xu et al., ICML 2015, eq. 8).

    Maps from elsewhere, which an intervention puts in, may lie on several places.
    """
    return soft(features, attention_map)


def one_hot_map(
    location: Int64[Tensor, " B"], height: int, width: int, like: Tensor
) -> Float[Tensor, "B 1 h w"]:
    """Returns maps that are 1 at one place and 0 elsewhere, in the type of another tensor.

    Args:
        location: Which, row by row, 0..h*w - 1.
        height: h.
        width: w.
        like: Of the type the maps are to have.
    """
    return F.one_hot(location, height * width).to(like.dtype).view(-1, 1, height, width)
