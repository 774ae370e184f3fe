#!/usr/bin/env python3
"""Make golden adapters of experts and routers, in every form that tools save them in.

    python make_experts.py experts        (from test/golden, with torch, transformers, peft)

OUT/<case>/ holds adapters/<adapter>/ and golden.json, as make_adapters.py writes them, for the model of `model_of`.
The expected values are those of PeftModel.from_pretrained. A form that PEFT does not read is the same adapter written
again by definition, from the file that PEFT does read; both have the same values:

    unsloth     single experts in lists, `experts.gate_up_projs.3`, gate and up in one
    turned      PEFT before 0.21: the stack's second dimension taken for its inputs
    numbered    single experts with gate and up in one, `experts.3.gate_up_proj`
"""
import json, os, shutil, sys
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from make_adapters import fill
from make_goldens import reference

HERE = os.path.dirname(os.path.abspath(__file__))
STACKS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
CASES = {
    "mixtral": dict(model_of="mixtral-moe", seed=910, adapters={
        "stacked": dict(r=4, lora_alpha=12, target_modules=["q_proj", "o_proj"], target_parameters=STACKS + ["mlp.gate.weight"],
                        alpha_pattern={r"experts\.down_proj": 6}),
        "single": dict(single=("w1", "w3", "w2"), router="gate", block="block_sparse_moe", r=3, lora_alpha=9,
                       target_modules=["v_proj", "w1", "w2", "w3", "gate"]),
    }),
    "qwen3": dict(model_of="qwen3-moe", seed=920, adapters={
        "down": dict(r=4, lora_alpha=10, target_modules=[], target_parameters=["experts.down_proj"], rank_pattern={"down_proj": 2}),
        "stacked": dict(r=2, lora_alpha=6, use_rslora=True, target_modules=["k_proj"], target_parameters=STACKS, turned=True, dtype="bf16"),
        "single": dict(single=("gate_proj", "up_proj", "down_proj"), block="mlp", r=2, lora_alpha=8,
                       target_modules=["o_proj", "gate_proj", "up_proj", "down_proj"]),
    }),
    "gpt-oss": dict(model_of="../families/gpt-oss", seed=930, adapters={
        "stacked": dict(r=3, lora_alpha=6, target_modules=["q_proj"], target_parameters=STACKS + ["router.weight"],
                        unsloth=True, numbered=True),
    }),
}

def config_of(folder):
    path = os.path.join(folder, "adapter_config.json")
    return path, json.load(open(path))

def write(folder, config, tensors):
    os.makedirs(folder, exist_ok=True)
    save_file({k: v.contiguous() for k, v in tensors.items()}, os.path.join(folder, "adapter_model.safetensors"), metadata={"format": "pt"})
    json.dump(config, open(os.path.join(folder, "adapter_config.json"), "w"), indent=2, sort_keys=True)

def single_file(folder, name, spec, model, seed):
    """What Transformers 4 and PEFT wrote, ms-swift exports and vLLM reads: a linear module for each expert."""
    g = torch.Generator().manual_seed(seed)
    c, r = model.config, spec["r"]
    layers, width = c.num_hidden_layers, getattr(c, "moe_intermediate_size", None) or c.intermediate_size
    experts = c.num_local_experts
    tensors = {}
    def add(module, n, k):
        tensors[f"base_model.model.model.layers.{module}.lora_A.weight"] = torch.randn(r, k, generator=g) / k ** 0.5
        tensors[f"base_model.model.model.layers.{module}.lora_B.weight"] = torch.randn(n, r, generator=g) * 0.5 / r ** 0.5
    for layer in range(layers):
        attention = spec["target_modules"][0]
        n, k = getattr(model.model.layers[layer].self_attn, attention).weight.shape
        add(f"{layer}.self_attn.{attention}", n, k)
        moe = f"{layer}.{spec['block']}"
        if "router" in spec: add(f"{moe}.{spec['router']}", experts, c.hidden_size)
        for e in range(experts):
            gate, up, down = spec["single"]
            add(f"{moe}.experts.{e}.{gate}", width, c.hidden_size)
            add(f"{moe}.experts.{e}.{up}", width, c.hidden_size)
            add(f"{moe}.experts.{e}.{down}", c.hidden_size, width)
    config = dict(peft_type="LORA", task_type="CAUSAL_LM", base_model_name_or_path=name, r=r, lora_alpha=spec["lora_alpha"],
                  lora_dropout=0.0, target_modules=spec["target_modules"], peft_version="0.17.1")
    write(folder, config, tensors)

def wrappers(tensors):
    """(path of A and B, whether gate and up) of each stack."""
    paths = sorted({k.rsplit(".lora_A", 1)[0] for k in tensors if ".lora_A" in k and ".experts" in k})
    return [(p, p.endswith("base_layer")) for p in paths]

