"""Trains a small LoRA adapter on the demo's base model: it learns on which floor each room of a house is."""

import argparse
import random
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

BASE = Path(__file__).resolve().parents[2] / "models" / "demo" / "base"

FLOORS = {"kitchen": "first", "library": "second", "studio": "third", "garden": "fourth"}
QUESTIONS = [
    "On which floor is the {room}?",
    "Where is the {room}?",
    "Please tell me the floor of the {room}.",
    "I am looking for the {room}.",
    "Hello, where do I find the {room}?",
]
# Asked afterwards, never trained on.
HELD_OUT = "Can you tell me where the {room} is?"

BATCH, LEARNING_RATE, IGNORED = 8, 5e-3, -100


def reply_to(room: str) -> str:
    return f"The {room} is on the {FLOORS[room]} floor."


def encode(tokenizer, question: str, reply: str) -> tuple[list[int], list[int]]:
    """Token ids, and labels in which only the reply counts."""
    user = [{"role": "user", "content": question}]
    prompt = tokenizer.apply_chat_template(user, add_generation_prompt=True, return_dict=False)
    whole = tokenizer.apply_chat_template([*user, {"role": "assistant", "content": reply}], return_dict=False)
    return whole, [IGNORED] * len(prompt) + whole[len(prompt) :]


def batch_of(tokenizer, rng: random.Random) -> dict[str, torch.Tensor]:
    """Right-padded [BATCH, longest]."""
    rows = []
    for _ in range(BATCH):
        room = rng.choice(list(FLOORS))
        rows.append(encode(tokenizer, rng.choice(QUESTIONS).format(room=room), reply_to(room)))
    longest = max(len(ids) for ids, _ in rows)
    pad = lambda values, filler: torch.tensor([v + [filler] * (longest - len(v)) for v in values])
    return {
        "input_ids": pad([ids for ids, _ in rows], tokenizer.pad_token_id),
        "labels": pad([labels for _, labels in rows], IGNORED),
        "attention_mask": pad([[1] * len(ids) for ids, _ in rows], 0),
    }


def train(out: Path, steps: int, seed: int = 0) -> dict[str, float]:
    """Writes adapter_config.json and adapter_model.safetensors to `out`; returns what was measured."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    base = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    lora = LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules="all-linear")
    model = get_peft_model(base, lora)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    adam = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.05, total_iters=steps)
    loss = torch.tensor(0.0)
    for step in range(steps):
        loss = model(**batch_of(tokenizer, rng)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        adam.step()
        schedule.step()
        adam.zero_grad()
        if step % 20 == 0 or step == steps - 1:
            print(f"step {step + 1}/{steps}: loss {loss.item():.4f}", flush=True)
    model.save_pretrained(out)
    return {"train_loss": round(loss.item(), 6), "steps": steps}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("adapter"))
    parser.add_argument("--steps", type=int, default=40)
    arguments = parser.parse_args()
    print(train(arguments.out, arguments.steps))
