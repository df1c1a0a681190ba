// Exact gradients by back-propagation through time, on rollout.hpp's step.
//
// With a_t = W_xh x_t + W_hh h_{t-1} + b_h, e_t = dL/dŷ_t and d_t = dL/da_t the reverse pass is
//
//     d_t = (W_hhᵀ d_{t+1} + W_hyᵀ e_t) ∘ (1 - h_t²),
//     dL/d[W_hh | b_h | W_xh] = Σ_t d_t [h_{t-1}; 1; x_t]ᵀ,    dL/d[W_hy | b_y] = Σ_t e_t [h_t; 1]ᵀ.
//
// The first line is the forward pass's kernel with the transposed weights. The outer products sum over trials, which lie
// in the lanes: the state is transposed first (trials × units), so that they run through the same register tile.
#pragma once

#include "schurscope/rollout.hpp"

namespace schurscope {

/// Gradients of NetworkView's arrays, in their layouts; a null pointer is a gradient nobody wants.
template <class T>
struct GradientView {
  T* W_hh;
  T* W_xh;
  T* W_hy;
  T* b_h;
  T* b_y;
};

/// The buffers of the two passes over one panel, reused from batch to batch.
template <class T>
class Backpropagation {
 public:
  /// Room for trials of this length and these widths.
  void resize(const NetworkView<T>& network, Index n_steps) {
    const Index width = panel_lanes<T>;
    n_steps_ = n_steps;
    depth_ = network.depth();
    columns_ = (depth_ + lanes<T> - 1) / lanes<T> * lanes<T>;
    readout_columns_ = (network.readout_depth() + lanes<T> - 1) / lanes<T> * lanes<T>;
    const auto resize = [](auto& buffer, Index size) { buffer.resize(static_cast<std::size_t>(size)); };
    resize(inputs_, n_steps * network.n_inputs * width);
    resize(targets_, n_steps * network.n_outputs * width);
    resize(weights_, n_steps * width);
    resize(states_, (n_steps + 1) * depth_ * width);
    resize(errors_, n_steps * network.n_outputs * width);
    resize(delta_, (network.n_hidden + network.n_outputs) * width);
    resize(next_delta_, (network.n_hidden + network.n_outputs) * width);
    resize(transposed_, columns_ * width);
    resize(next_transposed_, columns_ * width);
    resize(recurrent_gradient_, network.n_hidden * columns_);
    resize(readout_gradient_, network.n_outputs * readout_columns_);
    weighted_.resize(static_cast<std::size_t>(n_steps));
  }

  /// Mean squared error over channels and weighted steps, Σ w (ŷ - y)² / (n_outputs Σ w), and its gradient.
  /// Without any weight both are 0.
  double loss_gradient(const NetworkView<T>& network, const TrialsView<T>& trials, const GradientView<T>& gradient) {
    pack_recurrent(network, recurrent_);
    pack_readout(network, readout_);
    backward_.reset(network.n_hidden, network.n_hidden + network.n_outputs);
    backward_.put_transposed(network.recurrent(), 0);
    backward_.put_transposed(network.readout(), network.n_hidden);
    recurrent_gradient_.clear();
    readout_gradient_.clear();

    double total_weight = 0;
    for (Index i = 0; i < trials.n_trials * trials.n_steps; ++i) total_weight += static_cast<double>(trials.weights[i]);
    const double scale = total_weight > 0 ? 1 / (total_weight * static_cast<double>(network.n_outputs)) : 0;

    double loss = 0;
    const PanelLayout<T> layout{trials.n_trials};
    for (Index p = 0; p < layout.count(); ++p) {
      load_panel(trials, layout, p);
      detail::with_constant(layout.vectors(p), [&](auto v) {
        constexpr int V = decltype(v)::value;
        loss += forward<V>(network, static_cast<T>(scale));
        backward<V>(network);
      });
    }
    write_gradient(network, gradient);
    return loss * scale;
  }

 private:
  void load_panel(const TrialsView<T>& trials, const PanelLayout<T>& layout, Index p) {
    const Index first = layout.first(p), count = layout.size(p), width = layout.width(p);
    to_panel(trials.inputs, first, count, n_steps_, trials.n_inputs, width, inputs_.data());
    to_panel(trials.targets, first, count, n_steps_, trials.n_outputs, width, targets_.data());
    to_panel(trials.weights, first, count, n_steps_, Index{1}, width, weights_.data());
    for (Index t = 0; t < n_steps_; ++t) {
      const T* const w = weights_.data() + t * width;
      weighted_[static_cast<std::size_t>(t)] = std::any_of(w, w + width, [](T value) { return value != T(0); });
    }
  }

