#!/usr/bin/env python3
"""Make golden adapters for the corners of PEFT's LoRA: what make_goldens.py does, for more adapters and few models.

    python make_adapters.py peft-cases/spec.json        (or recurrent/spec.json; from test/golden, with torch, transformers, peft)

SPEC.json is a list of cases. A case with "model_of" uses the model of cases/<model_of>; otherwise it has "arch" and
"config" as in make_goldens.py. An adapter may have "save_embedding_layers" (passed to save_pretrained) and "perturb": parts
of tensor names whose values are changed in the saved file, so that it matters whether they are loaded. One with "resized"
is saved as if the vocabulary had been resized in memory: the base's folder says another vocab_size than the model, so PEFT
saves the embeddings as well. The expected values are those of PeftModel.from_pretrained on the file as it is then.

peft-cases/<case>/ holds model/ (unless "model_of"), adapters/<adapter>/ and golden.json as make_goldens.py writes them.
"""
import json, os, shutil, sys, tempfile
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
import make_goldens
from make_goldens import DTYPES, reference

HERE = os.path.dirname(os.path.abspath(__file__))

def fill(model, seed):
    """Values that make every part of the adapter visible in the logits."""
    g = torch.Generator().manual_seed(seed)
    noise = lambda p: torch.randn(p.shape, generator=g)
    with torch.no_grad():
        for n, p in model.named_parameters():
            if "lora_A" in n or "lora_embedding_A" in n:
                p.copy_(noise(p) / p.shape[-1] ** 0.5)
            elif "lora_B" in n or "lora_embedding_B" in n:
                p.copy_(noise(p) * 0.35 / max(1, p.shape[-1]) ** 0.5)
            elif "magnitude" in n:
                p.mul_(1 + 0.2 * noise(p))
            elif "trainable_tokens" in n:
                p.add_(0.5 * noise(p))
            elif "modules_to_save" in n or (n.endswith(".bias") and p.requires_grad):
                p.add_(0.2 * noise(p))

def perturb(path, parts, seed):
    g = torch.Generator().manual_seed(seed)
    tensors = load_file(path)
    for name, value in sorted(tensors.items()):
        if any(part in name for part in parts):
            tensors[name] = (value.float() * (1 + 0.3 * torch.randn(value.shape, generator=g))).to(value.dtype)
    save_file(tensors, path, metadata={"format": "pt"})

def as_resized(trained, model_dir):
    """Lets PEFT find, where it looks for the base, a config with fewer tokens than the model has."""
    folder = tempfile.mkdtemp()
    config = json.load(open(os.path.join(model_dir, "config.json")))
    json.dump({**config, "vocab_size": config["vocab_size"] - 2}, open(os.path.join(folder, "config.json"), "w"))
    trained.peft_config["default"].base_model_name_or_path = folder

def make_case(out_dir, case):
    root = os.path.join(out_dir, case["name"])
    shutil.rmtree(root, ignore_errors=True)
    if "model_of" in case:
        source = os.path.join(HERE, "cases", case["model_of"])
        model_dir = os.path.join(source, "model")
        golden = json.load(open(os.path.join(source, "golden.json")))
    else:
        make_goldens.make_case(out_dir, {**case, "adapters": []})
        model_dir = os.path.join(root, "model")
        golden = json.load(open(os.path.join(root, "golden.json")))
    prompts = golden["prompts"][: case.get("prompts", 2)]
    new = case.get("new_tokens", 12)
    load = lambda: AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32, attn_implementation="eager").eval()
    runs = [dict(adapter=None, prompt=i, **reference(load(), p, new)) for i, p in enumerate(prompts)]
    for k, a in enumerate(case["adapters"]):
        seed = case["seed"] + 10 * (k + 1)
        adapter_dir = os.path.join(root, "adapters", a["name"])
        torch.manual_seed(seed)
        trained = get_peft_model(load(), LoraConfig(task_type="CAUSAL_LM", **a["lora"]))
        fill(trained, seed + 1)
        if a.get("resized"):
            as_resized(trained, model_dir)
        trained.to(DTYPES[a.get("dtype", "bf16")]).save_pretrained(
            adapter_dir, save_embedding_layers=a.get("save_embedding_layers", "auto"))
        os.remove(os.path.join(adapter_dir, "README.md"))
        config_path = os.path.join(adapter_dir, "adapter_config.json")
        config = json.load(open(config_path))
        config["base_model_name_or_path"] = os.path.basename(case.get("model_of", case["name"]))
        json.dump(config, open(config_path, "w"), indent=2, sort_keys=True)
        if "perturb" in a:
            perturb(os.path.join(adapter_dir, "adapter_model.safetensors"), a["perturb"], seed + 2)
        loaded = PeftModel.from_pretrained(load(), adapter_dir).float().eval()
        runs += [dict(adapter=a["name"], prompt=i, **reference(loaded, p, new)) for i, p in enumerate(prompts)]
        names = load_file(os.path.join(adapter_dir, "adapter_model.safetensors"))
        print(case["name"], a["name"], len(names), "tensors", os.path.getsize(os.path.join(adapter_dir, "adapter_model.safetensors")) // 1024, "KiB", flush=True)
        if len(sys.argv) > 2: print("  ", "\n   ".join(f"{n} {tuple(t.shape)}" for n, t in names.items() if "layers.1" not in n))
    result = dict(case=case["name"], arch=golden["arch"], eos_token_id=golden["eos_token_id"], prompts=prompts, runs=runs)
    if "model_of" in case: result["model_of"] = case["model_of"]
    json.dump(result, open(os.path.join(root, "golden.json"), "w"), separators=(",", ":"))

if __name__ == "__main__":
    spec_path = os.path.abspath(sys.argv[1])
    for case in json.load(open(spec_path)):
        make_case(os.path.dirname(spec_path), case)
