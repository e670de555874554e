"""Ready-made pipelines."""

from __future__ import annotations

from trimtab.compress import Compress, Lossless, Repeats
from trimtab.compress.recall import Originals
from trimtab.pipeline import Pipeline
from trimtab.prices import outlook_for
from trimtab.prune import History
from trimtab.tokens import counter_for


def lossless(model: str) -> Pipeline:
    """Nothing can be lost: results of tools in fewer tokens, and what they repeat only once."""
    count = counter_for(model)
    steps = (Compress(Lossless(count)), Repeats(count=count))
    return Pipeline(steps, count=count, outlook=outlook_for(model))


def balanced(model: str) -> Pipeline:
    """The default: keeps what the next step needs."""
    count = counter_for(model)
    steps = (
        Compress(Lossless(count), observations=True),
        Repeats(observations=True, count=count),
    )
    return Pipeline(steps, count=count, outlook=outlook_for(model))


def lean(model: str) -> Pipeline:
    """The fewest tokens."""
    count, outlook = counter_for(model), outlook_for(model)
    originals = Originals()
    steps = (
        Compress(Lossless(count), observations=True),
        History(originals.keep, originals.tool, outlook, recent=400, least=600, digest=800, count=count),
        Repeats(observations=True, count=count),
    )
    return Pipeline(steps, count=count, outlook=outlook)
