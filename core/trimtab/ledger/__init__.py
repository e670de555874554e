"""What was spent, and what was saved: an event for each call, kept in memory or in a file."""

from trimtab.ledger.event import Change, Event
from trimtab.ledger.figures import Analytics, Figures, Session
from trimtab.ledger.ledger import Hook, Ledger
from trimtab.ledger.limits import Alert, Limits

__all__ = [
    "Alert",
    "Analytics",
    "Change",
    "Event",
    "Figures",
    "Hook",
    "Ledger",
    "Limits",
    "Session",
]
