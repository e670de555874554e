"""A description cut where its phrases begin, so that phrases can be left out."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from trimtab.wording import binds, is_english, shield, tighten, unshield


@dataclass(frozen=True)
class Said:
    """A description, and what its reader knows without it."""

    text: str
    known: frozenset[str] = frozenset()
    """Stems of the names around it, of its type, and of the values it may take."""
    values: frozenset[str] = frozenset()
    """The values that the schema lists beside it."""
    default: str = ""
    """The value that the schema says is taken if none is given."""
    whole: bool = False
    """True for the description of a tool, which never ends up empty."""


class Kind(Enum):
    """How a piece hangs together with those around it."""

    LEAD = auto()
    """Opens a sentence, and can go alone: "This function is used to"."""
    HEAD = auto()
    """What a sentence begins with. Goes together with all that hangs on it."""
    TAIL = auto()
    """Hangs on what stands before it: "of the flight"."""
    WORD = auto()
    """Hangs on what stands before it, and can go alone: "specific", "(local time)"."""
    REST = auto()
    """Goes on after a word, and goes only with what began before it."""
    EXAMPLE = auto()
    """Can go alone, and stay alone."""


@dataclass(frozen=True)
class Piece:
    """A run of words that stays or goes as one."""

    text: str
    kind: Kind
    sentence: int = 0
    binds: bool = False


@dataclass(frozen=True)
class Draft:
    """A description in pieces."""

    pieces: tuple[Piece, ...]
    ends: tuple[str, ...]
    """What follows each sentence: its full stop, and white space."""
    hidden: tuple[str, ...] = field(repr=False)
    """What the private characters in the pieces stand for."""

    def words(self, place: int) -> str:
        """One piece as a reader sees it."""
        return unshield(self.pieces[place].text, self.hidden)


def stems(text: str) -> frozenset[str]:
    """The words of a text, cut so that most forms of a word fall together; names are parted."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return frozenset(stem(word) for word in re.findall(r"[a-z]+", apart.lower()))


def stem(word: str) -> str:
    """Cut a word so that most of its forms fall together."""
    word = SAME.get(word, word)
    return word[:6] if len(word) > 6 else word.rstrip("s")


SAME = {"identifier": "id", "identifiers": "id", "number": "num", "numeric": "num"}
VAGUE = stems(
    "specific specified given particular desired certain various unique respective corresponding "
    "appropriate value details detail information data object list array string containing "
    "contain parameter argument field used using use associated related want provide provided "
    "following item piece type result function tool method api request perform based current "
    "represent indicate specify describe retrieve return get obtain fetch set one user name "
    "optional sub"
)
"""Words that seldom tell a reader anything new."""


def draft(said: Said, examples: bool = True) -> Draft | None:
    """Cut a description in pieces, or return None where it is none, or not in English.

    Args:
        said: The description.
        examples: Whether an example that shows what a value looks like binds.
    """
    if not said.text or not is_english(said.text):
        return None
    text, hidden = shield(RULER.sub("", tighten(said.text)))
    pieces: list[Piece] = []
    ends: list[str] = []
    start = 0
    for end in [*_ENDS.finditer(text), None]:
        sentence = text[start : end.start()] if end else text[start:]
        pieces += _Sentence(sentence, len(ends), said, hidden, examples).cut()
        ends.append(end[0] if end else "")
        start = end.end() if end else len(text)
    return Draft(tuple(pieces), tuple(ends), hidden)


def render(pieces: Draft, gone: Collection[int]) -> str:
    """Write what is left."""
    sentences = []
    for number, end in enumerate(pieces.ends):
        kept = [
            piece
            for i, piece in enumerate(pieces.pieces)
            if piece.sentence == number and i not in gone
        ]
        if kept:
            sentences.append(_sentence(kept) + end)
    text = "".join(sentences).strip()
    text = re.sub(rf"(?:,? |\A)such as (?={_PRIVATE})", " like ", text).strip()
    return unshield(re.sub(r"(?<![.])\.\Z", "", text), pieces.hidden)


def _sentence(kept: list[Piece]) -> str:
    text = "".join(piece.text for piece in kept).strip()
    if kept[0].kind in (Kind.HEAD, Kind.LEAD):
        return text
    text = re.sub(r"\A(?:[,;:\u2013\u2014-] ?|of |in (?=format\b))+", "", text)
    aside = re.fullmatch(r"\(([^()]*)\)", text)
    return aside[1] if aside else text


