#!/usr/bin/env python3
"""What GGUF files are held to: names, metadata, block formats and quantized models, by the package `gguf`.

    pip install torch transformers peft safetensors gguf sentencepiece
    python make_gguf_models.py layouts     gguf/layouts.json: how the models of ../golden look in GGUF
    python make_gguf_models.py blocks      the table of native/test/model_gguf.cc: a hash of what each type's blocks stand for
    python make_gguf_models.py tokenizers  gguf/tokenizers.json: tokenizers as GGUF keeps them, and the ids that the originals give
    python make_gguf_models.py models      gguf/<case>: a quantized model, adapters of its dequantized twin, and golden.json

Names of tensors and keys come from the package, arithmetic of blocks from gguf.quants; what conversion does to tensors
(rows of q and k of Llama, the 1 in Gemma's norms, stacked experts, factors of Llama 3's rope) is written here as ops.
"""
import json, math, os, shutil, sys, tempfile
import numpy as np
import gguf
from gguf import GGMLQuantizationType as Q

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "gguf")
ARCH = {
    "llama": "LLAMA", "mistral": "LLAMA", "mixtral": "LLAMA", "qwen2": "QWEN2", "qwen3": "QWEN3", "gemma": "GEMMA",
    "gemma2": "GEMMA2", "gemma3_text": "GEMMA3", "phi3": "PHI3", "qwen2_moe": "QWEN2MOE", "qwen3_moe": "QWEN3MOE",
}
CASES = ["cases/" + name for name in (
    "llama-gqa", "llama3-rope-tied-sharded", "mistral-window", "mixtral-moe", "qwen2-bias", "qwen3-qknorm", "qwen3-moe",
    "gemma2-softcap", "gemma3-text", "phi3-fused")] + ["families/gemma", "families/qwen2-moe"]


def rope_of(c):
    rope = c.get("rope_parameters") or {}
    return rope.get("full_attention", rope) | (c.get("rope_scaling") or {})


