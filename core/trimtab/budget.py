"""Limits on tokens and dollars that concurrent calls cannot overshoot."""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from trimtab.errors import BudgetExceeded
from trimtab.prices import cost, to_dollars, to_integer
from trimtab.spending import Amount, Spending
from trimtab.tokens import count_request, counter_for
from trimtab.types import Counter, Message, Price, Request, Usage, tail

log = logging.getLogger("trimtab")
LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
"""What providers call the largest answer they may give."""
WRAP_UP = (
    "[From the application: the budget of this conversation is nearly spent. Give your final answer"
    " now, in a few sentences, and call no more tools.]"
)
_run: ContextVar[str] = ContextVar("trimtab_run", default="")


def everything(request: Request) -> str:
    """Count all requests together.

    >>> from trimtab.budget import Budget, everything
    >>> Budget(tokens=1_000_000, by=everything)
    Budget(tokens=1000000, by=everything)
    """
    return "everything"


def by_session(request: Request) -> str:
    """Count each conversation for itself.

    >>> from trimtab.budget import Budget, by_session
    >>> Budget(dollars="0.50", by=by_session)
    Budget(dollars=0.50, by=by_session)
    """
    return f"session {request.conversation}"


def by_tenant(request: Request) -> str:
    """Count each tenant for itself.

    >>> from trimtab import Message, Request
    >>> from trimtab.budget import by_tenant
    >>> by_tenant(Request("gpt-4o", (Message("user", "Hello!"),), tenant="acme"))
    'tenant acme'
    """
    return f"tenant {request.tenant}"


def by_run(request: Request) -> str:
    """Count each `with run():` block for itself, and what is outside of any by conversation.

    >>> from trimtab.budget import Budget, by_run
    >>> Budget(tokens=50_000, by=by_run)
    Budget(tokens=50000, by=by_run)
    """
    return f"run {_run.get()}" if _run.get() else by_session(request)


@contextmanager
def run(name: str = "") -> Iterator[str]:
    """Make every call inside the block, in this thread or task, one of this run.

    >>> from trimtab import Message, Request
    >>> from trimtab.budget import by_run, run
    >>> with run("nightly report"):
    ...     by_run(Request("gpt-4o", (Message("user", "Hello!"),)))
    'run nightly report'
    """
    name = name or uuid.uuid4().hex
    token = _run.set(name)
    try:
        yield name
    finally:
        _run.reset(token)


