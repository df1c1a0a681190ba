// Features of couplings: the derivative of a function of one trial's outputs with respect to the removal of entries of T.
//
// With W = Q T Q^T, the adjoints d_t of cotangents on the outputs (adjoints.hpp), and a matrix D of entries to remove
// that carries a label in each entry,
//
//     s_p(b) = Σ_t Σ_(i,j)∈p D_ij (Q^T d_t)_i (Q^T r_{t-1})_j
//
// for trial b and label p. With the gradient of a loss as cotangent, -s_p is the loss's first-order change. With random
// signs, s_p² estimates the squared change of the outputs, the Gauss-Newton term.
#pragma once

#include <cstdint>

#include "schurscope/adjoints.hpp"
#include "schurscope/perturbation/ablated_matrix.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

/// Labels of the entries of T, row-major (n, n), and the entries D.
struct LabelledEntries {
  const double* D;
  const std::int64_t* labels;  ///< 0 … count - 1, or negative: in no coupling
  Index count;
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

/// A thread's memory and operations.
template <class Cell>
class FeatureWorker {
  using T = typename Cell::Scalar;

 public:
  FeatureWorker(const NetworkView<T>& network, const Cell& cell, const double* Q, const LabelledEntries& entries,
                const std::vector<LabelledTile>& tiles, Index n_steps)
      : network_(network), entries_(entries), tiles_(tiles), n_steps_(n_steps), passes_(network, cell, n_steps) {
    const Index n = network.n_hidden, width = panel_lanes<T>;
    const RowMajorMatrix<T> Q_rounded = SchurMatrixView(Q, n, n).template cast<T>();
    to_schur_.reset(n, n);
    to_schur_.put_transposed({Q_rounded.data(), n, n, n}, 0);
    passes_.pack(network);
    product_.resize(static_cast<std::size_t>(n * width));
    // Rows padded to whole tiles; the padding stays 0.
    const Index padded = (n + tile_rows - 1) / tile_rows * tile_rows;
    adjoints_.resize(static_cast<std::size_t>(padded * n_steps * width));
    rates_.resize(static_cast<std::size_t>(padded * n_steps * width));
    sums_.resize(static_cast<std::size_t>(entries.count * lanes<T>));
  }

  /// Panel p of the trials; `features` is (trials, labels).
  void run(const TrialsView<T>& trials, const T* cotangents, Index p, T* features, Interrupt& interrupt) {
    TrialsView<T> with_cotangents = trials;
    with_cotangents.targets = cotangents;
    panel_.load(with_cotangents, p);
    with_constant(panel_.vectors(), [&](auto v) {
      run_panel<decltype(v)::value>(features + PanelLayout<T>{trials.n_trials}.first(p) * entries_.count, interrupt);
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
          rotate<V>(delta, t, adjoints_.data());
          rotate<V>(state, t, rates_.data());
        });
    for (Index v = 0; v < V; ++v) {
      interrupt.check();
      sums_.clear();
      for (const LabelledTile& tile : tiles_) add_tile(tile, v);
      const Index first = v * lanes<T>, count = std::min<Index>(lanes<T>, panel_.count() - first);
      from_panel(sums_.data(), lanes<T>, first, count, 0, 1, entries_.count, features);
    }
  }

  /// Q^T x of step t to (vectors, rows, steps, lanes), so that the sums over steps read consecutive memory.
  template <int V>
  void rotate(const T* x, Index t, T* out) {
    multiply<V>(to_schur_, x, product_.data());
    for (Index i = 0; i < network_.n_hidden; ++i) {
      for (Index v = 0; v < V; ++v) {
        simd::store(row(out, v, i) + t * lanes<T>, simd::load(product_.data() + (i * V + v) * lanes<T>));
      }
    }
  }

  T* row(T* rotated, Index v, Index i) const {
    const Index padded = (network_.n_hidden + tile_rows - 1) / tile_rows * tile_rows;
    return rotated + (v * padded + i) * n_steps_ * lanes<T>;
  }

  /// Adds D_ij Σ_t (Q^T d_t)_i (Q^T r_{t-1})_j of the tile's entries to their labels.
  void add_tile(const LabelledTile& tile, Index v) {
    const T* const a = row(adjoints_.data(), v, tile.row);
    const T* const b = row(rates_.data(), v, tile.column);
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
    const Index n = network_.n_hidden;
    for (Index i = 0; i < std::min<Index>(tile_rows, n - tile.row); ++i) {
      for (Index j = 0; j < std::min<Index>(tile_rows, n - tile.column); ++j) {
        const Index entry = (tile.row + i) * n + tile.column + j;
        if (entries_.labels[entry] < 0) continue;
        T* const to = sums_.data() + entries_.labels[entry] * lanes<T>;
        simd::store(to, simd::load(to) + static_cast<T>(entries_.D[entry]) * sums.sum[i][j]);
      }
    }
  }

  const NetworkView<T>& network_;
  const LabelledEntries& entries_;
  const std::vector<LabelledTile>& tiles_;
  Index n_steps_;
  AdjointPasses<Cell> passes_;
  PackedMatrix<T> to_schur_;  // Q^T
  TrialPanel<T> panel_;
  AlignedBuffer<T> product_, adjoints_, rates_, sums_;
};

}  // namespace detail

/// s_p(b) into `features` (trials, labels), for cotangents (trials, steps, n_outputs) on the outputs, 0 at steps without
/// weight. `Q` is row-major, (n, n).
template <class T>
void coupling_features(const NetworkView<T>& network, const double* Q, const LabelledEntries& entries,
                       const TrialsView<T>& trials, const T* cotangents, T* features, int n_threads,
                       Interrupt& interrupt) {
  with_cell(network, [&](const auto& cell) {
    using Cell = std::decay_t<decltype(cell)>;
    const std::vector<detail::LabelledTile> tiles = detail::labelled_tiles(entries, network.n_hidden);
    parallel_for(PanelLayout<T>{trials.n_trials}.count(), n_threads, interrupt, [&] {
      return [&, worker = detail::FeatureWorker<Cell>(network, cell, Q, entries, tiles, trials.n_steps)](
                 Index p) mutable { worker.run(trials, cotangents, p, features, interrupt); };
    });
  });
}

/// The states [r_{t-1}] that enter each step and the adjoints d_t of its products, both (trials, steps, n_hidden).
template <class T>
void adjoints(const NetworkView<T>& network, const TrialsView<T>& trials, const T* cotangents, T* rates, T* deltas,
              int n_threads, Interrupt& interrupt) {
  with_cell(network, [&](const auto& cell) {
    using Cell = std::decay_t<decltype(cell)>;
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
                from_panel(state, width, first, count, t, trials.n_steps, n, rates);
                from_panel(delta, width, first, count, t, trials.n_steps, n, deltas);
              });
        });
      };
    });
  });
}

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
