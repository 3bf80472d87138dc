"""Maps of kinds that no agent here has, in made-up games."""

from __future__ import annotations

import re

import numpy as np
import pytest

from rl_abn.record import Episode, EpisodeWriter
from rl_abn.render import overlay
from rl_abn.view.export import export
from tests.record.played import frame, meta, step

SHAPES = {"pairwise": (1, 16, 16), "temporal": (1, 12, 1), "channel": (1, 40, 1)}


@pytest.fixture
def open_kind(tmp_path, open_page):
    """Opens a file with a made-up game whose maps are said to be of a kind."""

    def open_kind(kind, *, whole=True):
        folder, file = tmp_path / "episode", tmp_path / "game.html"
        with EpisodeWriter(folder, meta()) as writer:
            for t in range(8):
                maps = np.random.default_rng(t).random(SHAPES[kind]).astype(np.float16)
                writer.add(frame(t), step(t, maps=maps))
            writer.finish(whole=whole)
        export([folder], file)
        text = file.read_text("utf-8")
        text, n = re.subn(r'"map_kind": ?\w+', f'"map_kind":"{kind}"', text)
        assert n == 1
        file.write_text(re.sub(r'"map_grid": ?(null|\[.*?\])', '"map_grid":[4,4]', text), "utf-8")
        page = open_page(file.as_uri())
        page.at_step(0, "screen")
        return page, Episode(folder)

    return open_kind


def test_a_place_of_a_pairwise_map_shows_what_it_attends_to(open_kind):
    page, episode = open_kind("pairwise")
    page.raw.locator("#seek").fill("5")
    page.at_step(5)
    rows = episode.step(5)["maps"][0].astype(np.float32)
    for row, column in ((1, 2), (3, 0)):
        page.raw.mouse.move(*page.place(row, column, 4, 4))
        own = overlay(episode.frame(5), rows[4 * row + column].reshape(4, 4))
        assert np.abs(page.pixels("map").astype(int) - own).max() <= 3
        value = float(page.text("#map-readout").split("value ")[1].split(" ")[0])
        assert value == pytest.approx(float(rows[4 * row + column, 4 * row + column]), abs=1e-3)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("temporal", "step 9 before"),
        pytest.param("channel", "channel 3", marks=pytest.mark.full),
    ],
)
def test_maps_without_a_place_are_bars(open_kind, kind, said):
    page, episode = open_kind(kind)
    values = episode.step(0)["maps"][0, :, 0].astype(float)
    box = page.raw.locator("canvas.bars").bounding_box()
    x = box["x"] + 3.5 / len(values) * box["width"]
    page.raw.mouse.move(x, box["y"] + box["height"] / 2)
    name, value = page.text("#map-readout").split(" · value ")
    assert name == said
    assert float(value) == pytest.approx(values[3], abs=1e-3)
    # The bar is as high as its value.
    column = page.raw.locator("canvas.bars").evaluate(
        """(canvas, share) => {
          const {data} = canvas.getContext("2d").getImageData(
            Math.round(share * canvas.width), 0, 1, canvas.height);
          return Array.from({length: canvas.height}, (_, y) => data.slice(4 * y, 4 * y + 3).join());
        }""",
        3.5 / len(values),
    )
    bar = column.count(column[-10]) / (len(column) - 12)
    assert bar == pytest.approx(values[3], abs=0.02)


@pytest.mark.full
def test_a_game_that_was_cut_off_says_so(open_kind):
    page, _ = open_kind("pairwise", whole=False)
    assert page.text(".game figcaption .warning") == "cut off"
