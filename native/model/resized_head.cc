#include "model/resized_head.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "backend/shared/dtype.h"

namespace lorikeet {

namespace {

HostTensor first_rows(HostTensor tensor, int64_t rows) {
  tensor.rows = rows;
  return tensor;
}

// row [k] of the adapter's own weight with scale B A added
void merged_row(std::span<float> row, const AdapterPartDesc& whole, int64_t token) {
  const auto k = static_cast<int64_t>(row.size());
  for (int64_t i = 0; i < k; ++i) {
    double value = load_f32(whole.weight->data, whole.weight->dtype, token * k + i);
    for (int64_t r = 0; r < whole.rank; ++r) {
      const float component =
          whole.component_scale.empty() ? 1.0f : whole.component_scale[static_cast<size_t>(r)];
      value += static_cast<double>(whole.scale) * component *
               load_f32(whole.b.data, whole.b.dtype, token * whole.rank + r) *
               load_f32(whole.a.data, whole.a.dtype, r * k + i);
    }
    row[static_cast<size_t>(i)] = static_cast<float>(value);
  }
}

}  // namespace

Result<AdapterPartDesc> ResizedHead::fit(const AdapterPartDesc& whole, int64_t tokens, int64_t outputs) {
  if (whole.magnitude) return Error{"DoRA on the head of a resized vocabulary is not supported"};
  if (tokens <= outputs) return padded(whole, outputs);
  if (whole.lora_bias || whole.bias)
    return Error{"a bias of the head of a resized vocabulary is not supported"};
  return with_added_rows(whole, tokens, outputs);
}

Result<AdapterPartDesc> ResizedHead::with_added_rows(const AdapterPartDesc& whole, int64_t tokens,
                                                     int64_t outputs) {
  AdapterPartDesc part = whole;
  if (whole.rank > 0) part.b = first_rows(whole.b, outputs);
  if (whole.weight) part.weight = first_rows(*whole.weight, outputs);
  if (!whole.weight && !whole.replaced_row_values)
    return Error{"it has no rows for the tokens from " + std::to_string(outputs) + " on"};
  const int64_t k = whole.weight ? whole.weight->cols : whole.replaced_row_values->cols;
  const auto known = static_cast<int64_t>(whole.replaced_rows.size());
  std::vector<float>& values = values_.emplace_back(static_cast<size_t>(known * k));
  if (whole.replaced_row_values) copy_f32(values.data(), *whole.replaced_row_values);
  for (int64_t token = outputs; token < tokens; ++token) {
    if (std::find(whole.replaced_rows.begin(), whole.replaced_rows.end(), token) != whole.replaced_rows.end())
      continue;
    if (!whole.weight) return Error{"it has no row for token " + std::to_string(token)};
    values.resize(values.size() + static_cast<size_t>(k));
    merged_row(std::span(values).last(static_cast<size_t>(k)), whole, token);
    part.replaced_rows.push_back(static_cast<int32_t>(token));
  }
  part.replaced_row_values = HostTensor{reinterpret_cast<const std::byte*>(values.data()), DType::f32,
                                        static_cast<int64_t>(part.replaced_rows.size()), k};
  return part;
}

AdapterPartDesc ResizedHead::padded(const AdapterPartDesc& whole, int64_t outputs) {
  AdapterPartDesc part = whole;
  const auto vector = [&](std::optional<HostTensor>& values) {
    if (!values) return;
    values->rows = values->cols;
    values->cols = 1;
    values = rows_or_zeros(*values, outputs);
  };
  if (whole.rank > 0) part.b = rows_or_zeros(whole.b, outputs);
  if (whole.weight) part.weight = rows_or_zeros(*whole.weight, outputs);
  vector(part.lora_bias);
  vector(part.bias);
  return part;
}

HostTensor ResizedHead::rows_or_zeros(const HostTensor& tensor, int64_t rows) {
  const size_t row_bytes = static_cast<size_t>(tensor.cols) * dtype_bytes(tensor.dtype);
  std::vector<std::byte>& copy = padded_.emplace_back(static_cast<size_t>(rows) * row_bytes);
  std::memcpy(copy.data(), tensor.data, static_cast<size_t>(std::min(rows, tensor.rows)) * row_bytes);
  return {copy.data(), tensor.dtype, rows, tensor.cols};
}

}  // namespace lorikeet
