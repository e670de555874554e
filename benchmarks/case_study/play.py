"""Replaying a day through a pipeline: what is sent and billed, and what goes wrong."""

from __future__ import annotations

import heapq
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from case_study.provider import Provider, Spent
from case_study.settings import DESK, Settings
from case_study.traffic import Case, Day, Question
from case_study.ways import Way, Yesterday, pipelines
from lib.judge import judge

from trimtab import Message, Pipeline, Request, Response, Tool, ToolCall, Usage
from trimtab.pipeline import Plan
from trimtab.tokens import TokenCounter, count_message, counter_for
from trimtab.tools import Select
from trimtab.tools.search import CALL, SEARCH
from trimtab.trace import message_dict, tool_dict


@dataclass
class Record:
    """What became of a contact."""

    family: str
    spent: Spent = field(default_factory=Spent)
    events: Counter[str] = field(default_factory=Counter)
    """What went wrong, and what else is worth counting."""


@dataclass
class Played:
    """What became of a day."""

    questions: list[Record] = field(default_factory=list)
    cases: list[Record] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    models: dict[str, Spent] = field(default_factory=dict)

    @property
    def events(self) -> Counter[str]:
        """All events, added up."""
        return sum((one.events for one in (*self.questions, *self.cases)), Counter[str]())


def play(
    day: Day, settings: Settings, models: tuple[str, str], way: Way, before: Yesterday
) -> Played:
    """Replay a day, call by call in the order of time."""
    desk = _Desk(day, settings, models, pipelines(way, models, before))
    number = itertools.count()
    waiting: list[tuple[float, int, Iterator[float]]] = []
    for contact in day.contacts:
        what = contact.what
        if isinstance(what, Question):
            calls = desk.ask(what, contact.at)
        else:
            calls = _Talk(desk, what).calls(contact.at)
        heapq.heappush(waiting, (contact.at, next(number), calls))
    while waiting:
        _, _, calls = heapq.heappop(waiting)
        then = next(calls, None)
        if then is not None:
            heapq.heappush(waiting, (then, next(number), calls))
    for pipeline in desk.pipelines.values():
        desk.played.failures.update(pipeline.failures)
    return desk.played


class _Desk:
    """Where all that is asked comes in."""

    def __init__(
        self,
        day: Day,
        settings: Settings,
        models: tuple[str, str],
        made: Mapping[int, Pipeline],
    ) -> None:
        self.day, self.settings, self.models, self.pipelines = day, settings, models, made
        self.played = Played()
        self.providers = {model: Provider(model) for model in models}
        self.count = counter_for(models[0])
        self.usual = _usual(day, self.count)
        agent = day.cases[0].conversation if day.cases else None
        self.front: tuple[Message, ...] = (Message("system", DESK),)
        self.tools: tuple[Tool, ...] = ()
        if settings.one_agent and agent is not None:
            self.front, self.tools = agent.messages[:1], agent.tools
        self.numbers = itertools.count()

    def ask(self, question: Question, at: float) -> Iterator[float]:
        """Answer a question, from the cache or by a model."""
        record = Record(question.family)
        self.played.questions.append(record)
        messages = (*self.front, Message("user", question.text))
        session = f"question {next(self.numbers)}"
        asked = Request(self.models[0], messages, self.tools, session=session)
        pipeline = self.pipelines[0]
        plan = pipeline.plan(pipeline.bind(asked))
        if plan.hit is not None:
            pipeline.finish(plan, plan.hit)
            self._judge(record, question, plan.hit.message.text, served=True)
            return
        model = plan.request.model
        output = self._output(question, model)
        usage = self.bill(record, plan.request, output, at)
        told = json.dumps([question.text, model])
        pipeline.finish(plan, Response(Message("assistant", told), usage, model))
        self._judge(record, question, told, served=False)
        yield from ()

    def bill(self, record: Record, request: Request, output: int, at: float) -> Usage:
        """Bill a call to a contact."""
        spent = self.providers[request.model].send(request, output, at)
        record.spent.add(spent)
        self.played.models.setdefault(request.model, Spent()).add(spent)
        return Usage(spent.input, output)

    def _output(self, question: Question, model: str) -> int:
        """Count the recorded answer, or take an answer of the usual length."""
        strong = model == self.models[0]
        said = question.strong_answer if strong else question.weak_answer
        return self.count(said) if said else self.usual

    def _judge(self, record: Record, question: Question, told: str, served: bool) -> None:
        """Hold an answer against the labels of the question that was asked."""
        text, model = json.loads(told)
        events = record.events
        events["questions"] += 1
        if served:
            events["served"] += 1
            events[f"served, {question.kind}"] += 1
            same = text == question.text or self.day.pairs.get(frozenset((text, question.text)))
            verdict = "rightly" if same else "wrongly"
            events["served, ?" if same is None else f"served {verdict}"] += 1
        if model == self.models[1]:
            events["by the weak model"] += 1
            weak, strong = question.weak_ok, question.strong_ok
            events["by the weak model, outcome unknown"] += weak is None
            events["weak wrong, strong right"] += strong is True and weak is False
            events["weak right, strong wrong"] += strong is False and weak is True
        if question.strong_ok is not None:
            events["outcome known"] += 1
            events["strong wrong"] += not question.strong_ok


