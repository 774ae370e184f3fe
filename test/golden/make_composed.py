#!/usr/bin/env python3
"""Make what PEFT computes for scaled adapters and for several active at once, of golden cases that are there.

    python make_composed.py CASES_DIR OUT.json

OUT.json: a list of {"case", "prompts", "runs"}; a run has what golden.json's have, and "adapters": the names with the
weight of each, and "lora_scale". PEFT multiplies `scaling` of every LoRA layer by both.
"""
import json, os, sys
import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from transformers import AutoModelForCausalLM
from make_goldens import reference

NEW_TOKENS = 8
CASES = {
    "cases/llama-gqa": [
        ({"qv-r8": 1}, 0.5), ({"qv-r8": 1}, 2), ({"all-r16-bf16": 1}, -0.5), ({"rslora-r4": 1}, 0.25),
        ({"patterns": 1}, 1.5), ({"some-layers": 1}, 0), ({"embed-lm-head": 1}, 0.6),
        ({"qv-r8": 1, "all-r16-bf16": 1}, 1), ({"qv-r8": 0.7, "rslora-r4": 0.3}, 1),
        ({"embed-lm-head": 0.5, "patterns": 1.25}, 1), ({"qv-r8": 1, "some-layers": -1, "patterns": 0.5}, 0.5),
        ({"qv-r8": 0.25, "all-r16-bf16": 0.25, "rslora-r4": 0.25, "embed-lm-head": 0.25}, 1),
    ],
    "cases/phi3-fused": [({"all-r8": 1}, 0.5), ({"all-r8": 1}, -0.25)],
    "peft-cases/gqa": [
        ({"lora-bias": 1}, 0.5), ({"rslora-patterns": 1}, 2), ({"lora-bias": 0.8, "layers-pattern": -0.6}, 1),
        ({"exclude-list": 1, "exclude-regex": 1, "lora-bias": 1, "rslora-patterns": 0.5}, 0.75),
    ],
}

def make(root, case):
    folder = os.path.join(root, case)
    golden = json.load(open(os.path.join(folder, "golden.json")))
    model_folder = os.path.join(root, "cases", golden["model_of"]) if "model_of" in golden else folder
    prompts = golden["prompts"][:2]
    runs = []
    for chosen, scale in CASES[case]:
        base = AutoModelForCausalLM.from_pretrained(
            os.path.join(model_folder, "model"), dtype=torch.float32, attn_implementation="eager").eval()
        model = None
        for name in chosen:
            path = os.path.join(folder, "adapters", name)
            if model is None: model = PeftModel.from_pretrained(base, path, adapter_name=name)
            else: model.load_adapter(path, adapter_name=name)
        model.float().eval()
        model.base_model.set_adapter(list(chosen))
        for layer in model.modules():
            if not isinstance(layer, LoraLayer): continue
            for name, weight in chosen.items():
                if name in layer.scaling: layer.scaling[name] *= weight * scale
        for index, prompt in enumerate(prompts):
            result = reference(model, prompt, NEW_TOKENS)
            del result["top5"]
            runs.append({"adapters": chosen, "lora_scale": scale, "prompt": index, **result})
    return {"case": case, "prompts": prompts, "runs": runs}

if __name__ == "__main__":
    out = [make(sys.argv[1], case) for case in CASES]
    with open(sys.argv[2], "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(case) for case in out) + "\n]\n")
