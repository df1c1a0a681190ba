// Training: the parameters of a network as one flat array, its gradient through the recurrent parametrisation, and Adam.
#pragma once

#include <cmath>
#include <limits>
#include <memory>
#include <optional>

#include "schurscope/bptt.hpp"
#include "schurscope/cayley.hpp"

namespace schurscope {

/// Where each parameter lies in the flat array: [W_hh] or [U, pairs, reals], then [W_xh], [W_hy], [b_h], [b_y].
struct ParameterLayout {
  Index n_hidden, n_inputs, n_outputs;
  Index n_pairs;  ///< of the Cayley parametrisation; negative: W_hh is dense and its own parameter
  bool has_b_h, has_b_y;

  bool cayley() const { return n_pairs >= 0; }
  Index pairs() const { return n_hidden * n_hidden; }
  Index reals() const { return pairs() + 2 * n_pairs; }
  Index W_xh() const { return pairs() + (cayley() ? n_hidden : 0); }
  Index W_hy() const { return W_xh() + n_hidden * n_inputs; }
  Index b_h() const { return W_hy() + n_outputs * n_hidden; }
  Index b_y() const { return b_h() + (has_b_h ? n_hidden : 0); }
  Index size() const { return b_y() + (has_b_y ? n_outputs : 0); }
};

/// The loss as a function of the flat parameters, and its gradient.
template <class T>
class Objective {
 public:
  Objective(const ParameterLayout& layout, const Cell<T>& cell, Index n_steps) : layout_(layout), cell_(cell) {
    if (layout.cayley()) {
      cayley_.emplace(layout.n_hidden, layout.n_pairs);
      W_hh_.resize(static_cast<std::size_t>(layout.pairs()));
      W_hh_gradient_.resize(static_cast<std::size_t>(layout.pairs()));
    }
    backpropagation_.resize(network(nullptr), n_steps);
  }

  double loss_gradient(const T* theta, const TrialsView<T>& trials, T* gradient) {
    const Index n = layout_.n_hidden;
    if (cayley_) {
      const Eigen::MatrixXd& W = cayley_->matrix(theta, theta + layout_.pairs(), theta + layout_.reals());
      Eigen::Map<RowMajorMatrix<T>>(W_hh_.data(), n, n) = W.template cast<T>();
    }
    const GradientView<T> target{cayley_ ? W_hh_gradient_.data() : gradient, gradient + layout_.W_xh(),
                                 gradient + layout_.W_hy(), layout_.has_b_h ? gradient + layout_.b_h() : nullptr,
                                 layout_.has_b_y ? gradient + layout_.b_y() : nullptr};
    const double loss = backpropagation_.loss_gradient(network(theta), trials, target);
    if (cayley_) {
      cayley_->pull_back(W_hh_gradient_.data(), gradient, gradient + layout_.pairs(), gradient + layout_.reals());
    }
    return loss;
  }

 private:
  NetworkView<T> network(const T* theta) const {
    // Without parameters only the shapes and the presence of biases matter; any address stands for a bias.
    static constexpr T placeholder{};
    const auto bias = [&](bool has, Index offset) -> const T* {
      return !has ? nullptr : theta == nullptr ? &placeholder : theta + offset;
    };
    const auto at = [&](Index offset) { return theta == nullptr ? nullptr : theta + offset; };
    return {layout_.n_hidden,
            layout_.n_inputs,
            layout_.n_outputs,
            cayley_ ? W_hh_.data() : at(0),
            at(layout_.W_xh()),
            at(layout_.W_hy()),
            bias(layout_.has_b_h, layout_.b_h()),
            bias(layout_.has_b_y, layout_.b_y()),
            cell_};
  }

  ParameterLayout layout_;
  Cell<T> cell_;
  std::optional<Cayley> cayley_;
  AlignedBuffer<T> W_hh_, W_hh_gradient_;
  Backpropagation<T> backpropagation_;
};

/// Adam (Kingma & Ba 2015), its weight decay added to the gradient or decoupled (AdamW, Loshchilov & Hutter 2019), with
/// the order of operations and the clipping of PyTorch.
struct AdamOptions {
  double learning_rate, beta1, beta2, epsilon;
  double weight_decay;
  bool decoupled;
  double clip;  ///< largest global norm of the gradient; infinity: none
};

/// Scale the gradient by clip / (norm + 1e-6) where that is below 1.
template <class T>
void clip_gradient(double clip, Index size, T* gradient) {
  if (!(clip < std::numeric_limits<double>::infinity())) return;
  Eigen::Map<Eigen::Array<T, Eigen::Dynamic, 1>> g(gradient, size);
  const double norm = std::sqrt(g.template cast<double>().square().sum());
  const double scale = clip / (norm + 1e-6);
  if (scale < 1) g *= static_cast<T>(scale);
}

/// Step number `step` (from 1) of the optimiser.
template <class T>
void adam_step(const AdamOptions& options, Index step, Index size, const T* gradient, T* theta, T* first_moment,
               T* second_moment) {
  using Array = Eigen::Array<T, Eigen::Dynamic, 1>;
  const Eigen::Map<const Array> g(gradient, size);
  Eigen::Map<Array> x(theta, size), m(first_moment, size), v(second_moment, size);
  const double correction1 = 1 - std::pow(options.beta1, static_cast<double>(step));
  const double correction2 = 1 - std::pow(options.beta2, static_cast<double>(step));
  const T step_size = static_cast<T>(options.learning_rate / correction1);
  const T root = static_cast<T>(std::sqrt(correction2)), epsilon = static_cast<T>(options.epsilon);
  const T beta1 = static_cast<T>(options.beta1), beta2 = static_cast<T>(options.beta2);
  const T new1 = static_cast<T>(1 - options.beta1), new2 = static_cast<T>(1 - options.beta2);
  const T coupled = static_cast<T>(options.decoupled ? 0 : options.weight_decay);
  const T shrink = static_cast<T>(options.decoupled ? 1 - options.learning_rate * options.weight_decay : 1);
  for (Index i = 0; i < size; ++i) {
    const T slope = g(i) + coupled * x(i);
    m(i) = beta1 * m(i) + new1 * slope;
    v(i) = beta2 * v(i) + new2 * slope * slope;
    x(i) = shrink * x(i) - step_size * m(i) / (std::sqrt(v(i)) / root + epsilon);
  }
}

/// One optimiser step per consecutive batch of `batch_size` trials (a remainder is left out), after `steps_done` earlier
/// ones; loss[i] is that of batch i before its step.
template <class T>
void train(const ParameterLayout& layout, const Cell<T>& cell, const AdamOptions& options, const TrialsView<T>& trials,
           Index batch_size, Index steps_done, T* theta, T* first_moment, T* second_moment, double* loss,
           Interrupt& interrupt) {
  Objective<T> objective(layout, cell, trials.n_steps);
  AlignedBuffer<T> gradient(static_cast<std::size_t>(layout.size()));
  for (Index batch = 0; batch < trials.n_trials / batch_size; ++batch) {
    const TrialsView<T> part = trials.slice(batch * batch_size, batch_size);
    loss[batch] = objective.loss_gradient(theta, part, gradient.data());
    clip_gradient(options.clip, layout.size(), gradient.data());
    adam_step(options, steps_done + batch + 1, layout.size(), gradient.data(), theta, first_moment, second_moment);
    interrupt.check();
  }
}

}  // namespace schurscope
