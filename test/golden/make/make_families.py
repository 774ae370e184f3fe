#!/usr/bin/env python3
"""Make the golden cases of model families (../families) with Hugging Face Transformers and PEFT.

    pip install torch transformers peft safetensors
    python make_families.py OUT_DIR [CASE ...]

family_cases.py lists the cases: tiny random-weight models, every parameter random, so that a term that is left out
changes the numbers. For each case OUT_DIR/<case>/ holds
    model/config.json          as Transformers 5 writes it
    model/model.safetensors    bfloat16
    old-config.json            the same with the field names of Transformers 4, where they differ; checked to load alike
    adapters/<adapter>/        PEFT checkpoints
    golden.json                per prompt and adapter (null: base): greedy token ids, their log-probabilities, the prompt's
                               log-probabilities, and the gaps between the best and the second (`margins`)
All arithmetic of the reference is float32 on the stored weights, attention "eager" (Falcon's with alibi "sdpa").
"""
import json, os, shutil, sys
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

from family_cases import CASES

transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()
PROMPT_LENGTHS = [3, 11, 30]
NEW_TOKENS = 8


def is_norm(module):
    return "norm" in type(module).__name__.lower()


@torch.no_grad()
def randomize(model, seed):
    g = torch.Generator().manual_seed(seed)
    random = lambda p: torch.randn(p.shape, generator=g)
    embeddings = {id(m) for m in (model.get_input_embeddings(),)}
    multiplied = model.config.model_type.startswith("gemma")  # embeddings times sqrt(hidden)
    unscaled = model.config.model_type.startswith("gemma4")  # scores: the norm of queries keeps them apart from 0 and 1
    for path, module in model.named_modules():
        for name, p in module.named_parameters(recurse=False):
            if id(module) in embeddings:
                p.copy_(random(p) * (0.7 / p.shape[-1] ** 0.5 if multiplied else 0.7))
            elif isinstance(module, torch.nn.Embedding):  # positions
                p.copy_(random(p) * 0.3)
            elif is_norm(module) and name == "weight":
                base = 0.0 if float(p.abs().sum()) == 0 else 1.0  # some multiply by 1 + w
                p.copy_(base + 0.2 * random(p))
                if unscaled and path.endswith("q_norm"):
                    p.mul_(p.numel() ** -0.5)
            elif name in ("scale", "per_expert_scale"):  # Gemma 4's router, which divides by sqrt(hidden)
                p.copy_((p.numel() ** 0.5 if name == "scale" else 1.0) * (1 + 0.3 * random(p)))
            elif name in ("A_log", "dt_bias"):
                p.copy_(0.5 * random(p))
            elif p.dim() >= 2:
                fan_in = p.shape[0] if type(module).__name__ == "Conv1D" else p.shape[-1]
                p.copy_(random(p) * (1.2 / fan_in**0.5))
            elif p.numel() == 1 and not is_norm(module):
                p.add_(0.2 * random(p))
            else:
                p.copy_(0.2 * random(p))
        for name, b in module.named_buffers(recurse=False):
            if "correction_bias" in name:
                b.copy_(0.3 * random(b))
            elif name == "layer_scalar":
                b.copy_(1 + 0.2 * random(b))
    head = model.get_output_embeddings()
    if head is not None and head.weight is not model.get_input_embeddings().weight:
        head.weight.mul_(2.5)


@torch.no_grad()
def randomize_adapter(model, seed):
    g = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        if "lora_A" in name or "lora_embedding_A" in name:
            p.copy_(torch.randn(p.shape, generator=g) / p.shape[-1] ** 0.5)
        elif "lora_B" in name or "lora_embedding_B" in name:
            p.copy_(torch.randn(p.shape, generator=g) * 0.35 / max(1, p.shape[-1]) ** 0.5)
        elif "magnitude" in name:
            p.mul_(1 + 0.2 * torch.randn(p.shape, generator=g))
        elif "modules_to_save" in name:
            p.add_(0.2 * torch.randn(p.shape, generator=g))


