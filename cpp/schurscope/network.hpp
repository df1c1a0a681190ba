// A recurrent network: views of the caller's arrays, a description of its cell, and the packed weights.
//
// Each step maps the state and an input x_t to rates r_t, which act on other units through W_hh, and gives outputs
//
//     y_t = ψ(W_hy u_t + b_y).
//
// The cell defines the rates and u_t, which is r_t in all cells but one: see cells/. A gated cell has a recurrent matrix,
// an encoder and a bias for each gate, one below the other in W_hh, W_xh and b_h.
#pragma once

#include "schurscope/activation.hpp"
#include "schurscope/tile.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

/// The equations of a step. Without gates the state is the rate φ(…), or the current that φ is applied to. The reset of a
/// GRU multiplies the recurrent product of the candidate, or the state before that product.
enum class Form { rate, current, gru_reset_after, gru_reset_before, lstm };

/// Recurrent matrices of a network, one for each gate.
inline Index gates_of(Form form) {
  if (form == Form::lstm) return 4;
  return form == Form::gru_reset_after || form == Form::gru_reset_before ? 3 : 1;
}

/// Vectors of N_h numbers that a trial starts from: h_0, and c_0 of the LSTM.
inline Index starts_of(Form form) { return form == Form::lstm ? 2 : 1; }

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
  const T* b_hn = nullptr;                      ///< bias of the candidate's recurrent product, if the reset comes after

  Index n_gates() const { return gates_of(cell.form); }
  Index product_rows() const { return n_gates() * n_hidden; }
  /// Those of all gates.
  MatrixView<T> recurrent() const { return {W_hh, product_rows(), n_hidden, n_hidden}; }
  MatrixView<T> encoder() const { return {W_xh, product_rows(), n_inputs, n_inputs}; }
  /// Those of one gate.
  MatrixView<T> recurrent(Index gate) const {
    return {W_hh + gate * n_hidden * n_hidden, n_hidden, n_hidden, n_hidden};
  }
  MatrixView<T> encoder(Index gate) const { return {W_xh + gate * n_hidden * n_inputs, n_hidden, n_inputs, n_inputs}; }
  MatrixView<T> readout() const { return {W_hy, n_outputs, n_hidden, n_hidden}; }
  bool has_bias() const { return b_h != nullptr || b_y != nullptr || b_hn != nullptr; }

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
  packed.reset(network.n_hidden, network.product_rows() + network.n_outputs);
  packed.put_transposed(network.recurrent(), 0);
  packed.put_transposed(network.readout(), network.product_rows());
}

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
