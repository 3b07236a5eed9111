"""What a reader sees of a figure."""

from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.text import Text


def texts_outside(figure):
    """Texts of a figure that the canvas cuts."""
    figure.canvas.draw()
    # Labels beyond the ends of an axis are there, but not drawn.
    hidden = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
            if not low <= tick.get_loc() <= high or not axis.axes.axison:
                hidden |= {tick.label1, tick.label2}
    canvas = figure.bbox
    return [
        text.get_text()
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text() and text not in hidden
        for box in [text.get_window_extent()]
        if box.x0 < canvas.x0 or box.y0 < canvas.y0 or box.x1 > canvas.x1 or box.y1 > canvas.y1
    ]


def outside(figure):
    """Texts that the canvas cuts, and boxes and arrows that their axes do."""
    found = texts_outside(figure)
    for axes in figure.axes:
        frame = axes.bbox.padded(1)
        for patch in (*axes.findobj(FancyArrowPatch), *axes.findobj(FancyBboxPatch)):
            box = patch.get_window_extent()
            if patch in axes.patches and patch.get_visible():
                if not (frame.containsx(box.x0) and frame.containsx(box.x1)):
                    found.append(patch)
                elif not (frame.containsy(box.y0) and frame.containsy(box.y1)):
                    found.append(patch)
    return found
