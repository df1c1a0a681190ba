// Gains on the nonnormality of 2x2 diagonal blocks, the coupling inside the blocks: the standardised block
//
//     [[a, b], [c, a]]  becomes  [[a, b~], [c~, a]],   |b~ / c~| = |b / c|^gain,   b~ c~ = b c,
//
// so that it keeps its eigenvalues a ± i sqrt(-b c). Gain 0 makes it normal, a scaled rotation; gain 1 leaves it.
#pragma once

#include <cmath>

#include "schurscope/perturbation/ablated_matrix.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

/// Rows [first, end) of T: their 2x2 blocks that lie inside.
struct BlockRange {
  std::int64_t first, end;
};

/// `size` ranges, each with its gain. Where ranges overlap, their gains multiply.
struct BlockGains {
  const BlockRange* ranges;
  const double* gains;
  std::int64_t size;

  Rectangle box(const SchurMatrixView& T) const {
    Rectangle box{T.rows(), 0, T.rows(), 0};
    for (std::int64_t k = 0; k < size; ++k) {
      for (Index row = ranges[k].first; row + 1 < ranges[k].end; ++row) {
        if (T(row + 1, row) != 0) box = united(box, {row, row + 2, row, row + 2});
      }
    }
    return box;
  }

  void difference(const SchurMatrixView& T, const Rectangle& box, PerturbationScratch& scratch) const {
    for (Index row = box.first_row; row + 1 < box.end_row; ++row) {
      const double b = T(row, row + 1), c = T(row + 1, row);
      if (c == 0) continue;
      const double kept = gain(row);
      if (kept == 1) continue;
      const double omega = std::sqrt(std::abs(b)) * std::sqrt(std::abs(c));
      const double ratio = std::pow(std::sqrt(std::abs(b)) / std::sqrt(std::abs(c)), kept);
      const Index i = row - box.first_row, j = row - box.first_col;
      scratch.dT(i, j + 1) += b - std::copysign(omega * ratio, b);
      scratch.dT(i + 1, j) += c - std::copysign(omega / ratio, c);
    }
  }

 private:
  /// The product of the gains of the ranges that hold the block that begins at `row`.
  double gain(Index row) const {
    double product = 1;
    for (std::int64_t k = 0; k < size; ++k) {
      if (ranges[k].first <= row && row + 2 <= ranges[k].end) product *= gains[k];
    }
    return product;
  }
};

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
