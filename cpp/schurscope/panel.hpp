// Trials laid out in panels: side by side in the lanes of vectors, as the kernel of tile.hpp reads them.
#pragma once

#include <algorithm>

#include "schurscope/tile.hpp"

namespace schurscope {

/// Trials of a (trials, steps, features) array, row-major, that belongs to the caller.
template <class T>
struct TrialsView {
  const T* inputs;   ///< (trials, steps, n_inputs)
  const T* targets;  ///< (trials, steps, n_outputs)
  const T* weights;  ///< (trials, steps)
  Index n_trials, n_steps, n_inputs, n_outputs;

  TrialsView slice(Index first, Index count) const {
    TrialsView part = *this;
    part.inputs += first * n_steps * n_inputs;
    part.targets += first * n_steps * n_outputs;
    part.weights += first * n_steps;
    part.n_trials = count;
    return part;
  }
};

/// How n trials are cut into panels: full ones, then one with as few vectors as hold the rest.
template <class T>
struct PanelLayout {
  Index n_trials;

  Index count() const { return (n_trials + panel_lanes<T> - 1) / panel_lanes<T>; }
  Index first(Index panel) const { return panel * panel_lanes<T>; }
  Index size(Index panel) const { return std::min<Index>(panel_lanes<T>, n_trials - first(panel)); }
  Index vectors(Index panel) const { return (size(panel) + lanes<T> - 1) / lanes<T>; }
  Index width(Index panel) const { return vectors(panel) * lanes<T>; }
  /// Lanes of all panels before this one: where its part of a buffer of panels begins, per element.
  Index offset(Index panel) const { return first(panel); }
  Index total_width() const { return first(count() - 1) + width(count() - 1); }
};

/// Copy trials [first, first + count) of a (trials, steps, features) array to a panel (steps, features, width).
/// Lanes without a trial become 0.
template <class T>
void to_panel(const T* trials, Index first, Index count, Index n_steps, Index n_features, Index width, T* panel) {
  const Index per_trial = n_steps * n_features;
  const T* const from = trials + first * per_trial;
  for (Index e = 0; e < per_trial; ++e) {
    T* const row = panel + e * width;
    for (Index lane = 0; lane < count; ++lane) row[lane] = from[lane * per_trial + e];
    for (Index lane = count; lane < width; ++lane) row[lane] = T(0);
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

}  // namespace schurscope
