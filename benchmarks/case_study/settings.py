"""What the day is made of. Chosen before any result was seen, each for the reason beside it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """The mix of a day."""

    questions: int = 400
    """Four to each of the 100 recorded cases: vendors of chat bots say that 70 to 80 % of what
    customers write is routine, and so does not need the agent's hands."""
    repeated: float = 0.31
    """Questions asked before: about 31 % of all (Gill et al., MeanCache, arXiv 2403.02694)."""
    same_words: float = 0.28
    """Of the repeated: one report on 100,000 queries in production has 18 % that repeat an earlier
    one to the letter, and 47 % in other words."""
    traps: float = 0.5
    """Questions that look like one asked before and are another, to each one in other words: the
    mix for which the semantic cache states its error budget. A guess; QQP's own is 1.7."""
    made_to_fool: float = 0.25
    """Of these pairs, same or not: those that were written to fool a cache; the rest are QQP's."""
    sums: float = 0.25
    """Of the questions of known outcome, those that need arithmetic (GSM8K); the others are MMLU's.
    A guess: the larger part of what is hard is knowing, not working out."""
    strong_rate: float = 0.4
    """The article sends 60 % of the queries to the cheap model."""
    labels: int = 300
    """Of yesterday, to fit the router on: what its documentation recommends."""
    hours: float = 10.0
    """The day's length: with 500 contacts, about one a minute."""
    typing: float = 30.0
    """Seconds until a customer's next message. A guess; all calls of a case lie closer together
    than the five minutes for which providers keep a prefix."""
    working: float = 3.0
    """Seconds until a tool's result. A guess."""
    one_agent: bool = True
    """Whether the agent, with its policy and its tools, is asked everything, as in the article;
    else questions go to a desk with a short prompt of its own and no tools."""
    seed: int = 0


DESK = (
    "You are the help desk of an airline. Answer the customer's question correctly and politely. "
    "If you do not know the answer, say so, and name the telephone line, which is open day and "
    "night. Never ask for passwords or numbers of cards."
)
MODELS = {
    "OpenAI": ("gpt-4o", "gpt-4o-mini"),
    "Anthropic": ("claude-sonnet-4-5", "claude-haiku-4-5"),
}
"""The strong and the weak model. Outcomes are those of GPT-4 and Mixtral, for want of others."""
