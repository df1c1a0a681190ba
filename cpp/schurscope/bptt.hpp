// Exact gradients by backpropagation through time. With the state s_t = [r_{t-1}; 1; x_t], the u_t that the readout
// reads, such as r_t, and e_t and d_t of adjoints.hpp,
//
//     dL/d[W_hh | b_h | W_xh] = Σ_t d_t s_tᵀ,    dL/d[W_hy | b_y] = Σ_t e_t [u_t; 1]ᵀ,
//
// the former in the parts that the cell names (outer_products).
#pragma once

#include <utility>
#include <vector>

#include "schurscope/adjoints.hpp"
#include "schurscope/gradient_sums.hpp"
#include "schurscope/matrix.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

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
      : cell_(cell), passes_(network, cell, n_steps), parts_(cell.outer_products()), sums_(parts_.size()) {
    readout_gradient_.resize(network.n_outputs, network.readout_depth());
    stride_ = readout_gradient_.columns();
    for (std::size_t k = 0; k < parts_.size(); ++k) {
      sums_[k].resize(parts_[k].rows, parts_[k].columns);
      stride_ = std::max(stride_, sums_[k].columns());
    }
    for (auto* const buffer : {&transposed_, &next_transposed_, &read_transposed_})
      buffer->resize(static_cast<std::size_t>(stride_ * panel_lanes<T>));
  }

  /// Mean squared error over channels and weighted steps, Σ w (ŷ - y)² / (n_outputs Σ w), and its gradient.
  /// Without any weight both are 0.
  double loss_gradient(const NetworkView<T>& network, const TrialsView<T>& trials, const GradientView<T>& gradient,
                       Interrupt& interrupt);

 private:
  /// Adds the panel's gradients; returns Σ w (ŷ - y)².
  template <int V>
  double run_panel(const NetworkView<T>& network, T scale, Interrupt& interrupt) {
    constexpr Index width = V * lanes<T>;
    double loss = 0;
    passes_.template forward<V>(network, panel_, interrupt, [&](Index t, T* error) {
      loss +=
          output_error(network.output, network.n_outputs, width, panel_.targets(t), panel_.weights(t), scale, error);
    });
    transpose_panel<V>(passes_.last_state(width), readout_gradient_.columns(), stride_, next_transposed_.data());
    passes_.template backward<V>(
        network, panel_, interrupt,
        [&](const T* error, const T* next, const T* read) { add_readout_gradient<V>(error, next, read); },
        [&](Index, const T* delta, const T* state) { add_recurrent_gradient<V>(delta, state); });
    return loss;
  }

  /// The transpose of the first part's operand, which begins with r_{t-1}, serves the readout of the step before.
  template <int V>
  void add_recurrent_gradient(const T* delta, const T* state) {
    constexpr Index width = V * lanes<T>;
    for (std::size_t k = 0; k < parts_.size(); ++k) {
      const OuterProduct& part = parts_[k];
      AlignedBuffer<T>& transposed = k == 0 ? transposed_ : read_transposed_;
      const T* const operand = state + part.state_row * width;
      transpose_panel<V>(operand, sums_[k].columns(), stride_, transposed.data());
      sums_[k].add(delta + part.delta_row * width, operand, transposed.data(), stride_, width);
    }
    std::swap(transposed_, next_transposed_);
  }

  /// For u_t in the state, whose transpose is at hand, or on the tape.
  template <int V>
  void add_readout_gradient(const T* error, const T* next, const T* read) {
    constexpr Index width = V * lanes<T>;
    const T* transposed = next_transposed_.data();
    if (read != next) {
      transpose_panel<V>(read, readout_gradient_.columns(), stride_, read_transposed_.data());
      transposed = read_transposed_.data();
    }
    readout_gradient_.add(error, read, transposed, stride_, width);
  }

  void write_gradient(const NetworkView<T>& network, const GradientView<T>& gradient) {
    cell_.write_gradient(sums_, gradient);
    const Index n_hidden = network.n_hidden;
    for (Index i = 0; i < network.n_outputs; ++i) {
      const T* const row = readout_gradient_.row(i);
      std::copy_n(row, n_hidden, gradient.W_hy + i * n_hidden);
      if (gradient.b_y != nullptr) gradient.b_y[i] = row[n_hidden];
    }
  }

  Cell cell_;
  AdjointPasses<Cell> passes_;
  std::vector<OuterProduct> parts_;
  std::vector<GradientSums<T>> sums_;  // of the parts
  GradientSums<T> readout_gradient_;
  TrialPanel<T> panel_;
  Index stride_;                                   // of the transposes
  AlignedBuffer<T> transposed_, next_transposed_;  // of the first part's operand, (width, stride)
  AlignedBuffer<T> read_transposed_;               // of another part's, or of [u_t; 1] that is not in the state
};

// Outside the class, so that it is compiled where it is instantiated explicitly and nowhere else.
template <class Cell>
double Backpropagation<Cell>::loss_gradient(const NetworkView<T>& network, const TrialsView<T>& trials,
                                            const GradientView<T>& gradient, Interrupt& interrupt) {
  passes_.pack(network);
  for (GradientSums<T>& sums : sums_) sums.clear();
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

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
