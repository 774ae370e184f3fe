#!/usr/bin/env python3
"""Make the golden cases of checkpoints that other tools packed: one tiny Llama in each format, written here by the format's
definition, with what Transformers and PEFT compute from the weights that it stands for.

    pip install torch transformers peft tokenizers safetensors
    python make_packed.py OUT_DIR

OUT_DIR/adapters/{lora,dora}/   PEFT adapters, the same for all formats
OUT_DIR/<format>/model/         config.json, the tool's own description where it has one, model.safetensors
OUT_DIR/<format>/golden.json    as make_goldens.py writes it, and `dequantized`: for each packed module the FNV-1a hash (64 bits)
                                of its weights as float32 in row-major order, 0 never negative
"""
import json, os, shutil, sys
import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM
from peft import LoraConfig, PeftModel, get_peft_model
from make_goldens import randomize, reference

SEED = 21
HIDDEN = 64
GROUP = 32
CONFIG = dict(hidden_size=HIDDEN, intermediate_size=96, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
              head_dim=16, vocab_size=96, max_position_embeddings=128, tie_word_embeddings=True, bos_token_id=1,
              eos_token_id=2)


def stream(codes, bits):
    """Codes along the last axis, one after the other from the lowest bit on, in 32-bit words."""
    ones = (codes[..., None] >> np.arange(bits)) & 1
    packed = np.packbits(ones.reshape(*codes.shape[:-1], -1).astype(np.uint8), axis=-1, bitorder="little")
    return torch.from_numpy(packed.view(np.int32).copy())


def groups_of(w, group):
    return w.reshape(w.shape[0], -1, group)


def to(dtype, values):
    """The values rounded to a type, as float32."""
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(dtype).float().numpy()


