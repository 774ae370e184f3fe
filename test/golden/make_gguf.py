#!/usr/bin/env python3
"""Write an adapter of the golden case llama-gqa as llama.cpp's conversion does, by the package gguf.

    python make_gguf.py CASES_DIR OUT.gguf

Queries and keys of Llama are kept there with the two halves of each head's rotation interleaved, and so are B's rows.
"""
import json, os, sys
import gguf
from safetensors.torch import load_file

NAMES = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output",
         "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down"}

def interleaved(rows, heads):
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)

if __name__ == "__main__":
    cases, out = sys.argv[1:]
    folder = os.path.join(cases, "llama-gqa")
    model = json.load(open(os.path.join(folder, "model/config.json")))
    adapter = os.path.join(folder, "adapters/qv-r8")
    config = json.load(open(os.path.join(adapter, "adapter_config.json")))
    tensors = load_file(os.path.join(adapter, "adapter_model.safetensors"))
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_type("adapter")
    writer.add_name("bot@1")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", config["lora_alpha"])
    for key in sorted(tensors, key=lambda key: (int(key.split(".")[4]), key)):
        _, _, _, _, layer, _, module, part, _ = key.split(".")
        values = tensors[key].numpy()
        if part == "lora_B" and module in ("q_proj", "k_proj"):
            values = interleaved(values, model["num_attention_heads" if module == "q_proj" else "num_key_value_heads"])
        writer.add_tensor(f"blk.{layer}.{NAMES[module]}.weight.{part.lower()}", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
