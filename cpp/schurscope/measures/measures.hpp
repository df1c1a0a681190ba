// The measures: the scores summed over trials and over steps, and the list from which callers choose.
//
// A measure is a struct with its name and `score`: for one vector of trials at one step, the sum over the output
// channels, before the step's weight. Channel c of the outputs and of the targets lies c * stride behind the first.
// A nonfinite score marks a diverged rollout. To add a measure, write its file and list it in `Measure`.
#pragma once

#include "schurscope/choice.hpp"
#include "schurscope/measures/accuracy.hpp"
#include "schurscope/measures/agreement.hpp"
#include "schurscope/measures/cross_entropy.hpp"
#include "schurscope/measures/squared_error.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

using Measure = Choice<measures::SquaredError, measures::Agreement, measures::Accuracy, measures::CrossEntropy>;

/// One step of a panel: adds the weighted scores lane by lane to `per_trial`, and summed over the panel's vectors to
/// the lanes of `per_step`.
template <class T>
using AddScores = void (*)(const T* output, const T* target, const T* weight, Index n_outputs, double* per_trial,
                           double* per_step);

namespace detail {

template <class M, int V, class T>
void add_scores(const T* output, const T* target, const T* weight, Index n_outputs, double* per_trial,
                double* per_step) {
  constexpr Index width = V * lanes<T>;
  Vec<T> all{};
  for (Index lane = 0; lane < width; lane += lanes<T>) {
    Vec<T> score = M::template score<T>(output + lane, target + lane, n_outputs, width);
    const Vec<T> w = simd::load(weight + lane);
    score = w != T(0) ? score * w : Vec<T>{};  // 0 times a diverged score would be NaN
    simd::add_to<T>(per_trial + lane, score);
    all += score;
  }
  simd::add_to<T>(per_step, all);
}

}  // namespace detail

/// The function for panels of V vectors. A pointer, so that rollouts are compiled once for all measures.
template <int V, class T>
AddScores<T> add_scores_of(Measure measure) {
  AddScores<T> function = nullptr;
  measure.visit([&](auto chosen) { function = detail::add_scores<decltype(chosen), V, T>; });
  return function;
}

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
