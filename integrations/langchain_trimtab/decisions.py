"""A router as the decision model that LangChain's own `ModelRouterMiddleware` asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage
from pydantic import PrivateAttr

from langchain_trimtab.convert import message_to_core
from trimtab.route.length import Length
from trimtab.route.tiers import Choice, Router, Tiers
from trimtab.tenant import current_tenant
from trimtab.types import Message, Request

if TYPE_CHECKING:
    from langchain_core.decisions import (  # type: ignore[import-not-found, unused-ignore]
        BaseDecisionModel,
        ClassifierResponse,
        Question,
        State,
    )
else:
    try:
        from langchain_core.decisions import BaseDecisionModel, ClassifierResponse
    except ImportError:  # langchain-core before 1.8

        class BaseDecisionModel:
            """Stands where there are no decision models."""

            def __init__(self, *args: Any, **kwargs: Any) -> None:
                raise ImportError(
                    "TrimtabDecisions needs decision models: pip install -U 'langchain-core>=1.8'"
                )


class TrimtabDecisions(BaseDecisionModel):  # type: ignore[misc, unused-ignore]
    """Answers which label a message belongs to, by how hard it is among the user's own.

    The labels of a `Choice` count as tiers, from the weakest to the strongest in the order given;
    what is written about them is not read, and no model is asked. Other kinds of questions are
    refused.

    >>> from langchain_trimtab import TrimtabDecisions
    >>> from trimtab.route import Length
    >>> classifier = TrimtabDecisions(by=Length(traffic=["Hello! " * n for n in range(100)]))
    """

    model: str = "trimtab"
    by: Any = None
    """What tells hard messages from easy ones; `trimtab.route.Length()` if nothing else is said."""
    shares: Mapping[str, float] | None = None
    """Which share of the messages each label is to have; see `trimtab.route.Tiers`."""

    _by: Router = PrivateAttr()
    _tiers: dict[tuple[str, ...], Tiers] = PrivateAttr(default_factory=dict)

    def model_post_init(self, context: Any) -> None:
        """Make a router where none was given."""
        super().model_post_init(context)
        self._by = Length() if self.by is None else self.by

    @property
    def _provider(self) -> str:
        return "trimtab"

    def _classify(self, state: State, questions: dict[str, Question]) -> ClassifierResponse:
        request = Request("", (_message(state),), tenant=current_tenant())
        answers: dict[str, Any] = {}
        for name, asked in questions.items():
            if asked.type != "choice":
                raise ValueError(f"TrimtabDecisions answers Choice questions only, not {name!r}")
            labels = tuple(asked.criteria)
            answers[name] = _answer(self._among(labels).choose(request), labels)
        return ClassifierResponse(model=self.model, answers=answers)

    async def _aclassify(self, state: State, questions: dict[str, Question]) -> ClassifierResponse:
        return self._classify(state, questions)

    def _among(self, labels: tuple[str, ...]) -> Tiers:
        if labels not in self._tiers:
            tiers = Tiers(dict(zip(labels, labels, strict=True)), by=self._by, shares=self.shares)
            self._tiers.setdefault(labels, tiers)
        return self._tiers[labels]


def _answer(choice: Choice, labels: Sequence[str]) -> dict[str, Any]:
    """Say how sure a choice is; what is left goes to the labels next to it in equal parts."""
    sure = choice.confidence or 1 / len(labels)
    place = labels.index(choice.tier)
    beside = [i for i in (place - 1, place + 1) if 0 <= i < len(labels)]
    shares = {label: 0.0 for label in labels}
    for i in beside:
        shares[labels[i]] = (1 - sure) / len(beside)
    shares[choice.tier] = sure if beside else 1.0
    return {
        "type": "choice",
        "choice": choice.tier,
        "probabilities": shares,
        "confidence": shares[choice.tier],
    }


def _message(state: Any) -> Message:
    """Read what is to be classified as something a user said."""
    if isinstance(state, BaseMessage):
        return Message("user", message_to_core(state).content)
    if isinstance(state, Sequence) and not isinstance(state, str):
        said = [message for message in state if isinstance(message, BaseMessage)]
        last = next((m for m in reversed(said) if m.type == "human"), None)
        return Message("user", str(state) if last is None else last.text)
    return Message("user", str(state))
