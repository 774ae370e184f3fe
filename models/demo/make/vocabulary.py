"""Word lists that every generator shares. Wide enough that most combinations are never seen twice."""

from random import Random

FIRST_NAMES = """Maria Oskar Priya Chen Amara Lucas Zoë Yusuf Hannah Mateo Ingrid Kofi Leila Björn Aiko Daniel
Fatima Tomás Greta Samir Nina Viktor Olivia Hassan Chloé Pedro Anika Liam Sofia Dmitri Grace Ravi Elena Marcus
Yara Felix Noor Jonas Beatriz Owen Mei Stefan Layla Hugo Tara Emil Rosa Idris Clara Anton Jun Paula Malik Edith
Bruno Sana Arthur Lucía Henrik Dina Oliver Kenji Amélie Tariq Julia Simon Zainab Peter Irene Carlos Wanda Leo
Astrid Omar Petra Sven Ruth Nikolai Ada Gustav""".split()

LAST_NAMES = """Chen Lindqvist Patel Okafor Silva Novak Haddad Müller Tanaka Rossi Kim Larsen Mensah Ferrari Dubois
Kowalski Ivanov Garcia Smith Nguyen Sato Brown Fischer Costa Yilmaz Andersen Hughes Rahman Petrov Moreau Weber
Jansen Walsh Castillo Ahmed Bergström Ito Clarke Mendes Popescu Adeyemi Schmidt Reyes Horvat Park Olsen Murphy
Bianchi Khan Eriksson Duarte Fraser Zhang Keller Santos Virtanen Bauer Morales Quinn Osei Laurent Hill Vega
Nakamura Byrne Singh Dahl Ortega Webb Marino Holm Farah Vogel Price Lopez Baker Sørensen Yamada Rocha Ellis
Kaya""".split()

CITIES = """Oslo Lisbon Kraków Osaka Nairobi Malmö Toronto Lima Geneva Dublin Porto Austin Leeds Zürich Bergen Hanoi
Accra Denver Gdańsk Lyon Seville Perth Kyoto Tampere Quito Boston Turin Utrecht Odense Cardiff Montréal Chicago
Pune Graz Bilbao Ghent Nagoya Seattle Tunis Riga Vilnius Adelaide Izmir Bristol Bologna Leipzig Aarhus Mumbai
Santiago Vienna Prague Split Bogotá Dakar Glasgow Tallinn Valencia Nantes Basel Helsinki Ottawa Phoenix Manila
Lagos Rabat Cork Brno Uppsala Kobe Dallas""".split()

COUNTRIES = """Norway Portugal Poland Japan Kenya Sweden Canada Peru Switzerland Ireland Ghana France Spain Australia
Finland Ecuador Italy Denmark India Austria Belgium Tunisia Latvia Turkey Germany Chile Croatia Colombia Senegal
Estonia Morocco Vietnam Mexico Greece""".split()

MATERIALS = """walnut brass copper oak linen steel velvet bamboo ceramic glass leather marble cotton pine silver
canvas rattan granite birch wool cork bronze maple porcelain cherry teak felt denim ash silk""".split()

NOUNS = """desk lamp kettle chair clock mirror teapot basket stool vase tray bench cushion curtain ladder bucket
drawer blanket candle frame bowl pitcher rug cabinet table planter hook mug wallet apron notebook bottle hammer
kite lantern pillow plate rack spoon towel whistle flask jar""".split()

CATEGORIES = """furniture lighting kitchen garden office bedroom outdoor decor tools storage textiles
stationery""".split()

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()

MONTHS = "January February March April May June July August September October November December".split()

NUMBER_WORDS = "one two three four five six seven eight nine ten eleven twelve".split()


def person(rng: Random) -> str:
    return f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}"


def product(rng: Random) -> str:
    return f"{rng.choice(MATERIALS)} {rng.choice(NOUNS)}"


def plural(noun: str) -> str:
    """Every noun above forms its plural regularly."""
    return noun + ("es" if noun.endswith(("s", "ch", "sh", "x")) else "s")


def code(rng: Random) -> str:
    """An order or invoice number such as `KL-4821`."""
    letters = "ABCDEFGHJKLMNPRSTUVWXYZ"
    return f"{rng.choice(letters)}{rng.choice(letters)}-{rng.randint(1000, 9999)}"
