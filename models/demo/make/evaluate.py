"""Scores base and adapters on held-out examples: exact match of the greedy reply, float32 on the stored weights."""

import json
from pathlib import Path

import torch
from peft import PeftModel
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

import corpus
from example import Example
from paths import ADAPTERS, BASE, EVAL, MODEL_NAME
from tokenizer import END

HELDOUT = 100
MAX_NEW_TOKENS = 80


def load_base() -> LlamaForCausalLM:
    return LlamaForCausalLM.from_pretrained(BASE, dtype=torch.float32, attn_implementation="eager").eval()


@torch.no_grad()
def reply(model: LlamaForCausalLM | PeftModel, tokenizer: PreTrainedTokenizerFast, example: Example) -> str:
    """One prompt at a time: padding would change the arithmetic."""
    ids = tokenizer.apply_chat_template(
        example.messages(), add_generation_prompt=True, return_tensors="pt", return_dict=False
    )
    out = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=MAX_NEW_TOKENS, do_sample=False
    )
    text = tokenizer.decode(out[0, ids.shape[1] :])
    return text.split(END)[0].split(tokenizer.eos_token)[0]


def make(tokenizer: PreTrainedTokenizerFast, seed: int) -> dict:
    heldout, scores = [], {}
    for task in corpus.TASKS:
        examples = corpus.heldout_examples(task, HELDOUT, seed)
        model = load_base()
        base = [reply(model, tokenizer, example) for example in examples]
        model = PeftModel.from_pretrained(model, ADAPTERS / task).float().eval()
        adapted = [reply(model, tokenizer, example) for example in examples]
        scores[task] = {"base": exact(examples, base), "adapter": exact(examples, adapted), "examples": HELDOUT}
        print(task, scores[task], flush=True)
        heldout += [
            {"adapter": task, "messages": e.messages(), "expected": e.expected, "completion": a, "base_completion": b}
            for e, a, b in zip(examples, adapted, base)
        ]
    EVAL.mkdir(parents=True, exist_ok=True)
    write(EVAL / "heldout.json", heldout)
    accuracy = {"base_model": MODEL_NAME, "decoding": "greedy", "max_new_tokens": MAX_NEW_TOKENS, "exact_match": scores}
    write(EVAL / "accuracy.json", accuracy)
    return accuracy


def exact(examples: list[Example], replies: list[str]) -> float:
    return sum(e.expected == r for e, r in zip(examples, replies)) / len(examples)


def write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
