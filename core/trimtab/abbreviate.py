"""Long names that occur often, by their initials, where that saves tokens."""

from __future__ import annotations

import re
from collections import Counter as Tally

from trimtab.types import Counter
from trimtab.wording import shield, unshield

LEAST = 3
"""How often a name must occur to be worth a definition."""
LINKS = r"(?:of|and|for|the|in|on|to|de|du|der|und)"
_WORD = r"[A-Z][a-z]+(?:-[A-Z][a-z]+)?"
_NAME = re.compile(rf"(?<![\w-]){_WORD}(?:[ ](?:{LINKS}[ ])?{_WORD}){{1,5}}(?![\w-])")
_LINK = re.compile(rf"(?<= ){LINKS} ")


def abbreviate(text: str, count: Counter) -> str:
    """Say names of several capitalised words once in full, and then by their initials.

    "Customer Data Platform (CDP)" and from there on "CDP". Only where tokens are saved once the
    definition is paid, and where the initials mean nothing else in the text. What is quoted, code,
    variables and addresses stay as they are.

    >>> from trimtab.abbreviate import abbreviate
    >>> from trimtab.tokens import counter_for
    >>> rule = "Look it up in the Customer Data Platform. "
    >>> abbreviate(rule * 5, counter_for("gpt-4o"))
    'Look it up in the Customer Data Platform (CDP). Look it up in the CDP. ...'
    """
    masked, hidden = shield(text)
    for name in _candidates(masked):
        short = _initials(name)
        if len(short) < 2 or re.search(rf"(?<!\w){short}(?!\w)", text):
            continue
        shorter = _abbreviated(masked, name, short)
        if count(unshield(shorter, hidden)) < count(unshield(masked, hidden)):
            masked = shorter
    return unshield(masked, hidden)


def _candidates(text: str) -> list[str]:
    """List names, those first that take up most of the text."""
    seen: Tally[str] = Tally()
    for match in _NAME.finditer(text):
        words = match[0].split(" ")
        # The start of a sentence has a capital that is not part of a name.
        starts = not re.search(r"[\w,;:)] $", text[: match.start()])
        seen[match[0]] += 1
        if starts and len(words) > 2:
            seen[" ".join(words[1:])] += 1
    often = [name for name, times in seen.items() if times >= LEAST and name[0].isupper()]
    return sorted(often, key=lambda name: (-len(name) * seen[name], name))


def _initials(name: str) -> str:
    return "".join(word[0] for word in re.split(r"[ -]", _LINK.sub("", name)))


def _abbreviated(text: str, name: str, short: str) -> str:
    first, *rest = re.split(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)
    return f"{first}{name} ({short}){short.join(rest)}"
