#!/usr/bin/env python3
"""Write golden adapters of projections apart as those of fused projections, and the other way round: the same deltas, so
what PEFT computes of the one in cases/ is what the other has to give.

    python make_crosswise.py crosswise        (from test/golden, with torch, safetensors)
"""
import glob, json, os, sys
import torch
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = {"qkv_proj": ["q_proj", "k_proj", "v_proj"], "gate_up_proj": ["gate_proj", "up_proj"]}

def path(layer, leaf):
    return f"base_model.model.model.layers.{layer}.{'self_attn' if leaf[0] in 'qkv' else 'mlp'}.{leaf}"

def fused(tensors, weights, layers):
    """A of the parts one below the other, B in blocks. A part without a delta has zeros, and DoRA's magnitude of its own weight."""
    out, ranks = dict(tensors), {}
    for layer in range(layers):
        for whole, parts in PARTS.items():
            given = [p for p in parts if f"{path(layer, p)}.lora_A.weight" in tensors]
            if not given: continue
            a, b, m = [], [], []
            for p in parts:
                w = weights[path(layer, p).removeprefix("base_model.model.") + ".weight"].float()
                lora_a = out.pop(f"{path(layer, p)}.lora_A.weight", torch.zeros(0, w.shape[1]))
                a.append(lora_a.float()); b.append(out.pop(f"{path(layer, p)}.lora_B.weight", torch.zeros(w.shape[0], 0)).float())
                m.append(out.pop(f"{path(layer, p)}.lora_magnitude_vector", w.norm(dim=1)).float())
            ranks[whole] = sum(x.shape[0] for x in a)
            out[f"{path(layer, whole)}.lora_A.weight"] = torch.cat(a)
            out[f"{path(layer, whole)}.lora_B.weight"] = torch.block_diag(*b)
            if any("magnitude" in k for k in tensors): out[f"{path(layer, whole)}.lora_magnitude_vector"] = torch.cat(m)
    return out, ranks

def split(tensors, sizes, layers):
    out = dict(tensors)
    for layer in range(layers):
        for whole, parts in PARTS.items():
            a, b = out.pop(f"{path(layer, whole)}.lora_A.weight"), out.pop(f"{path(layer, whole)}.lora_B.weight")
            for p, rows in zip(parts, b.split(sizes[whole])):
                out[f"{path(layer, p)}.lora_A.weight"], out[f"{path(layer, p)}.lora_B.weight"] = a, rows
    return out

def make(out, model, adapter, as_fused):
    case = os.path.join(HERE, "cases", model)
    c = json.load(open(os.path.join(case, "model/config.json")))
    config = json.load(open(os.path.join(case, "adapters", adapter, "adapter_config.json")))
    tensors = load_file(os.path.join(case, "adapters", adapter, "adapter_model.safetensors"))
    weights = {k: v for f in glob.glob(os.path.join(case, "model/*.safetensors")) for k, v in load_file(f).items()}
    layers, head = c["num_hidden_layers"], c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
    scale = config["lora_alpha"] / (config["r"] ** 0.5 if config["use_rslora"] else config["r"])
    config = {**config, "use_rslora": False, "lora_alpha": scale * config["r"], "base_model_name_or_path": model}
    if as_fused:
        tensors, ranks = fused(tensors, weights, layers)
        config |= {"rank_pattern": ranks, "alpha_pattern": {k: scale * r for k, r in ranks.items()}}
    else:
        keys = c["num_key_value_heads"] * head
        tensors = split(tensors, {"qkv_proj": [c["num_attention_heads"] * head, keys, keys], "gate_up_proj": c["intermediate_size"]}, layers)
    config["target_modules"] = sorted({k.split(".lora_")[0].rsplit(".", 1)[1] for k in tensors})
    root = os.path.join(out, model)
    folder = os.path.join(root, "adapters", adapter)
    os.makedirs(folder, exist_ok=True)
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, os.path.join(folder, "adapter_model.safetensors"), metadata={"format": "pt"})
    json.dump(config, open(os.path.join(folder, "adapter_config.json"), "w"), indent=2, sort_keys=True)
    golden = json.load(open(os.path.join(case, "golden.json")))
    into = os.path.join(root, "golden.json")
    before = json.load(open(into))["runs"] if os.path.exists(into) else []
    runs = before + [r for r in golden["runs"] if r["adapter"] == adapter and r["prompt"] < 2]
    json.dump({**golden, "model_of": model, "prompts": golden["prompts"][:2], "runs": runs}, open(into, "w"), separators=(",", ":"))
    print(model, adapter, len(tensors), "tensors", os.path.getsize(os.path.join(folder, "adapter_model.safetensors")) // 1024, "KiB")

if __name__ == "__main__":
    out = os.path.abspath(sys.argv[1])
    make(out, "llama-gqa", "rslora-r4", True)
    make(out, "llama-gqa", "dora-r8", True)
    make(out, "phi3-fused", "all-r8", False)