RULER = re.compile(r"^[ \t]*[-=~*_#]{3,}[ \t]*\n?", re.MULTILINE)
"""Lines that only underline what stands above them."""
_PRIVATE = "[\U000f0000-\U000ffffd]"
_ENDS = re.compile(
    r"(?<!e\.g)(?<!i\.e)(?<!\bvs)(?<!\betc)[.!?]+[ \t]*(?:\n\s*|(?<=\s)(?=[^a-z]))"
    r"|\s*\n\s*|[.!?]+\Z"
)
_LEAD = re.compile(
    r"(?:(?:this|use this|use|using this) )?(?:function|tool|api|endpoint|method)"
    r"(?: is| is used| can be used| allows (?:you|users?)| lets you| helps(?: you)?| used)?"
    r"(?: to| for|(?= [a-z]+ing\b))(?= )"
    r"|(?:this )?(?:function|tool|api|endpoint|method)(?= (?!is|has|was|does)[a-z]+s )"
    r"|optional[:,.]?(?= )"
    r"|(?:this |optional |required )*(?:string|list|array|object|dict(?:ionary)?|bool(?:ean)?|flag"
    r"|integer|int|number|float|text|parameter|field|argument|value|property)(?: (?:value|flag))?"
    r"(?: of (?:strings|objects|dict(?:ionarie)?s|numbers|integers|items|values))?"
    r"(?: (?:that|which|used to|to))?"
    r" (?:contain|represent|indicat|specif|describ|denot|determin|hold)[a-z]*"
    r"(?: (?:details|information) (?:about|of|on|for))?(?: each)?(?= )",
    re.IGNORECASE,
)
_EXAMPLE = rf"(?:,? (?:such as|e\.g\.?,?|for example,?|for instance,?)(?= )|,? like(?= {_PRIVATE}))"
_PREPOSITION = (
    r"(?:of|for|in|on|at|by|with|within|from|into|between|about|via|through|using|during"
    r"|across|under|over|around|near|including|containing|to)"
)
_RELATIVE = rf"(?:{_PREPOSITION} )?(?:which|who|whom|whose|where|whether)"
_UNFINISHED = re.compile(
    r"(?:wants?|wish|need|needs|like|able|going|trying|defaults?|set|equal|equals|limited|due|refers?"
    r"|belongs?|corresponds?|respect|related|how|when|up|suitable|available"
    r"|responsible|eligible|relevant|similar|based|used|specified)"
)
"""Words that the next phrase goes on from."""
_SUBJECT = re.compile(r"(?:that|which|who|it|you|we|they|i|he|she|will|can|could|may|would)")
"""Words that a verb follows, which is not to be parted from what it governs."""
_GIVEN = r"(?<!on )(?<!for )(?<!in )(?<!of )(?<!at )(?<!by )(?<!with )given"
_TAIL = (
    rf",? (?:{_RELATIVE}|along with|based on|according to|used (?:to|for|in|by|as)|gotten|{_GIVEN}"
    rf"|to be|[a-z]+ing to|[a-z]{{2,}}ed (?:in|by|on|to|with|from|for|at|as)|{_PREPOSITION})(?= \S)"
)
_WORD = (
    r" (?:specific|specified|particular|desired|certain|various|unique|respective|corresponding"
    r"|appropriate)(?= [^\W\d])(?! to\b)"
    r"|(?:(?<= for)|(?<= in)|(?<= of)|(?<= on)|(?<= with)) given(?= )"
)
_BREAK = re.compile(
    rf"(?P<aside> \([^()]*\)| \[[^\[\]]*\])(?!,| and\b| or\b)|(?P<example>{_EXAMPLE})"
    rf"|(?P<tail>{_TAIL})|(?P<word>{_WORD})"
    r"|(?P<clause>[;:](?= )| [-\u2013\u2014](?= )|,(?= that\b))",
    re.IGNORECASE,
)
_WHOLE = re.compile(r"\W*(?:by )?(?:default|for (?:example|instance)|e\.g|note|example)s?\b", re.I)
"""Sentences that are not cut."""
_FINITE = re.compile(
    r" (?:is|are|was|were|has|have|will|can|could|may|does|do)(?= )|\A(?:returns|defaults)\b", re.I
)
_VALUES = re.compile(
    r"\b(?:possible|accepted|acceptable|valid|allowed|available|supported) (?:values?|options?"
    r"|choices?|types?|formats?)\b|\boptions? (?:are|is|include)|\bone of\b"
    r"|\bvalues? (?:are|is|can)\b",
    re.IGNORECASE,
)
_BINDS = re.compile(
    r"(?<!\w)[#$€£%°]|\w\|\w|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b"
    r"|(?i:\bin (?:secs?|seconds?|mins?|minutes?|hrs?|hours?|days?|weeks?|months?|years?"
    r"|met(?:er|re)s?|kms?|kilo\w+|grams?|kgs?|pounds?|lbs?|feet|foot|inch(?:es)?|miles?|celsius|fahrenheit|kelvin|percent\w*"
    r"|degrees?|radians?|dollars?|cents?|euros?|usd|bytes?|pixels?|milli\w+|centi\w+|lit(?:er|re)s?"
    r"|watts?|volts?|newtons?|joules?|pascals?|moles?|square|cubic|utc|local time)\b)"
    r"|(?i:\bin (?:[\w-]+ ){1,3}format\b|\bformat(?:ted)? (?:as|is|of|should)\b|\bformatted\b)"
    r"|(?:, |\(|\bin )(?:[mskghNJKCFWVAL]|[kcmn]m|[km]g|[hkM]?Pa|[kMG]?Hz"
    r"|[kM]Wh?|[KMGT]i?B|dB|mAh|ms|min|ml|km/h|m/s\S*|mph)\)?\Z"
    r"|(?i:\b(?:unix|epoch|timestamp|comma[- ]separated|base64|encoded|hexadecimal|markdown"
    r"|lowercase|uppercase|case[- ]sensitive|wildcards?|regex|integer|decimal)\b)"
    r"|\d"
)
_OF_A_VALUE = re.compile(r"(?:, ?| as\b| in\b(?! ['\"`\U000f0000-\U000ffffd]))", re.IGNORECASE)
_SHOUTED = re.compile(r"\b[A-Z][A-Z0-9-]{2,}\b|\b[YMDHS]{2,4}\b")
_PATTERN = re.compile(r"\b(?:YYYY|yyyy|MM|DD|dd|HH|hh)\b")


