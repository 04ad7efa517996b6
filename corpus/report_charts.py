"""The charts of a report as plotly figures: plain dicts, drawn by corpus/report.js.

Labels come from documents (languages, domains, reasons of other people's rules), so they are escaped here: plotly reads
a few HTML tags in texts. They stand at numbered places as tick texts, never as axis values, which plotly would take for
numbers or dates where they look like some.
"""

import html
import json
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go

KEPT, LOST, ELSEWHERE = "#3b82c4", "#d55e00", "#98a2b3"  # told apart in all common kinds of colour blindness
MAX_LABEL_CHARS = 48
BAR_PIXELS = 26
MARGIN = {"l": 8, "r": 16, "t": 8, "b": 8}


def figures(report: dict[str, Any]) -> dict[str, Any]:
    """Name of a place in the page -> {"data", "layout"}; places without data have no figure."""
    found = {
        "funnel": _funnel(report["funnel"]),
        "languages": _kept_and_lost(report["languages"], "language"),
        "components": _components(report["components"]),
        "retention": _retention(report["audit"]),
        "toxicity": _toxicity(report["audit"]),
    }
    found |= {f"histogram-{number}": _histogram(item) for number, item in enumerate(report["histograms"])}
    return {name: json.loads(figure.to_json()) for name, figure in found.items() if figure is not None}


def label(text: str) -> str:
    """A text as a chart label: short, one line, no markup, no control characters."""
    line = "".join(character if character.isprintable() else "\ufffd" for character in text)
    short = line if len(line) <= MAX_LABEL_CHARS else line[: MAX_LABEL_CHARS - 1] + "…"
    return html.escape(short, quote=False)


def _figure(data: Sequence[Any], num_bars: int | None, **layout: Any) -> go.Figure:
    """A figure without title (the page has headings); the height follows the number of horizontal bars."""
    height = 240 if num_bars is None else 60 + BAR_PIXELS * num_bars
    figure = go.Figure(data)
    figure.update_layout(
        template="none",
        height=height,
        margin=MARGIN,
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "traceorder": "normal"},
        **layout,
    )
    figure.update_xaxes(automargin=True, fixedrange=True)
    figure.update_yaxes(automargin=True, fixedrange=True)
    return figure


def _named_rows(names: Sequence[str]) -> dict[str, Any]:
    """A vertical axis with one name for each row, the first on top."""
    return {
        "tickvals": list(range(len(names))),
        "ticktext": [label(name) for name in names],
        "range": [len(names) - 0.4, -0.6],
        "showgrid": False,
        "zeroline": False,
        "ticklabelstandoff": 6,
    }


def _stack(rows: Sequence[tuple[str, int, int]], names: tuple[str, str]) -> go.Figure:
    """Horizontal bars of two stacked counts each: rows are (label, first, second)."""
    places = list(range(len(rows)))
    texts = [[f"{name} {count:,}" for count in counts] for name, counts in zip(names, _columns(rows), strict=True)]
    data = [
        go.Bar(
            name=name,
            orientation="h",
            y=places,
            x=list(counts),
            marker={"color": colour, "line": {"width": 0}},
            hovertext=text,
            hovertemplate="%{hovertext}<extra></extra>",
        )
        for name, colour, counts, text in zip(names, (KEPT, LOST), _columns(rows), texts, strict=True)
    ]
    return _figure(
        data,
        len(rows) + 1,
        barmode="stack",
        bargap=0.3,
        yaxis=_named_rows([row[0] for row in rows]),
        # As many ticks as there is width for; a fixed number would be turned upright on a narrow page.
        xaxis={"tickformat": "~s", "tickangle": 0, "rangemode": "tozero", "zeroline": False},
    )


def _columns(rows: Sequence[tuple[str, int, int]]) -> tuple[list[int], list[int]]:
    return [row[1] for row in rows], [row[2] for row in rows]


def _funnel(steps: list[dict[str, Any]]) -> go.Figure | None:
    shown = [step for number, step in enumerate(steps) if number < 2 or step["num_lost"]]
    return _stack(
        [(step["label"], step["num_left"], step["num_lost"]) for step in shown], ("left", "lost in this step")
    )


