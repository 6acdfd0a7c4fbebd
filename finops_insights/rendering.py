"""Filling in: a template's tokens become the figures, names and days of its facts, and nothing else changes."""

import re
from collections.abc import Mapping
from typing import Protocol

TOKEN = re.compile(r"\{\{(f_[a-z0-9_]+)\}\}", re.ASCII)


class Shown(Protocol):
    """A fact, as far as showing it goes."""

    @property
    def formatted(self) -> str:
        """What a reader sees of it."""


def render(template: str, facts: Mapping[str, Shown]) -> str:
    """The text a reader sees. One pass: what a fact holds is never read as a token.

    The result is plain text, and whoever shows it must show it as such. Raises `KeyError` for a token without a
    fact, which no checked template holds.
    """
    return TOKEN.sub(lambda token: facts[token[1]].formatted, template)


def tokens(template: str) -> list[str]:
    """The ids of the facts a template shows, in its order."""
    return TOKEN.findall(template)


def token(name: str) -> str:
    """The token of a fact."""
    return "{{" + name + "}}"
