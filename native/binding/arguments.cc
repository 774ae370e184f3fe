#include "binding/arguments.h"

#include <algorithm>
#include <cmath>

namespace lorikeet::binding {

Arguments::Arguments(Napi::Env env, Napi::Value object, std::string where)
    : env_(env), where_(std::move(where)) {
  if (object.IsObject()) {
    object_ = object.As<Napi::Object>();
  } else {
    error_ = Error{where_ + " must be an object"};
  }
}

Napi::Value Arguments::get(const char* name) {
  if (object_.IsEmpty()) return env_.Undefined();
  const Napi::MaybeOrValue<Napi::Value> value = object_.Get(name);
  if (env_.IsExceptionPending()) {  // a getter threw
    env_.GetAndClearPendingException();
    fail(name, "readable");
    return env_.Undefined();
  }
  return value;
}

std::string Arguments::text(const char* name) {
  const Napi::Value value = get(name);
  if (value.IsString()) return value.As<Napi::String>().Utf8Value();
  fail(name, "a string");
  return {};
}

int64_t Arguments::integer(const char* name, int64_t least, int64_t most) {
  const Napi::Value value = get(name);
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (number == std::floor(number) && number >= static_cast<double>(least) &&
      number <= static_cast<double>(most)) {
    return static_cast<int64_t>(number);
  }
  fail(name, "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  return least;
}

Arguments Arguments::object(const char* name) {
  return {env_, get(name), where_ + "." + name};
}

void* Arguments::array_data(const char* name, napi_typedarray_type type, size_t count) {
  const Napi::Value value = get(name);
  if (!value.IsTypedArray()) {
    fail(name, "a typed array");
    return nullptr;
  }
  napi_typedarray_type actual;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env_, value, &actual, &length, &data, nullptr, nullptr) != napi_ok ||
      actual != type) {
    fail(name, "a typed array of its declared element type");
    return nullptr;
  }
  if (length < count) {
    fail(name, "at least " + std::to_string(count) + " elements long, not " + std::to_string(length));
    return nullptr;
  }
  return data;
}

void Arguments::fail(const std::string& name, const std::string& expected) {
  if (!error_) error_ = Error{where_ + "." + name + " must be " + expected};
}

namespace {

constexpr int64_t kMaxSafeInteger = 9007199254740991;

// The value of the option among names, which stand in the order of the enum.
template <class Enum>
Enum choice(Arguments& arguments, const char* name, std::initializer_list<const char*> names) {
  const std::string value = arguments.text(name);
  std::string all;
  int index = 0;
  for (const char* candidate : names) {
    if (value == candidate) return static_cast<Enum>(index);
    all += std::string(index++ > 0 ? ", " : "") + candidate;
  }
  arguments.fail(name, "one of " + all);
  return Enum{};
}

}  // namespace

Result<ModelOptions> read_open_options(Napi::Env env, Napi::Value value) {
  Arguments arguments(env, value, "options");
  ModelOptions options;
  options.path = arguments.text("modelPath");
  options.backend = choice<BackendKind>(arguments, "backend", {"cpu", "reference", "cuda"});
  if (!arguments.get("device").IsUndefined()) {
    options.backend_options.device = static_cast<int>(arguments.integer("device", 0, 1023));
  }
  if (!arguments.get("deadline_ms").IsUndefined()) {
    options.backend_options.deadline_ms = arguments.integer("deadline_ms", 1, kMaxSafeInteger);
  }
  options.backend_options.threads = static_cast<int>(arguments.integer("threads", 1, 1024));
  options.quantization = choice<Quantization>(arguments, "quantization", {"none", "int8", "int4", "nf4"});
  if (!arguments.get("adapterDtype").IsUndefined()) {
    options.adapter_type = choice<AdapterType>(arguments, "adapterDtype", {"stored", "bf16", "int8"});
  }
  if (!arguments.get("extraTokens").IsUndefined()) {
    options.extra_tokens = static_cast<int32_t>(arguments.integer("extraTokens", 0, 1 << 20));
  }
  options.background = arguments.get("background").ToBoolean().Value();
  if (!arguments.get("isa").IsUndefined()) options.backend_options.isa = arguments.text("isa");
  options.max_rows = static_cast<int32_t>(arguments.integer("maxStepTokens", 1, 1 << 20));
  options.max_sequences = static_cast<int32_t>(arguments.integer("maxSequences", 1, 1 << 20));
  Arguments kv = arguments.object("kv");
  options.kv_bytes = static_cast<uint64_t>(kv.integer("bytes", 1, kMaxSafeInteger));
  options.page_tokens = static_cast<int32_t>(kv.integer("pageTokens", 1, 1 << 16));
  options.kv_type = choice<DType>(kv, "dtype", {"f32", "f16", "bf16", "int8"});
  if (arguments.error()) return *arguments.error();
  if (kv.error()) return *kv.error();
  return options;
}

