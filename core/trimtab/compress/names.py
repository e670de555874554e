"""The names by which records that were left out can still be asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence

PAIR = re.compile(r'"([^"\\]{1,40})"\s*:\s*(?:"([^"\\\s]{3,48})"|(\d{4,20})(?=[\s,}\]]))')
KEY = re.compile(
    r"(?:^|_|(?<=[a-z]))(?:ids?|no|num|number|code|sku|ref|reference|key|uuid|name)$", re.IGNORECASE
)
WORD = re.compile(r"(?=.*\d)(?=.*[A-Za-z_#-]).+|\d{4,}|[A-Za-z]+(?:[_-][A-Za-z]+)+")
MOMENT = re.compile(r"\d{4}-\d\d(?:-\d\d.*)?|\d+(?:\.\d+)+|\d\d?:\d\d.*|https?:.*")
KEYS = 3
"""How many kinds of names are given."""
DISTINCT = {True: 0.3, False: 0.6}
"""Share of different values that a key must have, by whether it is called like one that names."""


def names_in(text: str) -> dict[str, list[str]]:
    """Collect what the records in a piece of JSON are called, by the key that says so.

    Those are keys whose values are words that stand for something, and differ from record to
    record: numbers of orders, codes of products, names of users. Dates and sums are not.
    """
    found: dict[str, list[str]] = {}
    for key, word, number in PAIR.findall(text):
        value = word or number
        if WORD.fullmatch(value) and not MOMENT.fullmatch(value):
            found.setdefault(key, []).append(value)
    telling = {
        key: list(dict.fromkeys(values))
        for key, values in found.items()
        if len(set(values)) >= DISTINCT[bool(KEY.search(key))] * len(values)
    }
    best = sorted(telling, key=lambda key: (not KEY.search(key), -len(telling[key])))[:KEYS]
    return {key: telling[key] for key in telling if key in best}


def listed(names: dict[str, list[str]], known: Sequence[str] = ()) -> str:
    """Write names out, but for those that `known` texts say anyway."""
    said = "\n".join(known)
    fresh = {
        key: [v for v in values if not re.search(rf"(?<![\w-]){re.escape(v)}(?![\w-])", said)]
        for key, values in names.items()
    }
    return "; ".join(f"{key}: {' '.join(values)}" for key, values in fresh.items() if values)
