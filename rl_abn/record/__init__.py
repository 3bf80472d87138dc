"""Recorded episodes: a game's screens and what the agent computed, one folder an episode.

Knows neither track and no torch: a server reads any step without them. The folder:

    meta.json                      what was played and by whom; the arrays' types and shapes
    frames/000000.png              the screens of a chunk of steps, one lossless sheet
    trace/000000.safetensors       what was computed at these steps; written last
    states/000000.z                what it takes to go on from the chunk's first step, deflated
"""

from rl_abn.record.meta import EpisodeMeta, is_episode
from rl_abn.record.reader import Episode
from rl_abn.record.writer import EpisodeWriter

__all__ = ["Episode", "EpisodeMeta", "EpisodeWriter", "is_episode"]
