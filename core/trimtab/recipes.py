"""Ready-made pipelines."""

from __future__ import annotations

from trimtab.compress import Compress, Lossless, Repeats
from trimtab.pipeline import Pipeline
from trimtab.prices import outlook_for
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
    return balanced(model)
