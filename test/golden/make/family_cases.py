"""The cases of make_families.py: each family in the shape that shows most of what it does differently from Llama."""

import copy

H = dict(vocab_size=96, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=128)
GQA = dict(H, intermediate_size=48, num_key_value_heads=2, tie_word_embeddings=False)
MHA = dict(H, intermediate_size=48, tie_word_embeddings=False)
ALL = dict(name="all-r8", lora=dict(r=8, lora_alpha=16, target_modules="all-linear"))
YARN = dict(rope_type="yarn", rope_theta=1e4, factor=4.0, original_max_position_embeddings=32, beta_fast=32.0, beta_slow=1.0)
LLAMA3 = dict(rope_type="llama3", rope_theta=1e4, factor=4.0, original_max_position_embeddings=32, low_freq_factor=1.0,
              high_freq_factor=4.0)


def rope(theta=1e4, **more):
    return dict(rope_type="default", rope_theta=theta, **more)


def dora(*targets):
    return dict(name="dora-r4", lora=dict(r=4, lora_alpha=8, use_dora=True, target_modules=list(targets)))


def embeddings(*targets, **more):
    """LoRA on an embedding or a head, whose names differ from family to family."""
    return dict(name="embeddings-r4", lora=dict(r=4, lora_alpha=8, target_modules=list(targets), **more))


GEMMA4 = dict(GQA, head_dim=8, global_head_dim=16, sliding_window=8, num_kv_shared_layers=0, hidden_size_per_layer_input=0,
              vocab_size_per_layer_input=96, tie_word_embeddings=True)
GEMMA4_E = dict(GEMMA4, num_hidden_layers=5, num_kv_shared_layers=2, use_double_wide_mlp=True, hidden_size_per_layer_input=16,
                vocab_size_per_layer_input=100,
                layer_types=["sliding_attention", "full_attention", "sliding_attention", "sliding_attention", "full_attention"])
DEEPSEEK = dict(MHA, q_lora_rank=12, kv_lora_rank=16, qk_nope_head_dim=6, qk_rope_head_dim=4, v_head_dim=8,
                num_key_value_heads=4, moe_intermediate_size=16, first_k_dense_replace=1)
LLAMA4 = dict(GQA, head_dim=8, num_hidden_layers=4, intermediate_size=16, intermediate_size_mlp=48, num_local_experts=4,
              num_experts_per_tok=1, interleave_moe_layer_step=2, attention_chunk_size=8, floor_scale=4, attn_scale=0.3)
