#!/usr/bin/env python3
"""Ask PEFT which modules random LoRA configs adapt, with which rank and scale, and which they replace.

    python make_targets.py peft-cases/targets.json

The base is a Llama of 3 layers (the modules of cases/llama-gqa). Each row: the config's fields, then either `error` (PEFT's
exception) or `targets` {module: [rank, scale]} and `saved` [module with weights of its own].
"""
import copy, json, random, sys, warnings
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from peft.utils.other import ModulesToSaveWrapper
from transformers import LlamaConfig, LlamaForCausalLM

warnings.simplefilter("ignore")
LEAVES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PATHS = ["self_attn.q_proj", "mlp.down_proj", "0.self_attn.v_proj", "layers.1.mlp.up_proj", "model.layers.2.self_attn.o_proj",
         "model.layers.0.mlp.gate_proj", "model.embed_tokens", "layers.2.mlp.up_proj"]
ODD = ["embed_tokens", "lm_head", "query", "proj", "mlp", "self_attn", "norm", "tokens", "model.layers.7.self_attn.q_proj", "_proj"]
REGEX = [r".*_proj", r".*\.(q|v)_proj", r"model\.layers\.[01]\.self_attn\.[qkvo]_proj", r"lm_head|.*embed_tokens", r"q_proj",
         r".*layers\.\d+\.mlp\.(?:gate|up)_proj$", r"^(?!.*layers\.1).*down_proj", r".*self_attn.*", r".*", r"layers.*", r"all-linear",
         "ALL-LINEAR", r".*(q_proj", r"model.layers.1.mlp.down_proj"]
PATTERN_KEYS = LEAVES + ["layers.0.self_attn.q_proj", r"layers\.[12]\.mlp\.down_proj", "mlp", ".*_proj", "q_proj|v_proj", "0.*", r"model\.layers\.0.*",
                         "embed_tokens", "lm_head", "proj", "self_attn.v_proj", "model.layers.1.mlp.up_proj", "layers.1.*", "_proj"]

def random_config(rng):
    c = {"r": rng.choice([1, 2, 4, 8]), "lora_alpha": rng.choice([1, 3, 8, 16])}
    kind = rng.random()
    if kind < 0.3: c["target_modules"] = rng.choice(REGEX)
    else:
        c["target_modules"] = sorted(set(rng.choices(LEAVES, k=rng.randint(1, 4)) + rng.choices(PATHS, k=rng.choice([0, 0, 1, 2])) + rng.choices(ODD, k=rng.choice([0, 0, 0, 1]))))
        if rng.random() < 0.4:
            c["layers_to_transform"] = rng.choice([0, 1, [0, 2], [1], [], [2, 5]])
        if rng.random() < 0.25:
            c["layers_pattern"] = rng.choice(["layers", "h", ["h", "layers"], "model.layers", "model", [], "", "ayers", "layer", "l.yers"])
    if rng.random() < 0.35: c["exclude_modules"] = rng.choice([["k_proj"], ["layers.1.mlp.up_proj", "o_proj"], ["nothing"], r".*layers\.2\..*", r"lm_head", ["mlp"], "up_proj"])
    if rng.random() < 0.35: c["modules_to_save"] = rng.choice([["lm_head"], ["embed_tokens", "lm_head"], ["norm"], ["model.norm"], ["layers.0.mlp"], ["post_attention_layernorm"], ["classifier"], ["1.input_layernorm"], ["gate_proj"], ["self_attn"], ["model.layers.1.mlp", "lm_head"]])
    if rng.random() < 0.4: c["rank_pattern"] = {k: rng.choice([1, 3, 5, 16]) for k in rng.sample(PATTERN_KEYS, rng.randint(1, 3))}
    if rng.random() < 0.4: c["alpha_pattern"] = {k: rng.choice([2, 7, 32]) for k in rng.sample(PATTERN_KEYS, rng.randint(1, 3))}
    if rng.random() < 0.3: c["use_rslora"] = True
    return c

def ask(base, fields):
    try:
        model = get_peft_model(copy.deepcopy(base), LoraConfig(task_type="CAUSAL_LM", **copy.deepcopy(fields))).base_model.model
    except Exception as e:
        return {"error": type(e).__name__}
    named = dict(model.named_modules())
    targets = {n: [m.r["default"], m.scaling["default"]] for n, m in named.items() if isinstance(m, LoraLayer)}
    saved = sorted({f"{n}{'.' + k if k else ''}" for n, m in named.items() if isinstance(m, ModulesToSaveWrapper)
                    for k, leaf in m.modules_to_save["default"].named_modules() if hasattr(leaf, "weight")})
    return {"targets": targets, "saved": saved}

if __name__ == "__main__":
    base = LlamaForCausalLM(LlamaConfig(vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=4,
                                        num_key_value_heads=2, tie_word_embeddings=False))
    rng = random.Random(5)
    rows = []
    for _ in range(300):
        fields = random_config(rng)
        rows.append({"config": fields, **ask(base, fields)})
    with open(sys.argv[1], "w") as out:
        out.write("[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]\n")
    print(len(rows), "configs,", sum("error" in row for row in rows), "refused by PEFT")