std::optional<std::string> json_text(Napi::Env env, Napi::Value value) {
  const Napi::Object json = env.Global().Get("JSON").As<Napi::Object>();
  const Napi::Value text = json.Get("stringify").As<Napi::Function>().Call(json, {value});
  if (!env.IsExceptionPending() && text.IsString()) return text.As<Napi::String>().Utf8Value();
  if (env.IsExceptionPending()) env.GetAndClearPendingException();
  return std::nullopt;
}

namespace {

Result<AdapterFile> read_adapter_file(Napi::Env env, Napi::Value value, const std::string& where) {
  Arguments arguments(env, value, where);
  AdapterFile file{arguments.text("weightsPath"), {}};
  const Napi::Value modules = arguments.get("modules");
  if (!modules.IsArray()) arguments.fail("modules", "an array");
  const Napi::Value weight = arguments.get("weight");
  if (weight.IsNumber()) {
    file.weight = weight.As<Napi::Number>().FloatValue();
  } else if (!weight.IsUndefined()) {
    arguments.fail("weight", "a number");
  }
  if (!arguments.get("vocabSize").IsUndefined()) {
    file.vocab = static_cast<int32_t>(arguments.integer("vocabSize", 1, INT32_MAX));
  }
  if (arguments.error()) return *arguments.error();
  const std::optional<std::string> text = json_text(env, modules);
  if (!text) return Error{where + ".modules must be plain data"};
  file.modules_json = *text;
  return file;
}

}  // namespace

Result<std::vector<AdapterFile>> read_adapter_files(Napi::Env env, Napi::Value value) {
  std::vector<AdapterFile> files;
  const auto read = [&](Napi::Value item, const std::string& where) -> Status {
    Result<AdapterFile> file = read_adapter_file(env, item, where);
    if (!file) return file.error();
    files.push_back(std::move(*file));
    return {};
  };
  if (!value.IsArray()) {
    if (Status s = read(value, "spec"); !s) return s.error();
    return files;
  }
  const Napi::Array list = value.As<Napi::Array>();
  if (list.Length() == 0) return Error{"spec must not be empty"};
  for (uint32_t i = 0; i < list.Length(); ++i) {
    if (Status s = read(list.Get(i), "spec[" + std::to_string(i) + "]"); !s) return s.error();
  }
  return files;
}

namespace {

template <class T>
struct ElementType;
template <>
struct ElementType<int32_t> {
  static constexpr napi_typedarray_type value = napi_int32_array;
};
template <>
struct ElementType<float> {
  static constexpr napi_typedarray_type value = napi_float32_array;
};
template <>
struct ElementType<uint64_t> {
  static constexpr napi_typedarray_type value = napi_biguint64_array;
};

template <class T>
void copy(std::vector<T>& to, Arguments& plan, const char* name, size_t count) {
  const T* data = plan.array<T>(name, ElementType<T>::value, count);
  if (data != nullptr || count == 0) {
    to.assign(data, data + count);
  } else {
    to.clear();
  }
}

// How many elements the offsets [samples + 1] reach; 0 for offsets that are no such list.
size_t reach(const std::vector<int32_t>& starts) {
  return starts.empty() || starts.back() < 0 ? 0 : static_cast<size_t>(starts.back());
}

}  // namespace

namespace {

// native.ts: MaskMemory. Not copied: it is written to while the step runs, and the plan keeps it alive.
void read_masks(Arguments& arguments, size_t samples, StepPlan& plan) {
  plan.mask_slot.clear();
  plan.mask_number.clear();
  plan.masks = {};
  if (arguments.get("masks").IsUndefined()) return;
  Arguments memory = arguments.object("masks");
  const auto slots = static_cast<size_t>(memory.integer("slots", 1, 1 << 20));
  const auto words = static_cast<size_t>(memory.integer("words", 1, 1 << 20));
  plan.masks.numbers = memory.array<int32_t>("numbers", napi_int32_array, slots);
  plan.masks.masks = memory.array<uint32_t>("masks", napi_int32_array, slots * words);
  plan.masks.slots = static_cast<int32_t>(slots);
  plan.masks.words = static_cast<int32_t>(words);
  if (memory.error()) return arguments.fail("masks", "memory for masks: " + memory.error()->message);
  copy(plan.mask_slot, arguments, "maskSlot", samples);
  copy(plan.mask_number, arguments, "maskNumber", samples);
}

}  // namespace

