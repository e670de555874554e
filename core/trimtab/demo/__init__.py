"""Recorded traffic of a small agent, made by this package itself, to try trimtab on."""

from __future__ import annotations

from pathlib import Path

TRAFFIC = Path(__file__).with_name("traffic.jsonl.gz")
"""Conversations of a shop's service desk. `python -m trimtab.demo.make OUT` makes them again."""
