"""Where two questions part: numbers, names, negation, opposites, scope, what is asked for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from trimtab.cache.lexicon import (
    DATES,
    FUNCTION,
    NEGATIONS,
    NUMBERS,
    OPPOSITES,
    POLITE,
    QUESTION,
    SAME_UNIT,
    SCOPE,
)

TOKEN = re.compile(
    r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['\u2019-][^\W\d_]+)*"
    r"|[$\u20ac\u00a3\u20b9%+#&/*=<>@~^|\\\u2190-\u2bff\U0001f000-\U0001faff]"
)
POINTING = re.compile(
    r"\b(?:this|these|those)\b(?!\s+(?:year|month|week|day|morning|evening|night|time|moment|century|"
    r"decade|summer|winter|spring|autumn|season|world|life|age|universe|planet|earth))"
    r"|\b(?:the (?:following|attached)|(?:given|shown|written) (?:below|above|here))\b"
    r"|\b(?:below|above|attached|here)\s*(?=[.?!:]|$)",
    re.I,
)
"""What points at something that is not in the text: no other's answer can speak of it."""
POINTERS = frozenset(
    "this these those following attached given shown written below above here".split()
)
"""One of which stands in whatever points."""
YOURS = frozenset("you your yours".split())
MINE = frozenset("i my me mine our we us".split())
PARTS = re.compile(r"\?(?=\s+\w)|\s(?:and|or)\s+(?:what|why|how|when|where|who|which|if)\b", re.I)
"""Where another question begins."""
CLOCK = re.compile(r"(\d{1,2})(?:[:.](\d\d))?\s*([ap])\.?m\b\.?", re.I)
APOSTROPHE = re.compile(r"'(?:s|re|ve|ll|d|m)$|'")
HAN = re.compile(r"([\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])")
ENDINGS = ("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("shes", "sh"), ("xes", "x")
CONTRACTIONS = {
    "can't": "can not", "won't": "will not", "cannot": "can not", "what's": "what is",
    "i'm": "i am", "let's": "let us", "gonna": "going to", "wanna": "want to", "u": "you",
    "ur": "your", "r": "are", "pls": "please", "plz": "please", "dont": "do not",
    "doesnt": "does not", "cant": "can not", "isnt": "is not", "whats": "what is",
}  # fmt: skip


class Word(NamedTuple):
    """A word of a question, in the form that it is compared in."""

    form: str
    stem: str
    name: bool
    """Whether it looks like a name: upper case where no sentence begins."""
    number: bool
    content: bool
    """Whether it says something by itself."""
    kinds: tuple[bool, ...]
    """See `KINDS`."""
    turns: bool
    """Whether it may be the opposite of another word."""
    grams: frozenset[str]
    """Its runs of three letters, beginning and end included."""


KINDS = ("number", "date", "unit", "name", "scope", "negation")


@lru_cache(maxsize=4096)
def words_of(text: str) -> tuple[Word, ...]:
    """Read the words of a text: case, contractions, number words, clock times and units unified."""
    if not text.isascii():
        text = HAN.sub(r" \1 ", unicodedata.normalize("NFKC", text).replace("\u2019", "'"))
    text = CLOCK.sub(_clock, text)
    found: list[Word] = []
    starts = True
    for match in TOKEN.finditer(text):
        raw = match.group()
        name = (raw[:1].isupper() and not starts) or (raw.isupper() and len(raw) > 1)
        starts = text[match.end() : match.end() + 1] in (".", "!", "?", ":", "\n")
        low = raw.lower()
        if low.isalpha() and low not in CONTRACTIONS:
            found.append(_word(low, name))
            continue
        if low.endswith("n't") and low not in CONTRACTIONS:
            low = low[:-3] + " not"
        for part in CONTRACTIONS.get(low, low).split():
            found.extend(_word(piece, name) for piece in _pieces(part))
    return tuple(found)


def _clock(match: re.Match[str]) -> str:
    hour = int(match[1]) % 12 + (12 if match[3].lower() == "p" else 0)
    return f"{hour}:{match[2] or '00'}"


def _pieces(low: str) -> Iterable[str]:
    if "-" in low and low not in ("e-mail",):
        return [piece for piece in low.split("-") if piece]
    return [APOSTROPHE.sub("", low) or low] if "'" in low else [low]


@lru_cache(maxsize=16384)
def _word(form: str, name: bool) -> Word:
    form = NUMBERS.get(form, form)
    form = SAME_UNIT.get(form, form)
    if form[:1].isdigit():
        form = form.replace(",", "") if re.fullmatch(r"\d{1,3}(,\d{3})+", form) else form
        kinds = (True, form in DATES, *[False] * 4)
        return Word(form, form, False, True, True, kinds, False, _grams(form))
    content, name = form not in FUNCTION and form not in POLITE, name and form not in FUNCTION
    kinds = (False, form in DATES, form in UNITS, name, form in SCOPE, form in NEGATIONS)
    root = stem(form)
    turns = form in OPPOSING or root in OPPOSING or form.startswith(PREFIXES)
    return Word(form, root, name, False, content, kinds, turns, _grams(form))


def _grams(form: str) -> frozenset[str]:
    padded = f" {form} "
    return frozenset(padded[i : i + 3] for i in range(len(form)))


@lru_cache(maxsize=16384)
def stem(word: str) -> str:
    """Cut plural and verb endings off, roughly: forms of one word meet, that is all it is for."""
    if len(word) < 4:
        return word
    for end, instead in ENDINGS:
        if word.endswith(end) and len(word) > len(end) + 1:
            return (
                stem(word[: -len(end)] + instead) if end == "ies" else word[: -len(end)] + instead
            )
    if word.endswith("s") and word[-2] not in "sui":
        word = word[:-1]
    for end in ("ing", "ed", "er", "ly", "ment", "tion"):
        if word.endswith(end) and len(word) - len(end) >= 3:
            word = word[: -len(end)]
            if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "sl":
                word = word[:-1]
            break
    return word[:-1] if len(word) > 3 and word[-1] in "ey" else word


@dataclass(frozen=True)
class Parting:
    """What one question has and the other has not, word by word."""

    left: tuple[Word, ...]
    right: tuple[Word, ...]
    shared: tuple[tuple[int, int], ...]
    """Places of the words that were matched, in the order of the left."""


def part(one: Sequence[Word], other: Sequence[Word]) -> Parting:
    """Match the words of two questions: same forms first, then same stems, then typing errors."""
    free = set(range(len(other)))
    pairs: dict[int, int] = {}
    for key in (attrgetter("form"), attrgetter("stem")):
        places: dict[str, list[int]] = {}
        for j in sorted(free, reverse=True):
            places.setdefault(key(other[j]), []).append(j)
        for i, word in enumerate(one):
            if i not in pairs and (found := places.get(key(word))):
                free.discard(pairs.setdefault(i, found.pop()))
    initials: dict[str, list[int]] = {}
    for j in sorted(free):
        initials.setdefault(other[j].form[0], []).append(j)
    for i, word in enumerate(one):
        if i not in pairs:
            some = initials.get(word.form[0], [])
            near = next((j for j in some if mistyped(word, other[j])), None)
            if near is not None:
                pairs[i] = near
                some.remove(near)
                free.discard(near)
    return Parting(
        tuple(word for i, word in enumerate(one) if i not in pairs),
        tuple(other[j] for j in sorted(free)),
        tuple(sorted(pairs.items())),
    )


def mistyped(one: Word, other: Word) -> bool:
    """Tell whether two words are one, with a letter lost, doubled, changed or swapped."""
    a, b = one.form, other.form
    if one.number or other.number or min(len(a), len(b)) < 4 or abs(len(a) - len(b)) > 1:
        return False
    if a[0] != b[0] or frozenset((a, b)) in OPPOSITES:
        return False
    pairs = enumerate(zip(a, b, strict=False))
    start = next((i for i, (x, y) in pairs if x != y), min(len(a), len(b)))
    a, b = a[start:], b[start:]
    if len(a) == len(b):
        return (a[1:] == b[1:] and len(a) > 1) or (a[:2] == b[1::-1] and a[2:] == b[2:])
    longer, shorter = (a, b) if len(a) > len(b) else (b, a)
    return longer[1:] == shorter and len(shorter) > 1


FEATURES = (
    "words_min words_max content_min content_max left_min left_max left_share plain_min plain_max "
    "jaccard shared_content letters length_ratio equal "
    "number_changed number_one_sided date_changed date_one_sided unit_changed unit_one_sided "
    "name_changed name_one_sided scope_changed scope_one_sided negation_changed opposite "
    "asks_shared asks_changed asks_one_sided asks_first_shared "
    "points_min points_max parts_changed joins_one_sided yours_changed mine_changed "
    "inversions crossed substituted inserted head_shared tail_shared longest_max longest_share"
).split()


def features(question: str, other: str) -> list[float]:
    """Measure how two questions differ, the same way whichever is asked first."""
    # Some measures look from one side; sorted, because who trains them knows which is the trap.
    question, other = sorted((question, other))
    a, b = words_of(question), words_of(other)
    parting = parted(question, other)
    found = [*_sizes(a, b, parting), *_kinds(parting), *_asked(a, b)]
    return [*found, *_about(question, other), *_order(a, b, parting)]


Words = Sequence[Word]


def _sizes(a: Words, b: Words, parting: Parting) -> list[float]:
    left, right = _content(parting.left), _content(parting.right)
    full_a, full_b = _content(a), _content(b)
    shared = len(full_a) - len(left)
    return [
        *_both(len(a), len(b)),
        *_both(len(full_a), len(full_b)),
        *_both(len(left), len(right)),
        (len(left) + len(right)) / max(1, len(full_a) + len(full_b)),
        *_both(len(parting.left) - len(left), len(parting.right) - len(right)),
        len(parting.shared) / max(1, len(a) + len(b) - len(parting.shared)),
        shared,
        _dice(a, b),
        min(len(a), len(b)) / max(1, len(a), len(b)),
        [w.stem for w in a] == [w.stem for w in b],
    ]


def _kinds(parting: Parting) -> list[float]:
    """Count what kinds of words are on one side only, and which of them stand on both."""
    left, right = parting.left, parting.right
    found: list[float] = []
    *counts, (denied, refused) = zip(_tally(left), _tally(right), strict=True)
    for one, other in counts:
        found += [min(one, other), abs(one - other)]
    opposing = sum(opposed(x, y) for x in left for y in right if x.turns or y.turns)
    return [*found, abs(denied - refused), opposing]


def _tally(words: Words) -> list[int]:
    return [sum(column) for column in zip(*(w.kinds for w in words), strict=True)] or NONE


def _asked(a: Words, b: Words) -> list[float]:
    one, other = ({QUESTION[w.form] for w in words if w.form in QUESTION} for words in (a, b))
    one, other = (kinds - {"whether", "may"} or kinds for kinds in (one, other))
    first = [next((QUESTION[w.form] for w in words if w.form in QUESTION), "") for words in (a, b)]
    return [
        len(one & other),
        min(len(one - other), len(other - one)),
        len(one ^ other),
        first[0] == first[1],
    ]


def _about(question: str, other: str) -> list[float]:
    """Look at what the texts point at, how many questions they are, and whose."""
    (points, *one), (pointed, *two) = _counts(question), _counts(other)
    return [*_both(points, pointed), *(abs(x - y) for x, y in zip(one, two, strict=True))]


@lru_cache(maxsize=4096)
def _counts(text: str) -> tuple[int, ...]:
    forms = [w.form for w in words_of(text)]
    joins = forms.count("and") + forms.count("or")
    points = not POINTERS.isdisjoint(forms)
    return (
        len(POINTING.findall(re.split(r"[.?!]\s", text, maxsplit=1)[0])) if points else 0,
        len(PARTS.findall(text)) if joins or "?" in text[:-1] else 0,
        joins,
        not YOURS.isdisjoint(forms),
        not MINE.isdisjoint(forms),
    )


def _order(a: Words, b: Words, parting: Parting) -> list[float]:
    """Look at the order of what both say, and at where the rest stands."""
    places = [j for i, j in parting.shared if a[i].content]
    inversions = sum(x > y for n, x in enumerate(places) for y in places[n + 1 :])
    matched = dict(parting.shared)
    longest = run = swapped = inserted = 0
    for i in range(len(a)):
        goes_on = i in matched and (not run or matched[i - 1] + 1 == matched[i])
        run = run + 1 if goes_on else 0
        longest = max(longest, run)
    at_a = [i for i in range(len(a)) if i not in matched and a[i].content]
    taken = set(matched.values())
    around = {(matched.get(i - 1, -1), matched.get(i + 1, len(b))) for i in at_a}
    for j in range(len(b)):
        if j not in taken and b[j].content:
            if (j - 1, j + 1) in around:
                swapped += 1
            else:
                inserted += 1
    last = [next((w.stem for w in reversed(words) if w.content), "") for words in (a, b)]
    lead = [next((w.stem for w in words if w.content), "") for words in (a, b)]
    return [
        inversions,
        inversions / max(1, len(places)),
        swapped,
        inserted,
        lead[0] == lead[1],
        last[0] == last[1],
        longest,
        longest / max(1, len(a), len(b)),
    ]


def _content(words: Words) -> list[Word]:
    return [word for word in words if word.content]


def _dice(a: Words, b: Words) -> float:
    """Return the share of runs of three letters that the words of two texts have in common."""
    one, other = (NO_GRAMS.union(*[word.grams for word in words]) for words in (a, b))
    return 2 * len(one & other) / max(1, len(one) + len(other))


def _both(one: float, other: float) -> tuple[float, float]:
    return min(one, other), max(one, other)


def opposed(one: Word, other: Word) -> bool:
    """Tell whether two words are opposites: open and close, paid and unpaid."""
    if one.form in OPPOSING and frozenset((one.form, other.form)) in OPPOSITES:
        return True
    if one.stem in OPPOSING and frozenset((one.stem, other.stem)) in STEMS:
        return True
    shorter, longer = one.form, other.form
    if len(shorter) > len(longer):
        shorter, longer = longer, shorter
    if len(shorter) <= 3 or not longer.endswith(shorter):
        return False
    return longer[: -len(shorter)] in PREFIXES


@lru_cache(maxsize=64)
def parted(question: str, other: str) -> Parting:
    """Match the words of two texts, which several looks at the same pair need."""
    return part(words_of(question), words_of(other))


PREFIXES = ("un", "in", "im", "ir", "non", "dis", "de")
NONE = [0] * len(KINDS)
NO_GRAMS: frozenset[str] = frozenset()
UNITS = frozenset(SAME_UNIT.values())
STEMS = frozenset(frozenset(stem(word) for word in pair) for pair in OPPOSITES)
OPPOSING = frozenset().union(*OPPOSITES, *STEMS)
"""All words and stems that have an opposite."""
