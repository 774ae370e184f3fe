#include "model/coded_checkpoint.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string_view>

#include "backend/shared/dtype.h"
#include "model/coded_tensor.h"

namespace lorikeet {

namespace {

using Source = std::shared_ptr<const CodedSource>;
using Shape = std::vector<int64_t>;

constexpr int64_t kAwqCodes = 8;  // of a word

int64_t pieces(int64_t count, int64_t size) {
  return (count + size - 1) / size;
}

int32_t int_at(const RawTensor& tensor, int64_t index) {
  int32_t value;
  std::memcpy(&value, tensor.bytes.data() + index * static_cast<int64_t>(sizeof value), sizeof value);
  return value;
}

std::string text_of(const std::vector<std::string>& dtypes) {
  std::string text;
  for (const std::string& dtype : dtypes) text += (text.empty() ? "" : " or ") + dtype;
  return text;
}

// One module's tensors. The first fault is kept; what is read after it means nothing.
class Reader {
 public:
  Reader(Checkpoint& checkpoint, const CheckpointFormat& format, const CodedModule& module)
      : checkpoint_(checkpoint), format_(format), module_(module), out_(module.out), in_(module.in) {}

  Result<Source> read() {
    switch (format_.method) {
      case CheckpointMethod::gptq:
        read_gptq();
        break;
      case CheckpointMethod::awq:
        read_awq();
        break;
      case CheckpointMethod::bitsandbytes_int8:
        read_int8();
        break;
      case CheckpointMethod::mlx:
        read_mlx();
        break;
      case CheckpointMethod::compressed_tensors:
        if (has("weight_packed")) {
          read_packed();
          break;
        }
        [[fallthrough]];
      default:
        read_bytes();
    }
    if (fault_) return *fault_;
    return coded_source(out_, in_, std::move(coded_), std::move(tensor_));
  }

 private:
  // ---- tensors ----
  std::string name(const char* suffix) const { return module_.name + "." + suffix; }
  bool has(const char* suffix) const { return checkpoint_.has(name(suffix)); }

  void fail(const std::string& message) {
    if (!fault_) fault_ = Error{message};
  }

  RawTensor take(const char* suffix, const std::vector<std::string>& dtypes) {
    Result<RawTensor> raw = checkpoint_.take_raw(name(suffix));
    if (!raw) return fail(raw.error().message), RawTensor{};
    if (std::find(dtypes.begin(), dtypes.end(), raw->dtype) == dtypes.end()) {
      fail("tensor " + name(suffix) + " has dtype " + raw->dtype + "; " + name_of(format_.method) +
           " needs " + text_of(dtypes));
    }
    return *raw;
  }

  void expect_shape(const char* suffix, const RawTensor& tensor, const Shape& shape) {
    if (fault_ || tensor.shape == shape) return;
    fail("tensor " + name(suffix) + " has shape " + shape_text(tensor.shape) + ", but " +
         name_of(format_.method) + " needs " + shape_text(shape));
  }

  RawTensor take(const char* suffix, const std::vector<std::string>& dtypes, const Shape& shape) {
    RawTensor tensor = take(suffix, dtypes);
    expect_shape(suffix, tensor, shape);
    return tensor;
  }

  // ---- numbers ----
  static DType type_of(const RawTensor& tensor) {
    return tensor.dtype == "F16" ? DType::f16 : tensor.dtype == "BF16" ? DType::bf16 : DType::f32;
  }

  RawTensor take_floats(const char* suffix) { return take(suffix, {"F16", "BF16", "F32"}); }

  // [out, groups] of a tensor whose element for (output, group) is where `place` says.
  std::vector<float> floats(const RawTensor& tensor, const std::function<int64_t(int64_t, int64_t)>& place,
                            float factor = 1.0f) {
    std::vector<float> values;
    if (fault_) return values;
    values.reserve(static_cast<size_t>(out_ * coded_.groups));
    const DType type = type_of(tensor);
    for (int64_t n = 0; n < out_; ++n) {
      for (int64_t g = 0; g < coded_.groups; ++g)
        values.push_back(factor * load_f32(tensor.bytes.data(), type, place(n, g)));
    }
    return values;
  }

  // Zeros [out, groups]; the same for all leaves none of them.
  void set_zeros(const std::function<int(int64_t, int64_t)>& zero) {
    if (fault_) return;
    std::vector<uint8_t> zeros;
    zeros.reserve(static_cast<size_t>(out_ * coded_.groups));
    for (int64_t n = 0; n < out_; ++n) {
      for (int64_t g = 0; g < coded_.groups; ++g) zeros.push_back(static_cast<uint8_t>(zero(n, g)));
    }
    if (std::adjacent_find(zeros.begin(), zeros.end(), std::not_equal_to<>()) == zeros.end()) {
      coded_.zero = zeros.front();
      return;
    }
    coded_.zero = 0;
    coded_.zeros = true;
    tensor_.zero = std::move(zeros);
  }

