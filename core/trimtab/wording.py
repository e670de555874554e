"""Saying the same in fewer words: pure functions of a text, for English.

What binds a reader is left alone: numbers, negations, modal verbs, conditions, names, whatever is
quoted, code, variables and addresses.
"""

from __future__ import annotations

import re
from collections import Counter as Tally
from functools import lru_cache


def word_set(text: str) -> frozenset[str]:
    """Write a set of words as a text.

    >>> from trimtab.wording import word_set
    >>> sorted(word_set("not never"))
    ['never', 'not']
    """
    return frozenset(text.split())


PHRASES = {
    "a large number of": "many",
    "a majority of": "most",
    "all of the": "all",
    "any of the": "any",
    "are able to": "can",
    "as a means of": "for",
    "as a result of": "because of",
    "as well as": "and",
    "at all times": "always",
    "at the present time": "now",
    "at this point in time": "now",
    "be sure to": "",
    "by means of": "by",
    "despite the fact that": "although",
    "due to the fact that": "because",
    "during the course of": "during",
    "during the time that": "while",
    "each and every": "every",
    "each of the": "each",
    "for the duration of": "during",
    "for the purpose of": "for",
    "for the purposes of": "for",
    "for the reason that": "because",
    "for the sake of": "for",
    "has the ability to": "can",
    "have the ability to": "can",
    "in accordance with": "per",
    "in addition to": "besides",
    "in advance of": "before",
    "in an effort to": "to",
    "in close proximity to": "near",
    "in conjunction with": "with",
    "in order for": "for",
    "in order that": "so that",
    "in order to": "to",
    "in regard to": "about",
    "in relation to": "about",
    "in spite of": "despite",
    "in such a manner that": "so that",
    "in such a way that": "so that",
    "in the absence of": "without",
    "in the case that": "if",
    "in the course of": "during",
    "in the event that": "if",
    "in the form of": "as",
    "in the near future": "soon",
    "in the process of": "",
    "inside of": "inside",
    "is able to": "can",
    "kindly": "",
    "make certain that": "ensure",
    "make sure that you": "",
    "make sure that": "ensure",
    "make sure to": "",
    "make sure you": "",
    "make sure": "ensure",
    "making sure that": "ensuring",
    "making sure": "ensuring",
    "many of the": "many",
    "most of the": "most",
    "on a regular basis": "regularly",
    "on account of": "because of",
    "on the basis of": "by",
    "on the grounds that": "because",
    "outside of": "outside",
    "pertaining to": "about",
    "please": "",
    "prior to": "before",
    "so as to": "to",
    "some of the": "some",
    "subsequent to": "after",
    "take into account": "consider",
    "take into consideration": "consider",
    "that you want to": "to",
    "that you wish to": "to",
    "that you would like to": "to",
    "the fact that": "that",
    "the majority of": "most",
    "the manner in which": "how",
    "the way in which": "how",
    "under the condition that": "if",
    "until such time as": "until",
    "utilise": "use",
    "utilize": "use",
    "utilized": "used",
    "utilizing": "using",
    "with a view to": "to",
    "with reference to": "about",
    "with regard to": "about",
    "with regards to": "about",
    "with respect to": "about",
    "with the exception of": "except",
    "with the help of": "with",
}
"""A long way of saying something, and a short one."""
OPENERS = (
    "as a reminder,",
    "as mentioned above,",
    "as mentioned before,",
    "as mentioned earlier,",
    "as mentioned previously,",
    "as previously mentioned,",
    "as you know,",
    "be advised that",
    "be aware that",
    "for your information,",
    "in general terms,",
    "in other words,",
    "it goes without saying that",
    "it is also important to note that",
    "it is also worth noting that",
    "it is crucial to",
    "it is essential to",
    "it is important to note that",
    "it is important to remember that",
    "it is important to",
    "it is recommended to note that",
    "it is very important to",
    "it is worth mentioning that",
    "it is worth noting that",
    "it should be noted that",
    "keep in mind that",
    "needless to say,",
    "note that",
    "of course,",
    "please be advised that",
    "please be aware that",
    "please keep in mind that",
    "please note that",
    "please note:",
    "please remember that",
    "please remember to",
    "remember that",
    "remember to",
    "the fact is that",
)
"""Ways to begin a sentence that say nothing."""
CONTRACTIONS = {
    "are not": "aren't",
    "did not": "didn't",
    "do not": "don't",
    "does not": "doesn't",
    "has not": "hasn't",
    "have not": "haven't",
    "is not": "isn't",
    "it is": "it's",
    "there is": "there's",
    "was not": "wasn't",
    "we are": "we're",
    "were not": "weren't",
    "you are": "you're",
}
"""One token for two."""
SMALL = word_set(
    "am an and are as at be been being but by can could did do does for from had has have if in is "
    "it may might must nor not of on onto or shall should so than that then to was were will with "
    "would"
)
"""Words that no article stands before: what looks like one there is a name, or a letter."""
COUNTED = word_set(
    "few little lot number bit couple while time day week month quarter year hour minute second "
    "night million thousand hundred dozen single"
)
"""Words before which "a" says how many, or how often."""
FOREIGN = word_set(
    "el los las una unos del que para por les des et est une der und ein eine oder gli uma são dos "
    "das nos il che della het een"
)
HIDDEN = 0xF0000
"""The first of the private characters that stand for what no edit may touch."""

