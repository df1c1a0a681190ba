// [argmax_c ŷ_c = argmax_c y_c]; of equal channels the first is the largest.
#pragma once

#include "schurscope/simd.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {
namespace measures {

struct Accuracy {
  static constexpr const char* name = "accuracy";

  template <class T>
  static Vec<T> score(const T* output, const T* target, Index n_outputs, Index stride) {
    Vec<T> largest = simd::load(output), largest_target = simd::load(target);
    Vec<T> finite = T(0) * largest;  // 0, or NaN once an output is not finite
    Vec<T> channel{}, target_channel{};
    for (Index c = 1; c < n_outputs; ++c) {
      const Vec<T> y = simd::load(output + c * stride), wanted = simd::load(target + c * stride);
      const Vec<T> here = simd::broadcast(static_cast<T>(c));
      finite += T(0) * y;
      channel = y > largest ? here : channel;
      largest = y > largest ? y : largest;
      target_channel = wanted > largest_target ? here : target_channel;
      largest_target = wanted > largest_target ? wanted : largest_target;
    }
    return (channel == target_channel ? simd::broadcast(T(1)) : Vec<T>{}) + finite;
  }
};

}  // namespace measures
}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