  // Groups of consecutive inputs, as many as a tensor has.
  void set_groups(int64_t groups, int64_t wanted_group) {
    if (fault_) return;
    coded_.groups = groups;
    if (groups < 1 || groups > in_)
      return fail(module_.name + " has " + std::to_string(groups) + " groups for " + std::to_string(in_) +
                  " inputs");
    coded_.group =
        wanted_group > 0 && pieces(in_, wanted_group) == groups ? wanted_group : pieces(in_, groups);
    if (pieces(in_, coded_.group) != groups) {
      fail(module_.name + " has " + std::to_string(groups) + " groups, which do not cut " +
           std::to_string(in_) + " inputs evenly");
    }
  }

  // Which group each input belongs to, where that is not the one that it lies in (GPTQ's act-order).
  void read_group_index(const char* suffix) {
    if (fault_ || !has(suffix)) return;
    const RawTensor index = take(suffix, {"I32", "I64"}, {in_});
    if (fault_) return;
    std::vector<int32_t> groups;
    bool plain = true;
    for (int64_t k = 0; k < in_; ++k) {
      const int64_t group = index.dtype == "I32" ? int_at(index, k) : wide_int_at(index, k);
      if (group < 0 || group >= coded_.groups) {
        return fail("tensor " + name(suffix) + " holds group " + std::to_string(group) + " of " +
                    std::to_string(coded_.groups));
      }
      plain = plain && group == k / coded_.group;
      groups.push_back(static_cast<int32_t>(group));
    }
    if (!plain) coded_.group_of_input = std::move(groups);
  }

  static int64_t wide_int_at(const RawTensor& tensor, int64_t index) {
    int64_t value;
    std::memcpy(&value, tensor.bytes.data() + index * static_cast<int64_t>(sizeof value), sizeof value);
    return value;
  }

  // Bits of a code, of which `words` 32-bit words hold `count`.
  void set_bits(int64_t words, int64_t count, std::initializer_list<int> known) {
    if (fault_) return;
    for (const int bits : known) {
      if (words != pieces(count * bits, 32)) continue;
      coded_.bits = bits;
      return;
    }
    fail(module_.name + " has " + std::to_string(words) + " words for " + std::to_string(count) +
         " codes, which is no number of bits that is implemented");
  }

  // The matrix of words, of which one dimension is known.
  RawTensor take_words(const char* suffix, const char* dtype, size_t known_dimension, int64_t known) {
    RawTensor words = take(suffix, {dtype});
    if (fault_) return words;
    if (words.shape.size() != 2 || words.shape[known_dimension] != known) {
      fail("tensor " + name(suffix) + " has shape " + shape_text(words.shape) + ", but config.json needs " +
           (known_dimension == 0 ? "[" + std::to_string(known) + ", ..]"
                                 : "[.., " + std::to_string(known) + "]"));
    }
    return words;
  }

  // ---- methods ----
  // Scales [groups, out] of GPTQ and AWQ.
  void read_group_scales(int64_t wanted_group) {
    const RawTensor scales = take_floats("scales");
    if (fault_) return;
    set_groups(scales.shape.empty() ? 0 : scales.shape[0], wanted_group);
    expect_shape("scales", scales, {coded_.groups, out_});
    coded_.scale_type = type_of(scales);
    tensor_.scale = floats(scales, [&](int64_t n, int64_t g) { return g * out_ + n; });
  }

  void read_gptq() {
    tensor_.layout = CodeLayout::columns;
    tensor_.codes = take_words("qweight", "I32", 1, out_);
    if (fault_) return;
    set_bits(tensor_.codes.shape[0], in_, {4, 8, 3, 2});
    read_group_scales(format_.group_size);
    const int bits = coded_.bits, mask = (1 << bits) - 1;
    const int64_t words = pieces(out_ * bits, 32);
    const RawTensor zeros = take("qzeros", {"I32"}, {coded_.groups, words});
    set_zeros([&](int64_t n, int64_t g) {
      const int stored = code_in_stream(zeros.bytes.data() + g * words * 4, n, bits);
      // One less was stored, in as many bits.
      return format_.zeros_less_one ? (stored + 1) & mask : stored;
    });
    read_group_index("g_idx");
  }

