"""The day in one picture: what each lever leaves of the bill, and what goes wrong."""

from __future__ import annotations

from typing import Any

from case_study.ways import LEVERS
from lib.plots import BLUE, GREY, ORANGE, RED, SKY, panels, write

STEPS = ("without trimtab", *(f"+ {lever}" for lever in LEVERS[:-1]), "all")
LABELS = ("without", *(f"+ {lever}" for lever in LEVERS))
COLOURS = {"tokens": GREY, "plain": SKY, "cached": BLUE}
NAMES = {
    "tokens": "tokens",
    "plain": "dollars, no prefix cache",
    "cached": "dollars, provider's prefix cache",
}


def draw(result: dict[str, Any]) -> None:
    """Write it beside the results."""
    figure, axes = panels(2, 2, "A day of customer service: 100 cases of an agent, 400 questions")
    for place, (name, found) in enumerate(result["providers"].items()):
        _steps(axes[place], name, found["ways"], result["article"])
        _levers(axes[2 + place], name, found["levers"])
    figure.tight_layout(rect=(0, 0.07, 1, 0.98))
    note = (
        "Bars: relative to the same day without trimtab, with 95 % intervals over conversations and"
        " families of questions. Dashed: what the article's example leaves.\nNo model ran: answers"
        " are recorded ones. benchmarks/case_study/run.py"
    )
    write(figure, "case_study", note)


def _steps(axis: Any, name: str, found: dict[str, Any], article: dict[str, float]) -> None:
    """Draw what is left, lever upon lever."""
    for shift, (metric, colour) in enumerate(COLOURS.items()):
        figures = [found[step]["whole"][metric] for step in STEPS]
        across = [place + 0.27 * (shift - 1) for place in range(len(STEPS))]
        _bars(axis, across, figures, (colour, NAMES[metric], 0.25))
    axis.axhline(article["tokens"], color=GREY, linestyle="--", linewidth=1)
    axis.axhline(article["cost"], color=BLUE, linestyle="--", linewidth=1)
    axis.set_xticks(range(len(STEPS)), LABELS)
    axis.set_ylim(0, 1.15)
    axis.set_title(f"{name}: what is left, lever upon lever")
    axis.legend(loc="upper right", ncols=3, frameon=False, fontsize=8)


def _levers(axis: Any, name: str, found: dict[str, Any]) -> None:
    """Draw what each lever is worth, last or first."""
    for shift, (kind, colour) in enumerate((("on top", ORANGE), ("left out", RED))):
        figures = [found[lever][kind]["cached"] for lever in LEVERS]
        across = [place + 0.36 * (shift - 0.5) for place in range(len(LEVERS))]
        label = {"on top": "on top of those before", "left out": "lost where only it is left out"}
        _bars(axis, across, figures, (colour, label[kind], 0.34))
    axis.axhline(0, color=GREY, linewidth=0.8)
    axis.set_xticks(range(len(LEVERS)), LEVERS)
    axis.set_title(f"{name}: share of the bill that a lever saves, prefix cache included")
    axis.margins(y=0.25)
    axis.legend(loc="upper left", frameon=False, fontsize=8)


def _bars(
    axis: Any, across: list[float], figures: list[dict[str, Any]], look: tuple[str, str, float]
) -> None:
    colour, label, width = look
    values = [one["value"] for one in figures]
    errors = [
        [max(0.0, one["value"] - one["95 %"][0]) for one in figures],
        [max(0.0, one["95 %"][1] - one["value"]) for one in figures],
    ]
    axis.bar(across, values, width, color=colour, label=label, zorder=2)
    axis.errorbar(across, values, errors, fmt="none", ecolor="#222222", elinewidth=0.8, zorder=3)
