"""A pipeline as middleware of LangChain's agents."""

from __future__ import annotations

import logging
import operator
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from typing_extensions import NotRequired

from langchain_trimtab.callbacks import current_plan
from langchain_trimtab.convert import (
    mark_hit,
    name_of,
    new_message,
    response_to_core,
    saved_by_cache,
)
from langchain_trimtab.stops import stopping
from trimtab.archive import Archive, archive_in
from trimtab.ledger import Ledger
from trimtab.pipeline import Pipeline, Plan, call_tool
from trimtab.route.tiers import Tiers
from trimtab.tools.search import is_ours
from trimtab.types import Message, Request, Response

try:
    from langchain.agents.middleware import (
        AgentMiddleware,
        AgentState,
        ExtendedModelResponse,
        ModelRequest,
        ModelResponse,
    )
    from langchain.agents.middleware.types import PrivateStateAttr
    from langchain.agents.structured_output import StructuredOutputError
    from langgraph.types import Command

    from langchain_trimtab.catalogues import KNOWN, Catalogues, searching
    from langchain_trimtab.models import Models, Tries
    from langchain_trimtab.request import Requests
    from langchain_trimtab.threads import Threads, remembering
    from langchain_trimtab.tools import base_tool
except ImportError as error:
    raise ImportError("TrimtabMiddleware needs langchain: pip install 'trimtab[agents]'") from error
log = logging.getLogger("trimtab")
Result = TypeVar("Result")
Answer = Any  # ModelResponse, AIMessage or ExtendedModelResponse
ANY_MODEL = "gpt-4o"
"""The model of a pipeline that is made only to see which tools its recipe needs."""


class TrimtabState(AgentState[Any]):
    """The state of an agent, with what the pipeline has saved."""

    tokens_saved: NotRequired[Annotated[int, operator.add]]
    thread_begin: NotRequired[Annotated[int, PrivateStateAttr]]
    """How many of the messages in the memory come before those of the state."""
    thread_new: NotRequired[Annotated[str, PrivateStateAttr]]
    """The id of the first message of the state that was not in the memory when the turn began."""
    tools_known: NotRequired[Annotated[list[str], PrivateStateAttr]]
    """The names of the tools that may be searched, where the pipeline leaves some out."""


