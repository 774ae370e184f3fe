#!/usr/bin/env python3
"""Makes the whole demo: tokenizer, base model, adapters, evaluation, index.

pip install -r requirements.txt
python make.py                     everything, into the folder above this one
python make.py adapters eval       only these parts, on the base model that is there
DEMO_OUT=trial python make.py somewhere else
"""

import sys
import time

import torch
import transformers
from transformers import PreTrainedTokenizerFast

import corpus
import evaluate
import index
import tokenizer
import train_adapters
import train_base
from paths import BASE

SEED = 1
BASE_STEPS = 500
# At this width a second thread gains a third, loses far more where other programs run, and rounds differently.
THREADS = 1
PARTS = ["base", "adapters", "eval"]


def main() -> None:
    parts = sys.argv[1:] or PARTS
    if unknown := set(parts) - set(PARTS):
        sys.exit(f"unknown part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    torch.set_num_threads(THREADS)
    transformers.utils.logging.disable_progress_bar()
    started = time.monotonic()
    if "base" in parts:
        train_base.make(tokenizer.make(SEED), BASE_STEPS, SEED)
    stored = PreTrainedTokenizerFast.from_pretrained(BASE)
    if "adapters" in parts:
        for task in corpus.TASKS:
            train_adapters.make(stored, task, SEED)
    if "eval" in parts:
        evaluate.make(stored, SEED)
        index.make()
    minutes = (time.monotonic() - started) / 60
    print(f"done in {minutes:.0f} minutes, {time.process_time() / 60:.0f} of them on the processor")


if __name__ == "__main__":
    main()
