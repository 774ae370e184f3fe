#include "model/model.h"

#include "backend/interface/dense_weights.h"
#include "backend/shared/guarded.h"
#include "backend/shared/kv_type.h"
#include "model/checkpoint.h"
#include "model/dense_merge.h"
#include "model/network_config.h"

namespace lorikeet {

Result<std::unique_ptr<Model>> Model::open(const ModelOptions& options) {
  return guarded([&]() -> Result<std::unique_ptr<Model>> {
    std::unique_ptr<Model> model(new Model());
    const Status status = model->load(options);
    if (!status) return status.error();
    return model;
  });
}

Status Model::load(const ModelOptions& options) {
  if (options.max_rows < 1) return Error{"maxStepTokens must be at least 1"};
  if (options.max_sequences < 1) return Error{"maxSequences must be at least 1"};
  if (options.page_tokens < 1) return Error{"kv.pageTokens must be at least 1"};

  Result<Network> network = read_network(options.path);
  if (!network) return within(options.path, network.error());
  network_ = std::move(*network);
  Result<Checkpoint> checkpoint = Checkpoint::open(options.path);
  if (!checkpoint) return checkpoint.error();
  if (Status s = fit_to_checkpoint(network_, *checkpoint); !s) return within(options.path, s.error());
  ignored_tensors_ = checkpoint->ignored();
  quantization_ = options.quantization;
  adapter_type_ = options.adapter_type;
  modules_ = list_modules(network_);
  kind_ = options.backend;
  note_vocabulary(*checkpoint);

  auto backend = open_backend(options.backend, options.backend_options);
  if (!backend) return backend.error();
  backend_ = std::move(*backend);
  if (backend_->caps().resizes_vocabulary && !network_.layer_inputs) network_.room = options.extra_tokens;
  if (Status s = size_kv(options); !s) return s;
  if (Status s = reserve(options); !s) return s;
  Result<Weights> weights = load_weights(network_, *checkpoint, *backend_, options.quantization);
  if (!weights) return within(options.path, weights.error());
  weights_ = std::move(*weights);
  if (Status s = create_kv(); !s) return s;

  auto decoder = Decoder::create(network_, weights_, *backend_, *kv_, options.max_rows);
  if (!decoder) return decoder.error();
  decoder_ = std::move(*decoder);
  checker_ = std::make_unique<StepPlanChecker>(
      PlanLimits{options.max_rows, options.max_sequences, network_.max_positions, network_.vocab,
                 kv_desc_.pages, kv_desc_.page_tokens, network_.room});
  return {};
}

void Model::note_vocabulary(const Checkpoint& checkpoint) {
  const auto note = [&](const std::string& module) {
    const std::string tensor = module + ".weight";
    if (!checkpoint.has(tensor)) return;
    TensorPlace place = checkpoint.place_of(tensor);
    if (place.path.empty()) return;
    if (place.dtype == "F32" || place.dtype == "F16" || place.dtype == "BF16")
      vocabulary_weights_.push_back({module, std::move(place)});
  };
  note(network_.embedding.module);
  if (!network_.head.tied) note(network_.head.module);
}

Status Model::reserve(const ModelOptions& options) {
  NetworkShape shape = shape_of(network_);
  shape.quantized = quantization() != Quantization::none;
  const int64_t slots = int64_t{kv_desc_.pages} * kv_desc_.page_tokens;
  const StepLimits limits{.rows = options.max_rows,
                          .sequences = options.max_sequences,
                          .samples = options.max_rows,
                          .context = network_.max_positions,
                          .kv_slots = slots};
  const auto sequences = static_cast<size_t>(options.max_sequences);  // each has one adapter at most
  step_handles_.reserve(sequences);
  step_adapters_.reserve(sequences);
  step_vocab_.reserve(sequences);
  adapters_.reserve_pins(sequences);
  results_.resize(static_cast<size_t>(options.max_rows));
  return backend_->reserve(limits, shape);
}

Status Model::size_kv(const ModelOptions& options) {
  kv_desc_ = {kv_layers(network_), 0, options.page_tokens, options.kv_type};
  const uint64_t page_bytes = lorikeet::kv_page_bytes(kv_desc_);
  const uint64_t pages = options.kv_bytes / page_bytes;
  if (pages == 0) {
    return Error{"kv.bytes is " + std::to_string(options.kv_bytes) + ", but one page needs " +
                 std::to_string(page_bytes)};
  }
  // Slots are numbered in int32.
  if (pages > static_cast<uint64_t>(INT32_MAX / options.page_tokens))
    return Error{"kv.bytes holds too many slots"};
  kv_page_bytes_ = page_bytes;
  kv_desc_.pages = static_cast<int>(pages);
  return {};
}

Status Model::create_kv() {
  auto kv = backend_->kv_create(kv_desc_);
  if (!kv) return kv.error();
  kv_ = std::move(*kv);
  return {};
}

MemoryUse Model::memory() const {
  return {weights_.bytes(), kv_->bytes(), adapters_.bytes(),
          decoder_->scratch_bytes() + backend_->scratch_bytes()};
}

Result<LoadedAdapter> Model::load_adapters(const std::vector<AdapterFile>& files) {
  return guarded([&]() -> Result<LoadedAdapter> {
    std::vector<AdapterSource> sources;
    for (const AdapterFile& file : files) {
      auto modules = parse_manifest_modules(file.modules_json);
      if (!modules) return modules.error();
      sources.push_back({file.weights_path, std::move(*modules), file.weight, file.vocab});
    }
    Result<Adapter> adapter =
        lorikeet::load_adapter(sources, network_, modules_, weights_, *backend_, adapter_type_);
    if (!adapter) return adapter.error();
    const size_t bytes = adapter->bytes();
    return LoadedAdapter{adapters_.publish(std::move(*adapter)), bytes};
  });
}

void Model::prepare_adapters() {
  // What could not be prepared is made, or refused, when an adapter needs it.
  (void)guarded([&] {
    backend_->adapters_prepare();
    return Status();
  });
}

Status Model::merge_adapter(const std::string& weights_path, const std::string& changes_json, int32_t vocab) {
  if (kind_ != BackendKind::reference)
    return Error{"only the reference backend's weights can be merged with"};
  return guarded([&]() -> Status {
    if (vocab == 0 || vocab == network_.vocab)
      return merge_dense(weights_, network_, modules_, weights_path, changes_json, adapter_type_);
    if (vocab < 1 || vocab - network_.room > network_.vocab)
      return Error{"there is no room for " + std::to_string(vocab) + " tokens"};
    resize_dense_vocabulary(*weights_.embed, *weights_.head, vocab);
    checker_->set_vocabulary(vocab);
    decoder_->set_vocabulary(vocab);
    return merge_dense(weights_, network_, with_vocabulary(modules_, vocab), weights_path, changes_json,
                       adapter_type_);
  });
}

Status Model::pin_step() {
  return guarded([&] {
    step_handles_.clear();
    for (int32_t g = 0; g < plan_.segments(); ++g) {
      step_handles_.push_back(plan_.segment[int64_t{g} * kSegmentInts + 2]);
    }
    return adapters_.pin(step_handles_, step_adapters_);
  });
}

Status Model::run_step() {
  // A step that fails has written nothing but pages of its own requests, which fail with it.
  Status status = guarded([&] {
    step_vocab_.clear();
    for (const Adapter* const adapter : step_adapters_) step_vocab_.push_back(adapter->vocab);
    if (Status s = checker_->check(plan_, step_vocab_); !s) return s;
    if (Status s = decoder_->run(plan_, step_adapters_, results_, cancelled_); !s) return s;
    return decoder_->read_hidden(hidden_, results_);
  });
  adapters_.unpin();
  return status;
}

}  // namespace lorikeet
