#!/usr/bin/env python3
"""Make what PEFT's merge_and_unload gives: of each weight that it changes, four elements and the norm of the change.

    python make_merged.py GOLDEN_DIR OUT.json
"""
import json, os, sys
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

RUNS = {
    "cases/llama-gqa": ["qv-r8", "all-r16-bf16", "dora-r8", "patterns", "rslora-r4", "save-lm-head", "embed-lm-head"],
    "peft-cases/gqa": ["dora-all", "fan-in-fan-out-dora", "rslora-patterns", "save-mlp", "save-norms"],
    "peft-cases/biased": ["bias-all", "bias-dora-lora-only", "lora-bias-and-all", "save-biased", "save-embeddings", "token-rows"],
    "peft-cases/tied": ["all-linear", "save-embed", "save-head", "lora-embed", "lora-head", "lora-embed-and-head"],
}

def samples(before, after):
    out = {}
    for name, value in after.items():
        old = before[name]
        if torch.equal(old, value): continue
        flat = value.flatten()
        places = [(at * 7919) % flat.numel() for at in range(1, 5)]
        out[name] = {"at": places, "values": [float(f"{flat[at].item():.6g}") for at in places], "norm": float(f"{(value - old).double().norm().item():.6g}")}
    return out

if __name__ == "__main__":
    root, out = sys.argv[1:]
    runs = []
    for case, names in RUNS.items():
        folder = os.path.join(root, case)
        if not os.path.isdir(folder): continue
        golden = json.load(open(os.path.join(folder, "golden.json")))
        model_folder = os.path.join(root, "cases", golden["model_of"], "model") if "model_of" in golden else os.path.join(folder, "model")
        for name in names:
            base = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
            before = {key: value.clone() for key, value in base.state_dict().items()}
            model = PeftModel.from_pretrained(base, os.path.join(folder, "adapters", name)).float()
            if base.config.tie_word_embeddings and name.startswith("lora-"):
                # Merged in place, a delta of either would change the other as well, which it does not while it is an adapter.
                head = model.base_model.model.lm_head
                head = getattr(head, "base_layer", head)
                head.weight = torch.nn.Parameter(head.weight.detach().clone())
                base.config.tie_word_embeddings = False
            after = model.merge_and_unload().state_dict()
            runs.append({"adapter": os.path.join(case, "adapters", name), "model": os.path.relpath(model_folder, root), "weights": samples(before, after)})
    json.dump(runs, open(out, "w"), separators=(",", ":"))
