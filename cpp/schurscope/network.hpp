// A recurrent network: views of the caller's arrays, a description of its cell, and the packed weights.
//
// Each step maps the state and an input x_t to rates r_t, which act on other units through W_hh, and gives outputs
//
//     y_t = ψ(W_hy u_t + b_y).
//
// The cell defines the rates and u_t, which is r_t in all cells but one: see cells/.
#pragma once

#include "schurscope/activation.hpp"
#include "schurscope/tile.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

/// Whether the state is the rate φ(…), or the current that φ is applied to.
enum class Form { rate, current };

/// Whether the readout reads the rates r_t or the hidden state h_t. In the rate form they are the same.
enum class Readout { rates, hidden };

/// Description by which `with_cell` (cells/cells.hpp) chooses a cell.
struct CellDescription {
  Activation activation = activations::Tanh{};
  Form form = Form::rate;
  double leak = 1;                ///< of every unit, if they have none of their own
  const double* leaks = nullptr;  ///< of each unit, (n_hidden,), owned by the caller, or null
  Readout readout = Readout::rates;
};

/// Row-major weights owned by the caller; a null bias is zero.
template <class T>
struct NetworkView {
  Index n_hidden, n_inputs, n_outputs;
  const T* W_hh;
  const T* W_xh;
  const T* W_hy;
  const T* b_h;
  const T* b_y;
  CellDescription cell{};
  Activation output = activations::Identity{};  ///< ψ

  MatrixView<T> recurrent() const { return {W_hh, n_hidden, n_hidden, n_hidden}; }
  MatrixView<T> encoder() const { return {W_xh, n_hidden, n_inputs, n_inputs}; }
  MatrixView<T> readout() const { return {W_hy, n_outputs, n_hidden, n_hidden}; }
  bool has_bias() const { return b_h != nullptr || b_y != nullptr; }

  /// A bias is the weight of a constant input. The kernel's state is the panel [r; 1; x], with the 1 only if needed,
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

/// [W_hhᵀ | W_hyᵀ]
template <class T>
void pack_transposed(const NetworkView<T>& network, PackedMatrix<T>& packed) {
  packed.reset(network.n_hidden, network.n_hidden + network.n_outputs);
  packed.put_transposed(network.recurrent(), 0);
  packed.put_transposed(network.readout(), network.n_hidden);
}

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
