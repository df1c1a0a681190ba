// Shared by the cells without gates: z_t = W_hh r_{t-1} + W_xh x_t + b_h, a product with one row per unit, which the
// step turns into the next rates in place.
#pragma once

#include <algorithm>
#include <vector>

#include "schurscope/cells/step.hpp"
#include "schurscope/gradient_sums.hpp"
#include "schurscope/network.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {
namespace cells {

template <class T>
class Ungated {
 public:
  using Scalar = T;
  using Packed = PackedMatrix<T>;

  explicit Ungated(const NetworkView<T>& network)
      : n_hidden_(network.n_hidden), n_inputs_(network.n_inputs), depth_(network.depth()) {}

  Index depth() const { return depth_; }
  Index product_rows() const { return n_hidden_; }
  Index carried_rows() const { return 0; }
  Index tape_rows() const { return 0; }
  Index adjoint_rows() const { return 0; }
  Index scratch_rows() const { return 0; }

  Index gates() const { return 1; }
  Index delta_row(Index /*gate*/) const { return 0; }
  Index operand_row(Index /*gate*/) const { return 0; }
  std::vector<OuterProduct> outer_products() const { return {{0, n_hidden_, 0, depth_}}; }
  void write_gradient(std::vector<GradientSums<T>>& sums, const GradientView<T>& gradient) const {
    write_rows(sums.front(), n_hidden_, n_hidden_, n_inputs_, gradient);
  }

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
  Index n_hidden_, n_inputs_, depth_;
};

}  // namespace cells
}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
