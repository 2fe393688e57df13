# SPDX-License-Identifier: Apache-2.0
"""
Plots as SVG with text as text, the same bytes for the same numbers. What is drawn in a colour of
COLOURS becomes a variable of the page, which has a light and a dark scheme, or, in an SVG file of
its own, a colour that can be read on white and on black.
"""
import io
import re

import matplotlib
from matplotlib import figure, ticker

# Okabe and Ito's palette, which people tell apart who do not see all colours.
COLOURS = {"blue": "#0072b2", "sky": "#56b4e9", "green": "#009e73", "red": "#d55e00",
           "orange": "#e69f00", "purple": "#cc79a7", "yellow": "#f0e442", "grey": "#999999",
           "black": "#000001", "ink": "#000002", "faint": "#000003", "paper": "#000004"}
ALONE = {"black": "#6e7781", "ink": "#76797d", "faint": "#9a9da1", "paper": "#ffffff"}
SEVERAL = ("blue", "red", "green", "orange", "purple", "sky", "black", "grey")
MARKERS = "osD^vPX*"
FARTHEST = 1.5  # times the longest bar, the length of a plot of bars
WIDTH = 6.6  # inches; 72 units of the SVG each
STYLE = {"svg.fonttype": "none", "font.size": 9, "font.family": "DejaVu Sans",
         "text.color": COLOURS["ink"], "axes.labelcolor": COLOURS["ink"],
         "axes.edgecolor": COLOURS["faint"], "xtick.color": COLOURS["ink"],
         "ytick.color": COLOURS["ink"], "grid.color": COLOURS["faint"], "grid.alpha": 0.35,
         "grid.linewidth": 0.6, "axes.spines.top": False, "axes.spines.right": False,
         "legend.frameon": False, "axes.axisbelow": True}


def drawn(key, height, draw, title, alone=False):
    """The SVG of what draw(axes) draws; key makes the ids in it different from other plots'."""
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": key}):
        canvas = figure.Figure(figsize=(WIDTH, height))
        axes = canvas.add_subplot()
        draw(axes)
        data = io.StringIO()
        canvas.savefig(data, format="svg", transparent=True, bbox_inches="tight", pad_inches=0.06,
                       metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return finished(data.getvalue(), key, title, alone)


def finished(svg, key, title, alone):
    svg = svg[svg.index("<svg"):]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{key}-", svg)
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, ALONE.get(name, colour) if alone else f"var(--{name})")
    named = f'<svg role="img" aria-label="{escaped(title)}"'
    if not alone:  # as wide as the page lets it be
        svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
        svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    return svg.replace("<svg", named, 1).rstrip() + "\n"


def escaped(text):
    return text.translate({ord("&"): "&amp;", ord("<"): "&lt;", ord('"'): "&quot;"})


def bars(axes, groups, label, say):
    """
    groups: [(title, [(name, colour, faded, best, median, low, high)])]. A bar is as long as the best
    round; a line on it goes from the 10th to the 90th percentile, with a dot at the median. A line that
    is longer than everything else has its end cut off, which an arrow shows.
    """
    places, names, place = [], [], 0.0
    end = FARTHEST * max(row[3] for _, rows in groups for row in rows)
    for title, rows in groups:
        axes.annotate(title, (0, place + 0.15), xytext=(-4, 0), textcoords="offset points", ha="left",
                      va="center", weight="bold", annotation_clip=False)
        for name, colour, faded, best, median, low, high in rows:
            place += 1
            places.append(place)
            names.append(name)
            axes.barh(place, best, 0.72, color=COLOURS[colour], alpha=0.55 if faded else 1)
            spread(axes, place, median, low, high, end)
            axes.annotate(say(best), (min(end, max(best, high)), place), xytext=(6, 0),
                          textcoords="offset points", va="center", annotation_clip=False)
        place += 1.8
    axes.set_yticks(places, names)
    axes.set_ylim(place - 0.6, -0.8)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.12)
    axes.set_xlim(left=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_xlabel(label)


def spread(axes, place, median, low, high, end):
    for edge, width in (("paper", 2.6), ("ink", 1.2)):
        axes.plot([min(low, end), min(high, end)], [place, place], color=COLOURS[edge],
                  linewidth=width)
    marks = [(median, "o")] * (median <= end) + [(end, ">")] * (high > end)
    for at, marker in marks:
        axes.plot([at], [place], marker, color=COLOURS["ink"], markersize=4,
                  markeredgecolor=COLOURS["paper"], markeredgewidth=0.7)


def bars_height(groups):
    return 0.6 + 0.185 * sum(len(rows) + 1.8 for _, rows in groups)


def lines(axes, series, xlabel, ylabel):
    """
    series: [(name, colour, dashed, [(x, best, low, high)])]; low and high make a faint band. What was
    not varied has None for its one x, and is a level across the plot.
    """
    axes.set_xscale("log")
    axes.set_yscale("log")
    bottom, top = float("inf"), 0.0
    for index, (name, colour, dashed, points) in enumerate(series):
        style = {"color": COLOURS[colour], "linestyle": "--" if dashed else "-", "label": name}
        if points[0][0] is None:
            axes.axhline(points[0][1], linewidth=1.2, **style)
            bottom, top = min(bottom, points[0][1]), max(top, points[0][1])
            continue
        xs, best, low, high = zip(*points)
        axes.plot(xs, best, marker=MARKERS[index % len(MARKERS)], markersize=4.5, linewidth=1.6,
                  **style)
        bottom, top = min(bottom, *best), max(top, *best)
        axes.fill_between(xs, low, high, color=COLOURS[colour], alpha=0.13, linewidth=0)
    axes.set_ylim(bottom / 1.3, top * 1.5)  # not as far as what disturbed a round
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
        axis.set_minor_formatter(ticker.NullFormatter())
    legible(axes)
    axes.grid(which="major")
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.17), ncol=2, borderaxespad=0)


def legible(axes):
    """
    What is level must look so, however little there is to show. And within a decade or two a
    logarithmic axis needs more than its powers of ten.
    """
    low, high = axes.get_ylim()
    if high / low < 4:
        wider = (4 * low / high) ** 0.5
        low, high = low / wider, high * wider
        axes.set_ylim(low, high)
    if high / low < 100:
        steps = (1, 1.5, 2, 3, 4, 5, 7) if high / low < 8 else (1, 2, 5)
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=steps, numticks=20))


def stacks(axes, rows, stages, label, say):
    """rows: [(name, [value of each stage])]; a value is written where there is room for it."""
    widest = max(sum(values) for _, values in rows)
    left = [0.0] * len(rows)
    for index, stage in enumerate(stages):
        widths = [values[index] for _, values in rows]
        axes.barh(range(len(rows)), widths, 0.6, left=left, label=stage,
                  color=COLOURS[SEVERAL[index % len(SEVERAL)]], alpha=0.85,
                  hatch="//" if index >= len(SEVERAL) else None,
                  edgecolor=COLOURS["paper"], linewidth=0.8)
        for row, (start, width) in enumerate(zip(left, widths)):
            if width > 0.055 * widest:
                axes.text(start + width / 2, row, say(width), ha="center", va="center")
        left = [start + width for start, width in zip(left, widths)]
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_xlabel(label)
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.42 if len(rows) < 4 else -0.25), ncol=4,
                borderaxespad=0)
