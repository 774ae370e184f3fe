"""Writes demo.json, from which a server's starter registers the base model and its adapters."""

import json

from paths import EVAL, MODEL_NAME, ROOT

DESCRIPTIONS = {
    "ticket-router": "Names the queue that a support ticket belongs to.",
    "order-json": "Turns an order in everyday words into a JSON record.",
    "text-to-sql": "Turns a question into SQL over a fixed schema of customers, products and orders.",
    "formal-rewrite": "Rewrites a chatty message in formal English.",
}


def example(heldout: list[dict], task: str) -> dict:
    """A held-out example that the adapter answers right, with an answer longer than most: it shows the task well."""
    right = [e for e in heldout if e["adapter"] == task and e["completion"] == e["expected"]]
    shown = sorted(right, key=lambda e: len(e["expected"]))[len(right) * 3 // 4]
    return {"messages": shown["messages"], "expected": shown["expected"]}


def make() -> None:
    heldout = json.loads((EVAL / "heldout.json").read_text())
    adapters = [
        {"name": task, "path": f"adapters/{task}", "description": text, "example": example(heldout, task)}
        for task, text in DESCRIPTIONS.items()
    ]
    index = {"base": "base", "name": MODEL_NAME, "adapters": adapters}
    (ROOT / "demo.json").write_text(json.dumps(index, indent=2, ensure_ascii=False) + "\n")
