"""Ready-made pipelines."""

from __future__ import annotations

from dataclasses import replace

from trimtab.compress import Compress, Lossless, Originals, Reduce, Repeats, Tighten
from trimtab.offer import Offer
from trimtab.pipeline import Pipeline
from trimtab.prefix import BreakPoints
from trimtab.prices import Outlook, outlook_for
from trimtab.prune import History
from trimtab.tokens import counter_for
from trimtab.tools import ShortenTools

INSTRUCTIONS = ("system", "developer")


def lossless(model: str) -> Pipeline:
    """Nothing can be lost: results of tools in fewer tokens, and what they repeat only once.

    >>> from trimtab import Message, Request, recipes
    >>> rows = '[{"id": "A-1", "state": "open"}, {"id": "A-2", "state": "open"}]'
    >>> asked = Request("gpt-4o", (Message("user", "Which are open?"), Message("tool", rows)))
    >>> recipes.lossless("gpt-4o").plan(asked).tokens_saved > 0
    True
    """
    count = counter_for(model)
    steps = (
        ShortenTools(words=1, count=count),
        Compress(Lossless(count)),
        Repeats(count=count),
        BreakPoints(count=count),
    )
    return Pipeline(steps, count=count, outlook=outlook_for(model))


def balanced(model: str, *, calls: int = 10) -> Pipeline:
    """The default: keeps what the next step needs.

    Tools and instructions in fewer words, each rule, condition, number and format kept. Long
    results and long histories are cut only behind the recall tool, which is offered from the call
    on at which the cuts pay for it.

    Args:
        model: Whose tokens and prices count.
        calls: Calls that a session is expected to make after a cut.

    >>> from trimtab import Message, Request, recipes
    >>> rules = Message("system", "In the event that an order is late, you should say why.")
    >>> asked = Request("gpt-4o", (rules, Message("user", "Hello!")))
    >>> recipes.balanced("gpt-4o").plan(asked).request.messages[0].text
    'If order is late, you should say why.'
    """
    count, outlook = counter_for(model), prudent(outlook_for(model), calls)
    originals = Originals()
    repeats = Repeats(least=16, observations=True, count=count)
    lossy = (
        Reduce(originals, over=1000, keep=500, encode=Lossless(count), count=count),
        History(originals.keep, originals.tool, outlook, then=repeats, count=count),
    )
    steps = (
        ShortenTools(words=0.62, once=True, count=count),
        Compress(Tighten(count=count), roles=INSTRUCTIONS),
        Compress(Lossless(count), observations=True),
        Offer(originals.tool, lossy, outlook, count),
        *lossy,
        repeats,
        BreakPoints(count=count),
    )
    return Pipeline(steps, count=count, outlook=outlook)


def lean(model: str, *, calls: int = 15) -> Pipeline:
    """The fewest tokens: what is shortened is shortened sooner, and more of it.

    The recall tool is offered from the first call on, and tools lose their examples.

    Args:
        model: Whose tokens and prices count.
        calls: Calls that a session is expected to make after a cut.

    >>> from trimtab import Message, Request, Tool, recipes
    >>> pipeline = recipes.lean("gpt-4o")
    >>> tool = Tool("look_up", "Look up an order")
    >>> asked = Request("gpt-4o", (Message("user", "Hello!"),), (tool,))
    >>> [tool.name for tool in pipeline.bind(asked).tools]
    ['look_up', 'recall']
    """
    count, outlook = counter_for(model), prudent(outlook_for(model), calls)
    originals = Originals()
    repeats = Repeats(least=16, observations=True, count=count)
    steps = (
        ShortenTools(words=0.25, once=True, examples=False, count=count),
        Compress(Tighten(terse=True, count=count), roles=INSTRUCTIONS),
        Compress(Lossless(count), observations=True),
        Reduce(originals, over=200, keep=120, encode=Lossless(count), count=count),
        History(
            originals.keep,
            originals.tool,
            outlook,
            recent=150,
            least=300,
            digest=2000,
            then=repeats,
            count=count,
        ),
        repeats,
        BreakPoints(count=count),
    )
    return Pipeline(steps, count=count, outlook=outlook)


def prudent(outlook: Outlook, calls: int) -> Outlook:
    """Reckon with the dearest way of caching that is usual.

    A session may go on at another model, by a router or as a fallback. A cut must pay there too.

    >>> from trimtab.prices import Outlook
    >>> from trimtab.recipes import prudent
    >>> prudent(Outlook(read=0.5, write=1.0), calls=8)
    Outlook(read=0.1, write=1.25, minimum=1024, calls=8)
    """
    read, write = min(outlook.read, 0.1), max(outlook.write, 1.25)
    return replace(outlook, read=read, write=write, calls=calls)
