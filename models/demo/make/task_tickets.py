"""Support tickets and the queue that each belongs to."""

from random import Random

from example import Example
from grammar import capitalize, expand, tidy
from vocabulary import CITIES, DAYS, code, person, product

ISSUES = {
    "billing": [
        "[I was|we were|my card was] [charged|billed] [twice|two times|double] for {order}",
        "[the invoice|the bill|my receipt] for {order} [shows|has|lists] the wrong [amount|total|tax]",
        "there is [a payment|a charge] of {amount} euros on my [card|statement] that I [do not recognise|never made]",
        "[can you|could you] send [me|us] [an invoice|a receipt|a VAT invoice] for {order}",
        "my [card|payment] was [declined|rejected] [when I paid|while paying] for the {product}",
        "the [discount|coupon|voucher] was not [taken off|applied to] the price of {order}",
        "I [need|want] to [change|update] the [card|payment method|bank account] that you charge",
    ],
    "shipping": [
        "[my parcel|my package|the delivery] with the {product} [has not arrived|never arrived|is late]",
        "[where is|when will I get] {order}, it was [due|promised] on {day}",
        "the [tracking page|tracking link] for {order} has not [moved|changed] since {day}",
        "the [courier|driver] [left|dropped] the {product} at the wrong [house|door|address]",
        "[can|could] you [send|deliver] {order} to {city} instead",
        "{order} is [stuck|held] at [customs|the depot] in {city}",
        "the [courier|driver] says that [nobody was home|the street does not exist] in {city}",
    ],
    "returns": [
        "[I want|I would like|we need] to [return|send back] the {product}",
        "the {product} [arrived|came] [broken|cracked|scratched|in pieces]",
        "[you sent|I received|I got] [the wrong item|the wrong colour], I had [ordered|bought] a {product}",
        "[how do I|how can I|where do I] [send back|return] the {product} from {order}",
        "the {product} is too [small|big|heavy] and I would like [a refund|my money back|an exchange]",
        "[one part|a screw|the lid] of the {product} was [missing|not in the box]",
        "I [need|am waiting for] a return label for the {product}",
    ],
    "account": [
        "I [cannot|can not|am unable to] [log in|sign in] to my [account|profile]",
        "I [forgot|lost] my [password|user name] and the reset [mail|link] [never comes|does not work]",
        "[please|can you] change the [email address|phone number|name] on my [account|profile] to {person}",
        "my [account|profile] was [locked|blocked|hacked] [on {day}|since {day}]",
        "the [login code|security code|two-factor code] [is not accepted|does not arrive]",
        "[please delete|how do I delete] my [account|profile and all my data]",
        "someone [else|in {city}] [signed in to|is using] my [account|profile]",
    ],
    "technical": [
        "the [app|website|shop page] [crashes|freezes|goes blank] when I open the {product}",
        "the [search|cart|checkout button] [does nothing|gives an error|keeps loading] on my [phone|laptop|tablet]",
        "I [get|see] error {number} [when I|every time I] [open the app|load the page|press save]",
        "[after the update|since {day}] the [app|website] [is very slow|does not start|shows no pictures]",
        "the [photos|pictures] of the {product} do not [load|show] in the [app|browser]",
        "the [app|website] [logs out|closes|reloads] [by itself|every minute] [on {day}|since the update]",
    ],
    "sales": [
        "do you [sell|have|stock] the {product} in [other colours|a larger size|blue]",
        "[how much|what] would {number} pieces of the {product} cost",
        "is there a [discount|better price] for [a school|a hotel|a large order] of the {product}",
        "when will the {product} be [in stock|available|sold] again",
        "[what is|how long is] the [guarantee|warranty] on the {product}",
        "[can we|could we] [get|have] a quote for {number} pieces of the {product}",
        "is the {product} [safe for children|made by hand|fit for outdoor use]",
    ],
    "cancellation": [
        "[please|kindly] [cancel|stop] {order} [before it ships|right away]",
        "I [changed my mind|no longer need it], [cancel|call off] the {product}",
        "[I ordered|I bought] the {product} by [mistake|accident], [please cancel it|stop the order]",
        "how [do I|can I] [cancel|end|stop] my [subscription|membership|monthly plan]",
        "[please|can you] [end|cancel] my [subscription|membership] [from {day}|this month]",
        "I want to [withdraw from|cancel] {order} [today|at once]",
    ],
    "praise": [
        "the {product} is [wonderful|beautiful|perfect], [thank you|I love it]",
        "[your team|your colleague {person}|the support in {city}] was [so kind|very helpful|great]",
        "I just [want|wanted] to say that the {product} is [lovely|excellent]",
        "[great|excellent|fantastic] [service|work], {order} [came|arrived] [early|in one day]",
        "[five stars|ten out of ten] for the {product} and for [your team|{person}]",
    ],
}

OPENERS = [
    "",
    "",
    "",
    "Hi,",
    "Hello,",
    "Hello team,",
    "Good [morning|evening],",
    "Dear support,",
    "This is {person}.",
    "Hey,",
]
CLOSERS = [
    "",
    "",
    "",
    "Thanks.",
    "Regards, {person}",
    "Best, {person}",
    "[Please|Kindly] [help|answer soon].",
    "My number is {order_code}.",
    "I [wrote|called] [already|before] on {day}.",
    "Yours, {person} from {city}",
]


def slots(rng: Random) -> dict[str, str]:
    order_code = code(rng)
    return {
        "order": expand(
            rng,
            f"[order {order_code}|my order {order_code}|my last order|my order from {{day}}]",
            {"day": rng.choice(DAYS)},
        ),
        "order_code": order_code,
        "product": product(rng),
        "person": person(rng),
        "city": rng.choice(CITIES),
        "day": rng.choice(DAYS),
        "amount": str(rng.randint(5, 990)),
        "number": str(rng.randint(3, 600)),
    }


def generate(rng: Random) -> Example:
    queue = rng.choice(list(ISSUES))
    values = slots(rng)
    issue = capitalize(expand(rng, rng.choice(ISSUES[queue]), values))
    opener, closer = (expand(rng, rng.choice(part), values) for part in (OPENERS, CLOSERS))
    return Example(tidy(f"{opener} {issue}. {closer}"), queue)