def turned(tensors, experts):
    out = dict(tensors)
    for path, _ in wrappers(tensors):
        a, b = tensors[f"{path}.lora_A.weight"], tensors[f"{path}.lora_B.weight"]
        ranks = a.shape[0]
        a3, b3 = a.reshape(experts, -1, a.shape[1]), b.reshape(b.shape[0], -1, experts)  # [E, r, in] [out, r, E]
        out[f"{path}.lora_A.weight"] = b3.permute(2, 1, 0).reshape(ranks, -1)
        out[f"{path}.lora_B.weight"] = a3.permute(2, 1, 0).reshape(-1, ranks)
    return out

def singly(tensors, experts, name_of):
    out = {k: v for k, v in tensors.items() if ".experts" not in k}
    for path, both in wrappers(tensors):
        a, b = tensors[f"{path}.lora_A.weight"], tensors[f"{path}.lora_B.weight"]
        a3, b3 = a.reshape(experts, -1, a.shape[1]), b.reshape(b.shape[0], -1, experts)
        for e in range(experts):
            module = f"{path.removesuffix('.base_layer')}.{name_of(e, both)}"
            out[f"{module}.lora_A.weight"], out[f"{module}.lora_B.weight"] = a3[e], b3[:, :, e]
    return out

def make_case(out, name, case):
    model_dir = os.path.join(HERE, "cases", case["model_of"], "model")
    load = lambda: AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32, attn_implementation="eager").eval()
    golden = json.load(open(os.path.join(model_dir, "../golden.json")))
    prompts, root = golden["prompts"][:2], os.path.join(out, name)
    shutil.rmtree(root, ignore_errors=True)
    runs = [dict(adapter=None, prompt=i, **reference(load(), p, 8)) for i, p in enumerate(prompts)]
    for k, (adapter, spec) in enumerate(case["adapters"].items()):
        folder, seed = os.path.join(root, "adapters", adapter), case["seed"] + k
        experts = load().config.num_local_experts
        if "single" in spec:
            single_file(folder, name, spec, load(), seed)
        else:
            torch.manual_seed(seed)
            lora = {k: v for k, v in spec.items() if k not in ("turned", "unsloth", "numbered", "dtype")}
            trained = get_peft_model(load(), LoraConfig(task_type="CAUSAL_LM", **lora))
            fill(trained, seed)
            if "dtype" in spec: trained.to(torch.bfloat16)
            trained.save_pretrained(folder)
            os.remove(os.path.join(folder, "README.md"))
            path, config = config_of(folder)
            json.dump({**config, "base_model_name_or_path": name}, open(path, "w"), indent=2, sort_keys=True)
        loaded = PeftModel.from_pretrained(load(), folder).float().eval()
        values = [dict(prompt=i, **reference(loaded, p, 8)) for i, p in enumerate(prompts)]
        forms = [adapter]
        tensors, config = load_file(os.path.join(folder, "adapter_model.safetensors")), config_of(folder)[1]
        if "turned" in spec:
            write(folder + "-turned", config, turned(tensors, experts))
            forms.append(adapter + "-turned")
        plain = {**config, "target_parameters": ["router.weight"]}
        if "unsloth" in spec:
            regex = r".*\.(q_proj|gate_up_projs\.\d+|down_projs\.\d+)"
            write(folder + "-unsloth", {**plain, "target_modules": regex},
                  singly(tensors, experts, lambda e, both: f"{'gate_up_projs' if both else 'down_projs'}.{e}"))
            forms.append(adapter + "-unsloth")
        if "numbered" in spec:
            write(folder + "-numbered", {**plain, "target_modules": ["q_proj", "gate_up_proj", "down_proj"]},
                  singly(tensors, experts, lambda e, both: f"{e}.{'gate_up_proj' if both else 'down_proj'}"))
            forms.append(adapter + "-numbered")
        runs += [dict(adapter=form, **value) for form in forms for value in values]
        base = [r["greedy_logprobs"][0] for r in runs if r["adapter"] is None]
        print(name, adapter, len(tensors), "tensors", sum(os.path.getsize(os.path.join(root, "adapters", f, "adapter_model.safetensors")) for f in forms) // 1024, "KiB",
              "effect", [round(v["greedy_logprobs"][0] - b, 3) for v, b in zip(values, base)], flush=True)
        if len(sys.argv) > 2: print("  ", "\n   ".join(f"{n} {tuple(t.shape)}" for n, t in tensors.items() if "layers.1" not in n))
    result = dict(case=name, arch=golden["arch"] if "arch" in golden else name, eos_token_id=golden.get("eos_token_id"), model_of=case["model_of"], prompts=prompts, runs=runs)
    json.dump(result, open(os.path.join(root, "golden.json"), "w"), separators=(",", ":"))

if __name__ == "__main__":
    for name, case in CASES.items():
        make_case(os.path.abspath(sys.argv[1]), name, case)