@torch.no_grad()
def reference(model, ids):
    x = torch.tensor([ids])
    logits = lambda: torch.log_softmax(model(x, use_cache=False).logits[0].float(), -1)
    logp = logits()
    prompt = [None] + [round(float(logp[i, t]), 5) for i, t in enumerate(ids[1:])]
    greedy, logprobs, margins = [], [], []
    for _ in range(NEW_TOKENS):
        best, token = logp[-1].topk(2)
        margins.append(round(float(best[0] - best[1]), 4))
        greedy.append(int(token[0]))
        logprobs.append(round(float(best[0]), 5))
        x = torch.cat([x, token[:1].view(1, 1)], 1)
        logp = logits()
    return dict(greedy_ids=greedy, greedy_logprobs=logprobs, prompt_logprobs=prompt, margins=margins)


def old_config(config):
    """The fields that most published checkpoints carry. None: nothing to rename."""
    c = dict(config)
    rope = c.pop("rope_parameters", None)
    if rope and all(isinstance(v, dict) for v in rope.values()):
        return None  # one set for each kind of layer: each family had its own names for that
    if rope:
        rope = dict(rope)
        if "rope_theta" in rope:
            theta = rope.pop("rope_theta")
            c["rotary_emb_base" if c["model_type"] == "gpt_neox" else "rope_theta"] = theta
        if "partial_rotary_factor" in rope:
            part = rope.pop("partial_rotary_factor")
            c["rotary_pct" if c["model_type"] == "gpt_neox" else "partial_rotary_factor"] = part
        kind = rope.pop("rope_type", "default")
        if kind != "default":
            c["rope_scaling"] = {"rope_type": kind, **rope}
    c["torch_dtype"] = c.pop("dtype", None)
    return c


E2M1 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])


def pack_mxfp4(folder):
    """Rewrites the experts' weights [E, in, out] as X_blocks [E, out, in / 32, 16] and X_scales [E, out, in / 32]."""
    path = os.path.join(folder, "model.safetensors")
    tensors, packed = load_file(path), {}
    for name, tensor in tensors.items():
        if not name.endswith(("gate_up_proj", "down_proj")) or "experts" not in name:
            packed[name] = tensor
            continue
        rows = tensor.float().transpose(1, 2)
        blocks = rows.reshape(*rows.shape[:2], -1, 32)
        scales = torch.floor(torch.log2(blocks.abs().amax(-1).clamp(min=2.0**-120))) - 2
        codes = (blocks[..., None].abs() / 2.0 ** scales[..., None, None] - E2M1).abs().argmin(-1) + 8 * (blocks < 0)
        packed[name + "_blocks"] = (codes[..., 0::2] + 16 * codes[..., 1::2]).to(torch.uint8).contiguous()
        packed[name + "_scales"] = (scales + 127).to(torch.uint8).contiguous()
    save_file(packed, path, metadata={"format": "pt"})
    config_path = os.path.join(folder, "config.json")
    config = json.load(open(config_path))
    config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]}
    json.dump(config, open(config_path, "w"), indent=1)


def auto_class(arch):
    """Gemma 3's class for text takes its whole; the other wholes have only the one for pictures and text."""
    wholes = ("mistral3", "gemma4", "qwen3_5", "qwen3_5_moe")
    return AutoModelForImageTextToText if arch in wholes else AutoModelForCausalLM


def load(folder):
    """In float32; weights in MXFP4 as Transformers unpacks them."""
    config = json.load(open(os.path.join(folder, "config.json")))
    packed = config.get("quantization_config")
    more = dict(quantization_config=transformers.Mxfp4Config(dequantize=True)) if packed else {}
    attention = "sdpa" if config.get("alibi") else "eager"  # the eager one adds Falcon's slopes twice
    model = auto_class(config["model_type"]).from_pretrained(folder, dtype=torch.float32, attn_implementation=attention, **more)
    return model.float().eval()


