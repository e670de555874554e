"""Which rows of a table go under one heading."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import accumulate, combinations

Row = tuple[str, ...]
Group = tuple[Row, list[Row]]
"""A heading, with blanks where the rows differ, and its rows."""

BLANK = "_"
SAMPLE = 300
"""Rows that are looked at to choose the fields of the headings."""
HEADING_COST = 5
"""Characters that a heading costs beyond its fields."""
BLANK_COST = 2
MARK_COST = 3


def by_key(rows: list[Row], order: int) -> list[Group]:
    """Bring rows together that share fields, wherever they stand.

    The field that the rows are sorted by stays with each row.
    """
    key = _key(rows[:SAMPLE], [place for place in range(len(rows[0])) if place != order])
    found: defaultdict[Row, list[Row]] = defaultdict(list)
    for row in rows:
        found[tuple(row[place] for place in key)].append(row)
    groups = []
    # Headings that stand together share fields. Where most rows stay alone, their order says more.
    for values in sorted(found) if 2 * len(found) < len(rows) else found:
        fields = dict(zip(key, values, strict=True))
        heading = tuple(fields.get(place, BLANK) for place in range(len(rows[0])))
        groups.append((heading, found[values]))
    return groups


def _key(rows: list[Row], places: list[int]) -> list[int]:
    """Choose the fields of the headings, those with the fewest values first."""
    values = {place: len({row[place] for row in rows}) for place in places}
    key = [place for place in places if values[place] == 1]
    best = _key_cost(rows, key)
    while True:
        free = [place for place in places if place not in key and values[place] < len(rows)]
        more = [[*key, *some] for n in (1, 2) for some in combinations(free, n)]
        cost, longer = min(((_key_cost(rows, some), some) for some in more), default=(best, key))
        if cost >= best:
            return sorted(key, key=lambda place: values[place])
        best, key = cost, longer


def _key_cost(rows: list[Row], key: list[int]) -> int:
    """Estimate the characters that rows under headings with these fields save, negated."""
    groups = Counter(tuple(row[place] for place in key) for row in rows)
    blanks = BLANK_COST * (len(rows[0]) - len(key)) + HEADING_COST
    return sum(
        (1 - times) * (sum(map(len, values)) + len(values)) + blanks
        for values, times in groups.items()
        if times > 1
    )


def by_run(rows: list[Row]) -> list[Group]:
    """Bring rows together that share fields and stand together."""
    ends = _ends(rows)
    sizes = [[len(field) + 1 for field in row] for row in rows]
    total = [0, *accumulate(map(sum, sizes))]
    best = [0] * (len(rows) + 1)
    choice = list(range(1, len(rows) + 1))
    for at in reversed(range(len(rows))):
        best[at] = best[at + 1] + _row_cost(rows, sizes, at)
        for end in {end for end in ends[at] if end > at + 1}:
            same = [size for size, until in zip(sizes[at], ends[at], strict=True) if until >= end]
            blanks = BLANK_COST * (len(rows[at]) - len(same)) + HEADING_COST
            saved = sum(same) * (end - at - 1)
            cost = best[end] + total[end] - total[at] - saved + blanks
            if cost < best[at]:
                best[at], choice[at] = cost, end
    return list(_cut(rows, ends, choice))


def _ends(rows: list[Row]) -> list[list[int]]:
    """For each field of each row, find the next row in which it is another."""
    ends = [[len(rows)] * len(rows[0])]
    for at in reversed(range(len(rows) - 1)):
        ends.append(
            [
                end if one == other else at + 1
                for one, other, end in zip(rows[at], rows[at + 1], ends[-1], strict=True)
            ]
        )
    return ends[::-1]


def _row_cost(rows: list[Row], sizes: list[list[int]], at: int) -> int:
    """Count the characters of a row of its own, which may point to the row above once."""
    longest = run = 0
    above = rows[at - 1] if at else (None,) * len(rows[at])
    for size, field, other in zip(sizes[at], rows[at], above, strict=True):
        run = run + size if field == other else 0
        longest = max(longest, run)
    return sum(sizes[at]) - max(0, longest - MARK_COST)


def _cut(rows: list[Row], ends: list[list[int]], choice: list[int]) -> Iterator[Group]:
    at = 0
    while at < len(rows):
        end = choice[at]
        heading = tuple(
            field if until >= end else BLANK
            for field, until in zip(rows[at], ends[at], strict=True)
        )
        yield heading, rows[at:end]
        at = end
