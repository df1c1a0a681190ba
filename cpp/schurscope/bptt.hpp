// Exact gradients by backpropagation through time, using the steps of cells/.
//
// With the state s_t = [r_{t-1}; 1; x_t], the cell's products z_t, the u_t that the readout reads, such as r_t,
// e_t = dL/d(W_hy u_t + b_y) and d_t = dL/dz_t, which the cell computes from d_{t+1} and e_t,
//
//     dL/d[W_hh | b_h | W_xh] = Σ_t d_t s_tᵀ,    dL/d[W_hy | b_y] = Σ_t e_t [u_t; 1]ᵀ.
#pragma once

#include <utility>

#include "schurscope/gradient_sums.hpp"
#include "schurscope/matrix.hpp"
#include "schurscope/rollout.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

/// Gradients of NetworkView's arrays, in their layouts; a null pointer omits that gradient.
template <class T>
struct GradientView {
  T* W_hh;
  T* W_xh;
  T* W_hy;
  T* b_h;
  T* b_y;
};

/// e = dL/d(W_hy u + b_y) for L = scale · Σ w (y - target)²; y = ψ(…) becomes e in place. Returns Σ w (y - target)².
template <class T>
double output_error(Activation output, Index n_outputs, Index width, const T* target, const T* weight, T scale, T* y) {
  Vec<T> loss{};
  activate(output, n_outputs * width, y);
  output.visit([&](auto psi) {
    for (Index i = 0; i < n_outputs * width; i += lanes<T>) {
      const Vec<T> value = simd::load(y + i), difference = value - simd::load(target + i);
      const Vec<T> weighted = difference * simd::load(weight + i % width);
      loss += weighted * difference;
      simd::store(y + i, weighted * (T(2) * scale) * psi.template slope<T>(value));
    }
  });
  return simd::total<T>(loss);
}

/// The buffers of the two passes over one panel, reused from batch to batch.
template <class Cell>
class Backpropagation {
  using T = typename Cell::Scalar;

 public:
  /// Allocates for trials of this length and networks of these widths.
  Backpropagation(const NetworkView<T>& network, const Cell& cell, Index n_steps) : cell_(cell), n_steps_(n_steps) {
    const Index width = panel_lanes<T>, n_outputs = network.n_outputs;
    const auto resize = [](auto& buffer, Index size) { buffer.resize(static_cast<std::size_t>(size)); };
    recurrent_gradient_.resize(cell.product_rows(), cell.depth());
    readout_gradient_.resize(n_outputs, network.readout_depth());
    resize(states_, (n_steps + 1) * cell.depth() * width);
    resize(errors_, n_steps * n_outputs * width);
    resize(delta_, (cell.product_rows() + n_outputs) * width);
    resize(next_delta_, (cell.product_rows() + n_outputs) * width);
    resize(transposed_, recurrent_gradient_.columns() * width);
    resize(next_transposed_, recurrent_gradient_.columns() * width);
    resize(read_transposed_, readout_gradient_.columns() * width);
    resize(carried_, cell.carried_rows() * width);
    resize(tape_, n_steps * cell.tape_rows() * width);
    resize(adjoint_, cell.adjoint_rows() * width);
    resize(scratch_, cell.scratch_rows() * width);
  }

  /// Mean squared error over channels and weighted steps, Σ w (ŷ - y)² / (n_outputs Σ w), and its gradient.
  /// Without any weight both are 0.
  double loss_gradient(const NetworkView<T>& network, const TrialsView<T>& trials, const GradientView<T>& gradient,
                       Interrupt& interrupt) {
    cell_.pack(network, recurrent_);
    cell_.pack_backward(network, backward_);
    pack_readout(network, readout_);
    recurrent_gradient_.clear();
    readout_gradient_.clear();

    using Weights = Eigen::Array<T, Eigen::Dynamic, 1>;
    const Eigen::Map<const Weights> weights(trials.weights, trials.n_trials * trials.n_steps);
    const double total_weight = weights.template cast<double>().sum();
    const double scale = total_weight > 0 ? 1 / (total_weight * static_cast<double>(network.n_outputs)) : 0;

    double loss = 0;
    for (Index p = 0; p < PanelLayout<T>{trials.n_trials}.count(); ++p) {
      panel_.load(trials, p);
      detail::with_constant(panel_.vectors(), [&](auto v) {
        constexpr int V = decltype(v)::value;
        loss += forward<V>(network, static_cast<T>(scale), interrupt);
        backward<V>(network, interrupt);
      });
    }
    write_gradient(network, gradient);
    return loss * scale;
  }

 private:
  T* state(Index t, Index width) { return states_.data() + t * cell_.depth() * width; }
  T* tape(Index t, Index width) { return tape_.data() + t * cell_.tape_rows() * width; }

