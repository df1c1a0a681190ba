// Features of couplings: the derivative of a function of one trial's outputs with respect to the removal of entries of T.
//
// With W = Q T Q^T, the adjoints d_t of cotangents on the outputs (adjoints.hpp), and a matrix D of entries to remove
// that carries a label in each entry,
//
//     s_p(b) = Σ_t Σ_(i,j)∈p D_ij (Q^T d_t)_i (Q^T r_{t-1})_j
//
// for trial b and label p. With the gradient of a loss as cotangent, -s_p is the loss's first-order change. With random
// signs, s_p² estimates the squared change of the outputs, the Gauss-Newton term.
//
// A gated cell has such a W for each gate, with the adjoint of that gate's recurrent product in the place of d_t, and what
// the product multiplies, such as r ∘ h, in that of r_{t-1}.
#pragma once

#include <cstdint>

#include "schurscope/adjoints.hpp"
#include "schurscope/perturbation/ablated_matrix.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

/// Labels of the entries of one gate's T = Q^T W Q and the entries D, all row-major, (n, n).
struct LabelledEntries {
  const double* Q;
  const double* D;
  const std::int64_t* labels;  ///< 0 … count - 1 of the labels of all gates, or negative: in no coupling
};

namespace detail {

/// Turns products W_hy u + b_y into e = v ∘ ψ'(y), for a cotangent v on the outputs y.
template <class T>
void pull_back_output(Activation output, Index size, const T* cotangent, T* y) {
  activate(output, size, y);
  output.visit([&](auto psi) {
    for (Index i = 0; i < size; i += lanes<T>) {
      const Vec<T> value = simd::load(y + i);
      simd::store(y + i, simd::load(cotangent + i) * psi.template slope<T>(value));
    }
  });
}

/// The blocks of tile_rows × tile_rows entries that hold a label.
struct LabelledTile {
  Index row, column;
};

inline std::vector<LabelledTile> labelled_tiles(const LabelledEntries& entries, Index n) {
  std::vector<LabelledTile> tiles;
  for (Index row = 0; row < n; row += tile_rows) {
    for (Index column = 0; column < n; column += tile_rows) {
      bool any = false;
      for (Index i = row; i < std::min(row + tile_rows, n); ++i) {
        for (Index j = column; j < std::min(column + tile_rows, n); ++j) any = any || entries.labels[i * n + j] >= 0;
      }
      if (any) tiles.push_back({row, column});
    }
  }
  return tiles;
}

/// Q^T x of the steps of a panel for one gate, and the sums over steps of the products of its labelled entries.
template <class T>
class GateFeatures {
 public:
  GateFeatures(const LabelledEntries& entries, Index n, Index n_steps)
      : entries_(entries),
        n_(n),
        padded_((n + tile_rows - 1) / tile_rows * tile_rows),
        n_steps_(n_steps),
        tiles_(labelled_tiles(entries, n)) {
    const Index width = panel_lanes<T>;
    const RowMajorMatrix<T> Q_rounded = SchurMatrixView(entries.Q, n, n).template cast<T>();
    to_schur_.reset(n, n);
    to_schur_.put_transposed({Q_rounded.data(), n, n, n}, 0);
    product_.resize(static_cast<std::size_t>(n * width));
    if (tiles_.empty()) return;
    // Rows padded to whole tiles; the padding stays 0.
    adjoints_.resize(static_cast<std::size_t>(padded_ * n_steps * width));
    operands_.resize(static_cast<std::size_t>(padded_ * n_steps * width));
  }

  template <int V>
  void add_step(Index t, const T* delta, const T* operand) {
    if (tiles_.empty()) return;
    rotate<V>(delta, t, adjoints_.data());
    rotate<V>(operand, t, operands_.data());
  }

  /// Adds vector v of the panel to the labels' sums.
  void add_to(Index v, T* sums) {
    for (const LabelledTile& tile : tiles_) add_tile(tile, v, sums);
  }

