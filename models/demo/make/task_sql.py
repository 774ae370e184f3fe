"""Questions in English and their SQL over one fixed schema:

customers(id, name, city, country, joined)         joined is a year
products(id, name, category, price, stock)
orders(id, customer_id, product_id, quantity, status, placed)    placed is a year
"""

from random import Random

from example import Example
from grammar import capitalize, expand, tidy
from vocabulary import CATEGORIES, CITIES, COUNTRIES, person, product

IMPERATIVES = ("[list", "[show", "count")
STATUSES = ["paid", "shipped", "cancelled", "returned", "pending"]

# (how the question says it, SQL) for each table; slots are filled once for both sides
CONDITIONS = {
    "customers": [
        ("[in|from|who live in] {city}", "city = '{city}'"),
        ("[in|from] the country {country}", "country = '{country}'"),
        ("who joined [in|during] {year}", "joined = {year}"),
        ("who joined [after|later than] {year}", "joined > {year}"),
        ("who joined [before|earlier than] {year}", "joined < {year}"),
    ],
    "products": [
        ("in [the category|category] {category}", "category = '{category}'"),
        ("[cheaper than|under|below] {number} euros", "price < {number}"),
        ("[more expensive than|over|above] {number} euros", "price > {number}"),
        ("with [fewer|less] than {small} in stock", "stock < {small}"),
        ("with more than {small} in stock", "stock > {small}"),
        ("that are [sold out|out of stock]", "stock = 0"),
    ],
    "orders": [
        ("[with status|marked as] {status}", "status = '{status}'"),
        ("placed [in|during] {year}", "placed = {year}"),
        ("placed [after|later than] {year}", "placed > {year}"),
        ("of more than {small} pieces", "quantity > {small}"),
        ("of [fewer|less] than {small} pieces", "quantity < {small}"),
    ],
}

# (question, SQL) around a table and its conditions; {where} is empty or " WHERE ..."
SELECTIONS = {
    "customers": [
        ("[list|show|give me] the names of [all|] customers {which}", "SELECT name FROM customers{where}"),
        ("[how many|what number of] customers {which} are there", "SELECT COUNT(*) FROM customers{where}"),
        ("[show|list] [every column of|all details of] customers {which}", "SELECT * FROM customers{where}"),
        ("count customers {which} per city", "SELECT city, COUNT(*) FROM customers{where} GROUP BY city"),
        ("[which|what] cities do customers {which} have", "SELECT DISTINCT city FROM customers{where}"),
    ],
    "products": [
        ("[list|show|give me] the names of [all|] products {which}", "SELECT name FROM products{where}"),
        ("[how many|what number of] products {which} are there", "SELECT COUNT(*) FROM products{where}"),
        ("what is the [average|mean] price of products {which}", "SELECT AVG(price) FROM products{where}"),
        ("what is the [highest|top|maximum] price of products {which}", "SELECT MAX(price) FROM products{where}"),
        (
            "[show|list] the {n} [cheapest|least expensive] products {which}",
            "SELECT name FROM products{where} ORDER BY price ASC LIMIT {n}",
        ),
        (
            "[show|list] the {n} [priciest|most expensive] products {which}",
            "SELECT name FROM products{where} ORDER BY price DESC LIMIT {n}",
        ),
        ("[show|list] names and prices of products {which}", "SELECT name, price FROM products{where}"),
    ],
    "orders": [
        ("[how many|what number of] orders {which} are there", "SELECT COUNT(*) FROM orders{where}"),
        ("[list|show|give me] the ids of [all|] orders {which}", "SELECT id FROM orders{where}"),
        ("what is the [total|sum of the] quantity of orders {which}", "SELECT SUM(quantity) FROM orders{where}"),
        ("count orders {which} per status", "SELECT status, COUNT(*) FROM orders{where} GROUP BY status"),
        (
            "[show|list] the {n} [latest|newest|most recent] orders {which}",
            "SELECT * FROM orders{where} ORDER BY placed DESC LIMIT {n}",
        ),
    ],
}

BY_CUSTOMER = "FROM orders JOIN customers ON customers.id = orders.customer_id WHERE customers.name = '{person}'"
BY_PRODUCT = "FROM orders JOIN products ON products.id = orders.product_id WHERE products.name = '{product}'"
LOOKUPS = [
    ("[which|what] city does {person} live in", "SELECT city FROM customers WHERE name = '{person}'"),
    ("[when|in which year] did {person} join", "SELECT joined FROM customers WHERE name = '{person}'"),
    ("[what|how much] does the {product} cost", "SELECT price FROM products WHERE name = '{product}'"),
    ("[how many|what number] of the {product} are in stock", "SELECT stock FROM products WHERE name = '{product}'"),
    ("[how many|what number of] orders did {person} place", "SELECT COUNT(*) " + BY_CUSTOMER),
    ("[list|show] the ids of [all|] orders [by|from] {person}", "SELECT orders.id " + BY_CUSTOMER),
    (
        "[list|show] the {status} orders [by|from] {person}",
        "SELECT orders.id " + BY_CUSTOMER + " AND orders.status = '{status}'",
    ),
    (
        "[how many pieces|what quantity] of the {product} [were ordered|did we sell]",
        "SELECT SUM(orders.quantity) " + BY_PRODUCT,
    ),
    ("[how many|what number of] orders include the {product}", "SELECT COUNT(*) " + BY_PRODUCT),
]


def slots(rng: Random) -> dict[str, str]:
    return {
        "city": rng.choice(CITIES),
        "country": rng.choice(COUNTRIES),
        "category": rng.choice(CATEGORIES),
        "status": rng.choice(STATUSES),
        "year": str(rng.randint(2001, 2026)),
        "number": str(rng.randint(5, 900)),
        "small": str(rng.randint(2, 99)),
        "n": str(rng.randint(2, 20)),
        "person": person(rng),
        "product": product(rng),
    }


def selection(rng: Random) -> tuple[str, str]:
    """A question over one table with no, one or two conditions on different columns."""
    table = rng.choice(list(SELECTIONS))
    question, sql = rng.choice(SELECTIONS[table])
    conditions = rng.sample(CONDITIONS[table], rng.choice([0, 1, 1, 1, 2, 2]))
    if len({test.split()[0] for _, test in conditions}) < len(conditions):
        conditions = conditions[:1]
    which = " and ".join(words for words, _ in conditions)
    where = " WHERE " + " AND ".join(test for _, test in conditions) if conditions else ""
    return question.replace(" {which}", f" {which}" if which else ""), sql.replace("{where}", where)


def generate(rng: Random) -> Example:
    question, sql = selection(rng) if rng.random() < 0.7 else rng.choice(LOOKUPS)
    values = slots(rng)
    polite = expand(rng, "[|||please tell me: |I want to know: ]")
    text = capitalize(tidy(polite + expand(rng, question, values)))
    mark = "." if question.startswith(IMPERATIVES) else "?"
    return Example(text + rng.choice([mark, mark, ""]), expand(rng, sql, values) + ";")