def check_old_config(root, model_folder, prompt):
    config = old_config(json.load(open(os.path.join(model_folder, "config.json"))))
    if config is None:
        return
    probe = os.path.join(root, "probe")
    shutil.copytree(model_folder, probe)
    text = json.dumps(config, indent=1)
    open(os.path.join(probe, "config.json"), "w").write(text)
    with torch.no_grad():
        same = torch.equal(load(probe)(torch.tensor([prompt])).logits, load(model_folder)(torch.tensor([prompt])).logits)
    shutil.rmtree(probe)
    if same:
        open(os.path.join(root, "old-config.json"), "w").write(text)
    else:
        print("   the old spelling loads otherwise: left out")


def make_adapter(case, number, spec, folder, model_folder):
    torch.manual_seed(case["seed"] + 100 + number)
    model = get_peft_model(load(model_folder), LoraConfig(task_type="CAUSAL_LM", **spec["lora"]))
    randomize_adapter(model, case["seed"] + 200 + number)
    model.to(torch.bfloat16).save_pretrained(folder)
    path = os.path.join(folder, "README.md")
    if os.path.exists(path):
        os.remove(path)
    # Where this ran is nobody's business.
    path = os.path.join(folder, "adapter_config.json")
    config = json.load(open(path))
    config["base_model_name_or_path"] = None
    json.dump(config, open(path, "w"), indent=1)
    return PeftModel.from_pretrained(load(model_folder), folder).float().eval()


def make_case(out_dir, case):
    root = os.path.join(out_dir, case["name"])
    shutil.rmtree(root, ignore_errors=True)
    model_folder = os.path.join(root, "model")
    os.makedirs(model_folder)
    torch.manual_seed(case["seed"])
    config = AutoConfig.for_model(case["arch"], **case["config"], bos_token_id=0, eos_token_id=1, pad_token_id=2)
    model = auto_class(case["arch"]).from_config(config, attn_implementation="eager").float().eval()
    randomize(model, case["seed"])
    model.tie_weights()
    model.to(torch.bfloat16).save_pretrained(model_folder)
    if case["name"].endswith("mxfp4"):
        pack_mxfp4(model_folder)
    for extra in ("generation_config.json",):
        if os.path.exists(os.path.join(model_folder, extra)):
            os.remove(os.path.join(model_folder, extra))
    g = torch.Generator().manual_seed(case["seed"] + 1)
    vocab = case["config"]["vocab_size"]
    prompts = [torch.randint(3, vocab, (n,), generator=g).tolist() for n in PROMPT_LENGTHS]
    check_old_config(root, model_folder, prompts[-1])
    golden = dict(case=case["name"], arch=case["arch"], eos_token_id=1, prompts=prompts, runs=[])
    models = {None: load(model_folder)}
    for number, spec in enumerate(case["adapters"]):
        folder = os.path.join(root, "adapters", spec["name"])
        models[spec["name"]] = make_adapter(case, number, spec, folder, model_folder)
    for adapter, model in models.items():
        for i, prompt in enumerate(prompts):
            golden["runs"].append(dict(adapter=adapter, prompt=i, **reference(model, prompt)))
    json.dump(golden, open(os.path.join(root, "golden.json"), "w"), separators=(",", ":"))
    report(root, golden)


def report(root, golden):
    base = {r["prompt"]: r["greedy_ids"] for r in golden["runs"] if r["adapter"] is None}
    differs = sum(r["greedy_ids"] != base[r["prompt"]] for r in golden["runs"] if r["adapter"])
    margins = [m for r in golden["runs"] for m in r["margins"]]
    bytes = sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(root) for f in fs)
    finite = all(lp == lp for r in golden["runs"] for lp in r["greedy_logprobs"])
    print(f"{golden['case']:24s} {bytes / 1024:6.0f} KiB  close calls {sum(m < 0.05 for m in margins)}/{len(margins)}"
          f"  adapters that change the answer {differs}/{len(golden['runs']) - len(base)}{'' if finite else '  NOT FINITE'}", flush=True)


if __name__ == "__main__":
    only = set(sys.argv[2:])
    failed = []
    for case in CASES:
        if only and case["name"] not in only:
            continue
        try:
            make_case(sys.argv[1], case)
        except Exception as error:  # the others are still made
            failed.append(case["name"])
            print(f"{case['name']}: {type(error).__name__}: {error}", flush=True)
    sys.exit(1 if failed else 0)
