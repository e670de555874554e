"""What can go wrong.

TrimtabError
├── BudgetExceeded   a limit on tokens or dollars is spent; the only error that stops a call
├── TraceError       a recorded conversation cannot be read (also a ValueError)
└── NotOurs          `restore` was given what `Lossless` did not write (also a ValueError)
"""


class TrimtabError(Exception):
    """The base of every error of this library.

    >>> from trimtab import TrimtabError
    >>> from trimtab.compress import restore
    >>> try:
    ...     restore("json:[(")
    ... except TrimtabError as error:
    ...     print(type(error).__name__)
    NotOurs
    """


class BudgetExceeded(TrimtabError):
    """A limit on tokens or dollars is spent.

    >>> from trimtab import Message, Request
    >>> from trimtab.budget import Budget
    >>> Budget(tokens=100)(Request("gpt-4o", (Message("user", "Hello!"),)))
    Traceback (most recent call last):
    trimtab.errors.BudgetExceeded: no budget is left for everything: ...
    """


class TraceError(TrimtabError, ValueError):
    """A recorded conversation cannot be read. The message says which line and what was expected.

    >>> from pathlib import Path
    >>> from trimtab import trace
    >>> _ = Path("log.jsonl").write_text('{"id": "1"}')
    >>> next(trace.read("log.jsonl"))
    Traceback (most recent call last):
    trimtab.errors.TraceError: log.jsonl, line 1: expected a list under "messages", got nothing; ...
    """


class NotOurs(TrimtabError, ValueError):
    """A text claims to be encoded by this library, but cannot be decoded.

    >>> from trimtab.compress import restore
    >>> restore("json:[(")
    Traceback (most recent call last):
    trimtab.errors.NotOurs: this starts with 'json', but cannot be read
    """