def _kept_and_lost(rows: list[dict[str, Any]], name: str) -> go.Figure | None:
    if not rows:
        return None
    return _stack([(row[name], row["num_kept"], row["num_lost"]) for row in rows], ("kept", "not kept"))


def _components(rows: list[dict[str, Any]]) -> go.Figure | None:
    if not rows:
        return None
    names, counts = [row["size"] for row in rows], [row["num_components"] for row in rows]
    texts = [f"{row['num_components']:,} components, {row['num_documents']:,} documents" for row in rows]
    bar = go.Bar(
        x=list(range(len(rows))),
        y=counts,
        marker={"color": KEPT},
        hovertext=texts,
        hovertemplate="%{hovertext}<extra></extra>",
    )
    return _figure(
        [bar],
        None,
        bargap=0.3,
        xaxis={
            "tickvals": list(range(len(rows))),
            "ticktext": names,
            "title": {"text": "documents in the component"},
            "range": [-0.6, max(len(rows), 6) - 0.4],
            "showgrid": False,
            "zeroline": False,
        },
        yaxis={"title": {"text": "components"}, "tickformat": ",d", "rangemode": "tozero", **_whole_ticks(max(counts))},
    )


def _whole_ticks(most: int) -> dict[str, Any]:
    """No ticks between whole numbers where there are few."""
    return {"dtick": 1} if most <= 5 else {"nticks": 5}


def _intervals(rows: list[tuple[str, float, float, float, str]], overall: float | None, title: str) -> go.Figure | None:
    """Shares with their intervals: rows are (label, share, low, high, hover text); a line marks the overall share."""
    if not rows:
        return None
    shares = [row[1] for row in rows]
    points = go.Scatter(
        mode="markers",
        y=list(range(len(rows))),
        x=shares,
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [row[3] - row[1] for row in rows],
            "arrayminus": [row[1] - row[2] for row in rows],
            "color": KEPT,
            "thickness": 2,
        },
        marker={"size": 9, "color": KEPT},
        hovertext=[row[4] for row in rows],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    figure = _figure(
        [points],
        len(rows) + 1,
        yaxis=_named_rows([row[0] for row in rows]),
        xaxis={"tickformat": ".0%", "tickangle": 0, "title": {"text": title}, "zeroline": False},
    )
    if overall is not None:
        figure.add_vline(x=overall, line={"color": LOST, "dash": "dash", "width": 1.5})
    return figure


def _retention(audit: dict[str, Any]) -> go.Figure | None:
    """Share kept after all rules, by mentioned identity group."""
    rows = [row for row in audit["rows"] if (row["slice"], row["rule"]) == ("identity", "*")]
    overall = [1 - row["drop_ratio"] for row in audit["rows"] if (row["slice"], row["rule"]) == ("all", "*")]
    points = [
        (
            row["value"],
            1 - row["drop_ratio"],
            1 - row["high"],
            1 - row["low"],
            f"{row['num_reached'] - row['num_dropped']:,} of {row['num_reached']:,} kept ({1 - row['drop_ratio']:.1%})",
        )
        for row in sorted(rows, key=lambda row: (row["value"] == "none", row["value"]))
    ]
    return _intervals(points, overall[0] if overall else None, "share kept")


def _toxicity(audit: dict[str, Any]) -> go.Figure | None:
    """Share of toxic documents by mentioned identity group."""
    rows = [row for row in audit["toxicity"] if row["slice"] == "identity"]
    overall = [row["toxic_ratio"] for row in audit["toxicity"] if row["slice"] == "all"]
    points = [
        (
            row["value"],
            row["toxic_ratio"],
            row["low"],
            row["high"],
            f"{row['num_toxic']:,} of {row['num_documents']:,} toxic ({row['toxic_ratio']:.1%})",
        )
        for row in sorted(rows, key=lambda row: (row["value"] == "none", row["value"]))
    ]
    return _intervals(points, overall[0] if overall else None, "share toxic")


