"""The chat models among which an agent's pipeline chooses."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from langchain.agents.middleware import ModelRequest
from langchain.agents.structured_output import StructuredOutputError
from langchain_core.language_models import BaseChatModel
from langgraph.errors import GraphBubbleUp

from langchain_trimtab.breaks import marked
from langchain_trimtab.convert import name_of
from langchain_trimtab.routing import StandIns, model_of_name, tier_of
from trimtab.pipeline import Pipeline, Plan
from trimtab.route.tiers import Tiers

log = logging.getLogger("trimtab")


class Models:
    """Chat models by tier. Safe to share between threads and tasks.

    Args:
        given: Chat models, or names for LangChain to make them of.
        tiers: Chooses, in a pipeline that has nothing that does.
    """

    def __init__(
        self, given: Mapping[str, BaseChatModel | str] | None, tiers: Tiers | None = None
    ) -> None:
        if tiers is not None and not given:
            raise ValueError("tiers need the models to choose from: give models too")
        self._models = {name: model_of_name(model) for name, model in (given or {}).items()}
        self._tiers = tiers
        self._warned = False

    def within(self, pipeline: Pipeline) -> Pipeline:
        """Return a pipeline that chooses among the models: the very same one, if it does."""
        found = _tiers_of(pipeline)
        if found is not None and self._tiers is not None:
            raise ValueError("the pipeline has tiers of its own: give either those or tiers")
        if not self._models:
            return pipeline
        named = {name: name_of(model) for name, model in self._models.items()}
        tiers = found or self._tiers or Tiers(named)
        if set(tiers.names) != set(self._models):
            raise ValueError(f"models must be {tiers.names}, got {tuple(self._models)}")
        if found is not None:
            return pipeline
        return pipeline.with_steps(tiers)

    def tried(self, pipeline: Pipeline, plan: Plan, sent: ModelRequest[Any]) -> Tries:
        """Say what to send: to the model that was chosen first, and to others where that fails."""
        tiers = _tiers_of(pipeline)
        tier = tiers and self._models and tier_of(plan.request, tiers)
        if tiers is not None and tier:
            return Tries(plan, sent, tiers, self._models).to(tier)
        if plan.request.model != plan.asked.model and not self._warned:
            self._warned = True
            log.warning(
                "the pipeline chose the model %r, and the agent's own is asked: give its middleware"
                " models={name: model, ...}, and the pipeline Tiers of the same names",
                plan.request.model,
            )
        return Tries(plan, sent)


class Tries:
    """One call of an agent, which goes to other models where providers fail."""

    def __init__(
        self,
        plan: Plan,
        sent: ModelRequest[Any],
        tiers: Tiers | None = None,
        models: Mapping[str, BaseChatModel] | None = None,
    ) -> None:
        self.plan = plan
        self.request = sent
        self._tiers = tiers
        self._models = models or {}
        self._tier = ""
        self._stand_ins = None if tiers is None else StandIns(tiers, failover=True)

    @property
    def sent(self) -> ModelRequest[Any]:
        """The request with the break points that were planned, where its model takes them."""
        return marked(self.request, self.plan.request)

    def to(self, tier: str) -> Tries:
        """Send the request to the model of a tier."""
        assert self._tiers is not None
        self._tier, model = tier, self._models[tier]
        if model is not self.request.model:
            self.request = self.request.override(model=model)
        chosen = self._tiers.tier(tier).model
        if chosen != self.plan.request.model:
            self.plan = replace(self.plan, request=replace(self.plan.request, model=chosen))
        return self

    def failed(self, error: Exception) -> None:
        """Send the request elsewhere, or raise."""
        # The model answered, or nothing has failed.
        if self._stand_ins is None or isinstance(error, (StructuredOutputError, GraphBubbleUp)):
            raise error
        spare = self._stand_ins.after(self._tier, error)
        assert self._tiers is not None
        gone, new = self._tiers.tier(self._tier).params, self._tiers.tier(spare).params
        asked = self.plan.asked.params
        kept = {k: v for k, v in self.request.model_settings.items() if k not in gone}
        kept |= {name: asked[name] for name in gone if name in asked}
        settings = {**kept, **new}
        if settings != self.request.model_settings:
            self.request = self.request.override(model_settings=settings)
        self.to(spare)


def _tiers_of(pipeline: Pipeline) -> Tiers | None:
    return next((step for step in pipeline.steps if isinstance(step, Tiers)), None)
