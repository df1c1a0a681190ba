// A recurrent network: views of the caller's arrays, the same weights packed for the kernel, and its cell.
//
// With the leak a, the activation φ, the output nonlinearity ψ and an input e_t (noise, or 0), a step is
//
//     rate form:     h_t = (1 - a) h_{t-1} + a φ(z_t),   z_t = W_hh h_{t-1} + W_xh x_t + b_h + e_t,      y_t = ψ(W_hy h_t + b_y)
//     current form:  h_t = (1 - a) h_{t-1} + a z_t,      z_t = W_hh φ(h_{t-1}) + W_xh x_t + b_h + e_t,   y_t = ψ(W_hy φ(h_t) + b_y)
//
// What the weights act on, h or φ(h), is called the rates. Rates are h itself in the rate form.
#pragma once

#include "schurscope/activation.hpp"
#include "schurscope/tile.hpp"

namespace schurscope {

enum class Form { rate, current };

template <class T>
struct Cell {
  Activation activation = Activation::tanh;
  Form form = Form::rate;
  T leak = T(1);
  Activation output = Activation::identity;

  /// h_t = tanh(z_t), for which the kernels have a faster way.
  bool plain() const { return activation == Activation::tanh && form == Form::rate && leak == T(1); }
};

/// Row-major weights that belong to the caller; a bias that is null is zero.
template <class T>
struct NetworkView {
  Index n_hidden, n_inputs, n_outputs;
  const T* W_hh;
  const T* W_xh;
  const T* W_hy;
  const T* b_h;
  const T* b_y;
  Cell<T> cell{};

  MatrixView<T> recurrent() const { return {W_hh, n_hidden, n_hidden, n_hidden}; }
  MatrixView<T> encoder() const { return {W_xh, n_hidden, n_inputs, n_inputs}; }
  MatrixView<T> readout() const { return {W_hy, n_outputs, n_hidden, n_hidden}; }
  bool has_bias() const { return b_h != nullptr || b_y != nullptr; }

  /// A bias is the weight of a constant input. The kernel's state is the panel [h; 1; x], the 1 only where it is needed,
  /// so that [W_hh | b_h | W_xh] and [W_hy | b_y] each act on consecutive rows of it.
  Index readout_depth() const { return n_hidden + (has_bias() ? 1 : 0); }
  Index depth() const { return readout_depth() + n_inputs; }
};

/// [W_hh | b_h | W_xh]
template <class T>
void pack_recurrent(const NetworkView<T>& network, PackedMatrix<T>& packed) {
  packed.reset(network.n_hidden, network.depth());
  packed.put(network.recurrent(), 0);
  if (network.b_h != nullptr) packed.put({network.b_h, network.n_hidden, 1, 1}, network.n_hidden);
  packed.put(network.encoder(), network.readout_depth());
}

/// [W_hy | b_y]
template <class T>
void pack_readout(const NetworkView<T>& network, PackedMatrix<T>& packed) {
  packed.reset(network.n_outputs, network.readout_depth());
  packed.put(network.readout(), 0);
  if (network.b_y != nullptr) packed.put({network.b_y, network.n_outputs, 1, 1}, network.n_hidden);
}

}  // namespace schurscope