class TrimtabMiddleware(AgentMiddleware[TrimtabState, Any, Any]):
    """Sends each call of an agent's model through a pipeline; the thread keeps every message.

    What of the pipeline fails is left out of the call; only a spent budget stops one. Belongs after
    middleware that chooses tools, which could leave out the ones that the pipeline counts on. Of
    two in one agent, only one may have a recipe with a recall tool: the agent runs but one of them.

    What the pipeline's `Select` leaves out, the model calls through `call_tool`. The agent's state
    holds a call of the real tool in its place, so that whoever asks a human first, limits calls or
    shows them sees what will be run; a faulty `call_tool` stays, and is answered with its fault.
    Only middleware that wraps the model's calls after this one, and those who stream its tokens, as
    by `stream_mode="messages"`, see what the model itself said. `LLMToolSelectorMiddleware` asks a
    model for the tools at each call: put it before this one, which then chooses, and searches,
    among what is left.

    Args:
        pipeline: What to send calls through.
        recipe: Makes the pipeline from the name of the first request's model, where none is given;
            `trimtab.recipes.balanced` by default.
        ledger: Where such a pipeline records.
        memory: Where an agent without a checkpointer keeps what is said in a thread, which is that
            of the config's `thread_id`: an archive, or the path of a file for one. The model is
            sent what was said before as the pipeline leaves it; the agent's state and answer hold
            but the present turn. What cannot be kept or read is an error.
        models: Chat models by tier, or their names. The one that the pipeline's `Tiers` choose is
            asked, as the request's own model, so that middleware after this one knows it for what
            it is; and another where its provider fails. Judging a weak model's answer before a
            strong one is asked is for `ChatRouter`.
        tiers: Chooses among the models where the pipeline has no `Tiers`; in the order given, from
            the weakest to the strongest, by default.
        name: To tell two of them in one agent apart.
    """

    state_schema = TrimtabState

    def __init__(  # noqa: PLR0913 - each is the user's to say, and few say more than one
        self,
        pipeline: Pipeline | None = None,
        *,
        recipe: Callable[[str], Pipeline] | None = None,
        ledger: Ledger | None = None,
        memory: Archive | str | Path | None = None,
        models: Mapping[str, BaseChatModel | str] | None = None,
        tiers: Tiers | None = None,
        name: str = "TrimtabMiddleware",
    ) -> None:
        super().__init__()
        if pipeline is not None and not (recipe is None and ledger is None):
            raise ValueError("a pipeline has its own ledger and needs no recipe: give one of them")
        self._models = Models(models, tiers)
        self.pipeline = pipeline and self._models.within(pipeline)
        self.ledger = pipeline.ledger if pipeline else ledger or Ledger()
        self.failures = 0
        self._recipe = recipe or _balanced
        self._name = name
        self._lock = threading.Lock()
        needed = (pipeline or self._recipe(ANY_MODEL)).tools
        self.tools = [base_tool(own.tool, partial(self._run_tool, own.tool.name)) for own in needed]
        self._requests = Requests(self.tools)
        self.catalogues = Catalogues(self.tools)
        self._selects = any(is_ours(tool.tool) for tool in needed)
        if self._selects:
            self.__class__ = searching(type(self))
        self.threads = None if memory is None else Threads(archive_in(memory))
        if memory is not None:
            self.__class__ = remembering(type(self))

    @property
    def name(self) -> str:
        """The name of this middleware in its agent."""
        return self._name

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Answer]
    ) -> Answer:
        """Answer from the cache, or by calling the model with the request that was planned."""
        request = self.threads.recall(request) if self.threads else request
        begun = self._attempt(lambda: self._begin(request))
        if begun is None:
            return handler(request)
        pipeline, asked, request = begun
        with stopping():
            plan = pipeline.plan(asked)
        plan, hit, sent = self._turn(request, plan)
        tries = self._models.tried(pipeline, plan, sent)
        try:
            with _following(plan):
                answer = hit or _answer(handler, tries)
        except BaseException as error:
            _lost(pipeline, tries.plan, error)
            raise
        with stopping():
            pipeline.finish(*self._outcome(tries.plan, answer))
        return self._told(request, plan, answer)

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[Answer]]
    ) -> Answer:
        """Do the same without blocking the event loop."""
        request = await self.threads.arecall(request) if self.threads else request
        begun = self._attempt(lambda: self._begin(request))
        if begun is None:
            return await handler(request)
        pipeline, asked, request = begun
        with stopping():
            plan = await pipeline.aplan(asked)
        plan, hit, sent = self._turn(request, plan)
        tries = self._models.tried(pipeline, plan, sent)
        try:
            with _following(plan):
                answer = hit or await _aanswer(handler, tries)
        except BaseException as error:
            _lost(pipeline, tries.plan, error)
            raise
        with stopping():
            await pipeline.afinish(*self._outcome(tries.plan, answer))
        return self._told(request, plan, answer)

    def _begin(self, request: ModelRequest[Any]) -> tuple[Pipeline, Request, ModelRequest[Any]]:
        """Convert a request, and make the pipeline if this is the first one."""
        with self._lock:
            if self.pipeline is None:
                self.pipeline = self._models.within(self._recipe(name_of(request.model)))
                self.pipeline.ledger = self.ledger
        asked = self.pipeline.bind(self._requests.to_core(request))
        if not self._selects:
            return self.pipeline, asked, request
        asked = self._pinned(asked)
        seen = self.catalogues.seen(request, asked, self.pipeline)
        asked = asked if seen is request else self._requests.saying(asked, seen)
        return self.pipeline, asked, seen

    def _pinned(self, request: Request) -> Request:
        """Keep what other steps count on from being left out with the tools of the agent."""
        own = {tool.name for tool in self.tools}
        tools = (
            replace(tool, pinned=True) if tool.name in own and not is_ours(tool) else tool
            for tool in request.tools
        )
        return replace(request, tools=tuple(tools))

    def _turn(
        self, request: ModelRequest[Any], plan: Plan
    ) -> tuple[Plan, Answer, ModelRequest[Any]]:
        """Say what was planned in LangChain's terms; send what was asked where that fails."""
        remembered = plan.hit
        if remembered is None:
            sent = self._attempt(lambda: self._requests.planned(request, plan))
            if sent is not None:
                return plan, None, sent
        else:
            hit = self._attempt(lambda: _remembered(remembered, plan.id))
            if hit is not None:
                return plan, hit, request
        asked = replace(plan, request=plan.asked, hit=None, changes=(), cuts=())
        return asked, None, request

    def _outcome(self, plan: Plan, answer: Answer) -> tuple[Plan, Response]:
        """Convert an answer for the ledger and the cache."""
        outcome = self._attempt(lambda: _outcome(plan, answer))
        return outcome or (plan, Response(Message("assistant", ""), cacheable=False))

    def _told(self, request: ModelRequest[Any], plan: Plan, answer: Answer) -> Answer:
        """Tell the agent what was called, what was saved, and what may be searched."""
        update: dict[str, Any] = {"tokens_saved": plan.tokens_saved} if plan.tokens_saved else {}
        if self._selects:
            known = self.catalogues.note(plan.asked.tools)
            told = partial(self.catalogues.shown, answer, plan.asked, self._used())
            answer = self._attempt(told) or answer
            update |= {KNOWN: known} if request.state.get(KNOWN) != known else {}
        if not update or not isinstance(answer, ModelResponse):
            return answer
        return ExtendedModelResponse(answer, Command(update=update))

    def _used(self) -> Pipeline:
        return self.pipeline or self._recipe(ANY_MODEL)

    def _run_tool(self, name: str, arguments: Mapping[str, Any]) -> str:
        return call_tool(self._used().tools, name, arguments)

    def _attempt(self, work: Callable[[], Result]) -> Result | None:
        try:
            return work()
        except Exception as error:
            if not self.failures:
                log.warning("trimtab failed, and is left out of this call: %r", error)
            self.failures += 1
            return None


