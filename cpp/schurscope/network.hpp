// A recurrent network, h_t = tanh(W_xh x_t + W_hh h_{t-1} + b_h), y_t = W_hy h_t + b_y, h_0 = 0: views of the caller's
// arrays, and the same weights packed for the kernel.
#pragma once

#include "schurscope/tile.hpp"

namespace schurscope {

/// Row-major weights that belong to the caller; a bias that is null is zero.
template <class T>
struct NetworkView {
  Index n_hidden, n_inputs, n_outputs;
  const T* W_hh;
  const T* W_xh;
  const T* W_hy;
  const T* b_h;
  const T* b_y;

  MatrixView<T> recurrent() const { return {W_hh, n_hidden, n_hidden, n_hidden}; }
  MatrixView<T> encoder() const { return {W_xh, n_hidden, n_inputs, n_inputs}; }
  MatrixView<T> readout() const { return {W_hy, n_outputs, n_hidden, n_hidden}; }
  bool has_bias() const { return b_h != nullptr || b_y != nullptr; }

  /// A bias is the weight of a constant input. The kernel's state is the panel [h; 1; x], the 1 only where it is needed,
  /// so that [W_hh | b_h | W_xh] and [W_hy | b_y] each act on consecutive rows of it.
  Index readout_depth() const { return n_hidden + (has_bias() ? 1 : 0); }
  Index depth() const { return readout_depth() + n_inputs; }
};

namespace detail {

template <class T>
void put_bias(PackedMatrix<T>& packed, const T* bias, Index rows, Index column) {
  for (Index i = 0; i < rows; ++i) packed.put(i, column, bias != nullptr ? bias[i] : T(0));
}

}  // namespace detail

/// [W_hh | b_h | W_xh]
template <class T>
void pack_recurrent(const NetworkView<T>& network, PackedMatrix<T>& packed) {
  packed.reset(network.n_hidden, network.depth());
  packed.put(network.recurrent(), 0);
  if (network.has_bias()) detail::put_bias(packed, network.b_h, network.n_hidden, network.n_hidden);
  packed.put(network.encoder(), network.readout_depth());
}

/// [W_hy | b_y]
template <class T>
void pack_readout(const NetworkView<T>& network, PackedMatrix<T>& packed) {
  packed.reset(network.n_outputs, network.readout_depth());
  packed.put(network.readout(), 0);
  if (network.has_bias()) detail::put_bias(packed, network.b_y, network.n_outputs, network.n_hidden);
}

}  // namespace schurscope
