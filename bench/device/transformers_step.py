"""What a decode step of an 8B Llama takes in Transformers, and with PEFT one adapter, on the same card: random weights in bf16."""

import json
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

CONTEXT = 1024


def report(**fields):
    print(json.dumps({**{"case": fields.pop("case"), "ok": True}, **fields}), flush=True)


def decode_ms(model, rows):
    ids = torch.randint(0, 1000, (rows, CONTEXT - 1), device="cuda")
    with torch.inference_mode():
        cache = model(ids, use_cache=True, logits_to_keep=1).past_key_values
        token, best = ids[:, :1], None
        for turn in range(8):
            torch.cuda.synchronize()
            begin = time.perf_counter()
            cache = model(token, past_key_values=cache, use_cache=True).past_key_values
            torch.cuda.synchronize()
            took = 1000 * (time.perf_counter() - begin)
            if turn > 2:
                best = took if best is None else min(best, took)
    return best


def main():
    config = LlamaConfig(
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        vocab_size=128256,
        max_position_embeddings=8192,
    )
    with torch.device("cuda"):
        model = LlamaForCausalLM(config).to(torch.bfloat16).eval()
    for rows in (1, 8, 32):
        report(case="transformers decode step, bf16", rows=rows, milliseconds=decode_ms(model, rows))
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        return
    adapted = get_peft_model(model, LoraConfig(r=16, target_modules="all-linear"))
    for rows in (1, 8, 32):
        report(case="transformers + PEFT decode step, bf16, one adapter", rows=rows, milliseconds=decode_ms(adapted, rows))


if __name__ == "__main__":
    main()
