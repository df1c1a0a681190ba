// Shared by the cells with gates: the rows of the state [h; 1; x], a tile's work in registers, and the logistic gates.
//
// A tile holds all gates of one unit, so that the step applies the nonlinearities and updates the unit while its products
// are in registers. The weights' rows are interleaved for that: row G u + g is unit u's of gate g.
#pragma once

#include <algorithm>
#include <vector>

#include "schurscope/cells/step.hpp"
#include "schurscope/gradient_sums.hpp"
#include "schurscope/logistic.hpp"
#include "schurscope/network.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {
namespace cells {

template <class T>
class Gated {
 public:
  using Scalar = T;

  explicit Gated(const NetworkView<T>& network)
      : n_hidden_(network.n_hidden),
        n_inputs_(network.n_inputs),
        biases_(network.has_bias() ? 1 : 0),
        n_gates_(network.n_gates()) {}

  Index depth() const { return n_hidden_ + biases_ + n_inputs_; }
  Index gates() const { return n_gates_; }

  /// The rates are h_t, which the readout reads.
  const T* read(const T* state, const T* /*carried*/) const { return state; }
  const T* hidden(const T* read, const T* /*carried*/) const { return read; }

 protected:
  /// The inner index from which the products with [r_{t-1}; 1; x_t] are not 0.
  Index first_index(const Step<T>& step) const { return step.at_rest ? n_hidden_ : 0; }

  static Vec<T> logistic(Vec<T> x) { return simd::logistic<T>(x); }
  static Vec<T> slope(Vec<T> gate) { return activations::Sigmoid::slope<T>(gate); }

  static void copy_or_clear(const T* from, Index size, T* to) {
    if (from != nullptr) {
      std::copy_n(from, size, to);
    } else {
      std::fill_n(to, size, T(0));
    }
  }

  MatrixView<T> column(const T* bias, Index gate) const { return {bias + gate * n_hidden_, n_hidden_, 1, 1}; }

  Index n_hidden_, n_inputs_, biases_, n_gates_;
};

}  // namespace cells
}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
