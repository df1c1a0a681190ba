// Gains on rectangles of T, the perturbation of ablations: T~ is T with the entries inside the rectangles multiplied by
// a gain (0 removes them). Only entries strictly above the diagonal blocks of T change, so W~ keeps the eigenvalues of
// W.
#pragma once

#include <algorithm>
#include <cstdint>

#include "schurscope/perturbation/ablated_matrix.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

/// `size` rectangles, each with its gain. Where rectangles overlap their gains multiply.
struct Gains {
  const Rectangle* rectangles;
  const double* gains;
  std::int64_t size;

  /// The smallest rectangle that holds every entry above the diagonal of every rectangle; empty if there is none.
  Rectangle box(const SchurMatrixView& T) const {
    Rectangle box{T.rows(), 0, T.rows(), 0};
    for (std::int64_t k = 0; k < size; ++k) {
      Rectangle r = rectangles[k];
      r.end_row = std::min(r.end_row, r.end_col - 1);
      r.first_col = std::max(r.first_col, r.first_row + 1);
      box = united(box, r);
    }
    return box;
  }

  void difference(const SchurMatrixView& T, const Rectangle& box, PerturbationScratch& scratch) const {
    auto kept = scratch.half.topLeftCorner(box.rows(), box.cols()).array();  // the product of the gains
    kept.setOnes();
    for (std::int64_t k = 0; k < size; ++k) {
      const Rectangle& r = rectangles[k];
      const Index first_row = std::max(r.first_row, box.first_row), first_col = std::max(r.first_col, box.first_col);
      const Index rows = std::min(r.end_row, box.end_row) - first_row;
      const Index cols = std::min(r.end_col, box.end_col) - first_col;
      if (rows > 0 && cols > 0) {
        kept.block(first_row - box.first_row, first_col - box.first_col, rows, cols) *= gains[k];
      }
    }
    for (Index i = 0; i < box.rows(); ++i) {
      const Index row = box.first_row + i;
      // The superdiagonal entry of a 2x2 block belongs to the block.
      const bool opens_pair = row + 1 < T.rows() && T(row + 1, row) != 0;
      const Index first_col = std::max<Index>(row + (opens_pair ? 2 : 1), box.first_col);
      const Index cols = box.end_col - first_col;
      if (cols <= 0) continue;
      scratch.dT.row(i).segment(first_col - box.first_col, cols).array() +=
          T.row(row).segment(first_col, cols).array() * (1 - kept.row(i).tail(cols));
    }
  }
};

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