_QUOTED = (
    r"""'[^'\n]{1,200}'(?!\w)|"[^"\n]{1,300}"|"""
    r"\u201c[^\u201d\n]{1,300}\u201d|\u2018[^\u2019\n]{1,200}\u2019"
    r"|\u00ab[^\u00bb\n]{1,300}\u00bb"
)
_SHIELDED = re.compile(
    r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|``[^`\n]+``|`[^`\n]+`"
    r"|\{\{.*?\}\}|\{%.*?%\}|\$\{[^{}\n]*\}|\{[^{}\n]*\}|</?[A-Za-z_][^<>\n]{0,120}>"
    r"|(?:https?://|www\.)[^\s\"'<>)]*[^\s\"'<>).,;:]"
    rf"|(?<![\w'])(?:{_QUOTED})",
    re.DOTALL,
)
_PRIVATE = re.compile("[\U000f0000-\U000ffffd]")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_ARTICLE = re.compile(
    r"(?<![\w'\u2019.\-/])(?P<article>[Tt]he|[Aa]n?)[ \t]+"
    r"(?P<next>[$#(\[]?[\U000f0000-\U000ffffd]|[^\W_][\w'\u2019-]*)"
)
_STARTS = re.compile(
    r"(?:^|[.!?:;]['\")\]*_]*\s|\n)[ \t]*(?:[-*•>#]+|\(?\w{1,2}[.)])?[ \t]*[*_]*\Z"
)
_KEPT_BEFORE = re.compile(
    r"(?:\b(?:such|what|half|many|quite|once|twice|times|per|option|plan|grade|type|class"
    r"|(?:one|none|either|neither|rest|part|two|three|several|few) of)|[\d$%]\w*)\s+\Z",
    re.IGNORECASE,
)
_COPULA = re.compile(r"\b(?:is|are|was|were|be|being|become|becomes)(?: not)? \Z", re.IGNORECASE)
_STOPS = re.compile(r"\s*(?:[.,;:!?)\]]|\Z|(?:and|or|but)\b)")
"""Ends of a noun on its own: "if he is a minor," would say something else without "a"."""
_BINDING = re.compile(
    r"\d+(?:[.,:/-]\d+)*|n['\u2019]t\b|\b(?:not|no|nor|never|none|neither|nothing|cannot|without|must"
    r"|should|shall|may|might|can|could|will|would|need|needs|required|if|unless|when|whenever"
    r"|only|until|except|otherwise|once|either|both|all|any|every|each|at least|at most|more than"
    r"|less than|always)\b",
    re.IGNORECASE,
)


SAME = {"can't": "cannot", "at all times": "always"}
"""What binds in other words."""
_SAME = re.compile("|".join(SAME))


_RULE = re.compile(
    r"n['\u2019]t\b|\b(?:not|no|nor|never|none|neither|nothing|cannot|without|must|should|shall|might"
    r"|need|needs|required|requires|if|unless|when|whenever|only|until|except|otherwise|because"
    r"|before|after|always|careful|caution|warning|important|danger|dangerous|irreversibl[ey]"
    r"|permanent(?:ly)?|avoid|beware|ensure|note|deprecated|exactly|at least|at most|up to|maximum"
    r"|minimum|either|instead)\b",
    re.IGNORECASE,
)


def tighten(text: str, *, articles: bool = True, terse: bool = False) -> str:
    """Say the same in fewer words.

    A line that would lose something binding comes back with only its white space tidied.

    Args:
        text: Instructions, a description, or the like.
        articles: Leave out "the" and "a" where that changes nothing.
        terse: Also contract ("do not" to "don't"), and drop bold print and "that are".

    >>> from trimtab.wording import tighten
    >>> tighten("In the event that an order is late, say why.")
    'If order is late, say why.'
    """
    tidy = tidy_space(text)
    if not is_english(tidy):
        return tidy
    masked, hidden = shield(tidy)
    whole = unshield(_edited(masked, articles, terse), hidden)
    if keeps_what_binds(tidy, whole):
        return whole
    lines = masked.split("\n")
    edits = [_edited(line, articles, terse) for line in lines]
    pairs = zip(lines, edits, strict=True)
    kept = [new if keeps_what_binds(old, new) else old for old, new in pairs]
    edited = unshield("\n".join(kept), hidden)
    return edited if keeps_what_binds(tidy, edited) else tidy


def _edited(masked: str, articles: bool, terse: bool) -> str:
    edited = _phrases(masked)
    if terse:
        edited = _terser(edited)
    return _mend(drop_articles(edited) if articles else edited)


def tidy_space(text: str) -> str:
    """Drop white space that shows nothing. Indentation, line breaks and code stay.

    >>> from trimtab.wording import tidy_space
    >>> tidy_space("Be  brief,   and kind.  ")
    'Be brief, and kind.'
    """
    masked, hidden = shield(text)
    masked = re.sub(r"[ \t]+(?=\n|\Z)", "", masked)
    masked = re.sub(r"(?<=[^\s|])[ \t]{2,}(?=[^\s|#])", " ", masked)
    return unshield(re.sub(r"\n{3,}", "\n\n", masked), hidden).strip()


def drop_articles(text: str) -> str:
    """Leave out "the", "a" and "an", but where they count, name, or are no articles.

    >>> from trimtab.wording import drop_articles
    >>> drop_articles("Look up the order in the database.")
    'Look up order in database.'
    """
    return _ARTICLE.sub(_without_article, text)


def shield(text: str) -> tuple[str, tuple[str, ...]]:
    """Put one private character in the place of each code, quotation, variable and address.

    >>> from trimtab.wording import shield, unshield
    >>> masked, hidden = shield("Answer `yes` to {name}.")
    >>> hidden, unshield(masked, hidden)
    (('`yes`', '{name}'), 'Answer `yes` to {name}.')
    """
    if _PRIVATE.search(text):
        return chr(HIDDEN), (text,)
    hidden: list[str] = []

    def hide(match: re.Match[str]) -> str:
        hidden.append(match[0])
        return chr(HIDDEN + len(hidden) - 1)

    return _SHIELDED.sub(hide, text), tuple(hidden)


def unshield(text: str, hidden: tuple[str, ...]) -> str:
    """Undo `shield`."""
    return _PRIVATE.sub(lambda match: hidden[ord(match[0]) - HIDDEN], text)


def is_english(text: str) -> bool:
    """Tell from its small words; a text with none of them passes.

    >>> from trimtab.wording import is_english
    >>> is_english("Say why it is late."), is_english("Sag, warum es nicht kommt und wer es hat.")
    (True, False)
    """
    seen = Tally(word.lower() for word in _WORD.findall(text))
    foreign = sum(seen[word] for word in FOREIGN)
    return foreign == 0 or foreign * 4 < sum(seen[word] for word in (*SMALL, "the", "a"))


def binds(text: str) -> bool:
    """Whether a text forbids, demands, warns, or says when something holds.

    >>> from trimtab.wording import binds
    >>> binds("Never promise a date."), binds("Our shop sells kayaks.")
    (True, False)
    """
    return bool(_RULE.search(text))


def keeps_what_binds(before: str, after: str) -> bool:
    """Whether each number, negation, modal verb and condition still stands as often.

    >>> from trimtab.wording import keeps_what_binds
    >>> keeps_what_binds("Do not send 2 parcels.", "Do not send parcels.")
    False
    """
    return not _binding(before) - _binding(after)


@lru_cache(maxsize=4096)
def _binding(text: str) -> Tally[str]:
    return Tally(
        "not" if match[-1:] == "t" and match.lower() in ("n't", "n\u2019t") else match.lower()
        for match in _BINDING.findall(_SAME.sub(lambda same: SAME[same[0]], text))
    )


def _phrases(text: str) -> str:
    return _PHRASE.sub(_shorter, _OPENER.sub(_shorter, text))


def _terser(text: str) -> str:
    text = _CONTRACTED.sub(_shorter, text)
    text = re.sub(r"(?<![\w*])\*\*(?=\S)([^*\n]+?)(?<=\S)\*\*(?![\w*])", r"\1", text)
    text = _THAT_ARE.sub(r" \1", text)
    return _ADDRESSED.sub(lambda match: _capital(match[1]), text)


_PHRASE = re.compile(
    r"(?<![\w'-])(?P<said>"
    + "|".join(re.escape(p) for p in sorted(PHRASES, key=len, reverse=True))
    + r")(?![\w'-])(?:(?P<gap>,?[ \t]+)(?P<next>[^\W\d_][\w'-]*)?)?",
    re.IGNORECASE,
)
_OPENER = re.compile(
    r"(?:(?<=[.!?:\n] )|(?<=[\n])|\A|(?<=- )|(?<=\* ))(?P<said>"
    + "|".join(re.escape(p) for p in sorted(OPENERS, key=len, reverse=True))
    + r")(?:(?P<gap>[ \t]+)(?P<next>[^\W\d_][\w'-]*)?)",
    re.IGNORECASE,
)
_CONTRACTED = re.compile(
    r"(?<![\w'-])(?P<said>" + "|".join(CONTRACTIONS) + r")(?![\w'-])(?P<gap>)(?P<next>)",
    re.IGNORECASE,
)
_THAT_ARE = re.compile(
    r"(?<=[a-z])[ ](?:that|which|who) (?:is|are|was|were) "
    r"((?:currently |already |not )?[a-z]{3,}(?:ed|en|own)\b)"
)


_ADDRESSED = re.compile(
    r"(?:(?<=[.!?:\n] )|(?<=\n)|\A|(?<=- )|(?<=\* ))(?:You|(?:The )?(?:[Aa]gent|[Aa]ssistant)) "
    r"((?:must|should|may|can|cannot)\b)"
)
"""Who is told what to do: the reader of the instructions."""


def _shorter(match: re.Match[str]) -> str:
    """Give the short way, with the capital that the long way began with; what is shouted stays."""
    said, gap, following = match["said"], match["gap"] or "", match["next"] or ""
    if any(len(word) > 1 and word.isupper() for word in said.split()):
        return match[0]
    short = (PHRASES | CONTRACTIONS).get(said.lower(), "")
    if short:
        return (_capital(short) if said[0].isupper() else short) + gap + following
    return _capital(following) if said[0].isupper() else following


def _without_article(match: re.Match[str]) -> str:
    article, following = match["article"], match["next"]
    before = match.string[max(0, match.start() - 24) : match.start()]
    starts = bool(_STARTS.search(before)) or not match.start()
    after = match.string[match.end() : match.end() + 5]
    named = _COPULA.search(before) and _STOPS.match(after)
    if named or _must_keep(article, following, before, starts):
        return match[0]
    return _capital(following) if starts and article[0].isupper() else following


def _must_keep(article: str, following: str, before: str, starts: bool) -> bool:
    lower = following.lower()
    if lower in SMALL or _KEPT_BEFORE.search(before):
        return True
    if article[0].isupper() and not starts:
        return True
    if article.lower() == "the":
        named = following[0].isupper() and not following.isupper()
        return lower in {"one", "former", "latter", "more", "less", "fewer", "better"} or named
    return lower in COUNTED


def _capital(word: str) -> str:
    """Begin a sentence with a word, unless it is an identifier, or written in its own way."""
    plain = word.islower() and re.fullmatch(r"[^\W\d_]+(?:[ '\u2019][^\W\d_]+)*", word)
    return word[:1].upper() + word[1:] if plain else word


def _mend(text: str) -> str:
    """Close the gaps that dropped words left."""
    text = re.sub(r"(?<=\S)[ \t]{2,}(?=\S)", " ", text)
    text = re.sub(r"[ \t]+([,.;:!?)])(?=\s|\Z)", r"\1", text)
    return re.sub(r"[ \t]+(?=\n|\Z)", "", text).strip()
