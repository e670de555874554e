"""Ready-made pipelines."""

from __future__ import annotations

from dataclasses import replace

from trimtab.compress import Compress, Lossless, Repeats
from trimtab.compress.recall import Originals
from trimtab.compress.reduce import Reduce
from trimtab.compress.wording import Tighten
from trimtab.offer import Offer
from trimtab.pipeline import Pipeline
from trimtab.prices import Outlook, outlook_for
from trimtab.prune import History
from trimtab.tokens import counter_for
from trimtab.tools import ShortenTools

INSTRUCTIONS = ("system", "developer")


def lossless(model: str) -> Pipeline:
    """Nothing can be lost: results of tools in fewer tokens, and what they repeat only once."""
    count = counter_for(model)
    steps = (
        ShortenTools(words=1, count=count),
        Compress(Lossless(count)),
        Repeats(count=count),
    )
    return Pipeline(steps, count=count, outlook=outlook_for(model))


def balanced(model: str) -> Pipeline:
    """The default: keeps what the next step needs.

    Long results and long histories are shortened once that pays, and only behind the recall tool.
    """
    count, outlook = counter_for(model), prudent(outlook_for(model))
    originals = Originals()
    lossy = (
        Reduce(originals, over=1000, keep=500, encode=Lossless(count), count=count),
        History(
            originals.keep, originals.tool, outlook, recent=2000, least=3000, digest=2000, count=count
        ),
    )
    steps = (
        ShortenTools(words=0.62, once=True, count=count),
        Compress(Tighten(count=count), roles=INSTRUCTIONS),
        Compress(Lossless(count), observations=True),
        Offer(originals.tool, lossy, outlook, count),
        *lossy,
        Repeats(least=16, observations=True, count=count),
    )
    return Pipeline(steps, count=count, outlook=outlook)


def lean(model: str) -> Pipeline:
    """The fewest tokens: what is shortened is shortened sooner, and more of it."""
    count, outlook = counter_for(model), prudent(outlook_for(model))
    originals = Originals()
    lossy = (
        Reduce(originals, over=250, keep=150, encode=Lossless(count), count=count),
        History(
            originals.keep, originals.tool, outlook, recent=400, least=600, digest=1500, count=count
        ),
    )
    steps = (
        ShortenTools(words=0.42, once=True, examples=False, count=count),
        Compress(Tighten(terse=True, count=count), roles=INSTRUCTIONS),
        Compress(Lossless(count), observations=True),
        Offer(originals.tool, lossy, outlook, count),
        *lossy,
        Repeats(least=16, observations=True, count=count),
    )
    return Pipeline(steps, count=count, outlook=outlook)


def prudent(outlook: Outlook) -> Outlook:
    """Reckon with the dearest way of caching that is usual.

    A session may go on at another model, by a router or as a fallback. A cut must pay there too.
    """
    return replace(outlook, read=min(outlook.read, 0.1), write=max(outlook.write, 1.25))
