// The recurrent matrix after a perturbation of the Schur form:
//
//     W~ = W - Q dT Q^T,   dT = T - T~.
//
// A perturbation defines a box outside which dT is zero, and dT on it:
//
//     Rectangle box(T) const
//     void difference(T, box, scratch) const     adds T - T~ to scratch.dT, whose top left corner is that of the box
//
// A caller may pass a larger box, so that perturbations of different entries combine (combined.hpp).
#pragma once

#include <algorithm>
#include <cstdint>

#include "schurscope/matrix.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

/// The entries (i, j) of T with first_row <= i < end_row and first_col <= j < end_col.
struct Rectangle {
  std::int64_t first_row, end_row, first_col, end_col;

  Index rows() const { return end_row - first_row; }
  Index cols() const { return end_col - first_col; }
  bool empty() const { return first_row >= end_row || first_col >= end_col; }
};

/// The smallest rectangle that holds both.
inline Rectangle united(const Rectangle& a, const Rectangle& b) {
  if (a.empty() || b.empty()) return a.empty() ? b : a;
  return {std::min(a.first_row, b.first_row), std::max(a.end_row, b.end_row), std::min(a.first_col, b.first_col),
          std::max(a.end_col, b.end_col)};
}

using SchurMatrixView = Eigen::Map<const RowMajorMatrix<double>>;

/// W = Q T Q^T with all three row-major, contiguous, (n, n). Not owned.
template <class Scalar>
struct SchurView {
  const Scalar* W;
  const double* Q;
  const double* T;
  std::int64_t n;
};

/// Memory that one thread reuses from perturbation to perturbation; it grows to the largest n it has seen.
struct PerturbationScratch {
  RowMajorMatrix<double> dT;    ///< T - T~ on the perturbation's box
  RowMajorMatrix<double> half;  ///< a perturbation's own, then dT times one of the two factors
  RowMajorMatrix<double> full;  ///< Q dT Q^T

  void reserve(Index n) {
    if (dT.rows() >= n) return;
    dT.resize(n, n);
    half.resize(n, n);
    full.resize(n, n);
  }
};

/// The part of T that a perturbation removes.
struct Removed {
  Rectangle box;  ///< where dT can differ from zero
  double norm;    ///< ||dT||_F; exactly 0 if dT is zero
};

/// Puts dT on its box into scratch.dT. T is row-major, contiguous, n x n.
template <class Perturbation>
Removed remove(const double* T_data, Index n, const Perturbation& perturbation, PerturbationScratch& scratch) {
  const SchurMatrixView T(T_data, n, n);
  scratch.reserve(n);
  const Rectangle box = perturbation.box(T);
  if (box.empty()) return {box, 0};
  auto dT = scratch.dT.topLeftCorner(box.rows(), box.cols());
  dT.setZero();
  perturbation.difference(T, box, scratch);
  // Scaled, so that squares of 1e-200 and 1e200 neither underflow nor overflow.
  const double largest = dT.cwiseAbs().maxCoeff();
  return {box, largest == 0 ? 0 : largest * (dT / largest).norm()};
}

/// Writes W~ to `out` (row-major, contiguous, n x n; not W itself) and returns ||dT||_F.
///
/// The arithmetic is in double and rounded once to Scalar. If dT is zero, `out` is W bit for bit.
template <class Scalar, class Perturbation>
double ablated_matrix(const SchurView<Scalar>& schur, const Perturbation& perturbation, PerturbationScratch& scratch,
                      Scalar* out) {
  const Index n = schur.n;
  const Eigen::Map<const RowMajorMatrix<Scalar>> W(schur.W, n, n);
  const Eigen::Map<const RowMajorMatrix<double>> Q(schur.Q, n, n);
  Eigen::Map<RowMajorMatrix<Scalar>> W_ablated(out, n, n);
  const Removed removed = remove(schur.T, n, perturbation, scratch);
  if (removed.norm == 0) {
    W_ablated = W;
    return 0;
  }

  // Q_r dT Q_c^T from the side that has the smaller middle dimension.
  const Index rows = removed.box.rows(), cols = removed.box.cols();
  const auto dT = scratch.dT.topLeftCorner(rows, cols);
  const auto Q_rows = Q.middleCols(removed.box.first_row, rows);
  const auto Q_cols = Q.middleCols(removed.box.first_col, cols);
  auto full = scratch.full.topLeftCorner(n, n);
  if (rows <= cols) {
    auto half = scratch.half.topLeftCorner(rows, n);
    half.noalias() = dT * Q_cols.transpose();
    full.noalias() = Q_rows * half;
  } else {
    auto half = scratch.half.topLeftCorner(n, cols);
    half.noalias() = Q_rows * dT;
    full.noalias() = half * Q_cols.transpose();
  }
  W_ablated = (W.template cast<double>() - full).template cast<Scalar>();
  return removed.norm;
}

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
