// Trials in panels: side by side in the lanes of vectors, as the kernel of tile.hpp reads them.
#pragma once

#include <algorithm>
#include <vector>

#include "schurscope/tile.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

/// Trials of a rollout, row-major, owned by the caller. Null: no targets, no weights (nothing is measured), no
/// noise, h_0 = 0.
template <class T>
struct TrialsView {
  Index n_trials, n_steps, n_inputs, n_outputs, n_hidden;
  const T* inputs;             ///< (trials, steps, n_inputs)
  const T* targets = nullptr;  ///< (trials, steps, n_outputs)
  const T* weights = nullptr;  ///< (trials, steps)
  const T* noise = nullptr;    ///< (trials, steps, n_hidden): ξ_t of cells/
  const T* h_0 = nullptr;      ///< (trials, n_starts · n_hidden), or one row that all trials share
  bool h_0_is_shared = false;
  Index n_starts = 1;  ///< starts_of the network's form

  TrialsView slice(Index first, Index count) const {
    TrialsView part = *this;
    const auto advance = [first](const T*& array, Index size) {
      if (array != nullptr) array += first * size;
    };
    advance(part.inputs, n_steps * n_inputs);
    advance(part.targets, n_steps * n_outputs);
    advance(part.weights, n_steps);
    advance(part.noise, n_steps * n_hidden);
    advance(part.h_0, h_0_is_shared ? 0 : n_starts * n_hidden);
    part.n_trials = count;
    return part;
  }
};

/// Splits n trials into full panels and one with the fewest vectors that hold the rest.
template <class T>
struct PanelLayout {
  Index n_trials;

  Index count() const { return (n_trials + panel_lanes<T> - 1) / panel_lanes<T>; }
  Index first(Index panel) const { return panel * panel_lanes<T>; }
  Index size(Index panel) const { return std::min<Index>(panel_lanes<T>, n_trials - first(panel)); }
  Index vectors(Index panel) const { return (size(panel) + lanes<T> - 1) / lanes<T>; }
};

/// Copy `count` trials of an array (trials, size), `stride` elements apart, to a panel (size, width). Lanes without a
/// trial become 0.
template <class T>
void to_panel(const T* trials, Index stride, Index count, Index size, Index width, T* panel) {
  const Index whole = size - size % lanes<T>;
  for (Index lane = 0; lane < width; lane += lanes<T>) {
    for (Index e = 0; e < whole; e += lanes<T>) {
      Vec<T> square[lanes<T>];
      for (Index l = 0; l < lanes<T>; ++l) {
        square[l] = lane + l < count ? simd::load_unaligned(trials + (lane + l) * stride + e) : Vec<T>{};
      }
      simd::transpose_square<T>(square);
      for (Index l = 0; l < lanes<T>; ++l) simd::store(panel + (e + l) * width + lane, square[l]);
    }
  }
  for (Index e = whole; e < size; ++e) {
    for (Index lane = 0; lane < width; ++lane) {
      panel[e * width + lane] = lane < count ? trials[lane * stride + e] : T(0);
    }
  }
}

/// Copy the first `n_features` rows of a panel (features, width) to step `step` of a (trials, steps, features) array.
template <class T>
void from_panel(const T* panel, Index width, Index first, Index count, Index step, Index n_steps, Index n_features,
                T* trials) {
  for (Index lane = 0; lane < count; ++lane) {
    T* const row = trials + ((first + lane) * n_steps + step) * n_features;
    for (Index f = 0; f < n_features; ++f) row[f] = panel[f * width + lane];
  }
}

/// The trials of one panel, converted for a rollout. Its memory is reused from panel to panel.
template <class T>
class TrialPanel {
 public:
  void load(const TrialsView<T>& trials, Index panel) {
    const PanelLayout<T> layout{trials.n_trials};
    const Index first = layout.first(panel), n_steps = trials.n_steps;
    count_ = layout.size(panel);
    vectors_ = layout.vectors(panel);
    n_inputs_ = trials.n_inputs;
    n_outputs_ = trials.n_outputs;
    n_hidden_ = trials.n_hidden;
    const auto convert = [&](const T* array, Index size, bool is_shared, AlignedBuffer<T>& buffer) -> const T* {
      if (array == nullptr) return nullptr;
      buffer.reserve(static_cast<std::size_t>(size * width()));
      const Index stride = is_shared ? 0 : size;
      to_panel(array + first * stride, stride, count_, size, width(), buffer.data());
      return buffer.data();
    };
    inputs_ = convert(trials.inputs, n_steps * n_inputs_, false, buffers_[0]);
    targets_ = convert(trials.targets, n_steps * n_outputs_, false, buffers_[1]);
    weights_ = convert(trials.weights, n_steps, false, buffers_[2]);
    noise_ = convert(trials.noise, n_steps * n_hidden_, false, buffers_[3]);
    h_0_ = convert(trials.h_0, trials.n_starts * n_hidden_, trials.h_0_is_shared, buffers_[4]);
    counts_.assign(static_cast<std::size_t>(n_steps), 0);
    for (Index t = 0; weights_ != nullptr && t < n_steps; ++t) {
      const T* const w = weights(t);
      counts_[static_cast<std::size_t>(t)] = std::any_of(w, w + width(), [](T value) { return value != T(0); });
    }
  }

  Index count() const { return count_; }
  Index vectors() const { return vectors_; }
  Index width() const { return vectors_ * lanes<T>; }
  /// Of one step, each (features, width).
  const T* inputs(Index t) const { return inputs_ + t * n_inputs_ * width(); }
  const T* targets(Index t) const { return targets_ + t * n_outputs_ * width(); }
  const T* weights(Index t) const { return weights_ + t * width(); }
  const T* noise(Index t) const { return noise_ == nullptr ? nullptr : noise_ + t * n_hidden_ * width(); }
  const T* h_0() const { return h_0_; }
  /// Whether any trial of the panel has weight at the step.
  bool counts(Index t) const { return counts_[static_cast<std::size_t>(t)] != 0; }

 private:
  Index count_ = 0, vectors_ = 0, n_inputs_ = 0, n_outputs_ = 0, n_hidden_ = 0;
  AlignedBuffer<T> buffers_[5];
  const T* inputs_ = nullptr;
  const T* targets_ = nullptr;
  const T* weights_ = nullptr;
  const T* noise_ = nullptr;
  const T* h_0_ = nullptr;
  std::vector<char> counts_;
};

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