def quantize(w, bits, symmetric, dtype, index):
    """Codes, scales and zeros [out, groups]; input k belongs to group index[k]."""
    top = 2 ** bits - 1
    scale, zero = [], []
    for g in range(index.max() + 1):
        own = w[:, index == g]
        if symmetric:
            scale.append(2 * np.abs(own).max(1) / top)
            zero.append(np.full(len(w), (top + 1) // 2))
        else:
            low, high = np.minimum(own.min(1), 0), np.maximum(own.max(1), 0)
            scale.append((high - low) / top)
            zero.append(np.clip(np.round(-low / np.maximum(scale[-1], 1e-9)), 0, top))
    scale, zero = to(dtype, np.stack(scale, 1)), np.stack(zero, 1).astype(np.int64)
    codes = np.clip(np.round(w / scale[:, index]) + zero[:, index], 0, top).astype(np.int64)
    return codes, scale, zero, ((codes - zero[:, index]) * scale[:, index]).astype(np.float32)


def plain_index(columns, group):
    return np.arange(columns) // group


def shuffled_index(columns, group, seed):
    index = np.empty(columns, dtype=np.int64)
    index[np.random.default_rng(seed).permutation(columns)] = plain_index(columns, group)
    return index


def tensor(values, dtype=torch.float32):
    return torch.from_numpy(np.ascontiguousarray(values)).to(dtype).contiguous()


# Each takes a weight [out, in] in float32 and gives the tensors by their suffix, and what they stand for.
def gptq(w, bits=4, symmetric=True, act_order=False, v2=False, bias=False, group=GROUP):
    index = shuffled_index(w.shape[1], group, w.size) if act_order else plain_index(w.shape[1], group)
    codes, scale, zero, real = quantize(w, bits, symmetric, torch.float16, index)
    stored = zero if v2 else (zero - 1) & (2 ** bits - 1)
    tensors = dict(qweight=stream(codes, bits).T.contiguous(), qzeros=stream(stored.T, bits),
                   scales=tensor(scale.T, torch.float16), g_idx=tensor(index, torch.int32))
    if bias:
        tensors["bias"] = torch.zeros(len(w), dtype=torch.float16)
    return tensors, real


def awq_words(codes):
    """[in or groups, out]: eight outputs to a word, the even ones first."""
    order = codes.reshape(codes.shape[0], -1, 8)[..., [0, 2, 4, 6, 1, 3, 5, 7]]
    return stream(order.reshape(codes.shape), 4)


def awq(w):
    codes, scale, zero, real = quantize(w, 4, False, torch.float16, plain_index(w.shape[1], GROUP))
    return dict(qweight=awq_words(codes.T), qzeros=awq_words(zero.T), scales=tensor(scale.T, torch.float16)), real


def packed(w, bits=4, symmetric=True, act_order=False):
    index = shuffled_index(w.shape[1], GROUP, w.size) if act_order else plain_index(w.shape[1], GROUP)
    codes, scale, zero, real = quantize(w, bits, symmetric, torch.bfloat16, index)
    tensors = dict(weight_packed=stream(codes, bits), weight_scale=tensor(scale, torch.bfloat16),
                   weight_shape=torch.tensor(w.shape, dtype=torch.int64))
    if not symmetric:  # packed down the outputs
        tensors["weight_zero_point"] = stream(zero.T, bits).T.contiguous()
    if act_order:
        tensors["weight_g_idx"] = tensor(index, torch.int32)
    return tensors, real


def w8a8(w, symmetric=True):
    codes, scale, zero, real = quantize(w, 8, symmetric, torch.bfloat16, np.zeros(w.shape[1], dtype=np.int64))
    tensors = dict(weight=tensor(codes - 128, torch.int8), weight_scale=tensor(scale, torch.bfloat16))
    if not symmetric:
        tensors["weight_zero_point"] = tensor(zero - 128, torch.int8)
    return tensors, real


def fp8(w, name, block=None, per_output=False, dtype=torch.float32, shape=None, extra=()):
    """One scale for the tensor, for each output, or for each block of outputs and inputs."""
    rows, cols = block or ((1, w.shape[1]) if per_output else w.shape)
    blocks = np.pad(w, ((0, -w.shape[0] % rows), (0, -w.shape[1] % cols)))
    blocks = blocks.reshape(blocks.shape[0] // rows, rows, blocks.shape[1] // cols, cols)
    scale = to(dtype, np.abs(blocks).max((1, 3)) / 448)
    each = np.repeat(np.repeat(scale, rows, 0), cols, 1)[:w.shape[0], :w.shape[1]]
    codes = torch.from_numpy(np.clip(w / each, -448, 448)).to(torch.float8_e4m3fn)
    tensors = {"weight": codes, name: tensor(scale, dtype) if shape is None else tensor(scale, dtype).reshape(shape)}
    tensors |= {suffix: torch.tensor(0.25) for suffix in extra}
    return tensors, codes.float().numpy() * each


def int8(w):
    largest = np.abs(w).max(1).astype(np.float32)
    codes = np.round(w * (127 / largest[:, None])).astype(np.int8)
    scale = largest * (np.float32(1) / np.float32(127))
    return (dict(weight=tensor(codes, torch.int8), SCB=tensor(largest), weight_format=torch.tensor(0, dtype=torch.uint8)),
            codes.astype(np.float32) * scale[:, None])


def mlx(w, bits=4):
    own = groups_of(w, GROUP)
    low, high = own.min(2), own.max(2)
    scale = to(torch.bfloat16, (high - low) / (2 ** bits - 1))
    bias = to(torch.bfloat16, low)
    codes = np.clip(np.round((own - bias[..., None]) / scale[..., None]), 0, 2 ** bits - 1).astype(np.int64)
    real = codes.astype(np.float32) * scale[..., None] + bias[..., None]
    return (dict(weight=stream(codes.reshape(w.shape), bits).view(torch.uint32), scales=tensor(scale, torch.bfloat16),
                 biases=tensor(bias, torch.bfloat16)), real.reshape(w.shape))


def scheme(format, weights, **more):
    group = dict(targets=["Linear"], weights=weights, input_activations=None, output_activations=None)
    return dict(quantization_config=dict(quant_method="compressed-tensors", format=format, config_groups=dict(group_0=group),
                                         ignore=["lm_head"], quantization_status="compressed", kv_cache_scheme=None, **more))


INT4 = dict(num_bits=4, type="int", strategy="group", group_size=GROUP, symmetric=True, dynamic=False, observer="minmax")
FLOAT8 = dict(num_bits=8, type="float", symmetric=True, dynamic=False)
GPTQ = dict(bits=4, group_size=GROUP, damp_percent=0.01, desc_act=False, sym=True, true_sequential=True)
# By name: how a weight is packed, what config.json says, and another file's name and contents.
FORMATS = {
    "gptq-4bit": (lambda w: gptq(w, bias=True), dict(quantization_config=dict(GPTQ, quant_method="gptq"))),
    "gptq-4bit-act-order": (lambda w: gptq(w, symmetric=False, act_order=True), {},
                            "quantize_config.json", dict(GPTQ, desc_act=True, sym=False)),
    "gptq-4bit-rows": (lambda w: gptq(w, symmetric=False, group=w.shape[1]), dict(quantization_config=dict(
        GPTQ, group_size=-1, sym=False, quant_method="gptq"))),
    "gptq-3bit-v2": (lambda w: gptq(w, bits=3, symmetric=False, v2=True), dict(quantization_config=dict(
        GPTQ, bits=3, sym=False, quant_method="gptq", checkpoint_format="gptq_v2"))),
    "gptq-2bit": (lambda w: gptq(w, bits=2, symmetric=False), dict(quantization_config=dict(
        GPTQ, bits=2, sym=False, quant_method="gptq", checkpoint_format="gptq"))),
    "awq-4bit": (awq, dict(quantization_config=dict(quant_method="awq", bits=4, group_size=GROUP, zero_point=True,
                                                    version="gemm", modules_to_not_convert=None))),
    "packed-int4": (packed, scheme("pack-quantized", INT4)),
    "packed-int4-act-order": (lambda w: packed(w, symmetric=False, act_order=True),
                              scheme("pack-quantized", dict(INT4, symmetric=False, actorder="group"))),
    "packed-int8": (lambda w: packed(w, bits=8), scheme("pack-quantized", dict(INT4, num_bits=8))),
    "w8a8": (w8a8, scheme("int-quantized", dict(INT4, num_bits=8, strategy="channel", group_size=None))),
    "w8a8-asymmetric": (lambda w: w8a8(w, symmetric=False), scheme("int-quantized", dict(
        INT4, num_bits=8, strategy="channel", group_size=None, symmetric=False))),
    "fp8-output": (lambda w: fp8(w, "weight_scale", per_output=True, dtype=torch.bfloat16),
                   scheme("float-quantized", dict(FLOAT8, strategy="channel"))),
    "fp8-tensor": (lambda w: fp8(w, "weight_scale", shape=[1], extra=["input_scale"]),
                   scheme("float-quantized", dict(FLOAT8, strategy="tensor"))),
    "fp8-block": (lambda w: fp8(w, "weight_scale_inv", block=(32, 32)), dict(quantization_config=dict(
        quant_method="fp8", activation_scheme="dynamic", fmt="e4m3", weight_block_size=[32, 32],
        modules_to_not_convert=["lm_head"]))),
    "fp8-modelopt": (lambda w: fp8(w, "weight_scale", shape=[], extra=["input_scale"]), {}, "hf_quant_config.json",
                     dict(producer=dict(name="modelopt", version="0.23"), quantization=dict(
                         quant_algo="FP8", kv_cache_quant_algo=None, exclude_modules=["lm_head"]))),
    "bnb-int8": (int8, dict(quantization_config=dict(quant_method="bitsandbytes", load_in_8bit=True, load_in_4bit=False,
                                                     llm_int8_threshold=6.0, llm_int8_skip_modules=None))),
    "mlx-4bit": (mlx, dict(quantization=dict(group_size=GROUP, bits=4), quantization_config=dict(group_size=GROUP, bits=4))),
    "mlx-6bit": (lambda w: mlx(w, 6), dict(quantization=dict(group_size=GROUP, bits=6, mode="affine"))),
}


def fnv(values):
    data = (np.ascontiguousarray(values, dtype=np.float32) + np.float32(0)).tobytes()
    h = 0xcbf29ce484222325
    for byte in data:
        h = ((h ^ byte) * 0x100000001b3) & (2 ** 64 - 1)
    return f"{h:016x}"


def model_of(state):
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **CONFIG), attn_implementation="eager").float().eval()
    if state is not None:
        model.load_state_dict(state, strict=False)
        model.tie_weights()
    return model


def make_adapters(root, state):
    for name, dora in (("lora", False), ("dora", True)):
        torch.manual_seed(SEED + 1)
        model = get_peft_model(model_of(state), LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, use_dora=dora,
                                                           target_modules="all-linear"))
        g = torch.Generator().manual_seed(SEED + 2)
        with torch.no_grad():
            for n, p in model.named_parameters():
                if "lora_A" in n:
                    p.copy_(torch.randn(p.shape, generator=g) / p.shape[-1] ** 0.5)
                elif "lora_B" in n:
                    p.copy_(torch.randn(p.shape, generator=g) * 0.35 / p.shape[-1] ** 0.5)
                elif "magnitude" in n:
                    p.mul_(1 + 0.1 * torch.randn(p.shape, generator=g))
        model.peft_config["default"].base_model_name_or_path = "packed"
        model.save_pretrained(os.path.join(root, "adapters", name))
        os.remove(os.path.join(root, "adapters", name, "README.md"))