# But for the router, whose class PEFT cannot wrap.
LLAMA4_LINEAR = dict(name="linear-r8", lora=dict(r=8, lora_alpha=16, target_modules=[
    "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]))
LLAMA_DORA = dora("q_proj", "v_proj", "o_proj", "down_proj")
GLU = [ALL, LLAMA_DORA]
_CASES = [
    # Tier 4: LayerNorm and plain MLPs.
    ("gpt2", "gpt2", dict(vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_positions=128, n_inner=64),
     [ALL, dora("c_attn", "c_fc"), embeddings("wte", "c_proj")]),
    ("gpt2-scaled", "gpt2", dict(vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_positions=128,
                                 scale_attn_by_inverse_layer_idx=True, activation_function="gelu_pytorch_tanh"), [ALL]),
    ("gpt-bigcode", "gpt_bigcode", dict(vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_positions=128, n_inner=64), [ALL]),
    ("gpt-neox", "gpt_neox", dict(MHA, rope_parameters=rope(partial_rotary_factor=0.5)),
     [ALL, dora("query_key_value", "dense_4h_to_h"), embeddings("embed_in", "embed_out")]),
    ("gpt-neox-serial", "gpt_neox", dict(MHA, use_parallel_residual=False, attention_bias=False,
                                         rope_parameters=rope(partial_rotary_factor=0.25)), [ALL]),
    ("phi", "phi", dict(GQA, rope_parameters=rope(partial_rotary_factor=0.5)), [ALL, dora("q_proj", "dense", "fc1")]),
    ("phi-qk-norm", "phi", dict(MHA, qk_layernorm=True, rope_parameters=rope(partial_rotary_factor=0.5)), [ALL]),
    ("opt", "opt", dict(vocab_size=96, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=64,
                        max_position_embeddings=128, word_embed_proj_dim=32),
     [ALL, dora("q_proj", "out_proj", "fc2")]),
    ("opt-post-norm", "opt", dict(vocab_size=96, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=48,
                                  max_position_embeddings=128, word_embed_proj_dim=16, do_layer_norm_before=False), [ALL]),
    ("bloom", "bloom", dict(vocab_size=96, hidden_size=32, n_layer=2, n_head=4),
     [ALL, dora("query_key_value", "dense_h_to_4h"), embeddings("word_embeddings")]),
    ("bloom-odd-heads", "bloom", dict(vocab_size=96, hidden_size=24, n_layer=2, n_head=3), [ALL]),
    ("bloom-residual", "bloom", dict(vocab_size=96, hidden_size=32, n_layer=2, n_head=4,
                                     apply_residual_connection_post_layernorm=True), [ALL]),
    ("falcon-7b", "falcon", dict(vocab_size=96, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, multi_query=True,
                                 parallel_attn=True, bias=False, alibi=False, new_decoder_architecture=False),
     [ALL, dora("query_key_value", "dense_4h_to_h")]),
    ("falcon-40b", "falcon", dict(vocab_size=96, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_kv_heads=2,
                                  new_decoder_architecture=True, bias=False, alibi=False), [ALL]),
    ("falcon-11b", "falcon", dict(vocab_size=96, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_kv_heads=2,
                                  new_decoder_architecture=True, bias=False, alibi=False, num_ln_in_parallel_attn=1), [ALL]),
    ("falcon-rw", "falcon", dict(vocab_size=96, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, multi_query=False,
                                 parallel_attn=False, bias=True, alibi=True, new_decoder_architecture=False), [ALL]),
    ("starcoder2", "starcoder2", dict(GQA, sliding_window=8), [ALL, dora("q_proj", "c_fc", "c_proj")]),
    ("stablelm", "stablelm", dict(GQA, use_qkv_bias=True, rope_parameters=rope(partial_rotary_factor=0.25)), GLU),
    ("stablelm-parallel", "stablelm", dict(GQA, use_parallel_residual=True,
                                           rope_parameters=rope(partial_rotary_factor=0.5)), [ALL]),
    ("stablelm-qk-norm", "stablelm", dict(GQA, qk_layernorm=True, rope_parameters=rope(partial_rotary_factor=0.5)), [ALL]),
    # Tier 5: variations of Llama.
    ("smollm3", "smollm3", dict(GQA, num_hidden_layers=4, no_rope_layer_interval=4, tie_word_embeddings=True), GLU),
    ("granite", "granite", dict(GQA, embedding_multiplier=3.0, residual_multiplier=0.4, attention_multiplier=0.2,
                                logits_scaling=1.7, attention_bias=True), GLU),
    ("olmo", "olmo", GQA, GLU),
    ("olmo-clip", "olmo", dict(GQA, clip_qkv=1.5), [ALL]),
    ("olmo2", "olmo2", GQA, GLU),
    ("olmo3", "olmo3", dict(GQA, num_hidden_layers=4, sliding_window=8, rope_parameters=dict(
        full_attention=YARN, sliding_attention=rope())), GLU),
    ("exaone4", "exaone4", dict(GQA, num_hidden_layers=4, sliding_window=8, sliding_window_pattern=4,
                                rope_parameters=LLAMA3), GLU),
    ("seed-oss", "seed_oss", dict(GQA, head_dim=16, attention_bias=True, attention_out_bias=True), GLU),
    ("hunyuan-dense", "hunyuan_v1_dense", dict(GQA, head_dim=16), GLU),
    ("hunyuan-alpha", "hunyuan_v1_dense", dict(GQA, head_dim=16, attention_bias=True, rope_parameters=dict(
        rope_type="dynamic", rope_theta=1e4, alpha=50.0, factor=1.0)), [ALL]),
    ("ernie4-5", "ernie4_5", dict(GQA, head_dim=16, use_bias=True), GLU),
    ("ministral", "ministral", dict(GQA, head_dim=8, sliding_window=8,
                                    layer_types=["sliding_attention", "full_attention"]), GLU),
    ("ministral3", "ministral3", dict(GQA, head_dim=16, rope_parameters=dict(
        YARN, original_max_position_embeddings=16, llama_4_scaling_beta=0.1, mscale=1.0, mscale_all_dim=1.0)), GLU),
    ("glm", "glm", dict(GQA, head_dim=8, attention_bias=True, rope_parameters=rope(partial_rotary_factor=0.5)),
     [ALL, dora("q_proj", "o_proj", "gate_up_proj")]),
    ("glm4", "glm4", dict(GQA, head_dim=8, attention_bias=True, rope_parameters=rope(partial_rotary_factor=0.5)),
     [ALL, dora("q_proj", "o_proj", "gate_up_proj")]),
    ("cohere", "cohere", dict(GQA, logit_scale=0.25, tie_word_embeddings=True), GLU),
    ("cohere-qk-norm", "cohere", dict(GQA, logit_scale=0.25, use_qk_norm=True), [ALL]),
    ("cohere2", "cohere2", dict(GQA, head_dim=8, num_hidden_layers=4, logit_scale=0.25, sliding_window=8,
                                tie_word_embeddings=True), GLU),
    ("nemotron", "nemotron", dict(GQA, head_dim=8, rope_parameters=rope(partial_rotary_factor=0.5)),
     [ALL, dora("q_proj", "up_proj")]),
    ("arcee", "arcee", dict(GQA, head_dim=8, rope_parameters=YARN), [ALL, dora("q_proj", "up_proj")]),
    ("apertus", "apertus", dict(GQA, rope_parameters=LLAMA3), [ALL, dora("q_proj", "up_proj")]),
    ("helium", "helium", dict(GQA, head_dim=8), GLU),
    ("lfm2", "lfm2", dict(GQA, num_hidden_layers=3, conv_L_cache=3, block_multiple_of=8, block_ff_dim=64,
                          layer_types=["conv", "full_attention", "conv"]), [ALL]),
    # Experts and the newest.
    ("qwen2-moe", "qwen2_moe", dict(GQA, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16,
                                    shared_expert_intermediate_size=24), [LLAMA_DORA]),
    ("granitemoe", "granitemoe", dict(GQA, intermediate_size=16, num_local_experts=4, num_experts_per_tok=2,
                                      embedding_multiplier=3.0, residual_multiplier=0.4, attention_multiplier=0.2,
                                      logits_scaling=1.7), [dora("q_proj", "o_proj")]),
    ("olmoe", "olmoe", dict(GQA, intermediate_size=16, num_experts=4, num_experts_per_tok=2, norm_topk_prob=True),
     [dora("q_proj", "o_proj")]),
    ("glm4-moe", "glm4_moe", dict(GQA, head_dim=8, moe_intermediate_size=16, n_routed_experts=8, num_experts_per_tok=2,
                                  n_shared_experts=1, n_group=2, topk_group=1, first_k_dense_replace=1, use_qk_norm=True,
                                  attention_bias=True, routed_scaling_factor=1.5,
                                  rope_parameters=rope(partial_rotary_factor=0.5)), [dora("q_proj", "o_proj")]),
    ("gpt-oss", "gpt_oss", dict(GQA, intermediate_size=16, head_dim=8, num_local_experts=4, num_experts_per_tok=2,
                                sliding_window=8, rope_parameters=dict(YARN, truncate=False)), [dora("q_proj", "o_proj")]),
    ("gemma", "gemma", dict(GQA, head_dim=16, tie_word_embeddings=True), GLU),
    ("gemma4", "gemma4_text", dict(GQA, head_dim=8, global_head_dim=16, num_hidden_layers=4, sliding_window=8,
                                   num_kv_shared_layers=0, hidden_size_per_layer_input=0, vocab_size_per_layer_input=96,
                                   layer_types=["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"],
                                   tie_word_embeddings=True), GLU),
    ("qwen3-next", "qwen3_next", dict(GQA, head_dim=16, num_hidden_layers=4, linear_num_key_heads=2, linear_num_value_heads=4,
                                      linear_key_head_dim=8, linear_value_head_dim=8, num_experts=4, num_experts_per_tok=2,
                                      moe_intermediate_size=16, shared_expert_intermediate_size=16,
                                      rope_parameters=rope(partial_rotary_factor=0.25)),
     [dict(name="next-r4", lora=dict(r=4, lora_alpha=8, target_modules=["in_proj_qkvz", "in_proj_ba", "out_proj", "q_proj", "o_proj"]))]),
    ("qwen3-5", "qwen3_5_text", dict(GQA, head_dim=16, num_hidden_layers=4, linear_num_key_heads=2, linear_num_value_heads=4,
                                     linear_key_head_dim=8, linear_value_head_dim=8), [ALL]),
    # The text part of a vision-language class, whose modules have longer names.
    ("gemma3-parts", "gemma3", dict(
        vocab_size=96, tie_word_embeddings=True, mm_tokens_per_image=4,
        text_config=dict(GQA, head_dim=16, num_hidden_layers=2, sliding_window=8, query_pre_attn_scalar=16,
                         layer_types=["sliding_attention", "full_attention"], tie_word_embeddings=True),
        vision_config=dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=16,
                           patch_size=8)),
     [dict(name="language-r4", lora=dict(r=4, lora_alpha=8, target_modules=r".*language_model.*\.(q_proj|o_proj|down_proj)")),
      dict(name="dora-r4", lora=dict(r=4, lora_alpha=8, use_dora=True, target_modules=r".*language_model.*\.(v_proj|up_proj)"))]),
    ("mistral3-parts", "mistral3", dict(
        vocab_size=96, image_token_index=95,
        text_config=dict(GQA, model_type="ministral3", head_dim=16, num_hidden_layers=2, rope_parameters=dict(
            YARN, original_max_position_embeddings=16, llama_4_scaling_beta=0.1, mscale=1.0, mscale_all_dim=1.0)),
        vision_config=dict(model_type="pixtral", hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                           image_size=16, patch_size=8)),
     [dict(name="language-r4", lora=dict(r=4, lora_alpha=8, target_modules=r".*language_model.*\.(q_proj|o_proj|down_proj)"))]),
    # Experts as the published checkpoints store them (make_families.py packs what is named so).
    ("gpt-oss-mxfp4", "gpt_oss", dict(GQA, intermediate_size=32, head_dim=8, num_local_experts=4, num_experts_per_tok=2,
                                      sliding_window=8, rope_parameters=dict(YARN, truncate=False)), [dora("q_proj", "o_proj")]),
    # Gemma 4's variants: keys that are values; shared keys and inputs of each layer; experts beside the MLP.
    ("gemma4-31b", "gemma4_text", dict(GEMMA4, num_hidden_layers=3, attention_k_eq_v=True, num_global_key_value_heads=1,
                                       final_logit_softcapping=8.0,
                                       layer_types=["sliding_attention", "full_attention", "full_attention"]),
     [ALL, dora("k_proj", "o_proj", "gate_proj"), embeddings("embed_tokens", "k_proj")]),
    ("gemma4-e2b", "gemma4_text", GEMMA4_E,
     [ALL, dora("q_proj", "k_proj", "per_layer_input_gate", "per_layer_projection", "per_layer_model_projection"),
      embeddings("embed_tokens_per_layer", "embed_tokens", "per_layer_projection"),
      dict(name="saved-r2", lora=dict(r=2, lora_alpha=4, target_modules=["v_proj"], modules_to_save=[
          "per_layer_projection_norm", "post_per_layer_input_norm", "per_layer_model_projection"]))]),
    ("gemma4-26b", "gemma4_text", dict(GEMMA4, num_hidden_layers=2, attention_k_eq_v=True, num_global_key_value_heads=1,
                                       enable_moe_block=True, num_experts=4, top_k_experts=2, moe_intermediate_size=16,
                                       layer_types=["sliding_attention", "full_attention"]),
     [ALL, dora("q_proj", "down_proj", "proj"),
      dict(name="experts-r2", lora=dict(r=2, lora_alpha=4, target_modules=["k_proj"],
                                        target_parameters=["experts.gate_up_proj", "experts.down_proj"])),
      dict(name="saved-r2", lora=dict(r=2, lora_alpha=4, target_modules=["v_proj"], modules_to_save=[
          "pre_feedforward_layernorm_2", "post_feedforward_layernorm_1", "post_feedforward_layernorm_2"]))]),
    ("gemma4-parts", "gemma4", dict(
        vocab_size=96, text_config=GEMMA4_E, audio_config=None,
        vision_config=dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                           num_key_value_heads=2, head_dim=8, patch_size=4, position_embedding_size=16)),
     [dict(name="language-r4", lora=dict(r=4, lora_alpha=8, target_modules=r".*language_model.*\.(q_proj|o_proj|down_proj)"))]),
    # A head as wide as the published ones'.
    ("gemma4-wide-head", "gemma4_text", dict(GEMMA4, num_hidden_layers=1, num_attention_heads=1, num_key_value_heads=1,
                                             global_head_dim=512, attention_k_eq_v=True, layer_types=["full_attention"]),
     [dict(name="k-r2", lora=dict(r=2, lora_alpha=4, target_modules=["k_proj"]))]),
    # Gated delta nets in the text part, with experts and without, names of the whole.
    ("qwen3-5-parts", "qwen3_5", dict(
        vocab_size=96, tie_word_embeddings=False,
        text_config=dict(GQA, head_dim=16, num_hidden_layers=2, layer_types=["linear_attention", "full_attention"],
                         linear_num_key_heads=1, linear_num_value_heads=3, linear_key_head_dim=8, linear_value_head_dim=8,
                         rope_parameters=rope(partial_rotary_factor=0.5, mrope_section=[2, 1, 1], mrope_interleaved=True)),
        vision_config=dict(hidden_size=16, intermediate_size=16, depth=1, num_heads=2, patch_size=4, spatial_merge_size=1,
                           temporal_patch_size=1, out_hidden_size=32, num_position_embeddings=16)),
     [dict(name="language-r4", lora=dict(r=4, lora_alpha=8, target_modules=r".*language_model.*\.(in_proj_qkv|out_proj|q_proj|down_proj)"))]),
    ("qwen3-5-moe-parts", "qwen3_5_moe", dict(
        vocab_size=96, tie_word_embeddings=False,
        text_config=dict(GQA, head_dim=16, num_hidden_layers=2, layer_types=["linear_attention", "full_attention"],
                         linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8, linear_value_head_dim=4,
                         num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16, shared_expert_intermediate_size=8),
        vision_config=dict(hidden_size=16, intermediate_size=16, depth=1, num_heads=2, patch_size=4, spatial_merge_size=1,
                           temporal_patch_size=1, out_hidden_size=32, num_position_embeddings=16)),
     [dict(name="language-r4", lora=dict(r=4, lora_alpha=8, target_modules=r".*language_model.*\.(in_proj_z|in_proj_b|o_proj)"))]),
    # Latent attention, with queries of a latent and of x; yarn's growth in the scores; experts in groups.
    ("deepseek-v3", "deepseek_v3", dict(DEEPSEEK, n_routed_experts=8, num_experts_per_tok=2, n_group=4, topk_group=2,
                                        routed_scaling_factor=2.5, norm_topk_prob=True, n_shared_experts=1,
                                        rope_parameters=dict(YARN, mscale=1.0, mscale_all_dim=1.0)),
     [ALL, dora("q_a_proj", "kv_b_proj", "o_proj")]),
    ("deepseek-v2", "deepseek_v2", dict(DEEPSEEK, n_routed_experts=8, num_experts_per_tok=2, n_group=4, topk_group=2,
                                        topk_method="group_limited_greedy", routed_scaling_factor=4.0, n_shared_experts=2,
                                        attention_bias=True, rope_parameters=dict(YARN, mscale=0.7, mscale_all_dim=0.9)),
     [ALL, dora("q_b_proj", "kv_a_proj_with_mqa")]),
    ("deepseek-v2-lite", "deepseek_v2", dict(DEEPSEEK, q_lora_rank=None, v_head_dim=10, n_routed_experts=4, num_experts_per_tok=2,
                                             n_shared_experts=2), [ALL]),
    # Chunks of the context, and between them layers without positions; experts whose inputs are scaled.
    ("llama4", "llama4_text", LLAMA4, [LLAMA4_LINEAR, dora("q_proj", "down_proj")]),
    ("llama4-maverick", "llama4_text", dict(LLAMA4, use_qk_norm=False, attn_temperature_tuning=False, interleave_moe_layer_step=1,
                                            num_experts_per_tok=2, num_hidden_layers=2, no_rope_layers=[1, 0],
                                            rope_parameters=dict(LLAMA3, high_freq_factor=1.0)), [LLAMA4_LINEAR]),
]
# Configurations write into what they are given.
CASES = [dict(name=name, arch=arch, config=copy.deepcopy(config), adapters=adapters, seed=1000 + number)
         for number, (name, arch, config, adapters) in enumerate(_CASES)]
