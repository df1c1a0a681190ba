// Perturbations of different entries of T at once.
#pragma once

#include <tuple>

#include "schurscope/perturbation/ablated_matrix.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

/// T~ has the changes of every part. No two parts may change the same entry.
template <class... Parts>
struct Combined {
  std::tuple<Parts...> parts;

  Rectangle box(const SchurMatrixView& T) const {
    Rectangle box{T.rows(), 0, T.rows(), 0};
    std::apply([&](const Parts&... part) { ((box = united(box, part.box(T))), ...); }, parts);
    return box;
  }

  void difference(const SchurMatrixView& T, const Rectangle& box, PerturbationScratch& scratch) const {
    std::apply([&](const Parts&... part) { (part.difference(T, box, scratch), ...); }, parts);
  }
};

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
