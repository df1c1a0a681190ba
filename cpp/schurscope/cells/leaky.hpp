// Shared by the cells with a leak: the activation, and the leak of each unit.
//
// A leak that all units share is spread over them, so that it and equal leaks of the units have the same bits.
#pragma once

#include <algorithm>
#include <vector>

#include "schurscope/cells/ungated.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {
namespace cells {

template <class T>
class Leaky : public Ungated<T> {
 public:
  explicit Leaky(const NetworkView<T>& network)
      : Ungated<T>(network),
        activation_(network.cell.activation),
        leaks_(static_cast<std::size_t>(network.n_hidden), static_cast<T>(network.cell.leak)) {
    const double* const leaks = network.cell.leaks;
    if (leaks != nullptr)
      std::transform(leaks, leaks + network.n_hidden, leaks_.begin(), [](double a) { return T(a); });
  }

  Index adjoint_rows() const { return this->n_hidden_; }  ///< dL/dh_t, which reaches h_{t-1} through the leak alone

 protected:
  /// Call f(a, i) for each vector i of a panel with one row per unit, and the unit's leak a.
  template <class F>
  void for_each_vector(Index width, const F& f) const {
    Index i = 0;
    for (const T leak : leaks_) {
      for (const Index end = i + width; i < end; i += lanes<T>) f(leak, i);
    }
  }

  Activation activation_;

 private:
  std::vector<T> leaks_;
};

}  // namespace cells
}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