@dataclass(frozen=True)
class _Sentence:
    text: str
    number: int
    said: Said
    hidden: tuple[str, ...]
    examples: bool

    def cut(self) -> list[Piece]:
        bare = self._unlisted(self.text)
        parts = list(_whole_clauses(list(self._parts())))
        listed = len(re.findall(rf"\d|{_PRIVATE}", bare)) > 2 and "," in bare
        bound = binds(unshield(bare, self.hidden)) or (
            not self.said.values and _VALUES.search(bare) is not None
        )
        if bound or (listed and not any(kind is Kind.EXAMPLE for _, kind in parts)):
            return [Piece(self.text, Kind.HEAD, self.number, True)] if self.text.strip() else []
        if self.said.whole:
            parts = [(text, Kind.TAIL if kind is Kind.EXAMPLE else kind) for text, kind in parts]
        marked = [Piece(text, kind, self.number, self._binds(text, kind)) for text, kind in parts]
        return list(_steady(marked, self.said.whole))

    def _parts(self) -> Iterator[tuple[str, Kind]]:
        """Cut before each phrase. The pieces joined are the sentence."""
        lead = _LEAD.match(self.text)
        if lead:
            yield lead[0], Kind.LEAD
        start, kind = lead.end() if lead else 0, Kind.HEAD
        breaks = () if _WHOLE.match(self.text) else _BREAK.finditer(self.text, start)
        for match in breaks:
            if match["tail"] and self._clings(start, kind, match):
                continue
            if match.start() > start:
                yield self.text[start : match.start()], kind
            if match["example"]:
                yield from _examples(self.text[match.start() :])
                return
            if match["aside"] or match["word"]:
                yield match[0], Kind.WORD
                start, kind = match.end(), Kind.REST
            else:
                start, kind = match.start(), Kind.TAIL
        if start < len(self.text):
            yield self.text[start:], kind

    def _clings(self, start: int, kind: Kind, match: re.Match[str]) -> bool:
        """Whether a phrase must stay with what stands before it, which else says too little."""
        before = re.findall(r"[\w\U000f0000-\U000ffffd'-]+", self.text[start : match.start()])
        if len(before) < 2:
            return bool(before) or kind is Kind.HEAD
        if match[0].startswith(","):
            return False
        last = before[-1].lower()
        if match[0].lower() in (" to", " for", " with", " by") and _UNFINISHED.fullmatch(last):
            return True
        if _SUBJECT.fullmatch(before[-2].lower()):
            return True
        verb = last.endswith("ing") and not re.fullmatch(_PREPOSITION, before[-2].lower())
        return verb or (match[0].lower() in (" of", " about") and stem(last) in VAGUE)

    def _binds(self, text: str, kind: Kind) -> bool:
        bare = self._unlisted(text)
        if kind is Kind.EXAMPLE:
            shown = unshield(re.sub(_EXAMPLE, "", bare), self.hidden).strip()
            return self.examples and self._shows_a_form(shown)
        if kind is Kind.LEAD or (kind is Kind.WORD and text[1] not in "(["):
            return False
        if re.search(_PRIVATE, bare) or _BINDS.search(bare):
            return True
        if any(stem(m.lower()) not in self.said.known for m in _SHOUTED.findall(bare)):
            return True
        aside = re.fullmatch(r" [(\[](\S+)[)\]]", bare)
        return aside is not None and stem(aside[1].lower()) not in VAGUE | self.said.known

    def _shows_a_form(self, example: str) -> bool:
        """Whether an example tells what a value looks like: a plain name does not."""
        if _PATTERN.search(self.said.text) or re.fullmatch(r"(['\"])[A-Z][a-z]+\1", example):
            return False
        return re.search(r"[A-Z\d_'\"`]", example) is not None

    def _unlisted(self, text: str) -> str:
        """Leave out the values that the schema itself lists, but for words that bind."""
        values = self.said.values
        if self.said.default and "default" in self.text.lower():
            values = values | {self.said.default}
        if not values:
            return text

        def spoken(match: re.Match[str]) -> str:
            word = unshield(match[0], self.hidden)
            quoted = word != match[0]
            return "" if word.strip(QUOTES) in values and (quoted or not binds(word)) else match[0]

        return re.sub(rf"{_PRIVATE}|(?<![\w.])[\w.+-]*\w", spoken, text)


