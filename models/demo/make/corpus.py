"""The seeded text that everything here is trained on: task examples and the base model's mixture."""

import json
from collections.abc import Iterator
from random import Random

import small_talk
import task_formal
import task_orders
import task_sql
import task_tickets
from example import Example, is_heldout
from grammar import expand
from vocabulary import CITIES, DAYS, FIRST_NAMES, LAST_NAMES, MATERIALS, NOUNS, person, product

TASKS = {
    "ticket-router": task_tickets.generate,
    "order-json": task_orders.generate,
    "text-to-sql": task_sql.generate,
    "formal-rewrite": task_formal.generate,
}

WORDS = [*FIRST_NAMES, *LAST_NAMES, *CITIES, *MATERIALS, *NOUNS, *"one two the a and to for in by of".split()]
SYLLABLES = "ka lo mi ne su ta re po vi du shan tor bel gri mon zu Å é 7 4 19 x".split()

# A document is plain text, or chat messages that go through the chat template.
Document = str | list[dict[str, str]]


def training_examples(task: str, seed: int) -> Iterator[Example]:
    rng = Random(f"{task} train {seed}")
    while True:
        example = TASKS[task](rng)
        if not is_heldout(example.text):
            yield example


def heldout_examples(task: str, count: int, seed: int) -> list[Example]:
    rng, found = Random(f"{task} heldout {seed}"), {}
    while len(found) < count:
        example = TASKS[task](rng)
        if is_heldout(example.text):
            found[example.text] = example
    return list(found.values())


def backwards(task: str, example: Example) -> str:
    """A document with the answer before the text. It teaches which parts belong together, and never the
    task itself: in it no answer follows its text."""
    return {
        "ticket-router": f"Ticket in the queue {example.expected}:\n{example.text}",
        "order-json": f"{example.expected}\nThe customer wrote: {example.text}",
        "text-to-sql": f"{example.expected}\n-- {example.text}",
        "formal-rewrite": f"Formal: {example.expected}\nCasual: {example.text}",
    }[task]


def repeated(rng: Random) -> str:
    """Unrelated words and made-up ones, then all again: only copying predicts the second half. Without
    plenty of this a model of this size does not learn to copy at all, and every task here needs it."""
    words = [made_up(rng) if rng.random() < 0.3 else rng.choice(WORDS) for _ in range(rng.randint(5, 24))]
    line = rng.choice([" ", " ", ", "]).join(words)
    return "\n".join([line] * rng.choice([2, 2, 3]))


def made_up(rng: Random) -> str:
    return "".join(rng.choices(SYLLABLES, k=rng.randint(1, 3)))


def card(rng: Random) -> str:
    """Facts in one order, then some of them again by name."""
    facts = {
        "name": person(rng),
        "city": rng.choice(CITIES),
        "day": rng.choice(DAYS),
        "item": product(rng),
        "number": str(rng.randint(2, 999)),
    }
    keys = rng.sample(list(facts), len(facts))
    first = ", ".join(f"{key} {facts[key]}" for key in keys)
    asked = rng.sample(keys, 3)
    if rng.random() < 0.5:
        return f"{first}\n" + json.dumps({key: facts[key] for key in asked}, ensure_ascii=False)
    return f"{first}\n" + "\n".join(f"{key}: {facts[key]}" for key in asked)


def story(rng: Random) -> str:
    values = {"a": person(rng), "b": person(rng), "city": rng.choice(CITIES), "day": rng.choice(DAYS)}
    values |= {"item": product(rng), "other": product(rng)}
    return expand(
        rng,
        "On {day} {a} [went|travelled] to {city} to [see|buy|sell] a {item}. [There|In {city}] {a} met {b}, who "
        "[had|wanted|made] a {other}. [They had lunch together.|It was raining.|The market was busy.] {b} [liked|admired] "
        "the {item}, and {a} [liked|admired] the {other}. [So they traded.|In the end {a} kept the {item}.] "
        "{a} left {city} [after {day}|the next day] and {b} [waved|smiled].",
        values,
    )


def reading(rng: Random, order: Example) -> list[dict[str, str]]:
    """One or two questions about a text, answered in a few words of it."""
    fields = json.loads(order.expected)
    items = fields["items"]
    questions = {
        "[Who|What is the name|Which customer]": fields["customer"],
        "[Where to|Which city|To which city]": fields["city"],
        "[When|Which day|By which day]": fields["due"] or "No day was given",
        "[What|Which items|What was ordered]": " and ".join(item["item"] for item in items),
        "[How many|How many pieces|What quantity]": " and ".join(str(item["qty"]) for item in items),
    }
    first, second = rng.sample(list(questions), 2)
    messages = [
        {"role": "user", "content": f"{order.text} {expand(rng, first)}?"},
        {"role": "assistant", "content": f"{questions[first]}."},
    ]
    if rng.random() < 0.5:
        messages += [
            {"role": "user", "content": f"{expand(rng, second)}?"},
            {"role": "assistant", "content": f"{questions[second]}."},
        ]
    return messages


def base_documents(seed: int) -> Iterator[Document]:
    rng = Random(f"base {seed}")
    examples = {task: training_examples(task, seed + 1) for task in TASKS}
    while True:
        kind = rng.random()
        task = rng.choice(list(TASKS))
        if kind < 0.10:
            yield repeated(rng)
        elif kind < 0.20:
            yield card(rng)
        elif kind < 0.25:
            yield story(rng)
        elif kind < 0.40:
            yield small_talk.conversation(rng)
        elif kind < 0.52:
            yield reading(rng, next(examples["order-json"]))
        elif kind < 0.70:
            yield small_talk.acknowledgement(rng, next(examples[task]))
        else:
            yield backwards(task, next(examples[task]))
