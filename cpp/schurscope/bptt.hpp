// Exact gradients by back-propagation through time, on rollout.hpp's step.
//
// With the notation of network.hpp, e_t = dL/d(W_hy r_t + b_y) and d_t = dL/dz_t the reverse pass is, for h_t = tanh(z_t),
//
//     d_t = (W_hhᵀ d_{t+1} + W_hyᵀ e_t) ∘ (1 - h_t²),
//     dL/d[W_hh | b_h | W_xh] = Σ_t d_t [r_{t-1}; 1; x_t]ᵀ,    dL/d[W_hy | b_y] = Σ_t e_t [r_t; 1]ᵀ;
//
// `retreat` of cell.hpp has the first line for the other cells. It is the forward pass's kernel with the transposed
// weights. The outer products sum over trials, which lie in the lanes: the state is transposed first (trials × units), so
// that they run through the same register tile; the rows that would not fill a vector are multiplied lane by lane.
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
    const Index width = panel_lanes<T>, n_hidden = network.n_hidden, n_outputs = network.n_outputs;
    n_steps_ = n_steps;
    depth_ = network.depth();
    columns_ = depth_ - depth_ % lanes<T>;
    readout_columns_ = network.readout_depth() - network.readout_depth() % lanes<T>;
    const auto resize = [](auto& buffer, Index size) { buffer.resize(static_cast<std::size_t>(size)); };
    resize(states_, (n_steps + 1) * depth_ * width);
    resize(errors_, n_steps * n_outputs * width);
    resize(delta_, (n_hidden + n_outputs) * width);
    resize(next_delta_, (n_hidden + n_outputs) * width);
    resize(transposed_, columns_ * width);
    resize(next_transposed_, columns_ * width);
    resize(row_, depth_);
    resize(recurrent_gradient_, n_hidden * columns_);
    resize(readout_gradient_, n_outputs * readout_columns_);
    resize(recurrent_rest_, n_hidden * (depth_ - columns_) * lanes<T>);
    resize(readout_rest_, n_outputs * (network.readout_depth() - readout_columns_) * lanes<T>);
    if (network.cell.plain()) return;
    resize(current_, n_hidden * width);
    resize(slopes_, n_steps * n_hidden * width);
    resize(carried_, n_hidden * width);
  }

  /// Mean squared error over channels and weighted steps, Σ w (ŷ - y)² / (n_outputs Σ w), and its gradient.
  /// Without any weight both are 0.
  double loss_gradient(const NetworkView<T>& network, const TrialsView<T>& trials, const GradientView<T>& gradient) {
    pack_recurrent(network, recurrent_);
    pack_readout(network, readout_);
    backward_.reset(network.n_hidden, network.n_hidden + network.n_outputs);
    backward_.put_transposed(network.recurrent(), 0);
    backward_.put_transposed(network.readout(), network.n_hidden);
    for (AlignedBuffer<T>* sums : {&recurrent_gradient_, &readout_gradient_, &recurrent_rest_, &readout_rest_}) {
      sums->clear();
    }

    using Weights = Eigen::Array<T, Eigen::Dynamic, 1>;
    const Eigen::Map<const Weights> weights(trials.weights, trials.n_trials * trials.n_steps);
    const double total_weight = weights.template cast<double>().sum();
    const double scale = total_weight > 0 ? 1 / (total_weight * static_cast<double>(network.n_outputs)) : 0;

    double loss = 0;
    for (Index p = 0; p < PanelLayout<T>{trials.n_trials}.count(); ++p) {
      panel_.load(trials, p);
      detail::with_constant(panel_.vectors(), [&](auto v) {
        constexpr int V = decltype(v)::value;
        loss += forward<V>(network, static_cast<T>(scale));
        backward<V>(network);
      });
    }
    write_gradient(network, gradient);
    return loss * scale;
  }

 private:
  /// Fills states_[t] = [r_{t-1}; 1; x_t] for t = 0 … n_steps and errors_[t] = e_t; returns Σ w (ŷ - y)².
  template <int V>
  double forward(const NetworkView<T>& network, T scale) {
    constexpr Index width = V * lanes<T>;
    const Index n_hidden = network.n_hidden, n_outputs = network.n_outputs;
    const bool plain = network.cell.plain();
    double loss = 0;
    start(network.cell, n_hidden * width, panel_.h_0(), current_.data(), states_.data());
    for (Index t = 0; t < n_steps_; ++t) {
      T* const state = states_.data() + t * depth_ * width;
      T* const next = state + depth_ * width;
      set_inputs(network, panel_.inputs(t), width, state);
      step<V>(network, recurrent_, state, panel_.noise(t), current_.data(), next,
              plain ? nullptr : slopes_.data() + t * n_hidden * width);
      if (network.has_bias()) std::fill_n(next + n_hidden * width, width, T(1));
      if (!panel_.counts(t)) continue;
      T* const error = errors_.data() + t * n_outputs * width;
      multiply<V>(readout_, next, error);
      loss += output_error(network.cell.output, n_outputs, width, panel_.targets(t), panel_.weights(t), scale, error);
    }
    return loss;
  }

  template <int V>
  void backward(const NetworkView<T>& network) {
    constexpr Index width = V * lanes<T>;
    const Index n_hidden = network.n_hidden, n_outputs = network.n_outputs, readout_depth = network.readout_depth();
    const bool plain = network.cell.plain();
    std::fill_n(delta_.data(), n_hidden * width, T(0));
    carried_.clear();
    transpose<V>(states_.data() + n_steps_ * depth_ * width, readout_columns_, next_transposed_.data());
    for (Index t = n_steps_ - 1; t >= 0; --t) {
      const T* const state = states_.data() + t * depth_ * width;
      const T* const next = state + depth_ * width;
      T* const error = delta_.data() + n_hidden * width;
      if (panel_.counts(t)) {
        std::copy_n(errors_.data() + t * n_outputs * width, n_outputs * width, error);
        add_product(error, n_outputs, width, width, next_transposed_.data(), columns_, readout_gradient_.data(),
                    readout_columns_, readout_columns_);
        add_lane_products(error, n_outputs, next + readout_columns_ * width, readout_depth - readout_columns_, width,
                          readout_rest_.data());
      } else {
        std::fill_n(error, n_outputs * width, T(0));
      }
      if (plain) {
        multiply<V>(backward_, delta_.data(), next_delta_.data(), [&](Vec<T> sum, Index at) {
          const Vec<T> h = load(next + at);
          return sum - sum * (h * h);
        });
      } else {
        multiply<V>(backward_, delta_.data(), next_delta_.data());
        retreat(network.cell, n_hidden * width, slopes_.data() + t * n_hidden * width, carried_.data(),
                next_delta_.data());
      }
      std::swap(delta_, next_delta_);
      transpose<V>(state, columns_, transposed_.data());
      add_product(delta_.data(), n_hidden, width, width, transposed_.data(), columns_, recurrent_gradient_.data(),
                  columns_, columns_);
      add_lane_products(delta_.data(), n_hidden, state + columns_ * width, depth_ - columns_, width,
                        recurrent_rest_.data());
      std::swap(transposed_, next_transposed_);
    }
  }

  /// The first `rows` rows, whole vectors of them, of a panel (…, width) to (width, columns_).
  template <int V>
  void transpose(const T* panel, Index rows, T* out) const {
    constexpr Index width = V * lanes<T>;
    for (Index row = 0; row < rows; row += lanes<T>) {
      for (Index v = 0; v < V; ++v) {
        Vec<T> square[lanes<T>];
        for (Index i = 0; i < lanes<T>; ++i) square[i] = load(panel + (row + i) * width + v * lanes<T>);
        transpose_square<T>(square);
        for (Index i = 0; i < lanes<T>; ++i) store(out + (v * lanes<T> + i) * columns_ + row, square[i]);
      }
    }
  }

  /// Row i of a gradient whose first `columns` columns are sums and whose others, up to `depth`, are sums per lane.
  void row_of(const AlignedBuffer<T>& sums, const AlignedBuffer<T>& rest, Index i, Index columns, Index depth) {
    std::copy_n(sums.data() + i * columns, columns, row_.data());
    for (Index k = columns; k < depth; ++k) {
      const T* const lane_sums = rest.data() + (i * (depth - columns) + k - columns) * lanes<T>;
      row_[static_cast<std::size_t>(k)] = static_cast<T>(total<T>(load(lane_sums)));
    }
  }

  void write_gradient(const NetworkView<T>& network, const GradientView<T>& gradient) {
    const Index n_hidden = network.n_hidden, n_inputs = network.n_inputs, n_outputs = network.n_outputs;
    const std::size_t bias = static_cast<std::size_t>(n_hidden);
    for (Index i = 0; i < n_hidden; ++i) {
      row_of(recurrent_gradient_, recurrent_rest_, i, columns_, depth_);
      std::copy_n(row_.data(), n_hidden, gradient.W_hh + i * n_hidden);
      std::copy_n(row_.data() + network.readout_depth(), n_inputs, gradient.W_xh + i * n_inputs);
      if (gradient.b_h != nullptr) gradient.b_h[i] = row_[bias];
    }
    for (Index i = 0; i < n_outputs; ++i) {
      row_of(readout_gradient_, readout_rest_, i, readout_columns_, network.readout_depth());
      std::copy_n(row_.data(), n_hidden, gradient.W_hy + i * n_hidden);
      if (gradient.b_y != nullptr) gradient.b_y[i] = row_[bias];
    }
  }

  Index n_steps_ = 0, depth_ = 0, columns_ = 0, readout_columns_ = 0;
  PackedMatrix<T> recurrent_, readout_, backward_;
  TrialPanel<T> panel_;
  AlignedBuffer<T> states_, errors_;                        // (steps + 1, depth, width), (steps, n_outputs, width)
  AlignedBuffer<T> current_, slopes_, carried_;             // of cells that are not plain: see cell.hpp
  AlignedBuffer<T> delta_, next_delta_;                     // [d_{t+1}; e_t]
  AlignedBuffer<T> transposed_, next_transposed_;           // [r_{t-1}; 1; x_t]ᵀ, (width, columns_)
  AlignedBuffer<T> recurrent_gradient_, readout_gradient_;  // whole vectors of columns
  AlignedBuffer<T> recurrent_rest_, readout_rest_;          // the other columns, (rows, columns, lanes)
  AlignedBuffer<T> row_;
};

}  // namespace schurscope