@tail
class Budget:
    """A limit on what is spent. The last of a pipeline's steps, so that it sees what is sent.

    What a call is expected to cost is set aside while it is under way, its whole prompt at the
    price of fresh tokens, and gives way to what it did cost, prefix cache reads and writes
    included; so calls at the same time cannot spend the same dollar. Once `warn` of the budget is
    taken, that is logged; once `wrap_up` of it is, or another call would not fit, the model is told
    to come to an end, and given `last` tokens for it; a call that does not fit raises
    `BudgetExceeded` before anything is sent. Safe to share between threads, tasks and, with a
    path, processes.

    Args:
        dollars: Of a model without a known price, nothing is sent: give `price` then.
        tokens: Of prompts and answers together.
        by: Whose spending is added up: `everything`, `by_session`, `by_tenant`, `by_run`, or a
            function of your own that names it.
        period: Forgets what was spent longer ago, to a sixtieth of it.
        path: A file that keeps the sums, for other processes too.
        output: Tokens that an answer is expected to have, or less where the request limits it.

    >>> from datetime import timedelta
    >>> from trimtab import Message, Pipeline, Request, Response, Usage
    >>> from trimtab.budget import Budget, by_tenant
    >>> budget = Budget(dollars=5, by=by_tenant, period=timedelta(days=1))
    >>> request = Request("gpt-4o", (Message("user", "Hello!"),), tenant="acme")
    >>> answer = Response(Message("assistant", "Hello!"), Usage(100, 20))
    >>> answer = Pipeline([budget]).run(request, lambda sent: answer)
    >>> budget.spent(request)
    (Decimal('0.00045'), 120)
    """

    name = "Budget"

    def __init__(  # noqa: PLR0913
        self,
        *,
        dollars: Decimal | float | str | None = None,
        tokens: int | None = None,
        by: Callable[[Request], str] = everything,
        period: timedelta | None = None,
        path: str | os.PathLike[str] | None = None,
        warn: float = 0.8,
        wrap_up: float = 0.9,
        output: int = 1000,
        last: int = 300,
        price: Price = cost,
        count: Counter | None = None,
    ) -> None:
        if dollars is None and tokens is None:
            raise ValueError("a budget needs a limit: give dollars or tokens")
        self.dollars = None if dollars is None else Decimal(str(dollars))
        self.tokens, self.by, self.period = tokens, by, period
        self.warn, self.wrap_up, self.output, self.last = warn, wrap_up, output, last
        self.price, self.count = price, count
        for name in ("dollars", "tokens", "output", "last"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be more than 0, got {value}")
        if not 0 < warn <= wrap_up <= 1:
            raise ValueError(f"0 < warn <= wrap_up <= 1 must hold, got {warn} and {wrap_up}")
        if period is not None and period <= timedelta():
            raise ValueError(f"period must be more than 0, got {period}")
        hours = None if period is None else period.total_seconds() / 3600
        self.spending = Spending(None if path is None else os.fspath(path), hours)
        self._warned: set[str] = set()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        limits = {"dollars": self.dollars, "tokens": self.tokens, "period": self.period}
        given = ", ".join(f"{name}={value}" for name, value in limits.items() if value is not None)
        return f"Budget({given}, by={getattr(self.by, '__name__', self.by)})"

    def __call__(self, request: Request) -> Request:
        """Return the request as it may be sent, and set nothing aside; a pipeline reserves."""
        sent, hold = self.reserve(request)
        hold.release()
        return sent

    def reserve(self, request: Request) -> tuple[Request, Hold]:
        """Set aside what a call is expected to cost, and return the request as it may be sent.

        Raises:
            BudgetExceeded: It does not fit, or the model has no known price.
        """
        id, name = uuid.uuid4().hex, self.by(request)
        expected = self._expected(request)
        total, fits = self.spending.reserve(id, name, expected, self._fits)
        if not fits:
            raise BudgetExceeded(
                f"no budget is left for {name}: with this call it would be {self._said(total)}."
                f" Raise the limit of {self!r}, or wait until its period is over"
            )
        share = self._share(total)
        self._tell(name, share)
        ends = share >= self.wrap_up or not self._fits(total + expected)
        # A model may not obey, so no less is held for a short answer.
        sent = self._ending(request) if ends else request
        return sent, Hold(self, id, name, expected)

    def spent(self, request: Request) -> tuple[Decimal, int]:
        """Return the dollars and tokens taken where a request counts, calls under way included."""
        total = self.spending.total(self.by(request))
        return to_dollars(total.cost) or Decimal(0), total.tokens

    def close(self) -> None:
        """Let go of the file."""
        self.spending.close()

    def _fits(self, total: Amount) -> bool:
        return self._share(total) <= 1

    def _share(self, total: Amount) -> float:
        limits = [(total.tokens, self.tokens), (total.cost, to_integer(self.dollars))]
        return max(taken / limit for taken, limit in limits if limit is not None)

    def _expected(self, request: Request) -> Amount:
        """Return what a call is expected to cost."""
        sent = count_request(request, self.count or counter_for(request.model))
        answer = min([self.output, *_limits(request).values()])
        usage = Usage(sent, answer, 0, 0, 0)
        written = Usage(sent, answer, 0, sent, 0)
        found = [self.amount(request.model, each) for each in (usage, written)]
        known = [amount for amount in found if amount is not None]
        if not known:
            raise BudgetExceeded(
                f"{request.model!r} has no known price, so {self!r} cannot tell what it costs:"
                " give tokens= instead, or price="
            )
        return max(known, key=lambda amount: amount.cost)

    def amount(self, model: str, usage: Usage) -> Amount | None:
        """Return what is known to be spent; None where a part that is limited is not known."""
        tokens = None
        if usage.input_tokens is not None and usage.output_tokens is not None:
            tokens = usage.input_tokens + usage.output_tokens
        dollars = to_integer(self.price(model, usage)) if self.dollars is not None else 0
        if dollars is None or (tokens is None and self.tokens is not None):
            return None
        return Amount(dollars, tokens or 0)

    def _ending(self, request: Request) -> Request:
        """Tell the model to come to an end, and give it little room for that."""
        limits = _limits(request) or {LIMITS[0]: self.last}
        params = {name: min(limit, self.last) for name, limit in limits.items()}
        messages = (*request.messages, Message("user", WRAP_UP, encoded=True))
        return replace(request, messages=messages, params={**request.params, **params})

    def _tell(self, name: str, share: float) -> None:
        if share < self.warn:
            return
        with self._lock:
            new = name not in self._warned
            self._warned.add(name)
        if new:
            log.warning("%.0f %% of the budget for %s are taken: %r", share * 100, name, self)

    def _said(self, total: Amount) -> str:
        parts = []
        if self.dollars is not None:
            parts.append(f"${to_dollars(total.cost):.6f} of ${self.dollars}")
        if self.tokens is not None:
            parts.append(f"{total.tokens:,} of {self.tokens:,} tokens")
        return " and ".join(parts)


class Hold:
    """What is set aside for a call under way; free again if nobody tells what it cost.

    >>> from trimtab import Message, Request, Usage
    >>> from trimtab.budget import Budget, Hold
    >>> budget, request = Budget(tokens=5000), Request("gpt-4o", (Message("user", "Hello!"),))
    >>> hold: Hold
    >>> request, hold = budget.reserve(request)
    >>> hold.settle([("gpt-4o", Usage(100, 20))])
    >>> budget.spent(request)[1]
    120
    """

    def __init__(self, budget: Budget, id: str, name: str, expected: Amount) -> None:
        self.expected = expected
        self._budget, self._id, self._name = budget, id, name
        self._watch = budget.spending.watch(self, id)

    def settle(self, calls: Iterable[tuple[str, Usage]]) -> None:
        """Put what was spent in its place: the models asked, and what each used, once.

        A call of which that is not known counts as expected.
        """
        known = (self._budget.amount(model, usage) for model, usage in calls)
        spent = sum((self.expected if one is None else one for one in known), Amount())
        if self._watch.detach():
            self._budget.spending.settle(self._id, self._name, spent)

    def release(self) -> None:
        """Free it, as nothing was sent."""
        self.settle(())


def _limits(request: Request) -> dict[str, int]:
    """Return the limits that a request sets on its answer."""
    given: dict[str, Any] = {name: request.params.get(name) for name in LIMITS}
    return {name: value for name, value in given.items() if isinstance(value, int)}
