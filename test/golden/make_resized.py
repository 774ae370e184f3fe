#!/usr/bin/env python3
"""Golden cases of adapters that were trained after resize_token_embeddings: tiny random-weight models, real PEFT adapters
with the tokenizers that their trainers save beside them, and what Transformers + PEFT compute.

    cd test/golden && python make_resized.py GOLDENS_DIR

GOLDENS_DIR holds make_goldens.py, whose models and reference these are. Each folder below resized/ is one case as
make_goldens.py says; `prompts` of adapters hold their own tokens too, and `texts` what the adapter's tokenizer makes of a
text."""
import json, os, shutil, sys

sys.path.insert(0, sys.argv[1])
import torch
from make_goldens import make_tokenizer, randomize, reference
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

OUT = "resized"
VOCAB, TOKENIZER = 280, 272
CONFIG = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
              num_key_value_heads=2, head_dim=8, max_position_embeddings=256)
PROJECTIONS = ["q_proj", "v_proj", "down_proj"]
ADDED = [f"<|tool_{i}|>" for i in range(10)] + [" kiwi", "<im_end>", "zebra", "<|far|>"]
FEW = 3  # tokens that lie in the base's padding: the vocabulary shrinks
TEXTS = ["", "hello <|tool_1|> world<|tool_2|>", "<|tool_0|>", "a zebra eats kiwi <im_end>", "naïve<|far|> 你好"]

NEW = list(range(TOKENIZER, TOKENIZER + len(ADDED)))
UNTIED = {
    "shrunk": dict(tokens=FEW, target_modules=PROJECTIONS, modules_to_save=["embed_tokens", "lm_head"]),
    "saved": dict(target_modules=PROJECTIONS, modules_to_save=["embed_tokens", "lm_head"]),
    "plain": dict(target_modules=PROJECTIONS),
    "lora": dict(target_modules=["q_proj", "embed_tokens", "lm_head"], use_rslora=True),
    # PEFT saves no head beside a targeted embedding by itself.
    "dora": dict(target_modules=["q_proj", "embed_tokens"], modules_to_save=["lm_head"], use_dora=True),
    "rows": dict(target_modules=PROJECTIONS, trainable_token_indices={"embed_tokens": NEW, "lm_head": NEW}),
    "rows-alone": dict(target_modules=PROJECTIONS, save=False,
                       trainable_token_indices={"embed_tokens": NEW, "lm_head": NEW}),
    "some-rows": dict(target_modules=PROJECTIONS, trainable_token_indices={"embed_tokens": [5, 281, 273]}),
}
TIED = {
    "shrunk": dict(tokens=FEW, target_modules=PROJECTIONS),
    "saved": dict(target_modules=PROJECTIONS, modules_to_save=["embed_tokens", "lm_head"]),
    "plain": dict(target_modules=PROJECTIONS),
    "lora": dict(target_modules=["q_proj", "embed_tokens"]),
    "rows": dict(target_modules=PROJECTIONS, trainable_token_indices=NEW),
    "rows-alone": dict(target_modules=PROJECTIONS, save=False, trainable_token_indices=NEW),
}


def randomize_adapter(model, seed):
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_A" in name or "lora_embedding_A" in name:
                p.copy_(torch.randn(p.shape, generator=g) / p.shape[-1] ** 0.5)
            elif "lora_B" in name or "lora_embedding_B" in name:
                p.copy_(torch.randn(p.shape, generator=g) * 0.35 / max(1, p.shape[-1]) ** 0.5)
            elif "magnitude" in name:
                p.mul_(1 + 0.2 * torch.randn(p.shape, generator=g))
            elif "modules_to_save" in name:
                p.add_(0.1 * torch.randn(p.shape, generator=g))
            elif "trainable_tokens" in name:
                p.add_(0.5 * torch.randn(p.shape, generator=g))


def resized(path, size, seed):
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
    old = model.get_input_embeddings().weight.shape[0]
    model.resize_token_embeddings(size, mean_resizing=False)
    # As large as the others: the tiny default would never be drawn.
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for embedding, scale in ((model.get_input_embeddings(), 0.7), (model.get_output_embeddings(), 0.6)):
            if size > old:
                embedding.weight[old:] = torch.randn((size - old, embedding.weight.shape[1]), generator=g) * scale
    model.tie_weights()
    return model


def make_case(name, tied, adapters, seed):
    root = os.path.join(OUT, name)
    shutil.rmtree(root, ignore_errors=True)
    path = os.path.join(root, "model")
    os.makedirs(path)
    tok = make_tokenizer(path, TOKENIZER)
    assert len(tok) == TOKENIZER
    config = AutoConfig.for_model("llama", **CONFIG, tie_word_embeddings=tied, bos_token_id=tok.bos_token_id,
                                  eos_token_id=tok.eos_token_id, pad_token_id=tok.pad_token_id)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config).float().eval()
    randomize(model, seed)
    model.tie_weights()
    model.to(torch.bfloat16).save_pretrained(path)

    g = torch.Generator().manual_seed(seed + 1)
    draw = lambda low, high, n: torch.randint(low, high, (n,), generator=g).tolist()
    prompts = [[tok.bos_token_id] + draw(7, TOKENIZER, n - 1) for n in (5, 23)]
    golden = dict(case=name, prompts=prompts, runs=[], texts=[])
    base = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
    golden["runs"] += [dict(adapter=None, prompt=i, **reference(base, p, 12)) for i, p in enumerate(prompts[:2])]
    for k, (adapter, how) in enumerate(adapters.items()):
        how = dict(how)
        tokens, save = how.pop("tokens", len(ADDED)), how.pop("save", "auto")
        folder = os.path.join(root, "adapters", adapter)
        own = AutoTokenizer.from_pretrained(path)
        own.add_special_tokens({"additional_special_tokens": ADDED[: min(tokens, 10)]})
        own.add_tokens(ADDED[10:tokens])
        size = len(own)
        assert size == TOKENIZER + tokens
        torch.manual_seed(seed + 100 + k)
        peft = get_peft_model(resized(path, size, seed + 300), LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, **how))
        randomize_adapter(peft, seed + 200 + k)
        peft.to(torch.bfloat16).save_pretrained(folder, save_embedding_layers=save)
        own.save_pretrained(folder)
        # What the file does not hold must be what it was made with.
        ref = PeftModel.from_pretrained(resized(path, size, seed + (300 if save == "auto" else 301)), folder).float().eval()
        first = len(prompts)
        prompts += [[tok.bos_token_id] + draw(7, size, n - 1) for n in (9, 30)]
        prompts[-2][3:6] = [size - 1, TOKENIZER, size - 2]
        for prompt in (0, 1, first, first + 1):
            golden["runs"].append(dict(adapter=adapter, prompt=prompt, **reference(ref, prompts[prompt], 12)))
        golden["texts"] += [dict(adapter=adapter, text=text, ids=own(text)["input_ids"]) for text in TEXTS]
        os.remove(os.path.join(folder, "README.md"))
        news = sum(t >= TOKENIZER for r in golden["runs"] if r["adapter"] == adapter for t in r["greedy_ids"])
        print(f"{name} {adapter}: {size} tokens, {news} of them new in answers")
    json.dump(golden, open(os.path.join(root, "golden.json"), "w"), separators=(",", ":"))


make_case("untied", False, UNTIED, 40)
make_case("tied", True, TIED, 50)