QUOTES = "'\"`\u201c\u201d\u2018\u2019"


def _examples(text: str) -> Iterator[tuple[str, Kind]]:
    """The first quoted example, the others, and what follows."""
    first = re.match(rf"{_EXAMPLE} {_PRIVATE}", text)
    if not first:
        yield text, Kind.EXAMPLE
        return
    yield first[0], Kind.EXAMPLE
    others = re.match(rf"(?:(?:,? (?:or|and)|,) ?{_PRIVATE})+", text[first.end() :])
    if others:
        yield others[0], Kind.WORD
    end = first.end() + (others.end() if others else 0)
    if end < len(text):
        yield text[end:], Kind.TAIL


def _whole_clauses(parts: list[tuple[str, Kind]]) -> Iterator[tuple[str, Kind]]:
    """Join what stands before the verb of a main clause to it."""
    verbs = [
        i
        for i, (text, kind) in enumerate(parts)
        if kind in (Kind.HEAD, Kind.TAIL, Kind.REST)
        and _FINITE.search(text)
        and not re.match(rf",? {_RELATIVE}\b", text, re.IGNORECASE)
    ]
    if not verbs or verbs[0] == 0:
        yield from parts
        return
    yield "".join(text for text, _ in parts[: verbs[0] + 1]), Kind.HEAD
    yield from parts[verbs[0] + 1 :]


def _steady(pieces: list[Piece], whole: bool) -> Iterator[Piece]:
    """Let what binds bind what it hangs on, unless it speaks of the value: "in meters"."""
    held = [piece.binds for piece in pieces]
    for i in range(len(pieces) - 2, -1, -1):
        following = pieces[i + 1]
        if held[i + 1] and following.kind is Kind.TAIL and pieces[i].kind in (Kind.HEAD, Kind.TAIL):
            held[i] = held[i] or not _OF_A_VALUE.match(following.text)
    for piece, binds_too in zip(pieces, held, strict=True):
        head = whole and piece.kind is Kind.HEAD and any(held)
        yield replace(piece, binds=binds_too or head)
