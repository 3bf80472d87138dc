"""Renders arrays as images and videos; depends on neither reinforcement learning nor torch."""

from rl_abn.render.gauges import Control
from rl_abn.render.overlay import colour_bar, overlay
from rl_abn.render.picture_scene import PictureMoment, PictureScene
from rl_abn.render.scale import Scale, scale_of
from rl_abn.render.scene import GameScene, Moment
from rl_abn.render.training_video import overlay_grid, write_training_video
from rl_abn.render.video import VideoWriter, read_video

__all__ = [
    "Control",
    "GameScene",
    "Moment",
    "PictureMoment",
    "PictureScene",
    "Scale",
    "VideoWriter",
    "colour_bar",
    "overlay",
    "overlay_grid",
    "read_video",
    "scale_of",
    "write_training_video",
]
