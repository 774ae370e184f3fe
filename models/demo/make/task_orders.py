"""Order texts in everyday words, and the JSON record that a shop would store."""

import json
from random import Random

from example import Example
from grammar import capitalize, expand, tidy
from vocabulary import CITIES, DAYS, NUMBER_WORDS, person, plural, product

SYSTEM = "Return the order as JSON."

FORMS = [
    "[please|kindly|] send {items} to {name} in {city} [by|before] {day}",
    "{name} [in|from] {city} [wants|needs|would like|orders] {items} by {day}",
    "[we need|I would like|I want|I need] {items} [delivered|shipped|sent] to {city} by {day}, the name is {name}",
    "[hi|hello], [this is|I am] {name} from {city}, [can I get|could I have|I would like] {items} [on|by] {day}",
    "[by|before] {day} [please ship|please send|deliver] {items} to {name}, {city}",
    "[new order|order] for {name}: {items}, [deliver|ship] to {city} on {day}",
    "[ship|send] to {city}: {items}, due {day}, [customer|ordered by] {name}",
    "{items} for {name} in {city}, [needed by|due on|for] {day}",
    "{items} to {city} by {day} please, [thanks|regards], {name}",
]

NO_DAY_FORMS = [
    "[please|kindly|] send {items} to {name} in {city}",
    "{name} [in|from] {city} [wants|needs|would like|orders] {items}",
    "[hi|hello], [this is|I am] {name} from {city}, [can I get|could I have|I would like] {items}",
    "{items} to {city} please, [thanks|regards], {name}",
    "[new order|order] for {name}: {items}, [deliver|ship] to {city}",
]


def quantity(rng: Random) -> tuple[int, str]:
    """The number and how the text says it."""
    kind = rng.random()
    if kind < 0.1:
        return 12, "a dozen"
    if kind < 0.5:
        number = rng.randint(2, 12)
        return number, NUMBER_WORDS[number - 1]
    number = rng.randint(2, 99)
    return number, str(number)


def item(rng: Random) -> tuple[dict, str]:
    name = product(rng)
    if rng.random() < 0.2:
        return {"item": name, "qty": 1}, f"[a single|one|1] {name}"
    number, words = quantity(rng)
    return {"item": name, "qty": number}, f"{words} {plural(name)}"


def record(rng: Random) -> tuple[dict, str]:
    """A stored order, and its items in words."""
    pairs = [item(rng) for _ in range(rng.choice([1, 1, 2]))]
    fields = {
        "customer": person(rng),
        "city": rng.choice(CITIES),
        "items": [fields for fields, _ in pairs],
        "due": rng.choice(DAYS) if rng.random() < 0.75 else None,
    }
    return fields, expand(rng, " and ".join(words for _, words in pairs))


def describe(rng: Random, fields: dict, items: str) -> str:
    values = {"items": items, "name": fields["customer"], "city": fields["city"], "day": fields["due"]}
    form = expand(rng, rng.choice(FORMS if fields["due"] else NO_DAY_FORMS), values)
    return capitalize(tidy(form)) + rng.choice([".", ".", ""])


def generate(rng: Random) -> Example:
    fields, items = record(rng)
    return Example(describe(rng, fields, items), json.dumps(fields, ensure_ascii=False), SYSTEM)
