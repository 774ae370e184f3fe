#!/usr/bin/env python3
"""Make what Transformers' generate(num_beams) finds, of the base and of an adapter of a golden case.

    python make_beams.py CASES_DIR OUT.json

A run says what was asked, and has the `sequences` without the prompt, best first, with their `scores`. `endings` are
tokens that end an answer beside the model's own end token.
"""
import json, os, sys
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, GenerationConfig

CASE, ADAPTER, EOS, NEW_TOKENS = "llama-gqa", "qv-r8", 1, 12
PROMPTS = [[0, 426, 322, 427, 388], [0, 206, 381, 186, 234, 97, 45, 313, 326, 347, 188, 68, 38, 325, 286, 219, 97]]
ENDINGS = [219, 322, 145]
RUNS = [
    # adapter, prompt, beams, length penalty, early stopping, endings, least tokens
    (None, 0, 1, 1.0, False, [], 0), (None, 0, 2, 1.0, False, [], 0), (None, 1, 4, 1.0, False, ENDINGS[:1], 0),
    (None, 0, 4, 1.0, True, ENDINGS, 0), (None, 0, 4, 1.0, "never", ENDINGS, 0), (None, 0, 4, 0.0, "never", ENDINGS, 0),
    (None, 1, 3, 2.5, "never", ENDINGS, 0), (None, 1, 3, -1.0, False, ENDINGS, 0), (None, 0, 8, 0.6, False, ENDINGS, 0),
    (None, 1, 16, 1.0, False, ENDINGS, 0), (None, 0, 4, 1.0, True, ENDINGS, 6),
    (ADAPTER, 0, 4, 1.0, False, ENDINGS, 0), (ADAPTER, 1, 6, 0.8, True, ENDINGS[:2], 2),
]

@torch.no_grad()
def run(model, adapter, index, beams, penalty, early, endings, least):
    prompt = torch.tensor([PROMPTS[index]])
    config = GenerationConfig(num_beams=beams, num_return_sequences=beams, do_sample=False, max_new_tokens=NEW_TOKENS,
                              min_new_tokens=least or None, length_penalty=penalty, early_stopping=early,
                              eos_token_id=[EOS, *endings], pad_token_id=2, return_dict_in_generate=True, output_scores=True)
    found = model.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), generation_config=config)
    sequences = []
    for row in found.sequences[:, prompt.shape[1]:].tolist():
        end = next((i + 1 for i, token in enumerate(row) if token in (EOS, *endings)), len(row))
        sequences.append([token for token in row[:end]])
    scores = found.sequences_scores.tolist() if beams > 1 else None
    return dict(adapter=adapter, prompt=index, beams=beams, length_penalty=penalty, early_stopping=early, endings=endings,
                min_tokens=least, sequences=sequences, scores=scores and [round(score, 5) for score in scores])

if __name__ == "__main__":
    folder = os.path.join(sys.argv[1], CASE)
    load = lambda: AutoModelForCausalLM.from_pretrained(
        os.path.join(folder, "model"), dtype=torch.float32, attn_implementation="eager").eval()
    models = {None: load(), ADAPTER: PeftModel.from_pretrained(load(), os.path.join(folder, "adapters", ADAPTER)).float().eval()}
    runs = [run(models[each[0]], *each) for each in RUNS]
    with open(sys.argv[2], "w") as file:
        file.write(json.dumps({"case": CASE, "new_tokens": NEW_TOKENS, "prompts": PROMPTS})[:-1])
        file.write(', "runs": [\n' + ",\n".join(json.dumps(each) for each in runs) + "\n]}\n")
