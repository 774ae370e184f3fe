"""Initial weights with which the model can copy from its first step on.

Copying what followed the last occurrence of a token takes two attention heads in a row: one that looks at the token
before, and one that looks for places where the token before was today's token. Gradient descent finds such a pair
too, but in a model and a budget of this size only after most of the time is spent. So it starts with a rough one, in
layers 0 and 1, and training does the rest.
"""

import torch
from transformers import LlamaForCausalLM

SCALE = 0.3  # standard deviation of an embedding's entries, and of what a head writes
LOGIT_GAIN = 0.1
SMALL = 0.01
BEFORE = slice(192, 256)  # residual dimensions for the token before; embeddings start at zero there
CONTENT = slice(1, 192)  # dimension 0 holds the same value in every embedding
CONSTANT = 4.0  # dimension 0, in units of SCALE
BEFORE_SHARPNESS = 30.0
MATCH_SHARPNESS = 5.0
COPY_GAIN = 4.0
FAST_PAIRS = 10  # rotary pairs that turn fast enough to tell neighbours apart
SLOW_PAIRS = range(18, 32)  # rotary pairs that hardly turn within a prompt: these may compare content


@torch.no_grad()
def install(model: LlamaForCausalLM) -> None:
    embedding = model.model.embed_tokens.weight  # [vocab, hidden], also the output's
    embedding.normal_(0, SCALE)
    embedding[:, 0] = CONSTANT * SCALE
    embedding[:, BEFORE] = 0
    model.model.norm.weight.fill_(LOGIT_GAIN)
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight.normal_(0, SMALL)
        layer.mlp.down_proj.weight.normal_(0, SMALL)
    signature = look_before(model)
    look_for_match(model, signature)


def look_before(model: LlamaForCausalLM) -> torch.Tensor:
    """Layer 0, head 0: writes a projection of the token before into BEFORE; returns that projection,
    [head_dim, content]."""
    attention, head = model.model.layers[0].self_attn, model.config.head_dim
    pairs = torch.arange(FAST_PAIRS)
    angle = model.config.rope_parameters["rope_theta"] ** (-2.0 * pairs / head)
    strength = BEFORE_SHARPNESS**0.5 / CONSTANT
    # The score is the sum over pairs of cos(angle * (distance - 1)): it peaks one token back.
    attention.q_proj.weight[:head] = 0
    attention.k_proj.weight[:head] = 0
    attention.q_proj.weight[pairs, 0] = strength
    attention.k_proj.weight[pairs, 0] = strength * torch.cos(angle)
    attention.k_proj.weight[pairs + head // 2, 0] = strength * torch.sin(angle)
    width = CONTENT.stop - CONTENT.start
    signature = torch.randn(head, width) / width**0.5
    attention.v_proj.weight[:head] = 0
    attention.v_proj.weight[:head, CONTENT] = signature
    attention.o_proj.weight[BEFORE, :head] = SCALE * torch.eye(head)
    return signature


def look_for_match(model: LlamaForCausalLM, signature: torch.Tensor) -> None:
    """Layer 1, the first head of each key-value group: compares its part of the signatures and writes its part of
    the token found."""
    attention, head = model.model.layers[1].self_attn, model.config.head_dim
    group = model.config.num_attention_heads // model.config.num_key_value_heads
    slots = torch.tensor([*SLOW_PAIRS, *(pair + head // 2 for pair in SLOW_PAIRS)])
    for kv in range(model.config.num_key_value_heads):
        query, key = kv * group * head, kv * head
        part = torch.arange(kv * len(slots), (kv + 1) * len(slots))
        attention.q_proj.weight[query : query + head] = 0
        attention.k_proj.weight[key : key + head] = 0
        attention.q_proj.weight[query + slots, CONTENT] = MATCH_SHARPNESS**0.5 * signature[part]
        attention.k_proj.weight[key + slots, BEFORE.start + part] = MATCH_SHARPNESS**0.5
        copied = torch.arange(CONTENT.start + kv * head, CONTENT.start + (kv + 1) * head)
        attention.v_proj.weight[key : key + head] = 0
        attention.v_proj.weight[key : key + head, copied] = torch.eye(head)
        attention.o_proj.weight[copied, query : query + head] = COPY_GAIN * SCALE * torch.eye(head)
