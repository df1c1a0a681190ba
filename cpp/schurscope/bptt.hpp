// Exact gradients by backpropagation through time. With the state s_t = [r_{t-1}; 1; x_t], the u_t that the readout
// reads, such as r_t, and e_t and d_t of adjoints.hpp,
//
//     dL/d[W_hh | b_h | W_xh] = Σ_t d_t s_tᵀ,    dL/d[W_hy | b_y] = Σ_t e_t [u_t; 1]ᵀ.
#pragma once

#include <utility>

#include "schurscope/adjoints.hpp"
#include "schurscope/gradient_sums.hpp"
#include "schurscope/matrix.hpp"

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

/// Gradients of the loss by the two passes of adjoints.hpp. Its memory is reused from batch to batch.
template <class Cell>
class Backpropagation {
  using T = typename Cell::Scalar;

 public:
  /// Allocates for trials of this length and networks of these widths.
  Backpropagation(const NetworkView<T>& network, const Cell& cell, Index n_steps)
      : passes_(network, cell, n_steps), product_rows_(cell.product_rows()) {
    const Index width = panel_lanes<T>;
    recurrent_gradient_.resize(product_rows_, cell.depth());
    readout_gradient_.resize(network.n_outputs, network.readout_depth());
    transposed_.resize(static_cast<std::size_t>(recurrent_gradient_.columns() * width));
    next_transposed_.resize(static_cast<std::size_t>(recurrent_gradient_.columns() * width));
    read_transposed_.resize(static_cast<std::size_t>(readout_gradient_.columns() * width));
  }

  /// Mean squared error over channels and weighted steps, Σ w (ŷ - y)² / (n_outputs Σ w), and its gradient.
  /// Without any weight both are 0.
  double loss_gradient(const NetworkView<T>& network, const TrialsView<T>& trials, const GradientView<T>& gradient,
                       Interrupt& interrupt) {
    passes_.pack(network);
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
        loss += run_panel<decltype(v)::value>(network, static_cast<T>(scale), interrupt);
      });
    }
    write_gradient(network, gradient);
    return loss * scale;
  }

 private:
  /// Adds the panel's gradients; returns Σ w (ŷ - y)².
  template <int V>
  double run_panel(const NetworkView<T>& network, T scale, Interrupt& interrupt) {
    constexpr Index width = V * lanes<T>;
    const Index columns = recurrent_gradient_.columns();
    double loss = 0;
    passes_.template forward<V>(network, panel_, interrupt, [&](Index t, T* error) {
      loss +=
          output_error(network.output, network.n_outputs, width, panel_.targets(t), panel_.weights(t), scale, error);
    });
    transpose_panel<V>(passes_.last_state(width), readout_gradient_.columns(), columns, next_transposed_.data());
    passes_.template backward<V>(
        network, panel_, interrupt,
        [&](const T* error, const T* next, const T* read) { add_readout_gradient<V>(error, next, read); },
        [&](Index, const T* delta, const T* state) {
          transpose_panel<V>(state, columns, columns, transposed_.data());
          recurrent_gradient_.add(delta, state, transposed_.data(), columns, width);
          std::swap(transposed_, next_transposed_);
        });
    return loss;
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
    for (Index i = 0; i < product_rows_; ++i) {
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

  AdjointPasses<Cell> passes_;
  Index product_rows_;
  TrialPanel<T> panel_;
  AlignedBuffer<T> transposed_, next_transposed_;  // s_tᵀ, (width, columns)
  AlignedBuffer<T> read_transposed_;               // [u_t; 1]ᵀ, unless it is in s_tᵀ
  GradientSums<T> recurrent_gradient_, readout_gradient_;
};

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
