#!/usr/bin/env python3
"""Make the golden case of a checkpoint that bitsandbytes quantized to NF4, with a LoRA adapter on it (QLoRA).

    pip install torch transformers peft tokenizers safetensors bitsandbytes
    python make_nf4.py OUT_DIR

OUT_DIR/qlora/ holds
    plain/        the checkpoint before quantization, bfloat16
    model/        the same as Transformers and bitsandbytes save it: NF4, blocks of 64, double quantization
    adapters/lora/  a PEFT adapter on the quantized model
    golden.json   as make_goldens.py writes it: what the quantized model answers, computed in float32
"""
import json, os, shutil, sys
import torch
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig
from peft import LoraConfig, PeftModel, get_peft_model
from make_goldens import make_tokenizer, randomize, reference

SEED = 11
CONFIG = dict(hidden_size=128, intermediate_size=192, num_hidden_layers=1, num_attention_heads=4,
              num_key_value_heads=2, head_dim=32, vocab_size=288, max_position_embeddings=256,
              tie_word_embeddings=True)


def load(folder):
    # The weights' own type is bfloat16; the arithmetic on what they stand for is float32.
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def main(out_dir):
    torch.manual_seed(SEED)
    root = os.path.join(out_dir, "qlora")
    shutil.rmtree(root, ignore_errors=True)
    plain, quantized, lora = (os.path.join(root, f) for f in ("plain", "model", "adapters/lora"))
    os.makedirs(plain)
    tok = make_tokenizer(plain, CONFIG["vocab_size"])
    cfg = AutoConfig.for_model("llama", **CONFIG, bos_token_id=tok.bos_token_id, eos_token_id=tok.eos_token_id)
    model = AutoModelForCausalLM.from_config(cfg, attn_implementation="eager").float().eval()
    randomize(model, SEED)
    model.tie_weights()
    model.to(torch.bfloat16).save_pretrained(plain)

    bnb = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                             bnb_4bit_compute_dtype=torch.float32)
    AutoModelForCausalLM.from_pretrained(plain, dtype=torch.bfloat16, quantization_config=bnb).save_pretrained(quantized)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(os.path.join(plain, name), quantized)

    torch.manual_seed(SEED + 1)
    adapted = get_peft_model(load(quantized), LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8,
                                                         target_modules="all-linear"))
    gg = torch.Generator().manual_seed(SEED + 2)
    with torch.no_grad():
        for n, p in adapted.named_parameters():
            if "lora_A" in n:
                p.copy_(torch.randn(p.shape, generator=gg) / p.shape[-1] ** 0.5)
            elif "lora_B" in n:
                p.copy_(torch.randn(p.shape, generator=gg) * 0.35 / p.shape[-1] ** 0.5)
    adapted.peft_config["default"].base_model_name_or_path = "qlora"
    adapted.save_pretrained(lora)
    os.remove(os.path.join(lora, "README.md"))

    g = torch.Generator().manual_seed(SEED + 3)
    prompts = [[tok.bos_token_id] + torch.randint(7, len(tok), (n - 1,), generator=g).tolist() for n in (5, 17, 70)]
    golden = dict(case="qlora", arch="llama", eos_token_id=tok.eos_token_id, prompts=prompts, runs=[])
    for name, m in (None, load(quantized)), ("lora", PeftModel.from_pretrained(load(quantized), lora).eval()):
        golden["runs"] += [dict(adapter=name, prompt=i, **reference(m, p, 16)) for i, p in enumerate(prompts)]
    json.dump(golden, open(os.path.join(root, "golden.json"), "w"), separators=(",", ":"))


main(sys.argv[1])
