// All families, in the order of the documentation's table.
#include <algorithm>

#include "model/families/family.h"

namespace lorikeet {

extern const Family kLlama, kMistral, kQwen2, kQwen3, kGemma, kGemma2, kGemma3, kGemma4, kPhi3, kMixtral,
    kQwen2Moe, kQwen3Moe, kQwen3Next, kQwen35, kQwen35Moe, kOlmoe, kGraniteMoe, kGlm4Moe, kGptOss;
extern const Family kGpt2, kGptBigcode, kPhi, kGptNeox, kOpt, kBloom, kFalcon, kStarcoder2, kStablelm;
extern const Family kSmollm3, kGranite, kOlmo, kOlmo2, kOlmo3, kExaone4, kSeedOss, kHunyuan, kErnie,
    kMinistral, kMinistral3, kLfm2, kDeepseekV2, kDeepseekV3, kLlama4;
extern const Family kGlm, kGlm4, kCohere, kCohere2, kNemotron, kArcee, kApertus, kHelium;

std::span<const Family* const> families() {
  static const Family* const list[] = {
      &kLlama,      &kMistral,    &kQwen2,      &kQwen3,    &kGemma,      &kGemma2,    &kGemma3,     &kGemma4,
      &kPhi3,       &kMixtral,    &kQwen2Moe,   &kQwen3Moe, &kQwen3Next,  &kQwen35,    &kQwen35Moe,  &kOlmoe,
      &kGraniteMoe, &kGlm4Moe,    &kGptOss,     &kGpt2,     &kGptBigcode, &kPhi,       &kGptNeox,    &kOpt,
      &kBloom,      &kFalcon,     &kStarcoder2, &kStablelm, &kSmollm3,    &kGranite,   &kOlmo,       &kOlmo2,
      &kOlmo3,      &kExaone4,    &kSeedOss,    &kHunyuan,  &kErnie,      &kMinistral, &kMinistral3, &kGlm,
      &kGlm4,       &kCohere,     &kCohere2,    &kNemotron, &kArcee,      &kApertus,   &kHelium,     &kLfm2,
      &kDeepseekV2, &kDeepseekV3, &kLlama4};
  return list;
}

namespace {

// The text model lay under language_model.model until Transformers 4.52, under model.language_model since.
const std::vector<TensorRename> kTextNames = {{"model.language_model.", "model."},
                                              {"language_model.model.", "model."},
                                              {"language_model.lm_head.", "lm_head."}};

const std::vector<std::string> kPictures = {"vision_tower.", "model.vision_tower.", "multi_modal_projector.",
                                            "model.multi_modal_projector."};

const std::vector<std::string> kPicturesAndSounds = {
    "model.vision_tower.", "model.embed_vision.", "model.audio_tower.", "model.embed_audio.",
    "vision_tower.",       "embed_vision.",       "audio_tower.",       "embed_audio."};
const std::vector<std::string> kLlamaVision = {"vision_model.", "multi_modal_projector.",
                                               "model.vision_model.", "model.multi_modal_projector."};
const std::vector<std::string> kQwenVision = {"model.visual.", "visual."};

}  // namespace

std::span<const TextPart> text_parts() {
  static const TextPart list[] = {
      {"gemma3", {"Gemma3ForConditionalGeneration"}, "gemma3_text", kTextNames, kPictures},
      {"gemma4", {"Gemma4ForConditionalGeneration"}, "gemma4_text", kTextNames, kPicturesAndSounds},
      {"mistral3", {"Mistral3ForConditionalGeneration"}, "mistral", kTextNames, kPictures, true},
      {"llama4", {"Llama4ForConditionalGeneration"}, "llama4_text", kTextNames, kLlamaVision},
      {"qwen3_5", {"Qwen3_5ForConditionalGeneration"}, "qwen3_5_text", kTextNames, kQwenVision},
      {"qwen3_5_moe", {"Qwen3_5MoeForConditionalGeneration"}, "qwen3_5_moe_text", kTextNames, kQwenVision},
  };
  return list;
}

const Family* find_family(const std::string& model_type) {
  const auto list = families();
  const auto found =
      std::find_if(list.begin(), list.end(), [&](const Family* f) { return f->model_type == model_type; });
  return found == list.end() ? nullptr : *found;
}

const TextPart* find_text_part(const std::string& model_type) {
  const auto list = text_parts();
  const auto found =
      std::find_if(list.begin(), list.end(), [&](const TextPart& p) { return p.model_type == model_type; });
  return found == list.end() ? nullptr : &*found;
}

}  // namespace lorikeet
