// Shared by the cells without gates: z_t = W_hh r_{t-1} + W_xh x_t + b_h, a product with one row per unit, which the
// step turns into the next rates in place.
#pragma once

#include <algorithm>

#include "schurscope/cells/step.hpp"
#include "schurscope/network.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {
namespace cells {

template <class T>
class Ungated {
 public:
  using Scalar = T;
  using Packed = PackedMatrix<T>;

  explicit Ungated(const NetworkView<T>& network) : n_hidden_(network.n_hidden), depth_(network.depth()) {}

  Index depth() const { return depth_; }
  Index product_rows() const { return n_hidden_; }
  Index carried_rows() const { return 0; }
  Index tape_rows() const { return 0; }
  Index adjoint_rows() const { return 0; }
  Index scratch_rows() const { return 0; }

  void pack(const NetworkView<T>& network, Packed& packed) const { pack_recurrent(network, packed); }
  void pack_backward(const NetworkView<T>& network, Packed& packed) const { pack_transposed(network, packed); }

  /// The first rates are h_0 itself.
  void start(const T* h_0, Index width, T* /*carried*/, T* rates) const {
    if (h_0 != nullptr) {
      std::copy_n(h_0, n_hidden_ * width, rates);
    } else {
      std::fill_n(rates, n_hidden_ * width, T(0));
    }
  }

  /// The readout reads the rates, which are h_t.
  const T* read(const T* state, const T* /*carried*/) const { return state; }
  const T* hidden(const T* read, const T* /*carried*/) const { return read; }

 protected:
  Index n_hidden_, depth_;
};

}  // namespace cells
}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
