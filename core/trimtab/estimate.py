"""Guessing how many tokens a text has, where no tokenizer is at hand."""

from __future__ import annotations

import re

_LATIN = r"\u00c0-\u024f\u1e00-\u1eff"
_PIECE = re.compile(
    rf"""
    (?P<word>[ ]?[A-Z]?[a-z]+(?:'(?:s|t|re|ve|m|ll|d)\b)?(?![{_LATIN}]))
    |(?P<capitals>[ ]?[A-Z]+[a-z]*(?![{_LATIN}]))
    |(?P<led>[!-/:-@\[-`{{-~](?:[A-Z]*[a-z]+|[A-Z]+))
    |(?P<latin>[ ]?[A-Za-z{_LATIN}]+)
    |(?P<digits>\d{{1,3}})
    |(?P<marks>[ ]?[!-/:-@\[-`{{-~]+[\r\n/]*)
    |(?P<han>[\u3400-\u9fff\uf900-\ufaff]+)
    |(?P<kana>[\u3000-\u30ff\uff00-\uffef]+)
    |(?P<hangul>[ ]?[\uac00-\ud7a3]+)
    |(?P<cyrillic>[ ]?[\u0370-\u052f]+)
    |(?P<semitic>[ ]?[\u0590-\u08ff]+)
    |(?P<indic>[ ]?[\u0900-\u0fff]+)
    |(?P<symbol>[ ]?[\u2010-\u2bff\U0001f000-\U0001faff]+)
    |(?P<gap>\s*[\r\n]+|\s+(?!\S)|\s+)
    |(?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
# Fitted to o200k_base on English prose, JSON, logs, code and tool definitions (the first six and
# the gaps) and on interface texts in 30 languages; other files were kept for checking the fit.
_COSTS = {
    # kind: (tokens of a piece, tokens for each further character, characters that are free)
    "word": (0.99, 0.02, 5),
    "capitals": (1.55, 0.455, 4),
    "led": (1.27, 0.42, 7),
    "digits": (1.06, 0.0, 3),
    "marks": (1.04, 0.16, 4),
    "latin": (0.0, 0.43, 0),
    "han": (0.43, 0.64, 0),
    "kana": (0.7, 0.7, 1),
    "hangul": (1.0, 0.53, 2),
    "cyrillic": (1.0, 0.14, 2),
    "semitic": (0.85, 0.42, 4),
    "indic": (0.6, 0.48, 3),
    "symbol": (0.4, 0.65, 0),
    "gap": (0.86, 0.0, 1),
    "other": (1.5, 0.0, 1),
}


def estimate(text: str) -> int:
    """Guess the o200k_base tokens of a text: at least one, unless it is empty."""
    total = 0.0
    for piece in _PIECE.finditer(text):
        base, further, free = _COSTS[piece.lastgroup or "other"]
        total += base + further * max(0, piece.end() - piece.start() - free)
    return max(round(total), 1 if text else 0)
