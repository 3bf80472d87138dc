"""What figures of matplotlib have in common: their colours, their title, and a PNG of them."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING
from warnings import catch_warnings, filterwarnings

from rl_abn.render import draw

if TYPE_CHECKING:  # matplotlib is slow to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 120


def png_of(make: Callable[[], Figure]) -> bytes:
    """Makes a figure and returns it as a PNG."""
    import matplotlib

    data = BytesIO()
    with matplotlib.rc_context(), catch_warnings():
        matplotlib.rcdefaults()  # a user's own matplotlib settings must not change the picture
        filterwarnings("ignore", message="Glyph")  # a title may have characters the font lacks
        make().savefig(data, format="png")
    return data.getvalue()


def titled_figure(
    size: tuple[float, float], title: str, points: int, pad: float, gap: float = 0.02
) -> Figure:
    """Begins a figure.

    Args:
        size: Width and height in inches.
        title: What stands above; cut short where there is no room.
        points: The title's size.
        pad: Left and right of the axes, in inches.
        gap: Between them, as a share of the figure's width.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=pad, h_pad=0.1, wspace=gap)
    figure = Figure(size, dpi=DPI, facecolor=hex_of(draw.BACKGROUND), layout=layout)
    FigureCanvasAgg(figure)
    room = round(DPI * (size[0] - 0.4))
    fitted = draw.fit_text(title, room, round(DPI * points / 72), bold=True)
    figure.suptitle(fitted, size=points, weight="bold", color=hex_of(draw.TEXT), parse_math=False)
    return figure


def prepare_axes(axes: Axes, tick_points: int) -> None:
    """Gives axes the colours of the other images, and a grid."""
    axes.set(facecolor=hex_of(draw.SURFACE), axisbelow=True)
    axes.grid(color=hex_of(draw.RULE), linewidth=0.8)
    axes.tick_params(colors=hex_of(draw.MUTED), labelsize=tick_points)
    for spine in axes.spines.values():
        spine.set_color(hex_of(draw.RULE))


def hex_of(colour: draw.Colour) -> str:
    """Returns a colour as matplotlib takes it, such as #56b4e9."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