def llama3_factors(c, rope):
    dim, theta = c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"], rope.get("rope_theta", c.get("rope_theta"))
    factor, low, high = rope["factor"], rope["low_freq_factor"], rope["high_freq_factor"]
    old = rope["original_max_position_embeddings"]
    factors = []
    for i in range(0, dim, 2):
        wavelength = 2 * math.pi * theta ** (i / dim)
        if wavelength < old / high:
            factors.append(1.0)
        elif wavelength > old / low:
            factors.append(factor)
        else:
            smooth = (old / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return [float(np.float32(f)) for f in factors]


def metadata_of(c, arch):
    name = gguf.MODEL_ARCH_NAMES[arch]
    L, A, R = gguf.Keys.LLM, gguf.Keys.Attention, gguf.Keys.Rope
    rope = rope_of(c)
    heads = c["num_attention_heads"]
    head_dim = c.get("head_dim") or c["hidden_size"] // heads
    found = {
        L.CONTEXT_LENGTH: c["max_position_embeddings"], L.EMBEDDING_LENGTH: c["hidden_size"],
        L.BLOCK_COUNT: c["num_hidden_layers"], L.FEED_FORWARD_LENGTH: c["intermediate_size"],
        A.HEAD_COUNT: heads, A.HEAD_COUNT_KV: c.get("num_key_value_heads") or heads,
        A.LAYERNORM_RMS_EPS: float(c["rms_norm_eps"]),
        R.FREQ_BASE: float(rope.get("rope_theta", c.get("rope_theta", 10000.0))),
        L.EXPERT_COUNT: c.get("num_local_experts") or c.get("num_experts"), L.EXPERT_USED_COUNT: c.get("num_experts_per_tok"),
        L.EXPERT_FEED_FORWARD_LENGTH: c.get("moe_intermediate_size"),
        L.EXPERT_SHARED_FEED_FORWARD_LENGTH: c.get("shared_expert_intermediate_size"),
        L.ATTN_LOGIT_SOFTCAPPING: c.get("attn_logit_softcapping"), L.FINAL_LOGIT_SOFTCAPPING: c.get("final_logit_softcapping"),
        A.SLIDING_WINDOW: c.get("sliding_window") or None,
    }
    if name == "gemma2" and c["query_pre_attn_scalar"] != head_dim:
        found[A.SCALE] = c["query_pre_attn_scalar"] ** -0.5
    if c.get("head_dim"):
        found |= {A.KEY_LENGTH: head_dim, A.VALUE_LENGTH: head_dim}
    if name in ("llama", "phi3"):
        found |= {R.DIMENSION_COUNT: head_dim, L.VOCAB_SIZE: c["vocab_size"]}
    keys = {"general.architecture": ["text", name], "general.name": ["text", "tiny"], "general.type": ["text", "model"]}
    for key, value in found.items():
        if value is not None:
            keys[key.format(arch=name)] = ["f32" if isinstance(value, float) else "u32", value]
    return keys


def headers(folder):
    """name -> shape, of all shards"""
    found = {}
    for file in sorted(os.listdir(folder)):
        if file.endswith(".safetensors"):
            with open(os.path.join(folder, file), "rb") as f:
                size = int.from_bytes(f.read(8), "little")
                found |= {k: v["shape"] for k, v in json.loads(f.read(size)).items() if k != "__metadata__"}
    return found


def experts_of(name):
    """(what the stack of this expert's tensors is called in conversion, the expert), or None"""
    parts = name.split(".")
    if "experts" not in parts:
        return None
    at = parts.index("experts")
    kind = parts[at + 2]
    before = ["layers", parts[2], "feed_forward"] if kind in ("w1", "w2", "w3") else parts[:at]
    return ".".join(before + ["experts", kind, "weight"]), int(parts[at + 1])


def layout(case):
    c = json.load(open(os.path.join(HERE, case, "model/config.json")))
    arch = gguf.MODEL_ARCH[ARCH[c["model_type"]]]
    names = gguf.get_tensor_name_map(arch, c["num_hidden_layers"])
    gguf_name = lambda name: names.get_name(name, try_suffixes=(".weight", ".bias"))
    tensors = {}
    for name in sorted(headers(os.path.join(HERE, case, "model")), key=lambda n: (experts_of(n) or ("", 0))[1]):
        stacked = experts_of(name)
        entry = {"from": [name]}
        if stacked:
            tensors.setdefault(gguf_name(stacked[0]), {"from": []})["from"].append(name)
            continue
        if arch == gguf.MODEL_ARCH.LLAMA and ".self_attn.q_proj." in name:
            entry["pairedHeads"] = c["num_attention_heads"]
        if arch == gguf.MODEL_ARCH.LLAMA and ".self_attn.k_proj." in name:
            entry["pairedHeads"] = c.get("num_key_value_heads") or c["num_attention_heads"]
        if c["model_type"].startswith("gemma") and name.endswith("norm.weight"):
            entry["plusOne"] = True
        tensors[gguf_name(name)] = entry
    rope = rope_of(c)
    numbers = {"rope_freqs.weight": llama3_factors(c, rope)} if rope.get("rope_type") == "llama3" else {}
    return {"metadata": metadata_of(c, arch), "tensors": tensors, "numbers": numbers}


def layouts():
    os.makedirs(OUT, exist_ok=True)
    with open(os.path.join(OUT, "layouts.json"), "w") as f:
        lines = [json.dumps(case) + ": " + json.dumps(layout(case), separators=(",", ":")) for case in CASES]
        f.write("{\n" + ",\n".join(lines) + "\n}\n")


# where in a block float16 numbers stand: scales, then minima
HALVES = {
    Q.Q8_0: (0,), Q.Q4_0: (0,), Q.Q4_1: (0, 2), Q.Q5_0: (0,), Q.Q5_1: (0, 2), Q.Q2_K: (80, 82), Q.Q3_K: (108,),
    Q.Q4_K: (0, 2), Q.Q5_K: (0, 2), Q.Q6_K: (208,), Q.IQ4_NL: (0,), Q.IQ4_XS: (0,), Q.MXFP4: (),
}


def blocks():
    for kind, halves in HALVES.items():
        size = gguf.GGML_QUANT_SIZES[kind][1]
        state, data = int(kind), bytearray()
        for _ in range(16 * size):
            state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
            data.append(state >> 24)
        for i in range(16):
            for half in halves:
                data[i * size + half + 1] &= 0xBF
        values = gguf.quants.dequantize(np.frombuffer(bytes(data), np.uint8).reshape(1, -1), kind).astype(np.float32).reshape(-1)
        values = np.where(values == 0, np.float32(0), values)
        digest = 14695981039346656037
        for byte in values.tobytes():
            digest = ((digest ^ byte) * 1099511628211) & 0xFFFFFFFFFFFFFFFF
        print(f'      {{"{kind.name}", {{{", ".join(map(str, halves))}}}, 0x{digest:016x}u}},')


def random_blocks(rng, kind, rows, cols, deviation):
    """Any codes, under scales that give values of that deviation and about no mean."""
    values, size = gguf.GGML_QUANT_SIZES[kind]
    data = rng.integers(0, 256, (rows * cols // values, size), dtype=np.uint8)
    def with_halves(*numbers):
        for half, number in zip(HALVES[kind], numbers):
            data[:, half:half + 2] = np.frombuffer(np.float16(number).tobytes(), np.uint8)
        return gguf.quants.dequantize(data.reshape(rows, -1), kind)
    if not HALVES[kind]:
        data[:, 0] = 127 + int(np.floor(np.log2(deviation / 3)))
    elif len(HALVES[kind]) == 1:
        with_halves(deviation / with_halves(1).std())
    else:
        minimum = -with_halves(1, 0).mean() / with_halves(0, 1).mean()
        scale = deviation / with_halves(1, minimum).std()
        with_halves(scale, minimum * scale)
    return data.reshape(rows, -1)


MODELS = {
    "llama-k": ("llama", [Q.Q4_K, Q.Q5_K, Q.Q6_K, Q.Q2_K, Q.Q3_K], [Q.Q8_0]),
    "qwen2-legacy": ("qwen2", [Q.Q4_0, Q.Q5_0, Q.Q5_1, Q.Q4_1, Q.Q8_0], [Q.Q5_0]),
    "gemma2-tables": ("gemma2", [Q.IQ4_XS, Q.IQ4_NL, Q.MXFP4, Q.Q6_K], [Q.IQ4_NL]),
}


def hf_rows(tensor, heads):
    """Undoes what conversion does to Llama's q and k."""
    shape = tensor.shape
    return tensor.reshape(heads, shape[0] // heads // 2, 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def models():
    import torch
    sys.path.insert(0, os.path.join(HERE, "make"))
    import make_families as families
    from transformers import AutoConfig, AutoModelForCausalLM

    for number, (case, (model_type, kinds, narrow)) in enumerate(MODELS.items()):
        root = os.path.join(OUT, case)
        shutil.rmtree(root, ignore_errors=True)
        os.makedirs(root)
        more = dict(sliding_window=8, query_pre_attn_scalar=32) if model_type == "gemma2" else {}
        config = AutoConfig.for_model(
            model_type, vocab_size=64, hidden_size=256, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=1, head_dim=32, max_position_embeddings=128, bos_token_id=0, eos_token_id=1, pad_token_id=2,
            tie_word_embeddings=True, **more)
        torch.manual_seed(number)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
        families.randomize(model, 40 + number)
        model.tie_weights()
        c = config.to_dict()
        arch = gguf.MODEL_ARCH[ARCH[model_type]]
        names = gguf.get_tensor_name_map(arch, 1)
        writer = gguf.GGUFWriter(os.path.join(root, "model.gguf"), gguf.MODEL_ARCH_NAMES[arch])
        for key, (kind, value) in metadata_of(c, arch).items():
            if key != "general.architecture":
                {"text": writer.add_string, "u32": writer.add_uint32, "f32": writer.add_float32}[kind](key, value)
        rng = np.random.default_rng(number)
        matrices = 0
        with torch.no_grad():
            for name, p in model.named_parameters():
                gguf_name = names.get_name(name, try_suffixes=(".weight", ".bias"))
                if p.dim() == 1:
                    plus = 1 if model_type.startswith("gemma") and "norm" in name else 0
                    writer.add_tensor(gguf_name, p.numpy() + np.float32(plus))
                    continue
                fitting = kinds if p.shape[1] % 256 == 0 else narrow
                kind = fitting[matrices % len(fitting)]
                matrices += 1
                data = random_blocks(rng, kind, *p.shape, float(p.std()))
                writer.add_tensor(gguf_name, data, raw_dtype=kind)
                values = gguf.quants.dequantize(data, kind)
                heads = c["num_attention_heads"] if ".q_proj." in name else c["num_key_value_heads"]
                if model_type == "llama" and (".q_proj." in name or ".k_proj." in name):
                    values = hf_rows(values, heads)
                p.copy_(torch.from_numpy(values.copy()))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            generator = torch.Generator().manual_seed(number)
            prompts = [torch.randint(3, 64, (n,), generator=generator).tolist() for n in (3, 11, 20)]
            runs = [dict(adapter=None, prompt=i, **families.reference(families.load(folder), p)) for i, p in enumerate(prompts)]
            targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
            specs = {"lora": dict(r=4, lora_alpha=8, target_modules=targets),
                     "dora": dict(r=2, lora_alpha=4, use_dora=True, target_modules=targets[:4] + targets[-1:])}
            for i, (name, lora) in enumerate(specs.items()):
                adapted = families.make_adapter({"seed": 40 + number}, i, {"lora": lora}, os.path.join(root, "adapters", name), folder)
                runs += [dict(adapter=name, prompt=j, **families.reference(adapted, p)) for j, p in enumerate(prompts[1:], 1)]
        json.dump({"prompts": prompts, "runs": runs}, open(os.path.join(root, "golden.json"), "w"))
        print(case, os.path.getsize(os.path.join(root, "model.gguf")))


CORPUS = [
    "The quick brown fox jumps over the lazy dog. It's 12:30, isn't it?",
    "user assistant system end start of turn im_start im_end think tool call INST s eot id header",
    "def f(x):\n    return x + 1\n\nprint(f(41))\n",
    "Straße, naïve café, 日本語のテキスト, emoji 🙂.",
    "<b>bold</b> | pipes || and <angle> brackets [square] /slash\\",
] * 4
KINDS = {"normal": 1, "unknown": 2, "control": 3, "user_defined": 4, "unused": 5, "byte": 6}


def texts(first, last, marks):
    return [
        "", " ", "Hello world", " leading and trailing ", "two  spaces   three\t\ttabs", "\n\n\nlines\r\n end\n",
        "1 22 333 4444 55555 3.14159 v2.0 १२३ ①", "It's YOU'RE we'LL don'T o'clock", "naïve cafe\u0301 Straße ÅÅ ﬁ",
        "日本語のテキスト 中文 한국어 العربية עברית ไทย", "🙂👩‍👩‍👧‍👦🏳️‍🌈 \u200b\ufeff\u00a0 nbsp", "CamelCaseWords snake_case_words --flags ==> !!",
        "    def f():\n        pass\n", "".join(map(chr, range(1, 128))), "\x00\x01 control \x7f",
        f"{first}user\nHi there.{last}\n{first}assistant\n", f"{last} {first}  two  spaces {last}", f"a{first}b{last}c",
        f"{first}{last}{marks}\n\n{marks}x{marks} 日本{last}", first[:-1] + " " + last + last[1:],
    ]


def byte_level(pre, pattern, special, normalizer=None, digits=False, ignores_merges=False, bos=None):
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE(ignore_merges=ignores_merges))
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    steps = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    steps += [pre_tokenizers.Split(Regex(pattern), "isolated")] if pattern else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*steps, bytes_]) if steps else bytes_
    tokenizer.normalizer = normalizer and normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False))
    tokenizer.add_special_tokens([AddedToken(name, normalized=False) for name in special])
    tokenizer.add_tokens([AddedToken("<think>", special=False, normalized=False)])
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, tokenizer.token_to_id(bos))])
    size = tokenizer.get_vocab_size()
    added = tokenizer.get_added_tokens_decoder()
    kinds = [("control" if added[i].special else "user_defined") if i in added else "normal" for i in range(size)]
    fields = {
        "model": "gpt2", "pre": pre, "tokens": [tokenizer.id_to_token(i) for i in range(size)] + [f"[PAD{size}]"],
        "token_type": [KINDS[kind] for kind in kinds] + [KINDS["unused"]],
        "merges": [" ".join(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]],
    }
    if bos:
        fields |= {"bos_token_id": tokenizer.token_to_id(bos)}
    return fields, tokenizer, texts(special[-2], special[-1], "<think>")


