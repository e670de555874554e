import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from trimtab import trace
from trimtab.demo import TRAFFIC
from trimtab.page import bars, course, levers, page
from trimtab.pipeline import Cut
from trimtab.recipes import balanced
from trimtab.replay import CutResult, Example, Replay
from trimtab.replay import replay as run


class Nesting(HTMLParser):
    """Fails on tags that are not closed in order, and gathers what a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def result() -> Replay:
    (first, second, *_) = trace.read(TRAFFIC)
    return run([first, second], balanced)


def test_the_page_is_well_formed_and_loads_nothing(result: Replay) -> None:
    text = page(result, "balanced", "traffic.jsonl", "Made today")
    nesting = Nesting()
    nesting.feed(text)
    assert nesting.open == []
    assert nesting.loads == []
    assert not re.search(r"<script|@import|url\(", text)


def test_the_page_tells_the_whole_story(result: Replay) -> None:
    text = page(result, "balanced", "traffic.jsonl", "Made today")
    for part in ("late-parcel-1", "prefers-color-scheme: dark", "@media print", "Made today"):
        assert part in text
    assert text.count("<svg") == 4  # components, steps, and the course of both conversations
    assert text.count("<pre>") == 2 * len(result.examples) > 0


def test_texts_from_the_traffic_cannot_break_the_page(result: Replay) -> None:
    nasty = Example("<b>", '</pre><script>alert("x")</script> \ud800', "<i>")
    outcome = replace(result.outcomes[0], id="<script>")
    text = page(Replay((outcome,), (nasty,)), "balanced", "<source>", "<made>")
    assert not re.search("<script|<source|<made", text)
    assert text.encode()


def test_cuts_are_listed(result: Replay) -> None:
    cut = CutResult("parcels", 8, Cut("History", 1, 5000, 3000, 700.0), 650.0)
    text = page(Replay((replace(result.outcomes[0], cuts=(cut,)),)), "lean", "t", "m")
    assert "parcels, message 8" in text
    assert "650" in text


def test_a_bill_that_grows_is_not_shown_as_a_success(result: Replay) -> None:
    turn = result.outcomes[0].turns[-1]
    grown = replace(turn, before=turn.after, after=turn.before)
    text = page(Replay((replace(result.outcomes[0], turns=(grown,)),)), "lean", "t", "m")
    assert '<h1 class="worse">+' in text
    assert '<h1 class="worse">' not in page(result, "lean", "t", "m")


def test_a_replay_without_prices_or_calls_still_makes_a_page(result: Replay) -> None:
    assert "unknown" in page(Replay(()), "lossless", "t", "m")
    unpriced = replace(result.outcomes[0].turns[0].before, plain=None, cached=None)
    turn = replace(result.outcomes[0].turns[0], before=unpriced, after=unpriced)
    text = page(Replay((replace(result.outcomes[0], turns=(turn,)),)), "lossless", "t", "m")
    assert "No price is known" in text


def test_plots_keep_within_their_frame() -> None:
    for drawn in (
        bars([("tools", 900, 300), ("nothing", 0, 0)]),
        levers([("Compress", 800), ("added", -50)], 1000),
        course([0, 5, 17_000], [0, 5, 90]),
        course([7], [7]),
    ):
        across = [float(x) for x in re.findall(r'(?: x2?| cx)="([\d.]+)"', drawn)]
        assert across
        assert 0 <= min(across) <= max(across) <= 800
    assert 'class="worse"' in levers([("added", -50)], 1000)
