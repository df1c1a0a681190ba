// Rollouts of one network, for arrays of SCHURSCOPE_SCALAR.
#include <cstring>

#include "binders.hpp"
#include "networks.hpp"
#include "schurscope/rollout.hpp"

namespace bindings {

namespace {

template <class T>
void to_rollout(const NetworkArguments<T>& weights, const TrialsArguments<T>& arguments,
                std::optional<Array<T>> outputs, std::optional<Array<T>> states, int n_threads) {
  const NetworkView<T> network = network_view<T>(weights);
  const TrialsView<T> trials = trials_view<T>(arguments, network.cell.form, network.n_hidden, network.n_inputs);
  const Index n_trials = trials.n_trials, n_steps = trials.n_steps;
  require(!outputs || has_shape(*outputs, {n_trials, n_steps, network.n_outputs}), "outputs has the wrong shape");
  require(!states || has_shape(*states, {n_trials, n_steps, network.n_hidden}), "states has the wrong shape");
  T* const to_outputs = outputs ? outputs->mutable_data() : nullptr;
  T* const to_states = states ? states->mutable_data() : nullptr;
  run([&](Interrupt& interrupt) { rollout(network, trials, to_outputs, to_states, n_threads, interrupt); });
}

/// φ of a vector of any length and alignment.
template <class T>
void to_activation(const std::string& name, const Array<T>& x, Array<T> out) {
  require(x.ndim() == 1 && has_shape(out, {x.size()}), "x and out must be vectors of one length");
  const T* const from = x.data();
  T* const to = out.mutable_data();
  const Index size = x.size();
  const Activation activation = Activation::named(name);
  without_gil([&] {
    activation.visit([&](auto phi) {
      const auto apply = [&](Index i, std::size_t count) {
        Vec<T> value{};
        std::memcpy(&value, from + i, count * sizeof(T));
        value = phi.template value<T>(value);
        std::memcpy(to + i, &value, count * sizeof(T));
      };
      const Index rest = size % lanes<T>, whole = size - rest;
      for (Index i = 0; i < whole; i += lanes<T>) apply(i, lanes<T>);
      apply(whole, static_cast<std::size_t>(rest));
    });
  });
}

}  // namespace

template <class T>
void bind_rollouts(py::module_& m) {
  m.def("rollout", to_rollout<T>, py::arg("network").noconvert(), py::arg("trials").noconvert(),
        py::arg("outputs").noconvert(), py::arg("states").noconvert(), py::arg("n_threads"));
  m.def("activate", to_activation<T>, py::arg("activation"), py::arg("x").noconvert(), py::arg("out").noconvert());
}

template void bind_rollouts<SCHURSCOPE_SCALAR>(py::module_& m);

}  // namespace bindings
