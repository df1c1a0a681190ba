// An ablation of Schur couplings, and the recurrent matrix that is left:
//
//     W~ = W - Q dT Q^T,   dT = T - T~,
//
// where T~ has the entries of T inside the ablation's rectangles multiplied by a gain (0 removes them).
// Only entries strictly above the diagonal blocks of T are touched, so W~ keeps the eigenvalues of W.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace schurscope {

using Index = Eigen::Index;

/// The entries (i, j) of T with first_row <= i < end_row and first_col <= j < end_col.
struct Rectangle {
  std::int64_t first_row, end_row, first_col, end_col;
};

/// `size` rectangles, each with its gain. Where rectangles overlap their gains multiply.
struct AblationView {
  const Rectangle* rectangles;
  const double* gains;
  std::int64_t size;
};

template <class Scalar>
using RowMajorMatrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// W = Q T Q^T with all three row-major, contiguous, (n, n). Not owned.
template <class Scalar>
struct SchurView {
  const Scalar* W;
  const double* Q;
  const double* T;
  std::int64_t n;
};

/// Memory that one thread reuses from ablation to ablation; it grows to the largest n it has seen.
struct AblationScratch {
  RowMajorMatrix<double> dT;    ///< T - T~ on the ablation's bounding box
  RowMajorMatrix<double> half;  ///< dT times one of the two factors
  RowMajorMatrix<double> full;  ///< Q dT Q^T
  Eigen::ArrayXd kept;          ///< product of the gains, along one row of the box

  void reserve(Eigen::Index n) {
    if (kept.size() >= n) return;
    dT.resize(n, n);
    half.resize(n, n);
    full.resize(n, n);
    kept.resize(n);
  }
};

/// The smallest rectangle that holds every entry above the diagonal of every rectangle; empty if there is none.
inline Rectangle bounding_box(AblationView ablation, std::int64_t n) {
  Rectangle box{n, 0, n, 0};
  for (std::int64_t k = 0; k < ablation.size; ++k) {
    Rectangle r = ablation.rectangles[k];
    r.end_row = std::min(r.end_row, r.end_col - 1);
    r.first_col = std::max(r.first_col, r.first_row + 1);
    if (r.first_row >= r.end_row || r.first_col >= r.end_col) continue;
    box = {std::min(box.first_row, r.first_row), std::max(box.end_row, r.end_row), std::min(box.first_col, r.first_col),
           std::max(box.end_col, r.end_col)};
  }
  return box;
}

/// What an ablation takes away.
struct Removed {
  Rectangle box;  ///< where dT can differ from zero
  double norm;    ///< ||dT||_F; exactly 0 if dT is zero
};

/// Puts dT = T - T~ on its bounding box into scratch.dT. T is row-major, contiguous, n x n; the rectangles must lie
/// inside it.
inline Removed remove(const double* T_data, Index n, AblationView ablation, AblationScratch& scratch) {
  const Eigen::Map<const RowMajorMatrix<double>> T(T_data, n, n);
  scratch.reserve(n);
  const Rectangle box = bounding_box(ablation, n);
  const Index rows = std::max<Index>(0, box.end_row - box.first_row);
  const Index cols = std::max<Index>(0, box.end_col - box.first_col);
  if (rows == 0 || cols == 0) return {box, 0};
  auto dT = scratch.dT.topLeftCorner(rows, cols);
  for (Index i = 0; i < rows; ++i) {
    const Index row = box.first_row + i;
    // The superdiagonal entry of a 2x2 block belongs to the block.
    const bool opens_pair = row + 1 < n && T(row + 1, row) != 0;
    const Index first_col = row + (opens_pair ? 2 : 1);
    auto kept = scratch.kept.head(cols);
    kept.setOnes();
    for (std::int64_t k = 0; k < ablation.size; ++k) {
      const Rectangle& r = ablation.rectangles[k];
      if (row < r.first_row || row >= r.end_row) continue;
      const Index begin = std::max<Index>(r.first_col, first_col);
      if (begin < r.end_col) kept.segment(begin - box.first_col, r.end_col - begin) *= ablation.gains[k];
    }
    dT.row(i) = (T.row(row).segment(box.first_col, cols).array() * (1 - kept.transpose())).matrix();
  }
  // Scaled, so that neither 1e-200 nor 1e200 leaves the range when squared.
  const double largest = dT.cwiseAbs().maxCoeff();
  return {box, largest == 0 ? 0 : largest * (dT / largest).norm()};
}

/// Writes W~ to `out` (row-major, contiguous, n x n; not W itself) and returns ||dT||_F.
///
/// The arithmetic is in double and rounded once to Scalar. If dT is zero, `out` is W bit for bit. The rectangles must
/// lie inside T.
template <class Scalar>
double ablated_matrix(SchurView<Scalar> schur, AblationView ablation, AblationScratch& scratch, Scalar* out) {
  const Index n = schur.n;
  const Eigen::Map<const RowMajorMatrix<Scalar>> W(schur.W, n, n);
  const Eigen::Map<const RowMajorMatrix<double>> Q(schur.Q, n, n);
  Eigen::Map<RowMajorMatrix<Scalar>> W_ablated(out, n, n);
  const Removed removed = remove(schur.T, n, ablation, scratch);
  if (removed.norm == 0) {
    W_ablated = W;
    return 0;
  }

  // Q_r dT Q_c^T from the side that has the smaller middle dimension.
  const Rectangle& box = removed.box;
  const Index rows = box.end_row - box.first_row, cols = box.end_col - box.first_col;
  const auto dT = scratch.dT.topLeftCorner(rows, cols);
  const auto Q_rows = Q.middleCols(box.first_row, rows);
  const auto Q_cols = Q.middleCols(box.first_col, cols);
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

}  // namespace schurscope