  /// Fills states_[t] = [h_{t-1}; 1; x_t] for t = 0 … n_steps and errors_[t] = dL/dŷ_t; returns Σ w (ŷ - y)².
  template <int V>
  double forward(const NetworkView<T>& network, T scale) {
    constexpr Index width = V * lanes<T>;
    Vec<T> step_loss;
    double loss = 0;
    std::fill_n(states_.data(), network.n_hidden * width, T(0));
    for (Index t = 0; t < n_steps_; ++t) {
      T* const state = states_.data() + t * depth_ * width;
      T* const next = state + depth_ * width;
      set_inputs(network, inputs_.data() + t * network.n_inputs * width, width, state);
      step<V>(recurrent_, state, next);
      if (network.has_bias()) std::fill_n(next + network.n_hidden * width, width, T(1));
      if (!weighted_[static_cast<std::size_t>(t)]) continue;
      T* const error = errors_.data() + t * network.n_outputs * width;
      const T* const target = targets_.data() + t * network.n_outputs * width;
      const T* const weight = weights_.data() + t * width;
      step_loss = Vec<T>{};
      multiply<V>(readout_, next, error, [&](Vec<T> y, Index at) {
        const Vec<T> difference = y - load(target + at);
        const Vec<T> weighted = difference * load(weight + at % width);
        step_loss += weighted * difference;
        return weighted * (2 * scale);
      });
      for (int l = 0; l < lanes<T>; ++l) loss += static_cast<double>(step_loss[l]);
    }
    return loss;
  }

  template <int V>
  void backward(const NetworkView<T>& network) {
    constexpr Index width = V * lanes<T>;
    const Index n_hidden = network.n_hidden, n_outputs = network.n_outputs;
    std::fill_n(delta_.data(), n_hidden * width, T(0));
    transpose<V>(states_.data() + n_steps_ * depth_ * width, network.readout_depth(), next_transposed_.data());
    for (Index t = n_steps_ - 1; t >= 0; --t) {
      const T* const state = states_.data() + t * depth_ * width;
      const T* const h = state + depth_ * width;
      T* const error = delta_.data() + n_hidden * width;
      if (weighted_[static_cast<std::size_t>(t)]) {
        std::copy_n(errors_.data() + t * n_outputs * width, n_outputs * width, error);
        add_product(error, n_outputs, width, width, next_transposed_.data(), columns_, readout_gradient_.data(),
                    readout_columns_, readout_columns_);
      } else {
        std::fill_n(error, n_outputs * width, T(0));
      }
      multiply<V>(backward_, delta_.data(), next_delta_.data(), [&](Vec<T> sum, Index at) {
        const Vec<T> hidden = load(h + at);
        return sum - sum * (hidden * hidden);
      });
      std::swap(delta_, next_delta_);
      transpose<V>(state, depth_, transposed_.data());
      add_product(delta_.data(), n_hidden, width, width, transposed_.data(), columns_, recurrent_gradient_.data(),
                  columns_, columns_);
      std::swap(transposed_, next_transposed_);
    }
  }

  /// Panel (rows, width) to (width, columns_), rows up to a whole vector with zeros.
  template <int V>
  void transpose(const T* panel, Index rows, T* out) const {
    constexpr Index width = V * lanes<T>;
    for (Index row = 0; row < rows; row += lanes<T>) {
      const Index height = std::min<Index>(lanes<T>, rows - row);
      for (Index v = 0; v < V; ++v) {
        Vec<T> square[lanes<T>];
        for (Index i = 0; i < height; ++i) square[i] = load(panel + (row + i) * width + v * lanes<T>);
        for (Index i = height; i < lanes<T>; ++i) square[i] = Vec<T>{};
        transpose_square<T>(square);
        for (Index i = 0; i < lanes<T>; ++i) store(out + (v * lanes<T> + i) * columns_ + row, square[i]);
      }
    }
  }

  void write_gradient(const NetworkView<T>& network, const GradientView<T>& gradient) const {
    const Index n_hidden = network.n_hidden, n_inputs = network.n_inputs, n_outputs = network.n_outputs;
    for (Index i = 0; i < n_hidden; ++i) {
      const T* const row = recurrent_gradient_.data() + i * columns_;
      std::copy_n(row, n_hidden, gradient.W_hh + i * n_hidden);
      std::copy_n(row + network.readout_depth(), n_inputs, gradient.W_xh + i * n_inputs);
      if (gradient.b_h != nullptr) gradient.b_h[i] = row[n_hidden];
    }
    for (Index i = 0; i < n_outputs; ++i) {
      const T* const row = readout_gradient_.data() + i * readout_columns_;
      std::copy_n(row, n_hidden, gradient.W_hy + i * n_hidden);
      if (gradient.b_y != nullptr) gradient.b_y[i] = row[n_hidden];
    }
  }

  Index n_steps_ = 0, depth_ = 0, columns_ = 0, readout_columns_ = 0;
  PackedMatrix<T> recurrent_, readout_, backward_;
  AlignedBuffer<T> inputs_, targets_, weights_;    // the panel's trials: (steps, features, width)
  AlignedBuffer<T> states_, errors_;               // (steps + 1, depth, width), (steps, n_outputs, width)
  AlignedBuffer<T> delta_, next_delta_;            // [d_{t+1}; e_t]
  AlignedBuffer<T> transposed_, next_transposed_;  // [h_{t-1}; 1; x_t]ᵀ, (width, columns_)
  AlignedBuffer<T> recurrent_gradient_, readout_gradient_;
  std::vector<char> weighted_;  // per step: whether any trial of the panel has weight
};

}  // namespace schurscope
