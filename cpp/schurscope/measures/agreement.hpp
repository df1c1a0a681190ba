// Σ_c [sgn ŷ_c = sgn y_c]; 0 agrees with nothing.
#pragma once

#include "schurscope/simd.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {
namespace measures {

struct Agreement {
  static constexpr const char* name = "agreement";

  template <class T>
  static Vec<T> score(const T* output, const T* target, Index n_outputs, Index stride) {
    Vec<T> score{};
    for (Index c = 0; c < n_outputs; ++c) {
      const Vec<T> y = simd::load(output + c * stride), wanted = simd::load(target + c * stride);
      // The signs themselves: a product of small numbers may be 0.
      const auto agrees = ((y > T(0)) & (wanted > T(0))) | ((y < T(0)) & (wanted < T(0)));
      // The second term is 0, or NaN where the output is not finite.
      score += (agrees ? simd::broadcast(T(1)) : Vec<T>{}) + T(0) * y;
    }
    return score;
  }
};

}  // namespace measures
}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
