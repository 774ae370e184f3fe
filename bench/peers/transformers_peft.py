"""Transformers + PEFT as a peer: mixed batches by `adapter_names`, greedy, bf16, one JSON line in, one out.

PEFT computes a mixed batch by a loop over its adapters in every layer. A wave is one static batch: prefill of all
prompts, then one step per token, which is the fastest that this stack offers without a server around it.
"""

import json
import sys
import time

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

BASE = "__base__"  # PEFT's name for "no adapter" in a mixed batch


class Peer:
    def __init__(self, model, adapters, threads):
        torch.set_num_threads(threads)
        self.model = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
        for index, folder in enumerate(adapters):
            if index == 0:
                self.model = PeftModel.from_pretrained(self.model, folder, adapter_name="0")
            else:
                self.model.load_adapter(folder, adapter_name=str(index))
        self.model.eval()

    @torch.inference_mode()
    def wave(self, prompts, new_tokens, adapters):
        start = time.perf_counter()
        names = [BASE if adapter is None else str(adapter) for adapter in adapters]
        ids, cache, times, tokens = torch.tensor(prompts), None, [], []
        for _ in range(new_tokens):
            out = self.forward(names, input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache = out.past_key_values
            ids = out.logits[:, -1:].argmax(-1)
            tokens.append(ids[:, 0].tolist())
            times.append((time.perf_counter() - start) * 1000)
        by_request = [list(column) for column in zip(*tokens)]
        return {"times_ms": [times] * len(prompts), "tokens": by_request}

    def forward(self, names, **inputs):
        if all(name == BASE for name in names):
            with self.model.disable_adapter():
                return self.model(**inputs)
        return self.model(adapter_names=names, **inputs)


def main():
    peer = None
    for line in sys.stdin:
        message = json.loads(line)
        action = message.pop("do")
        try:
            if action == "open":
                peer = Peer(**message)
                answer = {}
            else:
                answer = peer.wave(**message)
        except Exception as error:  # told to the parent, which decides
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
