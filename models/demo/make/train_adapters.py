"""Trains one LoRA adapter per task with PEFT on top of the stored base model."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

import corpus
from example import Example
from paths import ADAPTERS, BASE, MODEL_NAME
from train_base import GRADIENT_NORM, rate

BATCH = 32
RARELY = 5
IGNORED = -100


@dataclass(frozen=True)
class Recipe:
    """How one adapter is trained. The LoRA settings differ on purpose: the demo serves them mixed."""

    steps: int
    peak_rate: float
    lora: dict
    # A pattern that marks the answers worth most; of the examples without it, one in RARELY is trained on.
    focus: str = ""


ALL_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
RECIPES = {
    "ticket-router": Recipe(400, 3e-3, {"r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"]}),
    "order-json": Recipe(1200, 3e-3, {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"}),
    "text-to-sql": Recipe(
        1000,
        3e-3,
        {"r": 16, "lora_alpha": 8, "use_rslora": True, "target_modules": ALL_LINEAR},
        # Copying a name into quotes is the hard part, and few questions ask for it.
        focus=r"(name|city|country) = '",
    ),
    "formal-rewrite": Recipe(
        400,
        3e-3,
        {
            "r": 12,
            "lora_alpha": 24,
            "use_dora": True,
            "target_modules": ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"],
        },
    ),
}


def encode(tokenizer: PreTrainedTokenizerFast, example: Example) -> tuple[list[int], int]:
    """Token ids of prompt and reply, and the prompt's length."""
    messages = example.messages()
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    reply = {"role": "assistant", "content": example.expected}
    return tokenizer.apply_chat_template([*messages, reply], return_dict=False), len(prompt)


def focused(task: str, seed: int) -> Iterator[Example]:
    rng, pattern = Random(seed), re.compile(RECIPES[task].focus)
    for example in corpus.training_examples(task, seed):
        if pattern.search(example.expected) or rng.randrange(RARELY) == 0:
            yield example


def batches(tokenizer: PreTrainedTokenizerFast, task: str, seed: int) -> Iterator[dict[str, torch.Tensor]]:
    """Right-padded [BATCH, longest]; only the reply's tokens count in the loss."""
    examples = focused(task, seed)
    while True:
        rows = [encode(tokenizer, example) for example in islice(examples, BATCH)]
        longest = max(len(ids) for ids, _ in rows)
        ids = torch.full((BATCH, longest), tokenizer.pad_token_id)
        labels = torch.full((BATCH, longest), IGNORED)
        mask = torch.zeros((BATCH, longest), dtype=torch.long)
        for i, (row, prompt) in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
            labels[i, prompt : len(row)] = torch.tensor(row[prompt:])
            mask[i, : len(row)] = 1
        yield {"input_ids": ids, "labels": labels, "attention_mask": mask}


def train(tokenizer: PreTrainedTokenizerFast, task: str, seed: int) -> PeftModel:
    recipe = RECIPES[task]
    torch.manual_seed(seed)
    base = LlamaForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **recipe.lora))
    trained = [p for p in model.parameters() if p.requires_grad]
    adam = torch.optim.AdamW(trained, lr=recipe.peak_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: rate(step, recipe.steps))
    started = time.monotonic()
    for step, batch in zip(range(recipe.steps), batches(tokenizer, task, seed)):
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, GRADIENT_NORM)
        adam.step()
        schedule.step()
        adam.zero_grad()
        if step % 50 == 0 or step == recipe.steps - 1:
            print(
                f"{task} step {step}/{recipe.steps} loss {loss.item():.4f} {time.monotonic() - started:.0f} s",
                flush=True,
            )
    return model


def make(tokenizer: PreTrainedTokenizerFast, task: str, seed: int) -> None:
    folder = ADAPTERS / task
    train(tokenizer, task, seed).to(torch.bfloat16).save_pretrained(folder)
    (folder / "README.md").unlink()  # PEFT's empty model card
    config_file = folder / "adapter_config.json"
    config = json.loads(config_file.read_text())
    config["base_model_name_or_path"] = MODEL_NAME
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()  # PEFT keeps a set, whose order differs from run to run
    config_file.write_text(json.dumps(config, indent=2) + "\n")