def _balanced(model: str) -> Pipeline:
    from trimtab import recipes

    return recipes.balanced(model)


def _remembered(hit: Response, id: str) -> ModelResponse[Any]:
    message = new_message(hit.message)
    message.response_metadata = {"model_name": hit.model, "finish_reason": hit.finish_reason}
    return ModelResponse([mark_hit(message, hit, id=id)])


def _outcome(plan: Plan, answer: Answer) -> tuple[Plan, Response]:
    if plan.hit is not None:
        return plan, plan.hit
    answer = getattr(answer, "model_response", answer)
    result = getattr(answer, "result", [answer])
    response = response_to_core(result, getattr(answer, "structured_response", None))
    message = next((m for m in result if isinstance(m, AIMessage)), None)
    saved = None if message is None else saved_by_cache(message)
    if message is None or saved is None:
        return plan, response
    # A cache of LangChain's answered.
    response = replace(response, usage=saved)
    return replace(plan, hit=response), response


def _lost(pipeline: Pipeline, plan: Plan, error: BaseException) -> None:
    """Record a call that failed. An answer that only had the wrong form cost as much as any."""
    if not isinstance(error, StructuredOutputError):
        return pipeline.abandon(plan, error)
    response = response_to_core([error.ai_message])
    with stopping():
        pipeline.finish(plan, replace(response, cacheable=False))


def _answer(handler: Callable[[ModelRequest[Any]], Answer], tries: Tries) -> Answer:
    """Ask the model that was chosen, and others where its provider fails."""
    while True:
        try:
            return handler(tries.sent)
        except Exception as error:
            tries.failed(error)


async def _aanswer(
    handler: Callable[[ModelRequest[Any]], Awaitable[Answer]], tries: Tries
) -> Answer:
    """Do the same without blocking the event loop."""
    while True:
        try:
            return await handler(tries.sent)
        except Exception as error:
            tries.failed(error)


@contextmanager
def _following(plan: Plan) -> Iterator[None]:
    token = current_plan.set(plan.id)
    try:
        yield
    finally:
        current_plan.reset(token)
