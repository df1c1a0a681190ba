// Adjoints of a network's steps by a forward and a reverse pass over one panel of trials.
//
// For a function L of the outputs, with the cell's products z_t and the u_t that the readout reads, such as r_t:
//
//     e_t = dL/d(W_hy u_t + b_y),   d_t = dL/dz_t,
//
// where the cell computes d_t from d_{t+1} and e_t (cells/).
#pragma once

#include <utility>

#include "schurscope/rollout.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

/// The weights and the buffers of the two passes, reused from panel to panel.
template <class Cell>
class AdjointPasses {
  using T = typename Cell::Scalar;

 public:
  /// Allocates for trials of this length and networks of these widths.
  AdjointPasses(const NetworkView<T>& network, const Cell& cell, Index n_steps) : cell_(cell), n_steps_(n_steps) {
    const Index width = panel_lanes<T>, n_outputs = network.n_outputs;
    const auto resize = [](auto& buffer, Index size) { buffer.resize(static_cast<std::size_t>(size)); };
    resize(states_, (n_steps + 1) * cell.depth() * width);
    resize(errors_, n_steps * n_outputs * width);
    resize(delta_, (cell.product_rows() + n_outputs) * width);
    resize(next_delta_, (cell.product_rows() + n_outputs) * width);
    resize(carried_, cell.carried_rows() * width);
    resize(tape_, n_steps * cell.tape_rows() * width);
    resize(adjoint_, cell.adjoint_rows() * width);
    resize(scratch_, cell.scratch_rows() * width);
  }

  /// Lays out the network's weights; to be called when they have changed.
  void pack(const NetworkView<T>& network) {
    cell_.pack(network, recurrent_);
    cell_.pack_backward(network, backward_);
    pack_readout(network, readout_);
  }

  /// Runs the panel. At steps with weight, to_error(t, y) replaces y = W_hy u_t + b_y by e_t, (n_outputs, width).
  template <int V, class ToError>
  void forward(const NetworkView<T>& network, const TrialPanel<T>& panel, Interrupt& interrupt,
               const ToError& to_error) {
    constexpr Index width = V * lanes<T>;
    cell_.start(panel.h_0(), width, carried_.data(), states_.data());
    for (Index t = 0; t < n_steps_; ++t) {
      if (t % 16 == 0) interrupt.check();
      T* const now = state(t, width);
      T* const next = state(t + 1, width);
      set_inputs(network, panel.inputs(t), width, now);
      cell_.template advance<V>(recurrent_,
                                Step<T>{now, panel.noise(t), carried_.data(), scratch_.data(), next, tape(t, width)});
      if (network.has_bias()) std::fill_n(next + network.n_hidden * width, width, T(1));
      if (!panel.counts(t)) continue;
      T* const error = errors_.data() + t * network.n_outputs * width;
      multiply<V>(readout_, cell_.read(next, carried_.data()), error);
      to_error(t, error);
    }
  }

  /// Goes back over the steps of the last `forward`. At each t, from the last: on_error(e_t, [r_t; …], [u_t; 1]) at
  /// steps with weight, then on_delta(t, d_t, s_t).
  template <int V, class OnError, class OnDelta>
  void backward(const NetworkView<T>& network, const TrialPanel<T>& panel, Interrupt& interrupt,
                const OnError& on_error, const OnDelta& on_delta) {
    constexpr Index width = V * lanes<T>;
    const Index error_size = network.n_outputs * width, delta_size = cell_.product_rows() * width;
    std::fill_n(delta_.data(), delta_size, T(0));
    adjoint_.clear();
    for (Index t = n_steps_ - 1; t >= 0; --t) {
      if (t % 16 == 0) interrupt.check();
      const T* const now = state(t, width);
      const T* const next = state(t + 1, width);
      T* const error = delta_.data() + delta_size;
      if (panel.counts(t)) {
        std::copy_n(errors_.data() + t * error_size, error_size, error);
        on_error(error, next, cell_.read(next, tape(t, width)));
      } else {
        std::fill_n(error, error_size, T(0));
      }
      cell_.template retreat<V>(backward_, ReverseStep<T>{delta_.data(), now, next, tape(t, width), adjoint_.data(),
                                                          scratch_.data(), next_delta_.data()});
      std::swap(delta_, next_delta_);
      on_delta(t, delta_.data(), now);
    }
  }

  /// [r_T; 1] after the last step.
  const T* last_state(Index width) { return state(n_steps_, width); }

 private:
  T* state(Index t, Index width) { return states_.data() + t * cell_.depth() * width; }
  T* tape(Index t, Index width) { return tape_.data() + t * cell_.tape_rows() * width; }

  Cell cell_;
  Index n_steps_;
  typename Cell::Packed recurrent_, backward_;
  PackedMatrix<T> readout_;
  AlignedBuffer<T> states_, errors_;  // s_t, (steps + 1, depth, width); e_t, (steps, n_outputs, width)
  AlignedBuffer<T> carried_, tape_, adjoint_, scratch_;  // the cell's: see cells/
  AlignedBuffer<T> delta_, next_delta_;                  // [d_{t+1}; e_t]
};

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
