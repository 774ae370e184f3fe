#!/usr/bin/env python3
"""Make what PEFT's add_weighted_adapter gives for adapters of a golden case, and singular values by numpy.

    python make_derived.py CASES_DIR OUT_DIR

OUT_DIR/peft.safetensors: the factors, named RUN/MODULE.A and .B; OUT_DIR/runs.json: for each run its method, inputs, parameters and
ranks; a rank that PEFT fills up with zeros is cut to what its inputs have. DARE draws by counting, as derivation/draws.ts does:
PyTorch's own draws are its secret. OUT_DIR/spectra.json: the singular values of scale * B A of some modules in float64.
"""
import hashlib, json, os, struct, sys
import numpy as np
import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from peft.utils import merge_utils
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

CASE = "llama-gqa"
# Of each run these are kept; the first is changed by fewer adapters.
KEPT = ("model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.v_proj")
RUNS = {
    "linear": dict(adapters={"qv-r8": 0.7, "other-r8": -0.4}, method="linear"),
    "linear-3": dict(adapters={"qv-r8": 0.5, "other-r8": 0.3, "qv-r8-b": 0.9}, method="linear"),
    "linear-1": dict(adapters={"qv-r8": -2}, method="linear"),
    "cat": dict(adapters={"qv-r8": 0.7, "rslora-r4": -0.3}, method="cat"),
    "ties-total": dict(adapters={"qv-r8": 0.7, "other-r8": 1.2}, method="ties", density=0.35),
    "ties-frequency": dict(adapters={"qv-r8": 1, "other-r8": 0.6, "qv-r8-b": -0.5}, method="ties", density=0.6, majority_sign="frequency"),
    "dare_linear": dict(adapters={"qv-r8": 0.7, "other-r8": 0.4}, method="dare_linear", density=0.45, seed=7),
    "dare_ties": dict(adapters={"qv-r8": 0.7, "other-r8": 0.4, "qv-r8-b": 1}, method="dare_ties", density=0.8, seed=4294967295),
    "magnitude_prune": dict(adapters={"qv-r8": 1, "other-r8": -1}, method="magnitude_prune", density=0.5),
    "svd": dict(adapters={"qv-r8": 0.7, "rslora-r4": -0.3}, method="svd", rank=5),
}
MASK = 0xFFFFFFFF

def scramble(bits):
    bits = bits.astype(np.uint64)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits = ((bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)) & np.uint64(MASK)
    return bits ^ (bits >> np.uint64(16))

def lots(seed, module, part, index, count, density):
    text = f"{seed}/{module}/{part}/{index}".encode()
    stream = struct.unpack("<I", hashlib.sha256(text).digest()[:4])[0]
    elements = (np.arange(count, dtype=np.uint64) + np.uint64(stream)) & np.uint64(MASK)
    words = scramble(scramble(elements) ^ np.uint64(stream))
    return words.astype(np.float64) < density * 2.0**32

class Draws:
    """Stands in for random_pruning: PEFT calls it for the A of each input of a module, then for each B."""
    def __init__(self, seed): self.seed, self.module, self.inputs, self.calls = seed, None, [], 0
    def __call__(self, tensor, density, rescale):
        part = "A" if self.calls < len(self.inputs) else "B"
        index = self.inputs[self.calls % len(self.inputs)]
        self.calls += 1
        kept = lots(self.seed, self.module, part, index, tensor.numel(), density)
        pruned = tensor * torch.from_numpy(kept.astype(np.float32)).reshape(tensor.shape)
        return pruned / density if rescale else pruned

def others(folder, out):
    """Two more adapters like qv-r8 with other numbers, of other modules in part, kept beside what is made of them."""
    config = json.load(open(os.path.join(folder, "adapters/qv-r8/adapter_config.json")))
    weights = load_file(os.path.join(folder, "adapters/qv-r8/adapter_model.safetensors"))
    made = {}
    for name, seed, alpha, keep in (("other-r8", 1, 4, lambda key: "layers.0." not in key), ("qv-r8-b", 2, 24, lambda key: True)):
        generator = torch.Generator().manual_seed(seed)
        path = os.path.join(out, name)
        os.makedirs(path, exist_ok=True)
        tensors = {key: (torch.randn(value.shape, generator=generator) * value.float().std()).to(torch.float16).contiguous()
                   for key, value in weights.items() if keep(key)}
        save_file(tensors, os.path.join(path, "adapter_model.safetensors"), metadata={"format": "pt"})
        extra = {} if name == "qv-r8-b" else {"layers_to_transform": [1, 2], "layers_pattern": "layers"}
        json.dump({**config, "lora_alpha": alpha, **extra}, open(os.path.join(path, "adapter_config.json"), "w"), indent=1)
        made[name] = path
    return made

