"""What tests do with a page of the viewer."""

from __future__ import annotations

import base64

import numpy as np

_PIXELS = """canvas => {
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let text = "";
  for (let i = 0; i < data.length; i += 8192)
    text += String.fromCharCode(...data.slice(i, i + 8192));
  return [canvas.height, canvas.width, btoa(text)];
}"""


class Page:
    """A page of the viewer; `raw` is Playwright's."""

    def __init__(self, raw):
        self.raw = raw
        self.answers = []
        raw.on("response", lambda r: self.answers.append(r) if r.url.endswith("/what-if") else None)

    def press(self, *keys):
        for key in keys:
            self.raw.keyboard.press(key)

    def at_step(self, step, canvas="map"):
        """Waits until a step is drawn."""
        self.raw.wait_for_selector(f'#{canvas}[data-step="{step}"]')

    def shown_step(self):
        return int(self.raw.locator("#map").get_attribute("data-step"))

    def seek(self, step):
        """Drags the slider to a step."""
        self.raw.locator("#seek").evaluate(
            "(slider, step) => { slider.value = step; slider.dispatchEvent(new Event('input')); }",
            step,
        )
        self.at_step(step)

    def pixels(self, canvas):
        """The pixels of a canvas, uint8 [H, W, 3]."""
        height, width, data = self.raw.locator(f"#{canvas}").evaluate(_PIXELS)
        pixels = np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)
        assert (pixels[..., 3] == 255).all()
        return pixels[..., :3]

    def text(self, selector):
        return self.raw.locator(selector).inner_text()

    def numbers(self, selector):
        """The numbers behind the texts of some cells."""
        cells = self.raw.locator(selector)
        return [
            float(cells.nth(i).get_attribute("data-value") or "nan") for i in range(cells.count())
        ]

    def ask(self):
        """Opens what-if, and waits for the first answer."""
        self.press("w")
        self.raw.wait_for_selector(".what-if:not([aria-busy])")

    def answered(self, act):
        """Does something that is asked about, and returns the last answer."""
        act()
        self.raw.wait_for_selector(".what-if:not([aria-busy])")
        return self.answers[-1].json()

    def place(self, row, column, rows, columns):
        """Where a cell of the map is in the window."""
        box = self.raw.locator("#map").bounding_box()
        x = box["x"] + (column + 0.5) / columns * box["width"]
        return x, box["y"] + (row + 0.5) / rows * box["height"]

    def drag(self, *places):
        mouse = self.raw.mouse
        mouse.move(*places[0])
        mouse.down()
        for place in places[1:]:
            mouse.move(*place)
        mouse.up()
