#!/usr/bin/env python3
"""Make what PEFT computes for activated LoRAs (aLoRA) on a golden case's model, and the adapters themselves.

    python make_activated.py CASES_DIR OUT_DIR

OUT_DIR/adapters/<name>/ holds PEFT's files, OUT_DIR/golden.json {"model_of", "prompts", "runs"} as the other golden.json's
have them; a run's scores are PEFT's forward of the prompt and of what it generated, with the offsets of the prompt alone,
as its generate() does. `invoked_at` is where the adapter begins (null: nowhere).
"""
import json, os, shutil, sys
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora.variants import calculate_alora_offsets
from transformers import AutoModelForCausalLM

MODEL, NEW_TOKENS = "llama-gqa", 10
ADAPTERS = {
    "answers": dict(r=8, lora_alpha=32, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"],
                    alora_invocation_tokens=[6, 77, 78]),
    "turns": dict(r=4, lora_alpha=16, target_modules="all-linear", use_rslora=True, alora_invocation_tokens=[5]),
}
BODY = [0] + [(i * 53 + 19) % 480 + 16 for i in range(60)]
def prompts_of(tokens):
    # At the very beginning, within a page of 16, at the edges of pages, at the end, twice, and not at all.
    return [tokens + BODY[:6], BODY[:5] + tokens + BODY[5:9], BODY[:16] + tokens + BODY[16:30], BODY[:31] + tokens + BODY[31:40],
            BODY[:40] + tokens, BODY[:9] + tokens + BODY[9:33] + tokens + BODY[33:36], BODY[:21]]

def score(model, ids, offset):
    logits = model(torch.tensor([ids]), use_cache=False, alora_offsets=[offset]).logits[0].float()
    return torch.log_softmax(logits, -1)

@torch.no_grad()
def run(model, name, prompt):
    [offset] = calculate_alora_offsets(model.peft_config, name, torch.tensor([prompt]))
    begin = None if offset is None else len(prompt) - offset
    ids, margins, logprobs = list(prompt), [], []
    for _ in range(NEW_TOKENS):
        last = score(model, ids, None if begin is None else len(ids) - begin)[-1]
        top = last.topk(2)
        margins.append(round(float(top.values[0] - top.values[1]), 4))
        logprobs.append(round(float(top.values[0]), 5))
        ids.append(int(top.indices[0]))
    generated = model.generate(input_ids=torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), do_sample=False, max_new_tokens=NEW_TOKENS,
                               min_new_tokens=NEW_TOKENS, eos_token_id=None, pad_token_id=0)[0].tolist()
    if min(margins) > 0.01: assert generated == ids, (generated, ids)
    logp = score(model, prompt, offset)
    return dict(invoked_at=begin, greedy_ids=ids[len(prompt):], greedy_logprobs=logprobs, margins=margins,
                prompt_logprobs=[None] + [round(float(logp[i, t]), 5) for i, t in enumerate(prompt[1:])])

def main(cases, out):
    shutil.rmtree(out, ignore_errors=True)
    load = lambda: AutoModelForCausalLM.from_pretrained(
        os.path.join(cases, MODEL, "model"), dtype=torch.float32, attn_implementation="eager").eval()
    prompts, runs = [], []
    for seed, (name, lora) in enumerate(ADAPTERS.items()):
        torch.manual_seed(seed)
        model = get_peft_model(load(), LoraConfig(task_type="CAUSAL_LM", **lora))
        for key, value in model.named_parameters():
            if "lora_" in key: value.data.copy_(torch.randn_like(value) * (0.35 if "lora_B" in key else 0.15))
        path = os.path.join(out, "adapters", name)
        model.save_pretrained(path)
        os.remove(os.path.join(path, "README.md"))
        config = json.load(open(os.path.join(path, "adapter_config.json")))
        config["base_model_name_or_path"] = MODEL
        json.dump(config, open(os.path.join(path, "adapter_config.json"), "w"), indent=2, sort_keys=True)
        model = PeftModel.from_pretrained(load(), path, adapter_name=name).float().eval()
        for prompt in prompts_of(lora["alora_invocation_tokens"]):
            runs.append({"adapter": name, "prompt": len(prompts), **run(model, name, prompt)})
            prompts.append(prompt)
    with open(os.path.join(out, "golden.json"), "w") as file:
        file.write(json.dumps({"model_of": MODEL, "prompts": prompts}, separators=(",", ":"))[:-1])
        file.write(',"runs":[\n' + ",\n".join(json.dumps(each) for each in runs) + "\n]}\n")

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