Status read_step_plan(Napi::Env env, Napi::Value value, const ModelOptions& options, StepPlan& plan) {
  Arguments arguments(env, value, "plan");
  const auto rows = static_cast<size_t>(arguments.integer("rows", 1, options.max_rows));
  const auto sequences = static_cast<size_t>(arguments.integer("sequences", 1, options.max_sequences));
  const auto segments = static_cast<size_t>(arguments.integer("segments", 0, options.max_sequences));
  const auto samples = static_cast<size_t>(arguments.integer("samples", 0, options.max_rows));
  const auto copies = static_cast<size_t>(arguments.integer("copies", 0, options.max_sequences));
  plan.page_table_stride = static_cast<int32_t>(arguments.integer("pageTableStride", 1, 1 << 20));
  if (arguments.error()) return *arguments.error();  // counts before arrays: they size the copies

  copy(plan.token, arguments, "token", rows);
  copy(plan.position, arguments, "position", rows);
  copy(plan.kv_slot, arguments, "kvSlot", rows);
  copy(plan.q_start, arguments, "qStart", sequences + 1);
  copy(plan.kv_len, arguments, "kvLength", sequences);
  copy(plan.page_table, arguments, "pageTable", sequences * static_cast<size_t>(plan.page_table_stride));
  copy(plan.segment, arguments, "segment", segments * kSegmentInts);
  copy(plan.segment_scale, arguments, "segmentScale", segments);
  copy(plan.sample_row, arguments, "sampleRow", samples);
  copy(plan.sample_int, arguments, "sampleInt", samples * kSampleInts);
  copy(plan.sample_float, arguments, "sampleFloat", samples * kSampleFloats);
  copy(plan.sample_seed, arguments, "sampleSeed", samples * 2);
  copy(plan.history_start, arguments, "historyStart", samples + 1);
  copy(plan.history_token, arguments, "historyToken", reach(plan.history_start));
  copy(plan.history_count, arguments, "historyCount", reach(plan.history_start));
  copy(plan.bias_start, arguments, "biasStart", samples + 1);
  copy(plan.bias_token, arguments, "biasToken", reach(plan.bias_start));
  copy(plan.bias_value, arguments, "biasValue", reach(plan.bias_start));
  copy(plan.listed_start, arguments, "listedStart", samples + 1);
  copy(plan.listed_token, arguments, "listedToken", reach(plan.listed_start));
  read_masks(arguments, samples, plan);
  copy(plan.copy_from, arguments, "copyFrom", copies);
  copy(plan.copy_to, arguments, "copyTo", copies);
  if (arguments.error()) return *arguments.error();
  return {};
}

Status write_step_results(Napi::Env env, Napi::Value value, const Model& model) {
  const std::span<const SampleResult> results = model.results();
  const std::span<const float> hidden = model.hidden();
  Arguments plan(env, value, "plan");
  const size_t count = results.size();
  auto* token = plan.array<int32_t>("outToken", napi_int32_array, count);
  auto* finite = plan.array<uint8_t>("outFinite", napi_uint8_array, count);
  auto* drawn = plan.array<uint8_t>("outDrawn", napi_uint8_array, count);
  auto* logprob = plan.array<float>("outLogprob", napi_float32_array, count);
  auto* top_count = plan.array<int32_t>("outTopCount", napi_int32_array, count);
  auto* top_token = plan.array<int32_t>("outTopToken", napi_int32_array, count * kMaxTopLogprobs);
  auto* top_logprob = plan.array<float>("outTopLogprob", napi_float32_array, count * kMaxTopLogprobs);
  auto* states = hidden.empty() ? nullptr : plan.array<float>("outHidden", napi_float32_array, hidden.size());
  if (plan.error()) return *plan.error();
  if (states != nullptr) std::copy(hidden.begin(), hidden.end(), states);
  for (size_t r = 0; r < count; ++r) {
    const SampleResult& result = results[r];
    token[r] = result.token;
    finite[r] = result.finite ? 1 : 0;
    drawn[r] = result.drawn ? 1 : 0;
    logprob[r] = result.logprob;
    top_count[r] = result.top_count;
    for (int32_t i = 0; i < result.top_count; ++i) {
      top_token[r * kMaxTopLogprobs + i] = result.top_token[i];
      top_logprob[r * kMaxTopLogprobs + i] = result.top_logprob[i];
    }
  }
  return {};
}

}  // namespace lorikeet::binding
