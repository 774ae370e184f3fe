#!/usr/bin/env python3
"""Which texts Lark itself accepts for each grammar of grammars.json: adds "accepted" and "refused" to it.

    pip install lark
    python make_sentences.py grammars.json

Earley with the lexer `dynamic_complete` takes a terminal for any text that it matches, as a grammar of characters does.
"""
import json, sys
from lark import Lark
from lark.exceptions import LarkError

path = sys.argv[1]
cases = json.load(open(path))
for case in cases:
    parser = Lark(case["grammar"], start=case.get("start", "start"), parser="earley", lexer="dynamic_complete")
    texts = case.pop("accepted", []) + case.pop("refused", []) + case.pop("texts", [])
    case["accepted"], case["refused"] = [], []
    for text in texts:
        try:
            parser.parse(text)
            case["accepted"].append(text)
        except LarkError:
            case["refused"].append(text)
json.dump(cases, open(path, "w"), indent=1, ensure_ascii=False)
open(path, "a").write("\n")
