"""Judging answers by what was learned of the user's own traffic."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from trimtab import Message, Request, Response
from trimtab.route import Confidence, confidence
from trimtab.route.fitted import FEW
from trimtab.route.rows import Row, read_rows, request_of

THINGS = "apples pears books stamps coins shells marbles tickets".split()
ODD = "fences ladders ropes planks".split()


def rows(number: int = 160, seed: int = 1) -> list[Row]:
    """Questions of which the weak model gets those about building wrong, without a visible sign."""
    dice = random.Random(seed)
    found = []
    for _ in range(number):
        odd = dice.random() < 0.4
        thing, one, two = (
            dice.choice(ODD if odd else THINGS),
            dice.randint(2, 90),
            dice.randint(2, 90),
        )
        asked = f"There are {one} {thing} and {two} more {thing} come. How many {thing} are there?"
        right = not odd or dice.random() < 0.2
        total = one + two if right else one + two + 10
        found.append(
            Row(asked, float(right), 1.0, f"There are now {one} and {two}, so {total} {thing}.")
        )
    return found


def answer(row: Row) -> Response:
    return Response(Message("assistant", row.weak_answer))


@pytest.fixture(scope="module")
def fitted() -> Confidence:
    return Confidence.fit(rows())


def test_what_was_learned_tells_of_other_rows(fitted: Confidence) -> None:
    assert fitted.learned
    assert fitted.apgr.value > 0.75 > fitted.general.value
    kinds: dict[bool, list[float]] = {True: [], False: []}
    for row in rows(seed=2):
        kinds[row.prompt.split()[3] in ODD].append(fitted(request_of(row.prompt), answer(row)))
    assert max(kinds[True]) < min(kinds[False])


def test_probabilities_are_those_of_the_rows(fitted: Confidence) -> None:
    others = rows(300, seed=3)
    sure = [fitted(request_of(row.prompt), answer(row)) for row in others]
    right = sum(row.weak_ok for row in others) / len(others)
    assert sum(sure) / len(sure) == pytest.approx(right, abs=0.06)


def test_signs_and_further_answers_still_count(fitted: Confidence) -> None:
    row = rows()[0]
    request, plain = request_of(row.prompt), answer(row)
    refused = Response(Message("assistant", "I'm sorry, but I cannot answer that."))
    assert fitted(request, refused) < fitted(request, plain)
    assert fitted(request, plain, refused) < fitted(request, plain, plain)


def test_rows_that_teach_nothing_keep_the_weights_set_by_hand() -> None:
    dice = random.Random(5)
    seen = False
    for seed in range(6):
        given = [
            Row(r.prompt, float(dice.random() < 0.6), 1.0, r.weak_answer) for r in rows(seed=seed)
        ]
        found = Confidence.fit(given)
        if found.learned:
            continue
        seen = True
        assert "kept" in found.reason
        one, other = (Response(Message("assistant", text)) for text in ("2 + 2 = 5", "2 + 2 = 4"))
        asked = request_of("How much is 2 + 2?")
        general = confidence(asked, one) < confidence(asked, other)
        assert general == (found(asked, one) < found(asked, other))
    assert seen


def test_it_is_the_same_after_being_saved(fitted: Confidence, tmp_path: Path) -> None:
    path = tmp_path / "confidence.json"
    fitted.save(path)
    again = Confidence.load(path)
    for row in rows(20, seed=4):
        request = request_of(row.prompt)
        assert again(request, answer(row)) == pytest.approx(fitted(request, answer(row)), abs=1e-3)
    assert (again.learned, again.reason, again.apgr) == (True, fitted.reason, fitted.apgr)
    assert "There are" not in path.read_text()


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps({"format": "other"}))
    with pytest.raises(ValueError, match=r"not what Confidence\.save wrote"):
        Confidence.load(path)


def test_another_embedder_is_refused(fitted: Confidence, tmp_path: Path) -> None:
    path = tmp_path / "confidence.json"
    fitted.save(path)
    saved = json.loads(path.read_text())
    saved["model"]["embedder"] = "other/3"
    path.write_text(json.dumps(saved))
    with pytest.raises(ValueError, match="fitted with the embedder 'other/3'"):
        Confidence.load(path, embed=lambda texts: [[1.0]] * len(texts))


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match=f"at least {FEW} rows with a weak_answer"):
        Confidence.fit([("What?", 1, 1)] * 99)


def test_a_strong_model_that_is_no_better_is_refused() -> None:
    with pytest.raises(ValueError, match="must be better"):
        Confidence.fit([Row(row.prompt, 1.0, 1.0, row.weak_answer) for row in rows()])


def test_tuples_may_have_the_answer_as_a_fourth() -> None:
    assert read_rows([("What?", 1, 0, "That.")]) == (Row("What?", 1.0, 0.0, "That."),)


def test_it_judges_for_a_request_with_more_than_a_question(fitted: Confidence) -> None:
    request = Request(
        "m", (Message("system", "Be brief."), Message("user", "How many are 3 and 4?"))
    )
    assert 0 < fitted(request, Response(Message("assistant", "7"), logprobs=(-0.1,))) < 1


def test_a_weak_model_that_is_often_wrong_teaches_as_well() -> None:
    dice = random.Random(1)
    topics, rows = ("rivers", "kings", "stars", "bread", "ships"), []
    for n in range(300):
        topic = dice.choice(topics)
        right = dice.random() < (0.8 if topic in topics[:2] else 0.12)
        answer = f"There are {n} {topic}, as is known."
        rows.append((f"Tell me about {topic} number {n}.", int(right), 1, answer))
    judge = Confidence.fit(rows)
    assert judge.learned
    assert judge.apgr.value > 0.6