def sentence_piece(prefix):
    """As trained by the library itself; the twin has Transformers' vocabulary and merges, and the normalizer of published files."""
    import sentencepiece
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "tokenizer")
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(text.replace("\n", " ") for text in CORPUS), model_prefix=path, model_type="bpe", vocab_size=440,
            byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=prefix,
            user_defined_symbols=["<b>"], control_symbols=["<|turn|>"], character_coverage=0.98, hard_vocab_limit=False,
            split_digits=True, allow_whitespace_only_pieces=True, minloglevel=9)
        json.dump({"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True},
                  open(os.path.join(folder, "tokenizer_config.json"), "w"))
        twin = json.loads(AutoTokenizer.from_pretrained(folder).backend_tokenizer.to_str())
        model = sentencepiece.SentencePieceProcessor(model_file=path + ".model")
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    twin["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, spaces]} if prefix else spaces
    twin["pre_tokenizer"] = None
    tokenizer = Tokenizer.from_str(json.dumps(twin))
    kind = lambda i: ("unknown" if model.is_unknown(i) else "control" if model.is_control(i) else "byte" if model.is_byte(i)
                      else "user_defined" if model.id_to_piece(i) == "<b>" else "normal")
    ids = range(model.get_piece_size())
    fields = {"model": "llama", "tokens": [model.id_to_piece(i) for i in ids], "scores": [model.get_score(i) for i in ids],
              "token_type": [KINDS[kind(i)] for i in ids], "bos_token_id": 1, "eos_token_id": 2, "unknown_token_id": 0}
    if not prefix:
        fields["add_space_prefix"] = False
    for text in texts("x", "y", "z"):  # without what each treats in its own way
        ours, theirs = tokenizer.encode(text, add_special_tokens=False).ids, model.encode(text)
        if text and "\0" not in text and ours != theirs:
            print("differs from sentencepiece:", repr(text), len(ours), len(theirs))
    return fields, tokenizer, texts("<|turn|>", "</s>", "<b>")


def tokenizers():
    llama3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    made = {
        "llama3": byte_level("llama-bpe", llama3, ["<|begin_of_text|>", "<|start_header_id|>", "<|eot_id|>"], ignores_merges=True, bos="<|begin_of_text|>"),
        "qwen2": byte_level("qwen2", llama3.replace("{1,3}", ""), ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], normalizer=True),
        "gpt2": byte_level("gpt-2", None, ["<|endoftext|>", "<|end|>"]),
        "smollm": byte_level("smollm", None, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], digits=True),
        "llama2": sentence_piece(True),
        "gemma": sentence_piece(False),
    }
    file = {}
    for name, (fields, tokenizer, samples) in made.items():
        cases = [{"text": t, "ids": tokenizer.encode(t, add_special_tokens=True).ids,
                  "plain": tokenizer.encode(t, add_special_tokens=False).ids} for t in samples]
        file[name] = {"fields": fields, "cases": cases}
    with open(os.path.join(OUT, "tokenizers.json"), "w") as f:
        f.write("{\n" + ",\n".join(json.dumps(k) + ": " + json.dumps(v, separators=(",", ":")) for k, v in file.items()) + "\n}\n")


if __name__ == "__main__":
    {"layouts": layouts, "blocks": blocks, "models": models, "tokenizers": tokenizers}[sys.argv[1]]()
