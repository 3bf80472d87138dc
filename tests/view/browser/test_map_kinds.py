"""Maps of kinds that no agent here has, in made-up games."""

from __future__ import annotations

import re

import numpy as np
import pytest

from rl_abn.record import Episode, EpisodeWriter
from rl_abn.render import overlay
from rl_abn.view.export import export
from tests.record.played import frame, meta, step

SHAPES = {
    "pairwise": (1, 16, 16),
    "heads": (1, 32, 16),
    "temporal": (1, 12, 1),
    "hops": (1, 8, 1),
    "channel": (1, 40, 1),
}
KINDS = {"heads": "pairwise", "hops": "temporal"}
N_STEPS = 8


@pytest.fixture
def open_kind(tmp_path, open_page):
    """Opens a file with a made-up game whose maps are said to be of a kind."""

    def open_kind(kind, *, whole=True):
        folder, file = tmp_path / "episode", tmp_path / "game.html"
        with EpisodeWriter(folder, meta()) as writer:
            for t in range(N_STEPS):
                maps = np.random.default_rng(t).random(SHAPES[kind]).astype(np.float16)
                writer.add(frame(t), step(t, maps=maps))
            writer.finish(whole=whole)
        export([folder], file)
        text = file.read_text("utf-8")
        text, n = re.subn(r'"map_kind": ?\w+', f'"map_kind":"{KINDS.get(kind, kind)}"', text)
        assert n == 1
        if kind == "hops":
            text = text.replace('"map_kind"', '"map_steps":4,"map_part":"Hop","map_kind"')
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


def test_every_head_of_a_pairwise_map_is_seen_from_the_place_that_keys_choose(open_kind):
    page, episode = open_kind("heads")
    stored = episode.step(0)["maps"][0].astype(np.float32).reshape(2, 16, 16)
    seen = {"": stored.mean(0), "-head-1": stored[0], "-head-2": stored[1]}
    page.press("p", "ArrowRight", "ArrowDown")  # from the middle, (2, 0)
    for layer, rows in seen.items():
        page.raw.locator(f"#layer-map-shared{layer}").click()
        assert page.text(".mapview figcaption strong").endswith("from this place (3, 1)")
        own = overlay(episode.frame(0), rows[13].reshape(4, 4))
        assert np.abs(page.pixels("map").astype(int) - own).max() <= 3
    page.raw.locator("#layer-map-shared-looked-at").click()
    assert page.text(".mapview figcaption strong") == "Looked at, from all places"
    own = overlay(episode.frame(0), stored.mean((0, 1)).reshape(4, 4))
    assert np.abs(page.pixels("map").astype(int) - own).max() <= 3
    page.press("p", "ArrowRight")  # there is no place to choose: keys go through the game
    page.at_step(1)


@pytest.mark.more
def test_a_map_of_past_steps_shows_their_screens_with_what_each_gets(open_kind):
    page, episode = open_kind("hops")
    page.raw.locator("#seek").fill("5")
    page.raw.locator("#layer-map-shared-hop-2").click()
    values = episode.step(5)["maps"][0, 4:, 0].astype(float)
    cells, pixels = _film(page)
    assert sorted(cells) == [
        f"step {5 - ago}, {f'{ago} ago' if ago else 'now'}" for ago in (3, 2, 1, 0)
    ]
    for name, (value, left, top, right, _bottom) in cells.items():
        step = int(name.split()[1].strip(","))
        assert value == pytest.approx(values[step - 2], abs=1e-3)
        # Its screen is that step's, and of no other.
        height = round((right - left) * 30 / 20)
        rows, columns = np.indices((30, 20)) + 0.5
        y, x = top + rows / 30 * height, left + columns / 20 * (right - left)
        seen = pixels[y.round().astype(int), x.round().astype(int)].astype(int)
        differences = [np.abs(seen - episode.frame(t)).mean() for t in range(N_STEPS)]
        assert int(np.argmin(differences)) == step
        # The bar below it is as long as its value.
        line = pixels[top + height + 4, left : right + 1]
        filled = (line == line[0]).all(axis=1).sum() / (right - left)
        assert filled == pytest.approx(value, abs=0.06)
    label = page.raw.locator("canvas.bars").get_attribute("aria-label")
    most = int(3 - values.argmax())
    assert label.endswith(f"the most gets {f'{most} ago' if most else 'now'}")
    assert page.text(".mapview figcaption strong") == "Hop 2, last 4 steps"


def _film(page):
    """The steps by what is said of them: value, and the box of points that belong to them.

    Returns them and the pixels of the canvas, uint8 [H, W, 3].
    """
    points, height, width, data = page.raw.locator("canvas.bars").evaluate(
        """canvas => {
          const said = document.querySelector("#map-readout");
          const found = [];
          for (let y = 1; y < canvas.clientHeight; y += 3)
            for (let x = 1; x < canvas.clientWidth; x += 3) {
              const box = canvas.getBoundingClientRect();
              const at = { clientX: box.left + x, clientY: box.top + y, bubbles: true };
              canvas.dispatchEvent(new PointerEvent("pointermove", at));
              if (said.textContent.startsWith("step")) found.push([said.textContent, x, y]);
            }
          const { width, height } = canvas;
          const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
          return [found, height, width, Array.from(data)];
        }"""
    )
    cells = {}
    for text, x, y in points:
        name, value = text.split(" · value ")
        _, left, top, right, bottom = cells.get(name, (0, x, y, x, y))
        box = min(left, x), min(top, y), max(right, x), max(bottom, y)
        cells[name] = (float(value.split()[0]), *box)
    return cells, np.array(data, np.uint8).reshape(height, width, 4)[..., :3]


@pytest.mark.full
def test_weights_of_channels_are_bars(open_kind):
    page, episode = open_kind("channel")
    values = episode.step(0)["maps"][0, :, 0].astype(float)
    box = page.raw.locator("canvas.bars").bounding_box()
    x = box["x"] + 3.5 / len(values) * box["width"]
    page.raw.mouse.move(x, box["y"] + box["height"] / 2)
    name, value = page.text("#map-readout").split(" · value ")
    assert name == "channel 3"
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
