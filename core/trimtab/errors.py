"""What can go wrong.

TrimtabError
├── BudgetExceeded   a limit on tokens or dollars is spent; the only error that stops a call
├── TraceError       a recorded conversation cannot be read (also a ValueError)
└── NotOurs          `restore` was given what `Lossless` did not write (also a ValueError)
"""


class TrimtabError(Exception):
    """The base of every error of this library."""


class BudgetExceeded(TrimtabError):
    """A limit on tokens or dollars is spent."""


class TraceError(TrimtabError, ValueError):
    """A recorded conversation cannot be read. The message says which line and what was expected."""


class NotOurs(TrimtabError, ValueError):
    """A text claims to be encoded by this library, but cannot be decoded."""
