// Training, and the loss with its gradient, for arrays of SCHURSCOPE_SCALAR.
#include "binders.hpp"
#include "networks.hpp"
#include "schurscope/optimizer.hpp"

// Compiled in the files *_gradients.cpp: here they would take over a gigabyte.
namespace schurscope {
inline namespace SCHURSCOPE_ISA {

extern template class Backpropagation<cells::Elman<SCHURSCOPE_SCALAR>>;
extern template class Backpropagation<cells::Rate<SCHURSCOPE_SCALAR>>;
extern template class Backpropagation<cells::Current<SCHURSCOPE_SCALAR>>;
extern template class Backpropagation<cells::ReadCurrent<SCHURSCOPE_SCALAR>>;
extern template class Backpropagation<cells::GruAfter<SCHURSCOPE_SCALAR>>;
extern template class Backpropagation<cells::GruBefore<SCHURSCOPE_SCALAR>>;
extern template class Backpropagation<cells::Lstm<SCHURSCOPE_SCALAR>>;

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope

namespace bindings {

namespace {

/// (n_hidden, n_inputs, n_outputs, n_pairs, has_b_h, has_b_y, has_b_hn)
using LayoutArguments = std::tuple<Index, Index, Index, Index, bool, bool, bool>;

/// (learning_rate, beta1, beta2, epsilon, weight_decay, decoupled, clip)
using AdamArguments = std::tuple<double, double, double, double, double, bool, double>;

Model model_of(const LayoutArguments& layout, const CellArguments& cell) {
  const auto& [n_hidden, n_inputs, n_outputs, n_pairs, has_b_h, has_b_y, has_b_hn] = layout;
  const CellDescription description = cell_of(cell, n_hidden);
  const Index n_gates = gates_of(description.form);
  require(n_pairs < 0 || n_gates == 1, "a gated cell has no Cayley parameters");
  require(!has_b_hn || description.form == Form::gru_reset_after, "b_hn is of a GRU whose reset comes after");
  return {{n_hidden, n_inputs, n_outputs, n_pairs, has_b_h, has_b_y, has_b_hn, n_gates}, description, output_of(cell)};
}

template <class T>
TrialsView<T> trials_for(const Model& model, const TrialsArguments<T>& trials) {
  return measured_trials_view<T>(trials, model.cell.form, model.layout.n_hidden, model.layout.n_inputs,
                                 model.layout.n_outputs);
}

/// parameters (theta, first_moment, second_moment), changed in place.
template <class T>
void to_train(std::tuple<Array<T>, Array<T>, Array<T>> parameters, Index steps_done, const LayoutArguments& layout,
              const CellArguments& cell, const TrialsArguments<T>& arguments, Index batch_size,
              const AdamArguments& options, Array<double> loss) {
  const Model model = model_of(layout, cell);
  const TrialsView<T> trials = trials_for<T>(model, arguments);
  auto& [theta, first_moment, second_moment] = parameters;
  const Index size = model.layout.size();
  require(has_shape(theta, {size}) && has_shape(first_moment, {size}) && has_shape(second_moment, {size}),
          "theta and its moments must have the size of the layout");
  require(batch_size > 0 && has_shape(loss, {trials.n_trials / batch_size}), "loss must have one entry per batch");
  const AdamState<T> state{theta.mutable_data(), first_moment.mutable_data(), second_moment.mutable_data(), steps_done};
  const auto& [learning_rate, beta1, beta2, epsilon, weight_decay, decoupled, clip] = options;
  const AdamOptions adam{learning_rate, beta1, beta2, epsilon, weight_decay, decoupled, clip};
  double* const losses = loss.mutable_data();
  run([&](Interrupt& interrupt) { train(model, adam, trials, batch_size, state, losses, interrupt); });
}

template <class T>
double to_loss_gradient(const Array<T>& theta, const LayoutArguments& layout, const CellArguments& cell,
                        const TrialsArguments<T>& arguments, Array<T> gradient) {
  const Model model = model_of(layout, cell);
  const TrialsView<T> trials = trials_for<T>(model, arguments);
  require(has_shape(theta, {model.layout.size()}) && has_shape(gradient, {model.layout.size()}),
          "theta and gradient must have the size of the layout");
  const T* const from = theta.data();
  T* const to = gradient.mutable_data();
  double loss = 0;
  run([&](Interrupt& interrupt) { loss = loss_gradient(model, from, trials, to, interrupt); });
  return loss;
}

}  // namespace

template <class T>
void bind_training(py::module_& m) {
  m.def("train", to_train<T>, py::arg("parameters").noconvert(), py::arg("steps_done"), py::arg("layout"),
        py::arg("cell"), py::arg("trials").noconvert(), py::arg("batch_size"), py::arg("options"),
        py::arg("loss").noconvert());
  m.def("loss_gradient", to_loss_gradient<T>, py::arg("theta").noconvert(), py::arg("layout"), py::arg("cell"),
        py::arg("trials").noconvert(), py::arg("gradient").noconvert());
}

template void bind_training<SCHURSCOPE_SCALAR>(py::module_& m);

}  // namespace bindings
