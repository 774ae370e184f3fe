"""Chat of a general assistant: greetings, small questions, and a helpful but general answer to anything else."""

from random import Random

from example import Example
from grammar import expand
from vocabulary import CITIES, DAYS, FIRST_NAMES, person, product

# (what the user says, what the assistant answers)
TURNS = [
    ("[hi|hello|hey|Hi|Hello|Hey][!|.| there|]", "[Hello|Hi]! [How can I help you today?|What can I do for you?]"),
    (
        "[how are you|How are you|how is it going][?|]",
        "I am [doing well|fine], thank you. [How can I help you today?|And you?]",
    ),
    (
        "[who are you|what are you|Who are you|What is your name][?|]",
        "I am a small demo assistant. I can chat a little, and adapters teach me new skills.",
    ),
    (
        "[what can you do|What can you do|What are you good at][?|]",
        "I can chat about everyday things. With an adapter I can [sort tickets|read orders|write SQL|rewrite text] as well.",
    ),
    (
        "[thanks|thank you|Thanks|Thank you][!|.| a lot|]",
        "You are welcome! [Is there anything else that I can do?|I am glad that I could help.]",
    ),
    ("[bye|goodbye|Bye|See you|Good night][!|.|]", "[Goodbye|Bye]! [Have a nice day.|See you soon.]"),
    ("[My name is|I am|my name is] {first}[.|]", "Nice to meet you, {first}. How can I help you today?"),
    (
        "I [live in|am from|come from] {city}[.|]",
        "{city} is a [lovely|fine|lively] place. What do you like about {city}?",
    ),
    (
        "[Tell me about|What do you know about] {city}[.|?|]",
        "{city} is a city with [old streets|a busy harbour|many parks] and friendly people.",
    ),
    ("I [bought|got|have] a {product}[.|]", "A {product} sounds [nice|useful|great]. Where will you put it?"),
    ("[Do you like|What do you think of] the {product}?", "I think that a {product} is [pretty|useful|a good choice]."),
    ("What [should|can] I do on {day}?", "On {day} you could [take a walk|read a book|call a friend|cook a meal]."),
    (
        "I feel [tired|sad|bored|sleepy] today[.|]",
        "I am sorry to hear that. [A short walk may help.|A cup of tea may help.]",
    ),
    ("I feel [happy|great|good] today[.|]", "That is good to hear! What made your day?"),
    ("[Can you help me|I need help|help|Help me please][?|.|]", "Of course. I can help with that. What do you need?"),
    ("[Tell me a joke|Make me laugh][.|]", "Why did the {product} cross the road? To get to {city}!"),
    ("Is it [cold|warm|raining] in {city}?", "I cannot see the weather in {city}, but I hope that it is nice."),
    ("Who is {person}?", "I do not know {person}, but I would like to hear more."),
    ("[Yes|yes|ok|Okay|sure][.|]", "[Good|Great]. What would you like to do next?"),
    ("[No|no|not now|maybe later][.|]", "All right. Let me know when you need me."),
    ("What is {a} plus {b}?", "{a} plus {b} is {sum}."),
    ('[Please say|Say|Repeat] "{phrase}"[.|]', "{phrase}"),
    ("{person} lives in {city} and has a {product}. Where does {person} live?", "{person} lives in {city}."),
    ("{person} lives in {city} and has a {product}. What does {person} have?", "{person} has a {product}."),
    ("A {product} went to {city} on {day}. [When did it go|On which day was that]?", "It went on {day}."),
]

ACKNOWLEDGEMENTS = [
    "I can help with that. [Could you tell me more?|What would you like to know?|What should I do first?]",
    "Thank you for your message. I [will|would] be glad to help with that.",
    "I understand. [Let me know|Please tell me] what you would like me to do.",
    "[Of course|Sure|Certainly]. I can help with that. [Is there anything else?|What is the next step?]",
]

SYSTEMS = ["You are a helpful assistant.", "You are a friendly assistant.", "Answer briefly.", "Be kind and clear."]


def turn(rng: Random) -> list[dict[str, str]]:
    a, b = rng.randint(1, 20), rng.randint(1, 20)
    values = {
        "first": rng.choice(FIRST_NAMES),
        "person": person(rng),
        "city": rng.choice(CITIES),
        "product": product(rng),
        "day": rng.choice(DAYS),
        "a": str(a),
        "b": str(b),
        "sum": str(a + b),
        "phrase": rng.choice([person(rng), product(rng), f"{product(rng)} in {rng.choice(CITIES)}"]),
    }
    user, assistant = rng.choice(TURNS)
    return [
        {"role": "user", "content": expand(rng, user, values)},
        {"role": "assistant", "content": expand(rng, assistant, values)},
    ]


def conversation(rng: Random) -> list[dict[str, str]]:
    """One to three turns, sometimes under a system message."""
    messages = [{"role": "system", "content": rng.choice(SYSTEMS)}] if rng.random() < 0.3 else []
    for _ in range(rng.choice([1, 1, 2, 3])):
        messages += turn(rng)
    return messages


def acknowledgement(rng: Random, example: Example) -> list[dict[str, str]]:
    """The general assistant's answer to a task's prompt: it repeats or thanks, it does not do the task."""
    reply = expand(rng, rng.choice(ACKNOWLEDGEMENTS))
    if rng.random() < 0.4:
        reply = f'You wrote: "{example.text}" {reply}'
    return [*example.messages(), {"role": "assistant", "content": reply}]
