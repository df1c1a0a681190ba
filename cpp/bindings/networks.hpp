// Networks, their cells, and trials, as tuples of arrays.
#pragma once

#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>
#include <variant>

#include "arguments.hpp"
#include "schurscope/network.hpp"
#include "schurscope/panel.hpp"

namespace bindings {

/// (activation, form, leak, output, readout). `leak` is that of every unit, or (N_h,). A gated cell has a form of its own.
using CellArguments =
    std::tuple<std::string, std::string, std::variant<double, Array<double>>, std::string, std::string>;

inline Form form_of(const std::string& name) {
  if (name == "rate") return Form::rate;
  if (name == "current") return Form::current;
  if (name == "gru-after") return Form::gru_reset_after;
  if (name == "gru-before") return Form::gru_reset_before;
  require(name == "lstm", "form must be rate, current, gru-after, gru-before or lstm");
  return Form::lstm;
}

inline CellDescription cell_of(const CellArguments& cell, Index n_hidden) {
  const auto& [activation, form, leak, output, readout] = cell;
  require(readout == "rates" || readout == "hidden", "readout must be rates or hidden");
  CellDescription description;
  description.activation = Activation::named(activation);
  description.form = form_of(form);
  description.readout = readout == "rates" ? Readout::rates : Readout::hidden;
  if (const double* const shared = std::get_if<double>(&leak)) {
    description.leak = *shared;
  } else {
    const auto& leaks = std::get<Array<double>>(leak);
    require(has_shape(leaks, {n_hidden}), "leak must be a number or (N_h,)");
    description.leaks = leaks.data();
  }
  return description;
}

inline Activation output_of(const CellArguments& cell) { return Activation::named(std::get<3>(cell)); }

/// (W_hh, W_xh, b_h, W_hy, b_y, b_hn, cell)
template <class T>
using NetworkArguments =
    std::tuple<Array<T>, Array<T>, Array<T>, Array<T>, Array<T>, std::optional<Array<T>>, CellArguments>;

template <class T>
NetworkView<T> network_view(const NetworkArguments<T>& network) {
  const auto& [W_hh, W_xh, b_h, W_hy, b_y, b_hn, cell] = network;
  require(W_hh.ndim() == 2 && W_xh.ndim() == 2 && W_hy.ndim() == 2, "weights must be matrices");
  const Index n_hidden = W_hh.shape(1), n_inputs = W_xh.shape(1), n_outputs = W_hy.shape(0);
  const CellDescription description = cell_of(cell, n_hidden);
  const Index rows = gates_of(description.form) * n_hidden;
  require(has_shape(W_hh, {rows, n_hidden}) && has_shape(W_xh, {rows, n_inputs}) &&
              has_shape(W_hy, {n_outputs, n_hidden}) && has_shape(b_h, {rows}) && has_shape(b_y, {n_outputs}),
          "the shapes of the weights disagree");
  require(!b_hn || (has_shape(*b_hn, {n_hidden}) && description.form == Form::gru_reset_after),
          "b_hn must be (N_h,), of a GRU whose reset comes after");
  const auto bias = [](const Array<T>& b) {
    const T* const begin = b.data();
    return std::any_of(begin, begin + b.size(), [](T value) { return value != T(0); }) ? begin : nullptr;
  };
  return {n_hidden,
          n_inputs,
          n_outputs,
          W_hh.data(),
          W_xh.data(),
          W_hy.data(),
          bias(b_h),
          bias(b_y),
          description,
          output_of(cell),
          b_hn ? bias(*b_hn) : nullptr};
}

/// (inputs, targets, weights, h_0, noise). `h_0` is (trials, N_h), or (1, N_h) for all trials; of an LSTM [h_0, c_0],
/// (…, 2 N_h).
template <class T>
using TrialsArguments = std::tuple<Array<T>, std::optional<Array<T>>, std::optional<Array<T>>, std::optional<Array<T>>,
                                   std::optional<Array<T>>>;

template <class T>
TrialsView<T> trials_view(const TrialsArguments<T>& arguments, Form form, Index n_hidden, Index n_inputs) {
  const auto& [inputs, targets, weights, h_0, noise] = arguments;
  require(inputs.ndim() == 3 && inputs.shape(2) == n_inputs, "inputs must be (trials, steps, N_x)");
  TrialsView<T> trials{inputs.shape(0), inputs.shape(1), n_inputs, 0, n_hidden, inputs.data()};
  const Index n_trials = trials.n_trials, n_steps = trials.n_steps;
  require(n_trials > 0 && n_steps > 0, "there must be a trial and a step");
  if (targets) {
    require(targets->ndim() == 3 && has_shape(*targets, {n_trials, n_steps, targets->shape(2)}),
            "targets must be (trials, steps, N_y)");
    trials.n_outputs = targets->shape(2);
    trials.targets = targets->data();
  }
  if (weights) {
    require(has_shape(*weights, {n_trials, n_steps}), "weights must be (trials, steps)");
    trials.weights = weights->data();
  }
  if (h_0) {
    trials.h_0_is_shared = h_0->ndim() == 2 && h_0->shape(0) == 1;
    trials.n_starts = starts_of(form);
    const Index size = trials.n_starts * n_hidden;
    require(trials.h_0_is_shared || has_shape(*h_0, {n_trials, size}), "h_0 must be (trials, N_h), and c_0 beside it");
    require(h_0->shape(1) == size, "h_0 must be (1, N_h), and c_0 beside it");
    trials.h_0 = h_0->data();
  }
  if (noise) {
    require(has_shape(*noise, {n_trials, n_steps, n_hidden}), "noise must be (trials, steps, N_h)");
    trials.noise = noise->data();
  }
  return trials;
}

/// The same, with the targets and weights that a measure needs.
template <class T>
TrialsView<T> measured_trials_view(const TrialsArguments<T>& arguments, Form form, Index n_hidden, Index n_inputs,
                                   Index n_outputs) {
  const TrialsView<T> trials = trials_view(arguments, form, n_hidden, n_inputs);
  require(trials.targets != nullptr && trials.weights != nullptr, "targets and weights must be given");
  require(trials.n_outputs == n_outputs, "targets must be (trials, steps, N_y)");
  return trials;
}

}  // namespace bindings
