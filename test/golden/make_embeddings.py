"""Make golden vectors with Hugging Face Transformers and PEFT: hidden states after the final norm, pooled.

    python make_embeddings.py CASE_DIR=ADAPTER,ADAPTER... > embeddings.json

Each case has a model/ and adapters/ as make_goldens.py writes them. Of each prompt and adapter (null: the base):
the last token's state, the first one's ("cls") and the mean of all, in float32, not normalized.
"""
import json
import os
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def states(model, prompt):
    with torch.no_grad():
        out = model(input_ids=torch.tensor([prompt]), output_hidden_states=True)
    return out.hidden_states[-1][0].double()


def rounded(vector):
    return [float(f"{x:.7g}") for x in vector.tolist()]


cases = []
for argument in sys.argv[1:]:
    folder, names = argument.split("=")
    golden = json.load(open(os.path.join(folder, "golden.json")))
    prompts = sorted(golden["prompts"], key=len)[-2:]
    vectors = []
    for adapter in [None, *names.split(",")]:
        model = AutoModelForCausalLM.from_pretrained(os.path.join(folder, "model"), dtype=torch.float32).eval()
        if adapter is not None:
            model = PeftModel.from_pretrained(model, os.path.join(folder, "adapters", adapter)).eval()
        for index, prompt in enumerate(prompts):
            rows = states(model, prompt)
            vectors.append(dict(adapter=adapter, prompt=index, last=rounded(rows[-1]), cls=rounded(rows[0]), mean=rounded(rows.mean(0))))
    cases.append(dict(case=os.path.relpath(os.path.abspath(folder), os.path.dirname(os.path.abspath(__file__))), prompts=prompts, vectors=vectors))
json.dump(cases, sys.stdout, separators=(",", ":"))