def make_format(root, name, state, pack, config, file=None, text=None):
    folder = os.path.join(root, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, "model"))
    with_table = "mlx" in name
    tensors, real, hashes = {}, {}, {}
    for key, value in state.items():
        module, _, kind = key.rpartition(".")
        if key == "lm_head.weight":
            continue
        if value.dim() != 2 or ("embed" in key and not with_table):
            tensors[key] = value.to(torch.bfloat16)
            real[key] = tensors[key].float()
            continue
        own, weight = pack(value.numpy())
        tensors |= {f"{module}.{suffix}": t.contiguous() for suffix, t in own.items()}
        real[key] = torch.from_numpy(np.ascontiguousarray(weight))
        hashes[module] = fnv(weight)
    if name == "fp8-modelopt":
        tensors["model.layers.0.self_attn.k_proj.k_scale"] = torch.tensor(0.5)
    save_file(tensors, os.path.join(folder, "model", "model.safetensors"), metadata={"format": "pt"})
    base = AutoConfig.for_model("llama", **CONFIG).to_dict() | dict(architectures=["LlamaForCausalLM"], dtype="bfloat16")
    json.dump({k: v for k, v in (base | config).items() if v is not None}, open(os.path.join(folder, "model", "config.json"), "w"), indent=1)
    if file:
        json.dump(text, open(os.path.join(folder, "model", file), "w"), indent=1)

    real["lm_head.weight"] = real["model.embed_tokens.weight"]
    g = torch.Generator().manual_seed(SEED + 3)
    prompts = [[1] + torch.randint(3, CONFIG["vocab_size"], (n - 1,), generator=g).tolist() for n in (5, 33)]
    golden = dict(case=name, dequantized=hashes, prompts=prompts, runs=[])
    for adapter in (None, "lora", "dora"):
        model = model_of(real)
        if adapter:
            model = PeftModel.from_pretrained(model, os.path.join(root, "adapters", adapter)).eval()
        for i, prompt in enumerate(prompts):
            run = reference(model, prompt, 6)
            run.pop("top5")
            golden["runs"].append(dict(adapter=adapter, prompt=i, **run))
    json.dump(golden, open(os.path.join(folder, "golden.json"), "w"), separators=(",", ":"))


def main(root):
    model = model_of(None)
    randomize(model, SEED)
    model.tie_weights()
    state = {k: v.to(torch.bfloat16).float() for k, v in model.state_dict().items()}
    make_adapters(root, state)
    for name, description in FORMATS.items():
        make_format(root, name, state, *description)


if __name__ == "__main__":
    main(sys.argv[1])
