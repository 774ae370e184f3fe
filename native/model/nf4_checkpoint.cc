#include "model/nf4_checkpoint.h"

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "backend/shared/nf4.h"
#include "model/json_fields.h"

namespace lorikeet {

namespace {

using nlohmann::json;

constexpr const char* kState = ".quant_state.bitsandbytes__nf4";

int64_t pieces(int64_t count, int64_t size) {
  return (count + size - 1) / size;
}

class Nf4Reader {
 public:
  Nf4Reader(Checkpoint& checkpoint, const std::string& name, int64_t rows, int64_t cols)
      : checkpoint_(checkpoint), name_(name), rows_(rows), cols_(cols) {}

  Result<Nf4Weight> read() {
    if (Status status = read_state(); !status) return status.error();
    if (Status status = check_map(); !status) return status.error();
    Result<RawTensor> codes = checkpoint_.take_raw(name_);
    if (!codes) return codes.error();
    // Whatever type bnb_4bit_quant_storage gave the bytes.
    if (static_cast<int64_t>(codes->bytes.size()) != rows_ * cols_ / 2) {
      return Error{"tensor " + name_ + " holds " + std::to_string(codes->bytes.size()) + " bytes, but " +
                   std::to_string(rows_ * cols_) + " weights in NF4 need " +
                   std::to_string(rows_ * cols_ / 2)};
    }
    Result<std::vector<float>> stored = nested_ ? read_nested() : floats(".absmax", stored_blocks());
    if (!stored) return stored.error();
    std::vector<float> absmax(static_cast<size_t>(rows_ * cols_ / kNf4Block));
    for (size_t i = 0; i < absmax.size(); ++i) {
      absmax[i] = (*stored)[i / static_cast<size_t>(block_ / kNf4Block)];
      if (!std::isfinite(absmax[i])) return Error{"tensor " + name_ + ".absmax holds NaN or infinity"};
    }
    return Nf4Weight{{codes->bytes.data(), DType::f32, rows_, cols_, codes->done_with}, std::move(absmax)};
  }

 private:
  int64_t stored_blocks() const { return pieces(rows_ * cols_, block_); }

  Status read_state() {
    Result<RawTensor> raw = checkpoint_.take_raw(name_ + kState);
    if (!raw) return raw.error();
    const auto* const text = reinterpret_cast<const char*>(raw->bytes.data());
    const json state = json::parse(text, text + raw->bytes.size(), nullptr, /*allow_exceptions=*/false);
    if (!state.is_object()) return Error{"tensor " + name_ + kState + " does not hold a JSON object"};
    JsonFields fields(state, name_ + kState);
    if (fields.text("quant_type").value_or("") != "nf4") fields.fail("quant_type", "nf4");
    if (!fields.has("shape") || fields.raw("shape") != json::array({rows_, cols_})) {
      fields.fail("shape",
                  "[" + std::to_string(rows_) + ", " + std::to_string(cols_) + "] as config.json needs");
    }
    block_ = fields.need_integer("blocksize", 1);
    if (block_ % kNf4Block != 0)
      fields.fail("blocksize", "a multiple of 64: shorter blocks are not implemented");
    if (cols_ % kNf4Block != 0) {
      fields.refuse("rows of " + std::to_string(cols_) +
                    " weights are not implemented (multiples of 64 are)");
    }
    nested_ = checkpoint_.has(name_ + ".nested_absmax");
    if (nested_) {
      nested_block_ = fields.need_integer("nested_blocksize", 1);
      nested_offset_ = static_cast<float>(fields.need_number("nested_offset"));
    }
    if (fields.error()) return *fields.error();
    return {};
  }

  Status check_map() {
    Result<std::vector<float>> map = floats(".quant_map", static_cast<int64_t>(kNf4Values.size()));
    if (!map) return map.error();
    for (size_t code = 0; code < kNf4Values.size(); ++code) {
      if (!(std::abs((*map)[code] - kNf4Values[code]) <= 1e-6f)) {
        return Error{"tensor " + name_ + ".quant_map is not NF4's: value " + std::to_string(code) + " is " +
                     std::to_string((*map)[code])};
      }
    }
    return {};
  }

  Result<std::vector<float>> read_nested() {
    NestedAbsmax nested;
    Result<RawTensor> codes = take(".absmax", "U8", stored_blocks());
    if (!codes) return codes.error();
    const auto* const first = reinterpret_cast<const uint8_t*>(codes->bytes.data());
    nested.codes.assign(first, first + codes->bytes.size());
    auto absmax = floats(".nested_absmax", pieces(stored_blocks(), nested_block_));
    if (!absmax) return absmax.error();
    auto map = floats(".nested_quant_map", 256);
    if (!map) return map.error();
    nested.absmax = std::move(*absmax);
    nested.offset = nested_offset_;
    return unnest_absmax(nested, *map, nested_block_);
  }

  Result<RawTensor> take(const char* suffix, const char* dtype, int64_t count) {
    Result<RawTensor> raw = checkpoint_.take_raw(name_ + suffix);
    if (raw && (raw->dtype != dtype || raw->shape != std::vector<int64_t>{count})) {
      return Error{"tensor " + name_ + suffix + " is " + raw->dtype + " " + shape_text(raw->shape) +
                   ", but " + dtype + " [" + std::to_string(count) + "] is needed"};
    }
    return raw;
  }

  Result<std::vector<float>> floats(const char* suffix, int64_t count) {
    Result<RawTensor> raw = take(suffix, "F32", count);
    if (!raw) return raw.error();
    std::vector<float> values(static_cast<size_t>(count));
    std::memcpy(values.data(), raw->bytes.data(), raw->bytes.size());
    return values;
  }

  Checkpoint& checkpoint_;
  const std::string name_;
  const int64_t rows_;
  const int64_t cols_;
  int block_ = kNf4Block;
  bool nested_ = false;
  int nested_block_ = kNf4NestedBlock;
  float nested_offset_ = 0;
};

}  // namespace

bool has_nf4(const Checkpoint& checkpoint, const std::string& name) {
  return checkpoint.has(name + kState);
}

Result<Nf4Weight> take_nf4(Checkpoint& checkpoint, const std::string& name, int64_t rows, int64_t cols) {
  return Nf4Reader(checkpoint, name, rows, cols).read();
}

}  // namespace lorikeet