 private:
  /// Q^T x of step t to (vectors, rows, steps, lanes), so that the sums over steps read consecutive memory.
  template <int V>
  void rotate(const T* x, Index t, T* out) {
    multiply<V>(to_schur_, x, product_.data());
    for (Index i = 0; i < n_; ++i) {
      for (Index v = 0; v < V; ++v) {
        simd::store(row(out, v, i) + t * lanes<T>, simd::load(product_.data() + (i * V + v) * lanes<T>));
      }
    }
  }

  T* row(T* rotated, Index v, Index i) const { return rotated + (v * padded_ + i) * n_steps_ * lanes<T>; }

  /// Adds D_ij Σ_t (Q^T d_t)_i (Q^T r_{t-1})_j of the tile's entries to their labels.
  void add_tile(const LabelledTile& tile, Index v, T* to_labels) {
    const T* const a = row(adjoints_.data(), v, tile.row);
    const T* const b = row(operands_.data(), v, tile.column);
    const Index stride = n_steps_ * lanes<T>;
    Tile<tile_rows, tile_rows, T> sums{};
    for (Index t = 0; t < stride; t += lanes<T>) {
      Vec<T> of_b[tile_rows];
#pragma GCC unroll 4
      for (int j = 0; j < tile_rows; ++j) of_b[j] = simd::load(b + j * stride + t);
#pragma GCC unroll 4
      for (int i = 0; i < tile_rows; ++i) {
        const Vec<T> of_a = simd::load(a + i * stride + t);
#pragma GCC unroll 4
        for (int j = 0; j < tile_rows; ++j) sums.sum[i][j] += of_a * of_b[j];
      }
    }
    for (Index i = 0; i < std::min<Index>(tile_rows, n_ - tile.row); ++i) {
      for (Index j = 0; j < std::min<Index>(tile_rows, n_ - tile.column); ++j) {
        const Index entry = (tile.row + i) * n_ + tile.column + j;
        if (entries_.labels[entry] < 0) continue;
        T* const to = to_labels + entries_.labels[entry] * lanes<T>;
        simd::store(to, simd::load(to) + static_cast<T>(entries_.D[entry]) * sums.sum[i][j]);
      }
    }
  }

  LabelledEntries entries_;
  Index n_, padded_, n_steps_;
  std::vector<LabelledTile> tiles_;
  PackedMatrix<T> to_schur_;  // Q^T
  AlignedBuffer<T> product_, adjoints_, operands_;
};

/// A thread's memory and operations.
template <class Cell>
class FeatureWorker {
  using T = typename Cell::Scalar;

 public:
  FeatureWorker(const NetworkView<T>& network, const Cell& cell, const std::vector<LabelledEntries>& gates,
                Index n_labels, Index n_steps)
      : network_(network), cell_(cell), n_labels_(n_labels), passes_(network, cell, n_steps) {
    passes_.pack(network);
    for (const LabelledEntries& entries : gates) gates_.emplace_back(entries, network.n_hidden, n_steps);
    sums_.resize(static_cast<std::size_t>(n_labels * lanes<T>));
  }

  /// Panel p of the trials; `features` is (trials, labels).
  void run(const TrialsView<T>& trials, const T* cotangents, Index p, T* features, Interrupt& interrupt) {
    TrialsView<T> with_cotangents = trials;
    with_cotangents.targets = cotangents;
    panel_.load(with_cotangents, p);
    with_constant(panel_.vectors(), [&](auto v) {
      run_panel<decltype(v)::value>(features + PanelLayout<T>{trials.n_trials}.first(p) * n_labels_, interrupt);
    });
  }

