"""Words left out one by one, as a model trained for that says.

The method is that of LLMLingua-2 (Pan et al. 2024, arXiv 2403.12968): an encoder tells for each of
its tokens how probable it is that a good summary keeps it; the probability of a word is the mean
over its tokens; and the words below a quantile go. The quantile is chosen here by counting what is
left, so that the budget holds exactly.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import lru_cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from trimtab.relevance import SPACELESS
from trimtab.sentences import split
from trimtab.tokens import counter_for
from trimtab.types import Counter

KEEP = 1
"""The label of words to keep."""
LABELS = 2
WINDOW = 512
"""Tokens that are read at once, at most."""
BATCH = 8
"""Windows."""
LONGEST = 60
"""Characters from which on a word, such as JSON without spaces, is cut before a sign."""
SURROGATE = re.compile("[\ud800-\udfff]")
EDGES = re.compile(r"^[\W_]+|[\W_]+$")
LETTER = re.compile(r"[^\W_]")
DIGIT = re.compile(r"\d")


@dataclass(frozen=True)
class LLMLingua:
    """Leaves out the words that a model of LLMLingua-2 holds for dispensable, whatever is asked.

    What is left is read by models, hardly by people. A text within the budget comes back as it is.

    Raises:
        ImportError: transformers or torch is not installed.
        FileNotFoundError: The model is neither a folder nor to be had from the hub.
        ValueError: It is no classifier of tokens with two labels, or the settings make no sense.

    >>> from trimtab.compress import LLMLingua
    >>> LLMLingua("microsoft/llmlingua-2-bert-base-multilingual-cased-meetingbank", ratio=0.5)
    Traceback (most recent call last):
    ValueError: ratio must be at least 1, got 0.5
    """

    model: str | Path
    """Such as `microsoft/llmlingua-2-bert-base-multilingual-cased-meetingbank`, or a folder."""
    _: KW_ONLY
    budget: int | None = None
    """Tokens that may be left of all texts of a call together. Never exceeded."""
    ratio: float = 2.0
    """Where there is no budget: how many times fewer tokens to leave."""
    keep: Collection[str] = ()
    """Words, and signs in words, that go last."""
    digits: bool = False
    """Whether words with digits go last, too."""
    device: str = "cpu"
    count: Counter | None = None
    """o200k_base tokens if it is not given."""
    _judge: Judge = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.budget is not None and self.budget < 1:
            raise ValueError(f"budget must be at least 1, got {self.budget}")
        if not self.ratio >= 1:
            raise ValueError(f"ratio must be at least 1, got {self.ratio}")
        if isinstance(self.keep, str):
            raise ValueError(f"keep must be several words, got the text {self.keep!r}")
        object.__setattr__(self, "_judge", load(str(self.model), self.device))

    def __call__(self, text: str, query: str = "") -> str:
        """Return the text with fewer words."""
        return self.many([text], query)[0]

    def many(self, documents: Sequence[str], query: str = "") -> list[str]:
        """Return each text with fewer words, in the same order, within one budget for all."""
        count = self.count or counter_for("gpt-4o")
        total = sum(map(count, documents))
        budget = max(int(total / self.ratio), 1) if self.budget is None else self.budget
        if total <= budget:
            return list(documents)
        words = self._judge(documents)
        order = sorted(range(len(words)), key=lambda place: self._rank(words[place]))

        def too_long(many: int) -> bool:
            return sum(map(count, _without(words, order[many:], len(documents)))) > budget

        fitting = bisect_left(range(1, len(words) + 1), True, key=too_long)
        return _without(words, order[fitting:], len(documents))

    def _rank(self, word: Word) -> tuple[bool, float]:
        """Lower stays longer."""
        return not self._is_wanted(word.text.casefold()), -word.worth

    def _is_wanted(self, word: str) -> bool:
        if self.digits and DIGIT.search(word):
            return True
        plain = EDGES.sub("", word)
        wanted = map(str.casefold, self.keep)
        return any(
            one in (word, plain) or (not LETTER.search(one) and one in word) for one in wanted
        )


@dataclass(frozen=True)
class Word:
    """A word of a text, with the signs around it."""

    document: int
    text: str
    space: str
    """White space after it."""
    worth: float
    """How probable it is that it should be kept."""


class Judge:
    """Tells of each word how probable it is that it should be kept.

    Args:
        tokenizer: A fast one, of transformers.
        network: A classifier of tokens, of transformers.
    """

    def __init__(self, tokenizer: Any, network: Any) -> None:
        self._network = network.float().eval()
        self._encoder = tokenizer.backend_tokenizer
        # A saved tokenizer may come with limits of its own.
        self._encoder.no_truncation()
        self._encoder.no_padding()
        self._first = [tokenizer.cls_token_id] if tokenizer.cls_token_id is not None else []
        self._last = [tokenizer.sep_token_id] if tokenizer.sep_token_id is not None else []
        self._padding = tokenizer.pad_token_id or 0
        # The positions of RoBERTa's kind start behind the one for padding.
        positions = getattr(network.config, "max_position_embeddings", WINDOW + 2) - 2
        frame = len(self._first) + len(self._last)
        self._size = min(tokenizer.model_max_length, positions, WINDOW) - frame

    def __call__(self, documents: Sequence[str]) -> list[Word]:
        """Return the words of all texts, in order."""
        # Half of a pair, left by a cut through an emoji, is no text to the tokenizer.
        plain = [SURROGATE.sub("?", document) for document in documents]
        read = [self._encoder.encode(text, add_special_tokens=False) for text in plain]
        starts = [
            [_start(text, *span) for span in tokens.offsets]
            for text, tokens in zip(plain, read, strict=True)
        ]
        spans = [
            (place, *span)
            for place, text in enumerate(plain)
            for span in _windows(text, starts[place], self._size)
        ]
        found = self._worths([read[place].ids[start:end] for place, start, end in spans])
        worths: list[list[float]] = [[] for _ in documents]
        for (place, _, _), some in zip(spans, found, strict=True):
            worths[place] += some
        return [
            word
            for place, text in enumerate(documents)
            for word in _words(place, text, zip(starts[place], worths[place], strict=True))
        ]

    def _worths(self, windows: Sequence[list[int]]) -> list[list[float]]:
        """Read windows; the longest together, so that little is padded."""
        order = sorted(range(len(windows)), key=lambda place: -len(windows[place]))
        found: dict[int, list[float]] = {}
        for first in range(0, len(order), BATCH):
            some = order[first : first + BATCH]
            found.update(zip(some, self._read([windows[place] for place in some]), strict=True))
        return [found[place] for place in range(len(windows))]

    def _read(self, windows: Sequence[list[int]]) -> list[list[float]]:
        import torch

        framed = [[*self._first, *window, *self._last] for window in windows]
        longest = max(map(len, framed))
        ids = [row + [self._padding] * (longest - len(row)) for row in framed]
        mask = [[1] * len(row) + [0] * (longest - len(row)) for row in framed]
        device = self._network.device
        with torch.inference_mode():
            logits = self._network(
                input_ids=torch.tensor(ids, device=device),
                attention_mask=torch.tensor(mask, device=device),
            ).logits
        rows = logits.softmax(-1)[:, len(self._first) :, KEEP].tolist()
        return [row[: len(window)] for row, window in zip(rows, windows, strict=True)]


@lru_cache(maxsize=2)
def load(model: str, device: str) -> Judge:
    """Load a model, once for all compressors that share it."""
    try:
        from transformers import AutoModelForTokenClassification, AutoTokenizer
    except ImportError as error:
        raise ImportError(
            "LLMLingua needs transformers and torch: pip install 'trimtab[lingua]'"
        ) from error
    network: Any
    try:
        network, report = AutoModelForTokenClassification.from_pretrained(
            model, output_loading_info=True
        )
        tokenizer: Any = AutoTokenizer.from_pretrained(model)
    except OSError as error:
        raise FileNotFoundError(
            f"no model {model!r}: give the folder of one, or its name on the hub while online"
        ) from error
    _check(model, tokenizer, network, report["missing_keys"])
    return Judge(tokenizer, network.to(device))


def _check(model: str, tokenizer: Any, network: Any, missing: Collection[str]) -> None:
    labels = network.config.num_labels
    if labels != LABELS:
        raise ValueError(f"{model!r} must tell {LABELS} labels, drop and keep, but has {labels}")
    if any(not name.startswith(network.base_model_prefix) for name in missing):
        raise ValueError(f"{model!r} was not trained to classify tokens")
    if not tokenizer.is_fast:
        raise ValueError(f"{model!r} has no fast tokenizer, which tells where a token stands")


def _start(text: str, start: int, end: int) -> int:
    """Skip the space before a word, which the tokens of some models hold."""
    return next((place for place in range(start, end) if not text[place].isspace()), end)


def _windows(text: str, starts: Sequence[int], size: int) -> Iterator[tuple[int, int]]:
    """Part the tokens of a text at the ends of sentences, or where one is too long inside it."""
    ordered = list(accumulate(starts, max))
    ends = [bisect_left(ordered, end) for end in accumulate(map(len, split(text)))]
    first = 0
    while first < len(starts):
        last = min(first + size, len(starts))
        place = bisect_right(ends, last)
        end = ends[place - 1] if place and ends[place - 1] > first else last
        yield first, end
        first = end


def _words(document: int, text: str, tokens: Iterable[tuple[int, float]]) -> Iterator[Word]:
    """Join tokens to words. Where a script has no spaces, each token is one."""
    starts: list[int] = []
    worths: list[list[float]] = []
    for start, worth in tokens:
        if not starts or _is_start(text, start, starts[-1]):
            starts.append(start)
            worths.append([])
        worths[-1].append(worth)
    if not starts:
        return
    for (start, end), found in zip(pairwise([0, *starts[1:], len(text)]), worths, strict=True):
        word = text[start:end].rstrip()
        yield Word(document, word, text[start + len(word) : end], sum(found) / len(found))


def _is_start(text: str, start: int, word: int) -> bool:
    if not word < start < len(text):
        return False
    before, letter = text[start - 1], text[start]
    if before.isspace() or SPACELESS.match(before) or SPACELESS.match(letter):
        return True
    return start - word >= LONGEST and not letter.isalnum()


def _without(words: Sequence[Word], left_out: Collection[int], documents: int) -> list[str]:
    """Write the texts again, with the widest white space of those that meet."""
    gone = set(left_out)
    written: list[list[str]] = [[] for _ in range(documents)]
    spaces = [""] * documents
    for place, word in enumerate(words):
        text = written[word.document]
        if place in gone:
            spaces[word.document] = _wider(spaces[word.document], word.space)
            continue
        if text:
            text.append(spaces[word.document])
        text.append(word.text)
        spaces[word.document] = word.space
    return ["".join(text) for text in written]


def _wider(space: str, other: str) -> str:
    """Choose between an empty line, a line break, a space, and nothing."""
    breaks = max(space.count("\n"), other.count("\n"))
    return "\n\n"[:breaks] if breaks else (space or other)[:1]
