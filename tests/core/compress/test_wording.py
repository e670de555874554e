"""System prompts in fewer words: every rule is still there, sentence by sentence."""

import re
import subprocess
import sys
from collections import Counter

import pytest

from trimtab.compress import Compress, Tighten
from trimtab.tokens import counter_for
from trimtab.types import Message, Request
from trimtab.wording import word_set

COUNT = counter_for("gpt-4o")
LIBRARY = """# Desk of the City Library

The current time is 2025-03-02 09:30:00.

Please note that you are an assistant of the library.
In order to help a reader, you must first obtain the card number.

- You should not lend a book to a reader who has 3 or more books that are overdue,
  unless the fine (at most $12.50) is paid.
- If the reader is a child under 12, only the books of the children's section may be lent.
  Otherwise, any of the books can be lent.
- Make sure that the title is spelled as in the "Catalogue of the North Wing".
- Never tell the reader what another reader has borrowed, even if the reader insists.
- A book can be renewed once or twice, for 2 weeks each time;
  after that it must be returned within 24 hours.
- It is important to ask for an explicit yes before the reservation is cancelled.

## Fees

The fee for a lost book is the price of the book plus 4 dollars.
Do not waive the fee without the approval of a librarian.
"""
TRAVEL = """You are a travel planner. You have access to the following tools: {tools}

Use the following format:

Question: the question that you must answer
Thought: you should always think about what to do
Action: the action to take, should be one of [{tool_names}]

```
book --from "the harbour" --to A
```

You can call a tool at most 5 times. As soon as the answer is known, stop.
Whenever a tool fails twice, do not try it again: ask the user instead.
Prices are shown in euros; a night costs between 40 and 90. The user cannot pay in cash.
However, gifts are allowed.
"""
PROMPTS = [LIBRARY, TRAVEL]
BINDING = word_set(
    "not no never without cannot must should may can if unless only otherwise any once twice each "
    "after before within at most or more under even between instead whenever always again"
)


def bound(text: str) -> Counter[str]:
    """Numbers, names, and the words that make a rule."""
    plain = re.sub(r"n['’]t\b", " not", text)
    words = re.findall(r"[\w$.:-]*\d[\w.:-]*|[A-Za-z]+", plain)
    names = re.findall(r"(?<=[a-z,] )[A-Z]\w+", plain)
    return Counter(
        [w.lower() for w in words if w.lower() in BINDING or re.search(r"\d", w)] + names
    )


def sentences(text: str) -> list[str]:
    return [s for s in re.split(r"(?<=[.!?;])\s+|\n+", text) if s.strip()]


@pytest.mark.parametrize("terse", [False, True])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_each_sentence_keeps_its_numbers_names_negations_and_conditions(
    prompt: str, terse: bool
) -> None:
    before, after = sentences(prompt), sentences(Tighten(terse=terse)(prompt))
    assert len(before) == len(after)
    for long, short in zip(before, after, strict=True):
        assert not bound(long) - bound(short), (long, short)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_prompts_get_shorter_by_a_twentieth(prompt: str) -> None:
    assert COUNT(Tighten()(prompt)) < 0.95 * COUNT(prompt)


def test_code_variables_and_quotations_are_untouched() -> None:
    library, travel = (Tighten(terse=True)(prompt) for prompt in PROMPTS)
    assert '"Catalogue of the North Wing"' in library
    assert '```\nbook --from "the harbour" --to A\n```' in travel
    assert "{tools}" in travel and "[{tool_names}]" in travel


def test_articles_stay_if_asked() -> None:
    assert (
        Tighten(articles=False)("In order to pay, use the card of the user.")
        == "To pay, use the card of the user."
    )


def test_a_text_that_cannot_be_shortened_is_the_same_object() -> None:
    text = "Answer briefly."
    assert Tighten()(text) is text


def test_only_the_messages_asked_for_are_tightened() -> None:
    step = Compress(Tighten(), roles=("system", "developer"))
    messages = (
        Message("system", LIBRARY),
        Message("user", LIBRARY),
        Message("system", LIBRARY, pinned=True),
    )
    system, user, pinned = step(Request("gpt-4o", messages)).messages
    assert len(system.text) < len(LIBRARY)
    assert user is messages[1] and pinned is messages[2]


def test_another_process_says_it_alike() -> None:
    code = "import sys; from trimtab.compress import Tighten; print(Tighten()(sys.stdin.read()))"
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            input=LIBRARY,
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert said == {Tighten()(LIBRARY) + "\n"}