  /// Fills states_ with s_0 … s_{n_steps}, errors_ with e_t and tape_; returns Σ w (ŷ - y)².
  template <int V>
  double forward(const NetworkView<T>& network, T scale, Interrupt& interrupt) {
    constexpr Index width = V * lanes<T>;
    const Index n_outputs = network.n_outputs;
    double loss = 0;
    cell_.start(panel_.h_0(), width, carried_.data(), states_.data());
    for (Index t = 0; t < n_steps_; ++t) {
      if (t % 16 == 0) interrupt.check();
      T* const now = state(t, width);
      T* const next = state(t + 1, width);
      set_inputs(network, panel_.inputs(t), width, now);
      cell_.template advance<V>(recurrent_,
                                Step<T>{now, panel_.noise(t), carried_.data(), scratch_.data(), next, tape(t, width)});
      if (network.has_bias()) std::fill_n(next + network.n_hidden * width, width, T(1));
      if (!panel_.counts(t)) continue;
      T* const error = errors_.data() + t * n_outputs * width;
      multiply<V>(readout_, cell_.read(next, carried_.data()), error);
      loss += output_error(network.output, n_outputs, width, panel_.targets(t), panel_.weights(t), scale, error);
    }
    return loss;
  }

  template <int V>
  void backward(const NetworkView<T>& network, Interrupt& interrupt) {
    constexpr Index width = V * lanes<T>;
    const Index n_outputs = network.n_outputs, delta_size = cell_.product_rows() * width;
    const Index columns = recurrent_gradient_.columns();
    std::fill_n(delta_.data(), delta_size, T(0));
    adjoint_.clear();
    transpose_panel<V>(state(n_steps_, width), readout_gradient_.columns(), columns, next_transposed_.data());
    for (Index t = n_steps_ - 1; t >= 0; --t) {
      if (t % 16 == 0) interrupt.check();
      const T* const now = state(t, width);
      const T* const next = state(t + 1, width);
      T* const error = delta_.data() + delta_size;
      if (panel_.counts(t)) {
        std::copy_n(errors_.data() + t * n_outputs * width, n_outputs * width, error);
        add_readout_gradient<V>(error, next, cell_.read(next, tape(t, width)));
      } else {
        std::fill_n(error, n_outputs * width, T(0));
      }
      cell_.template retreat<V>(backward_, ReverseStep<T>{delta_.data(), now, next, tape(t, width), adjoint_.data(),
                                                          scratch_.data(), next_delta_.data()});
      std::swap(delta_, next_delta_);
      transpose_panel<V>(now, columns, columns, transposed_.data());
      recurrent_gradient_.add(delta_.data(), now, transposed_.data(), columns, width);
      std::swap(transposed_, next_transposed_);
    }
  }

  /// For u_t in the state, whose transpose is at hand, or on the tape.
  template <int V>
  void add_readout_gradient(const T* error, const T* next, const T* read) {
    constexpr Index width = V * lanes<T>;
    if (read == next) {
      readout_gradient_.add(error, read, next_transposed_.data(), recurrent_gradient_.columns(), width);
    } else {
      const Index columns = readout_gradient_.columns();
      transpose_panel<V>(read, columns, columns, read_transposed_.data());
      readout_gradient_.add(error, read, read_transposed_.data(), columns, width);
    }
  }

  void write_gradient(const NetworkView<T>& network, const GradientView<T>& gradient) {
    const Index n_hidden = network.n_hidden, n_inputs = network.n_inputs;
    for (Index i = 0; i < cell_.product_rows(); ++i) {
      const T* const row = recurrent_gradient_.row(i);
      std::copy_n(row, n_hidden, gradient.W_hh + i * n_hidden);
      std::copy_n(row + network.readout_depth(), n_inputs, gradient.W_xh + i * n_inputs);
      if (gradient.b_h != nullptr) gradient.b_h[i] = row[n_hidden];
    }
    for (Index i = 0; i < network.n_outputs; ++i) {
      const T* const row = readout_gradient_.row(i);
      std::copy_n(row, n_hidden, gradient.W_hy + i * n_hidden);
      if (gradient.b_y != nullptr) gradient.b_y[i] = row[n_hidden];
    }
  }

  Cell cell_;
  Index n_steps_;
  typename Cell::Packed recurrent_, backward_;
  PackedMatrix<T> readout_;
  TrialPanel<T> panel_;
  AlignedBuffer<T> states_, errors_;                     // (steps + 1, depth, width), (steps, n_outputs, width)
  AlignedBuffer<T> carried_, tape_, adjoint_, scratch_;  // the cell's: see cells/
  AlignedBuffer<T> delta_, next_delta_;                  // [d_{t+1}; e_t]
  AlignedBuffer<T> transposed_, next_transposed_;        // s_tᵀ, (width, columns)
  AlignedBuffer<T> read_transposed_;                     // [u_t; 1]ᵀ, unless it is in s_tᵀ
  GradientSums<T> recurrent_gradient_, readout_gradient_;
};

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