 private:
  template <int V>
  void run_panel(T* features, Interrupt& interrupt) {
    constexpr Index width = V * lanes<T>;
    passes_.template forward<V>(network_, panel_, interrupt, [&](Index t, T* error) {
      pull_back_output(network_.output, network_.n_outputs * width, panel_.targets(t), error);
    });
    passes_.template backward<V>(
        network_, panel_, interrupt, [](const T*, const T*, const T*) {},
        [&](Index t, const T* delta, const T* state) {
          Index gate = 0;
          for (GateFeatures<T>& of_gate : gates_) {
            of_gate.template add_step<V>(t, delta + cell_.delta_row(gate) * width,
                                         state + cell_.operand_row(gate) * width);
            ++gate;
          }
        });
    for (Index v = 0; v < V; ++v) {
      interrupt.check();
      sums_.clear();
      for (GateFeatures<T>& of_gate : gates_) of_gate.add_to(v, sums_.data());
      const Index first = v * lanes<T>, count = std::min<Index>(lanes<T>, panel_.count() - first);
      from_panel(sums_.data(), lanes<T>, first, count, 0, 1, n_labels_, features);
    }
  }

  const NetworkView<T>& network_;
  Cell cell_;
  Index n_labels_;
  AdjointPasses<Cell> passes_;
  std::vector<GateFeatures<T>> gates_;
  TrialPanel<T> panel_;
  AlignedBuffer<T> sums_;
};

}  // namespace detail

/// s_p(b) into `features` (trials, labels), for cotangents (trials, steps, n_outputs) on the outputs, 0 at steps without
/// weight; `gates` has as many entries as the network has recurrent matrices.
template <class T>
void coupling_features(const NetworkView<T>& network, const std::vector<LabelledEntries>& gates, Index n_labels,
                       const TrialsView<T>& trials, const T* cotangents, T* features, int n_threads,
                       Interrupt& interrupt) {
  with_cell(network, [&](const auto& cell) {
    using Cell = std::decay_t<decltype(cell)>;
    parallel_for(PanelLayout<T>{trials.n_trials}.count(), n_threads, interrupt, [&] {
      return [&, worker = detail::FeatureWorker<Cell>(network, cell, gates, n_labels, trials.n_steps)](
                 Index p) mutable { worker.run(trials, cotangents, p, features, interrupt); };
    });
  });
}

/// The states that enter a gate's recurrent product at each step, such as r_{t-1}, and the adjoints of that product, both
/// (trials, steps, n_hidden).
template <class T>
void adjoints(const NetworkView<T>& network, Index gate, const TrialsView<T>& trials, const T* cotangents, T* rates,
              T* deltas, int n_threads, Interrupt& interrupt) {
  with_cell(network, [&](const auto& cell) {
    using Cell = std::decay_t<decltype(cell)>;
    const Index delta_row = cell.delta_row(gate), operand_row = cell.operand_row(gate);
    const PanelLayout<T> layout{trials.n_trials};
    TrialsView<T> with_cotangents = trials;
    with_cotangents.targets = cotangents;
    parallel_for(layout.count(), n_threads, interrupt, [&] {
      return [&, passes = AdjointPasses<Cell>(network, cell, trials.n_steps), panel = TrialPanel<T>(),
              packed = false](Index p) mutable {
        if (!packed) passes.pack(network);
        packed = true;
        panel.load(with_cotangents, p);
        const Index first = layout.first(p), count = panel.count(), width = panel.width(), n = network.n_hidden;
        detail::with_constant(panel.vectors(), [&](auto v) {
          constexpr int V = decltype(v)::value;
          passes.template forward<V>(network, panel, interrupt, [&](Index t, T* error) {
            detail::pull_back_output(network.output, network.n_outputs * width, panel.targets(t), error);
          });
          passes.template backward<V>(
              network, panel, interrupt, [](const T*, const T*, const T*) {},
              [&](Index t, const T* delta, const T* state) {
                from_panel(state + operand_row * width, width, first, count, t, trials.n_steps, n, rates);
                from_panel(delta + delta_row * width, width, first, count, t, trials.n_steps, n, deltas);
              });
        });
      };
    });
  });
}

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
