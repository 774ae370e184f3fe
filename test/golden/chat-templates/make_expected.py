"""What Transformers makes of the templates here: `python make_expected.py` writes expected.json.

Needs transformers (5.18.0 with Jinja2 3.1.6 wrote what is stored). The clock stands still at 9 March 2026, 05:07:08.
"""

import datetime
import json
from pathlib import Path

from transformers.utils import chat_template_utils

HERE = Path(__file__).parent
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}


class StoppedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 3, 9, 5, 7, 8)


chat_template_utils.datetime = StoppedClock


def render(template, values):
    try:
        compiled = chat_template_utils._compile_jinja_template(template)
    except Exception as error:
        return {"does_not_compile": type(error).__name__}
    try:
        return {"text": compiled.render(**values)}
    except Exception as error:
        return {"fails": type(error).__name__}


def conversation_values(conversation):
    defaults = {"tools": None, "documents": None, "add_generation_prompt": True}
    return {**SPECIAL, **defaults, **conversation}


def main():
    conversations = json.loads((HERE / "conversations.json").read_text("utf-8"))
    families = {}
    for path in sorted((HERE / "templates").glob("*.jinja")):
        template = path.read_bytes().decode("utf-8")
        families[path.stem] = {
            name: render(template, conversation_values(conversation)) for name, conversation in conversations.items()
        }
    values = conversation_values(json.loads((HERE / "values.json").read_text("utf-8")))
    expressions = json.loads((HERE / "expressions.json").read_text("utf-8"))
    statements = json.loads((HERE / "statements.json").read_text("utf-8"))
    expected = {
        "families": families,
        "expressions": [render("{{ " + expression + " }}", values) for expression in expressions],
        "statements": [render(statement, values) for statement in statements],
    }
    (HERE / "expected.json").write_text(json.dumps(expected, ensure_ascii=True, indent=0) + "\n", "utf-8")


main()
