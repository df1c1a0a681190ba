// Σ_c (ŷ_c - y_c)²
#pragma once

#include "schurscope/simd.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {
namespace measures {

struct SquaredError {
  static constexpr const char* name = "squared_error";

  template <class T>
  static Vec<T> score(const T* output, const T* target, Index n_outputs, Index stride) {
    Vec<T> score{};
    for (Index c = 0; c < n_outputs; ++c) {
      const Vec<T> difference = simd::load(output + c * stride) - simd::load(target + c * stride);
      score += difference * difference;
    }
    return score;
  }
};

}  // namespace measures
}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
