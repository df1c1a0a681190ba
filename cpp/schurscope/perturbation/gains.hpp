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
    const Index n = T.rows();
    Rectangle box{n, 0, n, 0};
    for (std::int64_t k = 0; k < size; ++k) {
      Rectangle r = rectangles[k];
      r.end_row = std::min(r.end_row, r.end_col - 1);
      r.first_col = std::max(r.first_col, r.first_row + 1);
      if (r.empty()) continue;
      box = {std::min(box.first_row, r.first_row), std::max(box.end_row, r.end_row),
             std::min(box.first_col, r.first_col), std::max(box.end_col, r.end_col)};
    }
    return box;
  }

  void difference(const SchurMatrixView& T, const Rectangle& box, PerturbationScratch& scratch) const {
    auto kept = scratch.row.head(box.cols());  // the product of the gains along a row of the box
    for (Index i = 0; i < box.rows(); ++i) {
      const Index row = box.first_row + i;
      // The superdiagonal entry of a 2x2 block belongs to the block.
      const bool opens_pair = row + 1 < T.rows() && T(row + 1, row) != 0;
      const Index first_col = row + (opens_pair ? 2 : 1);
      kept.setOnes();
      for (std::int64_t k = 0; k < size; ++k) {
        const Rectangle& r = rectangles[k];
        if (row < r.first_row || row >= r.end_row) continue;
        const Index begin = std::max<Index>(r.first_col, first_col);
        if (begin < r.end_col) kept.segment(begin - box.first_col, r.end_col - begin) *= gains[k];
      }
      scratch.dT.row(i).head(box.cols()) =
          (T.row(row).segment(box.first_col, box.cols()).array() * (1 - kept.transpose())).matrix();
    }
  }
};

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
