// Σ_c y_c (log Σ_k exp(ŷ_k) - ŷ_c), in nats: the cross-entropy of softmax(ŷ) relative to the targets.
#pragma once

#include "schurscope/exp.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {
namespace measures {

struct CrossEntropy {
  static constexpr const char* name = "cross_entropy";

  template <class T>
  static Vec<T> score(const T* output, const T* target, Index n_outputs, Index stride) {
    // The logarithm is kept as the largest output and a remainder, so that confident correct answers keep their
    // digits. The remainder is built pairwise: log(eᵃ + eᵇ) = max(a, b) + log(1 + exp(-|a - b|)).
    Vec<T> largest = simd::load(output), rest{};
    for (Index c = 1; c < n_outputs; ++c) {
      const Vec<T> y = simd::load(output + c * stride), larger = simd::maximum<T>(largest, y);
      const Vec<T> before = rest + (largest - larger), added = y - larger;
      rest = simd::maximum<T>(before, added) + simd::log1p_up_to_one<T>(simd::exp_of_minus_absolute<T>(before - added));
      largest = larger;
    }
    Vec<T> score{};
    for (Index c = 0; c < n_outputs; ++c) {
      score += simd::load(target + c * stride) * ((largest - simd::load(output + c * stride)) + rest);
    }
    return score;
  }
};

}  // namespace measures
}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
