// Adam, with the order of operations and the clipping of PyTorch, and training: one step per batch.
#pragma once

#include <cmath>
#include <limits>

#include "schurscope/objective.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

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

/// State of the optimiser: parameters, the moments of their gradients, and the number of steps taken.
template <class T>
struct AdamState {
  T* theta;
  T* first_moment;
  T* second_moment;
  Index steps_done;
};

/// One step of the optimiser.
template <class T>
void adam_step(const AdamOptions& options, Index size, const T* gradient, AdamState<T>& state) {
  using Array = Eigen::Array<T, Eigen::Dynamic, 1>;
  const Eigen::Map<const Array> g(gradient, size);
  Eigen::Map<Array> x(state.theta, size), m(state.first_moment, size), v(state.second_moment, size);
  const double step = static_cast<double>(++state.steps_done);
  const double correction1 = 1 - std::pow(options.beta1, step);
  const double correction2 = 1 - std::pow(options.beta2, step);
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

/// One optimiser step per consecutive batch of `batch_size` trials (a remainder is dropped); loss[i] is the
/// loss of batch i before its step.
template <class T>
void train(const Model& model, const AdamOptions& options, const TrialsView<T>& trials, Index batch_size,
           AdamState<T> state, double* loss, Interrupt& interrupt) {
  const Index size = model.layout.size();
  AlignedBuffer<T> gradient(static_cast<std::size_t>(size));
  with_objective(model, static_cast<const T*>(state.theta), trials.n_steps, [&](auto& objective) {
    for (Index batch = 0; batch < trials.n_trials / batch_size; ++batch) {
      const TrialsView<T> part = trials.slice(batch * batch_size, batch_size);
      loss[batch] = objective.loss_gradient(part, gradient.data(), interrupt);
      clip_gradient(options.clip, size, gradient.data());
      adam_step(options, size, gradient.data(), state);
    }
  });
}

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
