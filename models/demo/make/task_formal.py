"""Chatty messages and their formal rewriting. Each informal part has exactly one formal counterpart."""

from random import Random

from example import Example
from grammar import capitalize, expand, tidy
from vocabulary import CITIES, DAYS, FIRST_NAMES, MONTHS, person, plural, product

# every pair: (informal, formal); slots are filled once for both sides
GREETINGS = [
    ("", ""),
    ("[hey|yo|heya] {first},", "Dear {first},"),
    ("[hi|hiya] {first}!", "Hello {first},"),
    ("hey [guys|folks|all],", "Dear colleagues,"),
    ("[morning|mornin] {first},", "Good morning {first},"),
]

THINGS = [
    ("the {product} [pics|pix]", "the photographs of the {product}"),
    ("the {product} specs", "the specifications of the {product}"),
    ("the {product} docs", "the documents about the {product}"),
    ("the [info|details] on the {products}", "the information about the {products}"),
    ("the {city} [nums|numbers]", "the figures for {city}"),
    ("the {month} report", "the report for {month}"),
    ("the {day} [sched|plan]", "the schedule for {day}"),
    ("{person}'s [cell|phone number]", "the telephone number of {person}"),
    ("the [deal|contract] w/ {person}", "the contract with {person}"),
    ("the [bill|invoice] for the {products}", "the invoice for the {products}"),
]

EVENTS = [
    ("the {city} trip", "the journey to {city}"),
    ("the {day} [meetup|catch-up]", "the meeting on {day}"),
    ("the [call|chat] w/ {person}", "the telephone call with {person}"),
    ("{person}'s [bday|birthday bash]", "the birthday celebration of {person}"),
    ("the {month} [party|bash]", "the celebration in {month}"),
    ("the {product} demo", "the demonstration of the {product}"),
]

# {thing} and {event} are filled from the pairs above
BODIES = [
    ("[can u|can ya] send me {thing}", "could you please send me {thing}?"),
    ("[gimme|hand me] {thing}", "please provide me with {thing}."),
    ("[wanna|u wanna] see {thing}", "would you like to see {thing}?"),
    ("[dunno|no clue] where {thing} went", "I do not know where {thing} can be found."),
    ("[lemme|just lemme] check {thing}", "please allow me to review {thing}."),
    ("[gotta|i gotta] fix {thing}", "I must correct {thing}."),
    ("[cant|can't] find {thing}", "I am unable to locate {thing}."),
    ("[thx|ty|cheers] for {thing}", "thank you very much for {thing}."),
    ("[u got|got] {thing} yet", "have you already received {thing}?"),
    ("{thing} [looks|is] super good", "I am very pleased with {thing}."),
    ("{thing} [sucks|is kinda bad]", "I am not satisfied with {thing}."),
    ("[what's up|whats up] with {thing}", "could you inform me about the state of {thing}?"),
    ("[gonna|i'm gonna] skip {event}", "I will not attend {event}."),
    ("[sry|sorry] i missed {event}", "I apologise for my absence from {event}."),
    ("[u coming|coming] to {event}", "will you attend {event}?"),
    ("[can't wait|so hyped] for {event}", "I look forward to {event}."),
    ("{event} was [awesome|a blast]", "I greatly enjoyed {event}."),
    ("[wanna|let's] move {event} to {later}", "I suggest that we postpone {event} until {later}."),
    ("[who's|whos] up for {event}", "who would like to take part in {event}?"),
    ("{event} is [off|dead]", "{event} has been cancelled."),
]

ENDINGS = [
    ("", ""),
    ("need it [asap|rn]", "I require it as soon as possible."),
    ("[lmk|hit me up]", "Please let me know."),
    ("no [rush|worries] tho", "There is no urgency."),
    ("[thx|ty] [a lot|so much]", "Thank you for your help."),
    ("[btw|oh btw] [i'm|im] in {city} til {later}", "Please note that I am in {city} until {later}."),
    ("[ttyl|cya] {later}", "I look forward to speaking with you on {later}."),
    ("[pls|plz] tell {person} [2|too]", "Please inform {person} as well."),
]


def slots(rng: Random) -> dict[str, str]:
    name = product(rng)
    return {
        "first": rng.choice(FIRST_NAMES),
        "person": person(rng),
        "product": name,
        "products": plural(name),
        "city": rng.choice(CITIES),
        "day": rng.choice(DAYS),
        "later": rng.choice(DAYS),
        "month": rng.choice(MONTHS),
    }


def fill(rng: Random, pair: tuple[str, str], values: dict[str, str]) -> tuple[str, str]:
    informal, formal = pair
    return expand(rng, informal, values), expand(rng, formal, values)


def generate(rng: Random) -> Example:
    things = fill(rng, rng.choice(THINGS), slots(rng))
    events = fill(rng, rng.choice(EVENTS), slots(rng))
    greeting = fill(rng, rng.choice(GREETINGS), slots(rng))
    ending = fill(rng, rng.choice(ENDINGS), slots(rng))
    informal, formal = rng.choice(BODIES)
    body = [
        expand(rng, side, {"thing": things[i], "event": events[i], "later": "{later}"})
        for i, side in enumerate((informal, formal))
    ]
    later = rng.choice(DAYS)
    informal_body, formal_body = (side.replace("{later}", later) for side in body)
    text = ", ".join(part for part in (informal_body, ending[0]) if part)
    formal_text = f"{greeting[1]} {capitalize(formal_body)} {ending[1]}"
    return Example(tidy(f"{greeting[0]} {text}"), tidy(formal_text))
