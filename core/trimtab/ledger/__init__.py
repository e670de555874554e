"""What was spent, and what was saved: an event for each call, kept in memory or in a file.

>>> import time
>>> from decimal import Decimal
>>> from trimtab import Usage
>>> from trimtab.ledger import Alert, Analytics, Change, Event, Figures, Hook, Ledger
>>> from trimtab.ledger import Limits, Recommendation, Session, Stretch, recommend
>>> watch: Hook = lambda event: print("heard of", event.id)
>>> ledger = Ledger(hooks=[watch], limits=Limits(call_cost=Decimal("0.01")))
>>> shorter = Change("Lossless", before=9000, after=8000)
>>> used, paid = Usage(8000, 100), Decimal("0.021")
>>> ledger.record(Event("call 1", time.time(), "gpt-4o", used, paid, changes=(shorter,)))
heard of call 1
>>> found: Analytics = ledger.analytics(hours=24)
>>> found.calls, found.cost, found.levers
(1, Decimal('0.021'), {'Lossless': 1000})
>>> figures: Figures = found.models["gpt-4o"]
>>> dearest: tuple[Session, ...] = found.sessions
>>> alert: Alert = ledger.alerts[0]
>>> alert.kind
'costly request'
>>> quarter: Stretch = ledger.over_time(hours=24)[-1]
>>> quarter.figures.calls
1
>>> advice: Recommendation = recommend(found)[0]
>>> print(advice.code)
from trimtab.cache import ExactCache
pipeline.cache = ExactCache()
"""

from trimtab.ledger.advice import Recommendation, recommend
from trimtab.ledger.event import Change, Event
from trimtab.ledger.figures import Analytics, Figures, Session, Stretch
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
    "Recommendation",
    "Session",
    "Stretch",
    "recommend",
]