def _usual(day: Day, count: TokenCounter) -> int:
    """Take the mean of the recorded answers for those that were not recorded."""
    found = [count(q.strong_answer) for q in day.questions if q.strong_answer]
    return round(sum(found) / len(found)) if found else 150


class _Talk:
    """A case of the agent's, call by call, with its recorded answers."""

    def __init__(self, desk: _Desk, case: Case) -> None:
        self.desk, self.case = desk, case
        self.pipeline = desk.pipelines[case.fold]
        self.select = next((s for s in self.pipeline.steps if isinstance(s, Select)), None)
        self.record = Record(case.conversation.id)
        self.messages: list[Message] = []
        self.hidden: frozenset[str] | None = None
        self.found: set[str] = set()
        self.sent: list[dict[str, Any]] = []
        desk.played.cases.append(self.record)

    def calls(self, at: float) -> Iterator[float]:
        """Make the calls, yielding when the next one is due."""
        settings, talk = self.desk.settings, self.case.conversation
        for place, message in enumerate(talk.messages):
            if message.role != "assistant":
                self.messages.append(message)
                continue
            plan = self._plan()
            if self._hidden(plan, message) - self.found:
                self._search(plan, message, at)
                at += settings.working
                yield at
                plan = self._plan()
            self._answer(plan, message, at)
            after = talk.messages[place + 1].role if place + 1 < len(talk.messages) else ""
            at += settings.working if after == "tool" else settings.typing
            yield at
        figures = judge(self.case.source, self.sent)
        for name in ("evidence needed", "evidence kept"):
            self.record.events[name] += figures.sums[name]
        self.record.events["evidence lost"] += (
            figures.sums["evidence needed"] - figures.sums["evidence kept"]
        )

    def _plan(self) -> Plan:
        talk = self.case.conversation
        asked = Request(
            self.desk.models[0], tuple(self.messages), talk.tools, tenant=talk.id, session=talk.id
        )
        return self.pipeline.plan(self.pipeline.bind(asked))

    def _hidden(self, plan: Plan, answer: Message) -> set[str]:
        """Name the tools that an answer calls and that this session is not offered."""
        if self.select is not None and self.hidden is None and CALL in plan.asked.tools:
            offered = {tool.name for tool in plan.request.tools}
            self.hidden = frozenset(t.name for t in self.case.conversation.tools) - offered
        return {call.name for call in answer.tool_calls} & (self.hidden or frozenset())

    def _search(self, plan: Plan, answer: Message, at: float) -> None:
        """Charge a search for a hidden tool, with the words of its name as the query."""
        assert self.select is not None
        events = self.record.events
        catalogue = self.select.catalogue(self.case.conversation.tools)
        for name in sorted(self._hidden(plan, answer) - self.found):
            query = {"query": name.replace("_", " ")}
            result = catalogue.search(query)
            events["tool hidden"] += 1
            events["tool not found"] += name not in {tool["name"] for tool in json.loads(result)}
            self.found.add(name)
            call = ToolCall(f"search-{len(self.messages)}", SEARCH.name, json.dumps(query))
            said = Message("assistant", "", (call,))
            self._charge(plan, said, at)
            self.messages += [said, Message("tool", result, tool_call_id=call.id)]
        self.pipeline.finish(plan, Response(said, Usage(0, 0)))

    def _answer(self, plan: Plan, recorded: Message, at: float) -> None:
        """Send a call and take the recorded answer, in the words of what was offered."""
        hidden = self.hidden or frozenset()
        answer = recorded
        if {call.name for call in recorded.tool_calls} & hidden:
            calls = tuple(_dispatched(c) if c.name in hidden else c for c in recorded.tool_calls)
            answer = replace(recorded, tool_calls=calls, source=None)
        usage = self._charge(plan, answer, at)
        response = plan.hit or Response(answer, usage, plan.request.model)
        self.pipeline.finish(plan, response)
        self.messages.append(answer)
        self.record.events["calls"] += 1
        self.record.events["tool calls"] += len(answer.tool_calls)
        self.record.events["cuts"] += len(plan.cuts)
        self.sent.append(
            {
                "messages": [message_dict(m) for m in plan.request.messages],
                "tools": [tool_dict(t) for t in plan.request.tools],
            }
        )

    def _charge(self, plan: Plan, answer: Message, at: float) -> Usage:
        return self.desk.bill(self.record, plan.request, count_message(answer, self.desk.count), at)


def _dispatched(call: ToolCall) -> ToolCall:
    """Write a call of a hidden tool as the model makes it."""
    given = json.loads(call.arguments)
    return replace(
        call, name=CALL.name, arguments=json.dumps({"name": call.name, "arguments": given})
    )
