"""How likely an answer is right, by what can be seen of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from trimtab.route import checks, forms, sums
from trimtab.route.agreeing import agreement
from trimtab.route.case import Case
from trimtab.types import Request, Response

Sign = Callable[[Case], float]

CLEAN = 2.5
"""The log-odds of an answer without any sign, to a question that could not be easier."""
SIGNS: Mapping[Sign, float] = {
    checks.empty: 7.0,
    checks.refused: 4.0,
    checks.cut_short: 3.0,
    checks.circling: 3.0,
    checks.unbalanced: 2.0,
    checks.hedged: 1.5,
    checks.doubted: 4.0,
    checks.stumbled: 1.0,
    checks.demanding: 2.0,
    forms.not_json: 4.0,
    forms.bad_call: 4.0,
    forms.broken_code: 3.0,
    forms.off_options: 2.0,
    sums.wrong: 2.5,
    sums.uneven: 2.5,
    sums.nothing: 2.5,
    sums.below_zero: 2.0,
    sums.dangling: 3.0,
    sums.broken_step: 1.0,
    sums.unmade: 0.5,
    sums.too_few: 2.0,
    sums.unused: 0.5,
    sums.again: 0.5,
}
"""What each takes off the log-odds in full. Set by hand in halves, not fitted."""
AGREED, DISAGREED = 1.0, -2.0
"""What a second answer adds to them. Samples of one model share mistakes, so that agreeing says
less than not agreeing."""
EDGE = 0.005
"""Nothing is ever sure."""


def confidence(request: Request, response: Response, *others: Response) -> float:
    """Return how likely an answer is right, from 0 to 1, without having learned from any.

    Checks what can be checked without a model: sums are done again, JSON, tool calls and code are
    parsed, and refusals, doubts and cut ends are looked for. An answer without such signs may
    still be wrong: it comes to some 0.8. `Confidence.fit` learns the weights of your own traffic.

    Args:
        request: What was asked.
        response: The answer.
        others: Further answers to the same: whether they agree tells much.

    >>> from trimtab import Message, Request, Response
    >>> from trimtab.route import confidence
    >>> asked = Request("gpt-4o", (Message("user", "How much is 17 * 3?"),))
    >>> right, wrong = (Response(Message("assistant", f"17 * 3 = {n}")) for n in (51, 41))
    >>> confidence(asked, right) > confidence(asked, wrong)
    True
    """
    case = Case(request, response)
    odds = CLEAN - sum(weight * sign(case) for sign, weight in SIGNS.items())
    return squeezed(odds + echo(request, response, *others))


def signs(request: Request, response: Response) -> dict[str, float]:
    """Return what speaks against an answer: the names of the signs that were found, from 0 to 1."""
    case = Case(request, response)
    found = {sign.__name__: sign(case) for sign in SIGNS}
    return {name: value for name, value in found.items() if value}


def echo(request: Request, response: Response, *others: Response) -> float:
    """Return what further answers add to the log-odds."""
    if not others:
        return 0.0
    agreed = sum(agreement(request, response, other) for other in others) / len(others)
    return DISAGREED + (AGREED - DISAGREED) * agreed


def squeezed(odds: float) -> float:
    """Turn log-odds into a probability."""
    return min(1 - EDGE, max(EDGE, 1 / (1 + math.exp(-max(-50.0, min(50.0, odds))))))
