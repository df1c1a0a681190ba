// The loss as a function of parameters in one flat array, and its gradient, through the recurrent parametrisation.
#pragma once

#include <optional>

#include "schurscope/bptt.hpp"
#include "schurscope/cayley.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

/// Where each parameter lies in the flat array: [W_hh] or [U, pairs, reals], then [W_xh], [W_hy], [b_h], [b_y],
/// [b_hn]. The first, W_xh and b_h are those of all gates.
struct ParameterLayout {
  Index n_hidden, n_inputs, n_outputs;
  Index n_pairs;  ///< of the Cayley parametrisation; negative: W_hh is dense and its own parameter
  bool has_b_h, has_b_y;
  bool has_b_hn = false;
  Index n_gates = 1;

  bool cayley() const { return n_pairs >= 0; }
  Index pairs() const { return n_gates * n_hidden * n_hidden; }
  Index reals() const { return pairs() + 2 * n_pairs; }
  Index W_xh() const { return pairs() + (cayley() ? n_hidden : 0); }
  Index W_hy() const { return W_xh() + n_gates * n_hidden * n_inputs; }
  Index b_h() const { return W_hy() + n_outputs * n_hidden; }
  Index b_y() const { return b_h() + (has_b_h ? n_gates * n_hidden : 0); }
  Index b_hn() const { return b_y() + (has_b_y ? n_outputs : 0); }
  Index size() const { return b_hn() + (has_b_hn ? n_hidden : 0); }
};

/// The model whose parameters are trained.
struct Model {
  ParameterLayout layout;
  CellDescription cell{};
  Activation output = activations::Identity{};

  /// The network with the parameters `theta` and the recurrent matrix W_hh, which may be computed from some of them.
  template <class T>
  NetworkView<T> network(const T* theta, const T* W_hh) const {
    return {layout.n_hidden,
            layout.n_inputs,
            layout.n_outputs,
            W_hh,
            theta + layout.W_xh(),
            theta + layout.W_hy(),
            layout.has_b_h ? theta + layout.b_h() : nullptr,
            layout.has_b_y ? theta + layout.b_y() : nullptr,
            cell,
            output,
            layout.has_b_hn ? theta + layout.b_hn() : nullptr};
  }
};

/// For parameters at a fixed address, `theta`, whose values may change between calls.
template <class Cell>
class Objective {
  using T = typename Cell::Scalar;

 public:
  Objective(const Model& model, const Cell& cell, const T* theta, Index n_steps)
      : model_(model), theta_(theta), backpropagation_(model.network(theta, theta), cell, n_steps) {
    const ParameterLayout& layout = model.layout;
    if (!layout.cayley()) return;
    cayley_.emplace(layout.n_hidden, layout.n_pairs);
    W_hh_.resize(static_cast<std::size_t>(layout.pairs()));
    W_hh_gradient_.resize(static_cast<std::size_t>(layout.pairs()));
  }

  double loss_gradient(const TrialsView<T>& trials, T* gradient, Interrupt& interrupt) {
    const ParameterLayout& layout = model_.layout;
    const Index n = layout.n_hidden;
    if (cayley_) {
      const Eigen::MatrixXd& W = cayley_->matrix(theta_, theta_ + layout.pairs(), theta_ + layout.reals());
      Eigen::Map<RowMajorMatrix<T>>(W_hh_.data(), n, n) = W.template cast<T>();
    }
    const GradientView<T> target{cayley_ ? W_hh_gradient_.data() : gradient,
                                 gradient + layout.W_xh(),
                                 gradient + layout.W_hy(),
                                 layout.has_b_h ? gradient + layout.b_h() : nullptr,
                                 layout.has_b_y ? gradient + layout.b_y() : nullptr,
                                 layout.has_b_hn ? gradient + layout.b_hn() : nullptr};
    const double loss = backpropagation_.loss_gradient(model_.network(theta_, cayley_ ? W_hh_.data() : theta_), trials,
                                                       target, interrupt);
    if (cayley_) {
      cayley_->pull_back(W_hh_gradient_.data(), gradient, gradient + layout.pairs(), gradient + layout.reals());
    }
    return loss;
  }

 private:
  Model model_;
  const T* theta_;
  std::optional<Cayley> cayley_;
  AlignedBuffer<T> W_hh_, W_hh_gradient_;
  Backpropagation<Cell> backpropagation_;
};

/// Call f with the objective of the model's cell.
template <class T, class F>
void with_objective(const Model& model, const T* theta, Index n_steps, const F& f) {
  with_cell(model.network(theta, theta), [&](const auto& cell) {
    Objective<std::decay_t<decltype(cell)>> objective(model, cell, theta, n_steps);
    f(objective);
  });
}

/// The loss of one batch, which holds all the trials, and its gradient.
template <class T>
double loss_gradient(const Model& model, const T* theta, const TrialsView<T>& trials, T* gradient,
                     Interrupt& interrupt) {
  double loss = 0;
  with_objective(model, theta, trials.n_steps,
                 [&](auto& objective) { loss = objective.loss_gradient(trials, gradient, interrupt); });
  return loss;
}

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