def _histogram(item: dict[str, Any]) -> go.Figure:
    """Stacked bars over the bins of a measure; thresholds as dashed lines.

    A log axis is drawn as log10(1 + value). Bars of whole numbers stand on them, so their edges lie halves below.
    """
    scale = item["scale"]
    places = [_place(edge, scale) - (0.5 if scale == "whole" else 0) for edge in item["edges"]]
    series = [
        ("kept", KEPT, "kept"),
        ("dropped by this", LOST, "dropped_here"),
        ("other", ELSEWHERE, "dropped_elsewhere"),
    ]
    data = [_bars(item, places, name, colour, key) for name, colour, key in series]
    figure = _figure(
        data,
        None,
        barmode="stack",
        bargap=0,
        showlegend=False,
        xaxis={"range": [places[0], places[-1]], "showgrid": False, "zeroline": False, **_ticks(item)},
        yaxis={"tickformat": "~s", "rangemode": "tozero", **_whole_ticks(_highest(item))},
    )
    figure.update_layout(height=210, margin={**MARGIN, "t": 26})
    for bound in item["bounds"]:
        place = _place(bound["limit"], scale)
        if scale == "whole":  # limits are allowed themselves: the line is between the limit and what is rejected
            place += 0.5 if bound["side"] == "max" else -0.5
        _add_threshold(figure, bound, place, (places[0], places[-1]))
    return figure


def _highest(item: dict[str, Any]) -> int:
    """Documents in the fullest bin."""
    series = zip(item["kept"], item["dropped_here"], item["dropped_elsewhere"], strict=True)
    return max(int(kept + here + elsewhere) for kept, here, elsewhere in series)


def _place(value: float, scale: str) -> float:
    return math.log10(1 + value) if scale == "log" else value


def _bars(item: dict[str, Any], places: list[float], name: str, colour: str, key: str) -> go.Bar:
    spans = [_span(low, high, item["scale"]) for low, high in pairwise(item["edges"])]
    return go.Bar(
        name=name,
        x=[(low + high) / 2 for low, high in pairwise(places)],
        width=[high - low for low, high in pairwise(places)],
        y=item[key],
        marker={"color": colour, "line": {"width": 0}},
        hovertext=[f"{span}<br>{name}: {count:,}" for span, count in zip(spans, item[key], strict=True)],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _span(low: float, high: float, scale: str) -> str:
    if scale == "whole" and high - low == 1:
        return f"{low:,.0f}"
    return f"{low:,.0f} to {high - 1:,.0f}" if scale == "whole" else f"{low:,.4g} to {high:,.4g}"


def _ticks(item: dict[str, Any]) -> dict[str, Any]:
    if item["scale"] == "whole":
        return {"tickformat": ",d", **_whole_ticks(round(item["edges"][-1] - item["edges"][0]))}
    if item["scale"] == "linear":
        return {"nticks": 6, "exponentformat": "none"}
    powers = [10**power for power in range(0, 13) if item["edges"][0] <= 10**power <= item["edges"][-1]]
    values = [0, *powers] if item["edges"][0] < 0.5 else powers
    return {"tickvals": [math.log10(1 + value) for value in values], "ticktext": [_short(value) for value in values]}


def _short(value: float) -> str:
    for size, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{name}"
    return f"{value:g}"


def _add_threshold(figure: go.Figure, bound: dict[str, Any], place: float, ends: tuple[float, float]) -> None:
    """A line at the limit; a limit outside the axis is written at its end with an arrow."""
    beyond = " →" if place > ends[1] else " ←" if place < ends[0] else ""
    place = min(max(place, ends[0]), ends[1])
    right_half = place > (ends[0] + ends[1]) / 2
    figure.add_vline(x=place, line={"color": LOST, "dash": "dash", "width": 1.5})
    figure.add_annotation(
        x=place,
        y=1,
        yref="paper",
        yanchor="bottom",
        xanchor="right" if right_half else "left",
        showarrow=False,
        text=f"{bound['side']} {bound['limit']:,.6g}{beyond}",
        font={"size": 11},
    )
