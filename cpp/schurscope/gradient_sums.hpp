// The weight gradients Σ_t d_t s_tᵀ: outer products of panels, summed over trials and steps.
//
// Trials lie in the lanes, so the state is transposed first (trials × units), and the products use the forward pass's
// register tiles; rows that would not fill a vector are multiplied lane by lane.
#pragma once

#include "schurscope/cells/step.hpp"
#include "schurscope/tile.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

/// The first `columns` rows, whole vectors of them, of a panel (…, V vectors) to (width, stride).
template <int V, class T>
void transpose_panel(const T* panel, Index columns, Index stride, T* out) {
  constexpr Index width = V * lanes<T>;
  for (Index row = 0; row < columns; row += lanes<T>) {
    for (Index v = 0; v < V; ++v) {
      Vec<T> square[lanes<T>];
      for (Index i = 0; i < lanes<T>; ++i) square[i] = simd::load(panel + (row + i) * width + v * lanes<T>);
      simd::transpose_square<T>(square);
      for (Index i = 0; i < lanes<T>; ++i) simd::store(out + (v * lanes<T> + i) * stride + row, square[i]);
    }
  }
}

/// The gradient of one weight matrix (rows, depth).
template <class T>
class GradientSums {
 public:
  void resize(Index rows, Index depth) {
    rows_ = rows;
    depth_ = depth;
    columns_ = depth - depth % lanes<T>;
    sums_.resize(static_cast<std::size_t>(rows * columns_));
    rest_.resize(static_cast<std::size_t>(rows * (depth - columns_) * lanes<T>));
    row_.resize(static_cast<std::size_t>(depth));
  }
  void clear() {
    sums_.clear();
    rest_.clear();
  }

  Index depth() const { return depth_; }
  /// Columns that `add` reads from the transpose.
  Index columns() const { return columns_; }

  /// += delta stateᵀ, for panels of delta (rows, width) and state (depth, width), the latter also transposed.
  void add(const T* delta, const T* state, const T* transposed, Index stride, Index width) {
    add_product(delta, rows_, width, width, transposed, stride, sums_.data(), columns_, columns_);
    add_lane_products(delta, rows_, state + columns_ * width, depth_ - columns_, width, rest_.data());
  }

  /// Row i, (depth,), valid until the next call.
  const T* row(Index i) {
    std::copy_n(sums_.data() + i * columns_, columns_, row_.data());
    for (Index k = columns_; k < depth_; ++k) {
      const T* const lane_sums = rest_.data() + (i * (depth_ - columns_) + k - columns_) * lanes<T>;
      row_[static_cast<std::size_t>(k)] = static_cast<T>(simd::total<T>(simd::load(lane_sums)));
    }
    return row_.data();
  }

 private:
  Index rows_ = 0, depth_ = 0, columns_ = 0;
  AlignedBuffer<T> sums_;  // whole vectors of columns
  AlignedBuffer<T> rest_;  // the other columns, (rows, columns, lanes)
  AlignedBuffer<T> row_;
};

/// The rows of dL/d[W_hh | b_h | W_xh] to their arrays. The inputs are the last columns.
template <class T>
void write_rows(GradientSums<T>& sums, Index rows, Index n_hidden, Index n_inputs, const GradientView<T>& gradient) {
  for (Index i = 0; i < rows; ++i) {
    const T* const row = sums.row(i);
    std::copy_n(row, n_hidden, gradient.W_hh + i * n_hidden);
    std::copy_n(row + sums.depth() - n_inputs, n_inputs, gradient.W_xh + i * n_inputs);
    if (gradient.b_h != nullptr) gradient.b_h[i] = row[n_hidden];
  }
}

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