  void read_awq() {
    if (out_ % kAwqCodes != 0) return fail(module_.name + " has outputs that are no multiple of AWQ's 8");
    tensor_.layout = CodeLayout::awq;
    tensor_.codes = take("qweight", {"I32"}, {in_, out_ / kAwqCodes});
    read_group_scales(0);
    const RawTensor zeros = take("qzeros", {"I32"}, {coded_.groups, out_ / kAwqCodes});
    set_zeros([&](int64_t n, int64_t g) {
      const auto word = static_cast<uint32_t>(int_at(zeros, g * (out_ / kAwqCodes) + n / kAwqCodes));
      return static_cast<int>((word >> (4 * awq_place(n))) & 15u);
    });
  }

  // Of a whole tensor, of each output, of groups of inputs or of blocks of both.
  void read_scales(const char* suffix) {
    const RawTensor scales = take_floats(suffix);
    if (fault_) return;
    coded_.scale_type = type_of(scales);
    const Shape& shape = scales.shape;
    const int64_t count = static_cast<int64_t>(scales.bytes.size() / dtype_bytes(coded_.scale_type));
    const int64_t block_rows = pieces(out_, format_.block_rows), block_cols = pieces(in_, format_.block_cols);
    if (count == 1) {
      set_groups(1, in_);
      tensor_.scale = floats(scales, [](int64_t, int64_t) { return 0; });
    } else if (shape == Shape{out_} || shape == Shape{out_, 1}) {
      set_groups(1, in_);
      tensor_.scale = floats(scales, [](int64_t n, int64_t) { return n; });
    } else if (shape == Shape{block_rows, block_cols} && block_rows < out_) {
      set_groups(block_cols, format_.block_cols);
      tensor_.scale =
          floats(scales, [&](int64_t n, int64_t g) { return n / format_.block_rows * block_cols + g; });
    } else if (shape.size() == 2 && shape[0] == out_) {
      set_groups(shape[1], 0);
      tensor_.scale = floats(scales, [&](int64_t n, int64_t g) { return n * coded_.groups + g; });
    } else {
      fail("tensor " + name(suffix) + " has shape " + shape_text(shape) +
           ", which is one for all, one for each of " + std::to_string(out_) + " outputs, " +
           shape_text({block_rows, block_cols}) + " for blocks, or [" + std::to_string(out_) +
           ", groups] in no way");
    }
  }

  // Signed; `middle` is what stands for 0 in the codes. Packed like the codes, but down the outputs.
  void read_zero_points(int middle) {
    coded_.zero = static_cast<float>(middle);
    if (fault_ || !has("weight_zero_point")) return;
    const RawTensor points = take("weight_zero_point", {"I8", "I32"});
    if (fault_) return;
    const int bits = coded_.bits;
    if (points.dtype == "I32") {
      expect_shape("weight_zero_point", points, {pieces(out_ * bits, 32), coded_.groups});
      const int of_word = 32 / bits;
      return set_zeros([&](int64_t n, int64_t g) {
        const auto word = static_cast<uint32_t>(int_at(points, n / of_word * coded_.groups + g));
        return static_cast<int>((word >> (n % of_word * bits)) & ((1u << bits) - 1));
      });
    }
    const auto count = static_cast<int64_t>(points.bytes.size());
    if (count != 1 && count != out_ * coded_.groups)
      return expect_shape("weight_zero_point", points, {out_, coded_.groups});
    set_zeros([&](int64_t n, int64_t g) {
      return static_cast<int8_t>(points.bytes[static_cast<size_t>(count == 1 ? 0 : n * coded_.groups + g)]) +
             middle;
    });
  }

  void read_packed() {
    tensor_.layout = CodeLayout::rows;
    tensor_.codes = take_words("weight_packed", "I32", 0, out_);
    if (fault_) return;
    set_bits(tensor_.codes.shape[1], in_, {4, 8});
    if (has("weight_shape")) {
      const RawTensor shape = take("weight_shape", {"I64", "I32"}, {2});
      const auto at = [&](int64_t i) {
        return shape.dtype == "I32" ? int_at(shape, i) : wide_int_at(shape, i);
      };
      if (!fault_ && (at(0) != out_ || at(1) != in_)) {
        fail("tensor " + name("weight_shape") + " says " + shape_text({at(0), at(1)}) +
             ", but config.json needs " + shape_text({out_, in_}));
      }
    }
    read_scales("weight_scale");
    read_zero_points(1 << (coded_.bits - 1));
    read_group_index("weight_g_idx");
  }