def load(folder, adapters, made):
    base = AutoModelForCausalLM.from_pretrained(os.path.join(folder, "model"), dtype=torch.float32)
    model = None
    for name in adapters:
        path = made.get(name, os.path.join(folder, "adapters", name))
        if model is None: model = PeftModel.from_pretrained(base, path, adapter_name=name)
        else: model.load_adapter(path, adapter_name=name)
    return model.float()

def factors(layer, name):
    if name in layer.lora_A: return layer.lora_A[name].weight.data, layer.lora_B[name].weight.data
    if name in layer.lora_embedding_A: return layer.lora_embedding_A[name].data, layer.lora_embedding_B[name].data
    return None

def run(name, spec, folder, made, tensors):
    model = load(folder, spec["adapters"], made)
    lora = model.base_model
    names = list(spec["adapters"])
    modules = {layer: key.removeprefix("base_model.model.") for key, layer in model.named_modules() if isinstance(layer, LoraLayer)}
    draws = Draws(spec.get("seed", 0))
    plain = lora._generalized_task_arithmetic_weighted_adapter
    def watched(combination, adapters, weights, target, density, sign):
        draws.module, draws.calls = modules[target], 0
        draws.inputs = [at for at, each in enumerate(adapters) if factors(target, each) is not None]
        return plain(combination, adapters, weights, target, density, sign)
    lora._generalized_task_arithmetic_weighted_adapter = watched
    kept, merge_utils.random_pruning = merge_utils.random_pruning, draws
    try:
        lora.add_weighted_adapter(names, list(spec["adapters"].values()), "made", combination_type=spec["method"], svd_rank=spec.get("rank"),
                                  density=spec.get("density"), majority_sign_method=spec.get("majority_sign", "total"))
    finally: merge_utils.random_pruning = kept
    ranks = {}
    for layer, module in modules.items():
        found = factors(layer, "made")
        inputs = [each for each in (factors(layer, adapter) for adapter in names) if each is not None]
        if found is None or not inputs: continue
        rank = sum(a.shape[0] for a, _ in inputs) if spec["method"] == "cat" else found[0].shape[0]
        a, b = found[0][:rank], found[1][:, :rank]
        assert found[0][rank:].abs().sum() == 0
        ranks[module] = rank
        if module not in KEPT: continue
        if spec["method"] == "svd": tensors[f"{name}/{module}.BA"] = (b @ a).contiguous()
        else: tensors[f"{name}/{module}.A"], tensors[f"{name}/{module}.B"] = a.clone().contiguous(), b.clone().contiguous()
    return {**spec, "ranks": ranks}

def spectra(folder):
    model = load(folder, {"qv-r8": 1}, {})
    out = {}
    for key, layer in model.named_modules():
        if not isinstance(layer, LoraLayer): continue
        a, b = factors(layer, "qv-r8")
        out[key.removeprefix("base_model.model.")] = np.linalg.svd(layer.scaling["qv-r8"] * (b.double() @ a.double()).numpy(), compute_uv=False)[:8].tolist()
    return out

if __name__ == "__main__":
    cases, out = sys.argv[1:]
    folder = os.path.join(cases, CASE)
    made = others(folder, out)
    tensors = {}
    runs = {name: run(name, spec, folder, made, tensors) for name, spec in RUNS.items()}
    save_file({key: value.float() for key, value in tensors.items()}, os.path.join(out, "peft.safetensors"))
    json.dump(runs, open(os.path.join(out, "runs.json"), "w"), indent=1)
    json.dump(spectra(folder), open(os.path.join(out, "spectra.json"), "w"), indent=1)
