"""What the words of two questions settle by themselves, whatever a model says of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trimtab.cache.contrast import Word, mistyped, opposed, parted, words_of
from trimtab.cache.lexicon import (
    ARTICLES,
    JOINING,
    NEGATIONS,
    POLITE,
    PREPOSITIONS,
    QUESTION,
    SYMMETRIC,
)

REVERSING = NEGATIONS | {"non", "un"}


def is_retyped(question: str, other: str, knows: Callable[[str], bool]) -> bool:
    """Tell whether two texts are word for word the same, typing errors and politeness apart.

    Of two words a letter apart, one must be unknown: Austin is no error for Austen.
    """
    one, two = ([w for w in words_of(t) if w.form not in POLITE] for t in (question, other))
    return len(one) == len(two) > 0 and all(
        a.form == b.form or (mistyped(a, b) and knows(a.form) != knows(b.form))
        for a, b in zip(one, two, strict=True)
    )


def is_reversed(question: str, other: str) -> bool:
    """Tell whether all that parts two texts is a negation, or a word and its opposite."""
    parting = parted(question, other)
    sides = (parting.left, parting.right)
    one, two = ([w for w in side if w.content and w.form not in REVERSING] for side in sides)
    turns = sum(w.form in REVERSING for side in sides for w in side)
    if len(one) == len(two) == 1:
        turns += opposed(one[0], two[0])
    elif one or two:
        return False
    return turns % 2 == 1 and (not one or opposed(one[0], two[0]))


def is_swapped(question: str, other: str) -> bool:
    """Tell whether two texts only have words at each other's place: Rome to Oslo, Oslo to Rome.

    What stands either way round is not swapped: coffee or tea, the difference between the two.
    """
    one, two = ([w for w in words_of(text) if not _is_light(w)] for text in (question, other))
    forms = [[w.form for w in words] for words in (one, two)]
    if forms[0] == forms[1] or sorted(forms[0]) != sorted(forms[1]):
        return False
    if any(w.form in SYMMETRIC for w in one):
        return False
    return _is_sentence(question) and _is_sentence(other) and _is_exchange(one, two)


def _is_sentence(text: str) -> bool:
    """Tell a sentence from keywords, whose order says nothing."""
    return not all(w.content for w in words_of(text))


def _is_light(word: Word) -> bool:
    return word.form in ARTICLES or word.form in POLITE or QUESTION.get(word.form, "") in ASKING


def _is_exchange(one: Sequence[Word], two: Sequence[Word]) -> bool:
    """Tell whether the first are the second with two runs of words exchanged across others."""
    differ = [i for i, (a, b) in enumerate(zip(one, two, strict=True)) if a.form != b.form]
    words = one[differ[0] : differ[-1] + 1]
    old, new = [w.form for w in words], [w.form for w in two[differ[0] : differ[-1] + 1]]
    content = [w.content and w.form not in PREPOSITIONS for w in words]
    return JOINING.isdisjoint(old) and any(
        old[0] == new[-head]
        and old[-tail:] + old[head:-tail] + old[:head] == new
        and any(content[:head])
        and any(content[-tail:])
        and (content[0] or content[-tail])  # else each took its preposition along
        for head in range(1, len(old) - 1)
        for tail in range(1, len(old) - head)
    )


ASKING = frozenset(("how", "why", "when", "where", "who", "what", "whether"))
