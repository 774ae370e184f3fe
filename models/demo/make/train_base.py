"""Trains the base model from nothing on the corpus and writes it in bfloat16."""

import math
import time
from collections.abc import Iterator

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import copy_head
import corpus
from paths import BASE
from tokenizer import END

SEQUENCE = 256
BATCH = 16
WARMUP = 100
MUON_RATE = 5e-3
ADAM_RATE = 3e-3
GRADIENT_NORM = 1.0


def config(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=256,
        intermediate_size=640,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=1024,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        # 1/sqrt(hidden): the usual 0.02 leaves attention all but flat at this width, and copying comes late.
        initializer_range=0.0625,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def encode(tokenizer: PreTrainedTokenizerFast, document: corpus.Document) -> list[int]:
    if isinstance(document, str):
        return [*tokenizer.encode(document), tokenizer.eos_token_id]
    return tokenizer.apply_chat_template(document, return_dict=False)


def batches(tokenizer: PreTrainedTokenizerFast, seed: int) -> Iterator[torch.Tensor]:
    """Documents end to end, cut into [BATCH, SEQUENCE]."""
    tokens: list[int] = []
    for document in corpus.base_documents(seed):
        tokens += encode(tokenizer, document)
        if len(tokens) >= BATCH * SEQUENCE:
            yield torch.tensor(tokens[: BATCH * SEQUENCE]).view(BATCH, SEQUENCE)
            tokens = tokens[BATCH * SEQUENCE :]


def rate(step: int, steps: int) -> float:
    """Share of the peak: linear warm-up, then a cosine down to a twentieth."""
    if step < WARMUP:
        return (step + 1) / WARMUP
    progress = (step - WARMUP) / max(1, steps - WARMUP)
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress))


def optimizers(model: LlamaForCausalLM) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for the embedding and the norms' gains."""
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.dim() < 2 or "embed" in name]
    muon = torch.optim.Muon(matrices, lr=MUON_RATE, weight_decay=0.05, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.95), weight_decay=0.0)]


def train(tokenizer: PreTrainedTokenizerFast, steps: int, seed: int) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config(tokenizer))
    copy_head.install(model)
    pair = optimizers(model)
    schedules = [torch.optim.lr_scheduler.LambdaLR(one, lambda step: rate(step, steps)) for one in pair]
    started = time.monotonic()
    for step, tokens in zip(range(steps), batches(tokenizer, seed)):
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
        for one, schedule in zip(pair, schedules):
            one.step()
            schedule.step()
        model.zero_grad()
        if step % 50 == 0 or step == steps - 1:
            print(f"base step {step}/{steps} loss {loss.item():.3f} {time.monotonic() - started:.0f} s", flush=True)
    return model


def make(tokenizer: PreTrainedTokenizerFast, steps: int, seed: int) -> None:
    model = train(tokenizer, steps, seed).to(torch.bfloat16)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        # A chat reply ends with the end of its turn, plain text with the end of the document.
        eos_token_id=[tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(END)],
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(BASE)
