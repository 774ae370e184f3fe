"""A tiny phrase grammar: `[a|b]` chooses one side (nestable), `{slot}` is replaced by a value."""

import re
from random import Random

CHOICE = re.compile(r"\[([^\[\]]*)\]")
SLOT = re.compile(r"\{(\w+)\}")


def expand(rng: Random, template: str, slots: dict[str, str] | None = None) -> str:
    """Choices first, so that a slot's value may hold brackets of its own."""
    while match := CHOICE.search(template):
        chosen = rng.choice(match.group(1).split("|"))
        template = template[: match.start()] + chosen + template[match.end() :]
    return SLOT.sub(lambda m: str((slots or {})[m.group(1)]), template)


def tidy(text: str) -> str:
    """One space between words, none at the ends: optional parts leave gaps behind."""
    return re.sub(r" +", " ", text).replace(" ,", ",").replace(" .", ".").strip()


def capitalize(text: str) -> str:
    return text[:1].upper() + text[1:]