  // A byte for each weight.
  void read_bytes() {
    const bool compressed = format_.method == CheckpointMethod::compressed_tensors;
    tensor_.codes = compressed ? take("weight", {"F8_E4M3", "I8"}, {out_, in_})
                               : take("weight", {"F8_E4M3"}, {out_, in_});
    coded_.bits = 8;
    const bool integers = tensor_.codes.dtype == "I8";
    coded_.kind = integers ? CodeKind::integer : CodeKind::e4m3;
    read_scales(has("weight_scale_inv") ? "weight_scale_inv" : "weight_scale");
    if (!integers) return;
    tensor_.flip = 0x80;
    read_zero_points(128);
    read_group_index("weight_g_idx");
  }

  void read_int8() {
    tensor_.codes = take("weight", {"I8"}, {out_, in_});
    tensor_.flip = 0x80;
    coded_.bits = 8;
    coded_.zero = 128;
    if (has("weight_format")) {
      const RawTensor layout = take("weight_format", {"U8"});
      if (!fault_ && (layout.bytes.size() != 1 || layout.bytes[0] != std::byte{0}))
        fail("tensor " + name("weight_format") + " names another layout than rows");
    }
    const RawTensor largest = take("SCB", {"F32"}, {out_});
    set_groups(1, in_);
    tensor_.scale = floats(
        largest, [](int64_t n, int64_t) { return n; }, 1.0f / 127.0f);
  }

  void read_mlx() {
    tensor_.layout = CodeLayout::rows;
    tensor_.codes = take_words("weight", "U32", 0, out_);
    if (fault_) return;
    set_bits(tensor_.codes.shape[1], in_, {4, 8, 2, 3, 5, 6});
    const RawTensor scales = take_floats("scales");
    if (fault_) return;
    set_groups(scales.shape.size() == 2 ? scales.shape[1] : 0, 0);
    expect_shape("scales", scales, {out_, coded_.groups});
    const RawTensor biases = take("biases", {scales.dtype}, scales.shape);
    coded_.offsets = true;
    coded_.scale_type = type_of(scales);
    const auto place = [&](int64_t n, int64_t g) { return n * coded_.groups + g; };
    tensor_.scale = floats(scales, place);
    tensor_.offset = floats(biases, place);
  }

  Checkpoint& checkpoint_;
  const CheckpointFormat& format_;
  const CodedModule& module_;
  const int64_t out_;
  const int64_t in_;
  CodedFormat coded_;
  CodedTensor tensor_;
  std::optional<Error> fault_;
};

bool is_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) { return byte == std::byte{0}; });
}

}  // namespace

bool has_coded(const Checkpoint& checkpoint, const CheckpointFormat& format, const std::string& module) {
  const auto has = [&](const char* suffix) { return checkpoint.has(module + suffix); };
  switch (format.method) {
    case CheckpointMethod::gptq:
    case CheckpointMethod::awq:
      return has(".qweight");
    case CheckpointMethod::compressed_tensors:
      return has(".weight_packed") || has(".weight_scale");
    case CheckpointMethod::fp8:
      return has(".weight_scale_inv") || has(".weight_scale");
    case CheckpointMethod::bitsandbytes_int8:
      return has(".SCB");
    case CheckpointMethod::mlx:
      return has(".scales");
    case CheckpointMethod::plain:
    case CheckpointMethod::bitsandbytes_nf4:
    case CheckpointMethod::mxfp4:
      break;
  }
  return false;
}

Result<std::shared_ptr<const CodedSource>> take_coded(Checkpoint& checkpoint, const CheckpointFormat& format,
                                                      const CodedModule& module) {
  return Reader(checkpoint, format, module).read();
}

bool is_spare(Checkpoint& checkpoint, const CheckpointFormat& format, const std::string& tensor) {
  const size_t dot = tensor.rfind('.');
  const std::string module = tensor.substr(0, dot);
  const bool plain = format.method == CheckpointMethod::plain;
  // AutoGPTQ gives each map one, and what was made of such a checkpoint has them still. Zeros add nothing.
  if (tensor.ends_with(".bias") &&
      (plain ? checkpoint.has(module + ".weight") : has_coded(checkpoint, format, module))) {
    const Result<RawTensor> bias = checkpoint.take_raw(tensor);
    return bias && is_zero(bias->bytes);
  }
  if (plain) return false;
  static constexpr std::array<std::string_view, 8> kUnused = {
      ".input_scale", ".input_zero_point", ".input_global_scale", ".output_scale", ".k_scale", ".v_scale",
      ".q_scale",     ".kv_scale"};
  return std::any_of(kUnused.begin(), kUnused.end(),
                     [&](std::string_view end) { return tensor.ends_with(end); });
}

}  // namespace lorikeet
