"""Performance profiles as they are drawn."""

import numpy as np
import pytest

from rl_abn.errors import RlAbnError
from rl_abn.render.profiles import Profile, draw_profiles, profiles_figure


def profile(game, label):
    share = np.array([1.0, 0.5, 0.0])
    return Profile(game, label, np.array([0.0, 1.0, 2.0]), share, share - 0.1, share + 0.1)


def test_a_label_has_one_colour_in_all_games():
    figure = profiles_figure([profile("a", "x"), profile("a", "y"), profile("b", "y")], "title")
    panels = [panel for panel in figure.axes if panel.get_visible()]
    assert [panel.get_title() for panel in panels] == ["a", "b"]
    colours = [[line.get_color() for line in panel.lines] for panel in panels]
    assert len(colours[0]) == 2
    assert colours[1] == [colours[0][1]]
    np.testing.assert_array_equal(panels[0].lines[0].get_ydata(), [1.0, 0.5, 0.0])


def test_a_picture_is_a_png_and_none_is_an_error():
    assert draw_profiles([profile("a", "x")], "t").startswith(b"\x89PNG")
    with pytest.raises(RlAbnError, match="expected a profile to draw, got none"):
        draw_profiles([], "t")
