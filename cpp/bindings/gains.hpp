// Schur forms and the gains on their rectangles, as tuples of arrays.
#pragma once

#include <pybind11/stl.h>

#include <cstdint>
#include <tuple>
#include <vector>

#include "arguments.hpp"
#include "schurscope/perturbation/gains.hpp"

namespace bindings {

/// (Q, T)
using SchurArguments = std::tuple<Array<double>, Array<double>>;

/// Rectangles (n, 4) of T, first row, end row, first column, end column, with a gain each.
using GainsArguments = std::tuple<Array<std::int64_t>, Array<double>>;

/// (offsets, rectangles, gains): ablation a has the rectangles offsets[a] … offsets[a + 1].
using AblationsArguments = std::tuple<Array<std::int64_t>, Array<std::int64_t>, Array<double>>;

/// The rectangles, copied and checked to lie inside (n, n).
inline std::vector<Rectangle> rectangles_of(const Array<std::int64_t>& array, const Array<double>& gains, Index n) {
  require(array.ndim() == 2 && array.shape(1) == 4 && has_shape(gains, {array.shape(0)}),
          "rectangles must be (n, 4) with n gains");
  const auto at = array.unchecked<2>();
  std::vector<Rectangle> rectangles;
  for (Index k = 0; k < array.shape(0); ++k) {
    rectangles.push_back({at(k, 0), at(k, 1), at(k, 2), at(k, 3)});
    for (Index c = 0; c < 4; ++c) require(at(k, c) >= 0 && at(k, c) <= n, "a rectangle lies outside T");
  }
  return rectangles;
}

/// Views of `rectangles`, which must come from the same arguments.
inline std::vector<Gains> ablations_of(const AblationsArguments& arguments, const std::vector<Rectangle>& rectangles) {
  const auto& [offsets, unchecked, gains] = arguments;
  require(offsets.ndim() == 1 && offsets.size() >= 2, "offsets must have one entry more than there are ablations");
  std::vector<Gains> ablations;
  for (Index a = 0; a + 1 < offsets.size(); ++a) {
    const Index begin = offsets.at(a), end = offsets.at(a + 1);
    require(0 <= begin && begin <= end && end <= static_cast<Index>(rectangles.size()), "offsets must not decrease");
    ablations.push_back({rectangles.data() + begin, gains.data() + begin, end - begin});
  }
  return ablations;
}

}  // namespace bindings
