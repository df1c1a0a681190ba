// Adjoints of a network's steps and features of couplings, for arrays of SCHURSCOPE_SCALAR.
#include "schurscope/features.hpp"

#include "binders.hpp"
#include "networks.hpp"

namespace bindings {

namespace {

template <class T>
TrialsView<T> trials_with(const NetworkView<T>& network, const TrialsArguments<T>& arguments,
                          const Array<T>& cotangents) {
  TrialsView<T> trials = trials_view<T>(arguments, network.cell.form, network.n_hidden, network.n_inputs);
  require(trials.weights != nullptr, "weights must be given");
  require(has_shape(cotangents, {trials.n_trials, trials.n_steps, network.n_outputs}),
          "cotangents must be (trials, steps, N_y)");
  trials.n_outputs = network.n_outputs;
  return trials;
}

/// (Q, D, labels)
using EntriesArguments = std::tuple<Array<double>, Array<double>, Array<std::int64_t>>;

/// Entries of each recurrent matrix; features (trials, labels).
template <class T>
void to_features(const NetworkArguments<T>& weights, const std::vector<EntriesArguments>& entries,
                 const TrialsArguments<T>& arguments, const Array<T>& cotangents, Array<T> features, int n_threads) {
  const NetworkView<T> network = network_view<T>(weights);
  const Index n = network.n_hidden;
  const TrialsView<T> trials = trials_with<T>(network, arguments, cotangents);
  require(static_cast<Index>(entries.size()) == network.n_gates(), "there must be entries of each recurrent matrix");
  require(features.ndim() == 2 && features.shape(0) == trials.n_trials, "features must be (trials, labels)");
  const Index count = features.shape(1);
  std::vector<LabelledEntries> gates;
  for (const auto& [Q, D, labels] : entries) {
    require(has_shape(Q, {n, n}) && has_shape(D, {n, n}) && has_shape(labels, {n, n}),
            "Q, D and labels must be (N_h, N_h)");
    const std::int64_t* const label = labels.data();
    require(std::all_of(label, label + n * n, [&](std::int64_t value) { return value < count; }),
            "a label is too large");
    gates.push_back({Q.data(), D.data(), label});
  }
  const T* const from = cotangents.data();
  T* const to = features.mutable_data();
  run([&](Interrupt& interrupt) { coupling_features(network, gates, count, trials, from, to, n_threads, interrupt); });
}

template <class T>
void to_adjoints(const NetworkArguments<T>& weights, Index gate, const TrialsArguments<T>& arguments,
                 const Array<T>& cotangents, Array<T> rates, Array<T> deltas, int n_threads) {
  const NetworkView<T> network = network_view<T>(weights);
  require(0 <= gate && gate < network.n_gates(), "gate must be that of a recurrent matrix");
  const TrialsView<T> trials = trials_with<T>(network, arguments, cotangents);
  require(has_shape(rates, {trials.n_trials, trials.n_steps, network.n_hidden}) &&
              has_shape(deltas, {trials.n_trials, trials.n_steps, network.n_hidden}),
          "rates and deltas must be (trials, steps, N_h)");
  const T* const from = cotangents.data();
  T* const to_rates = rates.mutable_data();
  T* const to_deltas = deltas.mutable_data();
  run([&](Interrupt& interrupt) { adjoints(network, gate, trials, from, to_rates, to_deltas, n_threads, interrupt); });
}

}  // namespace

template <class T>
void bind_features(py::module_& m) {
  m.def("coupling_features", to_features<T>, py::arg("network").noconvert(), py::arg("entries").noconvert(),
        py::arg("trials").noconvert(), py::arg("cotangents").noconvert(), py::arg("features").noconvert(),
        py::arg("n_threads"));
  m.def("adjoints", to_adjoints<T>, py::arg("network").noconvert(), py::arg("gate"), py::arg("trials").noconvert(),
        py::arg("cotangents").noconvert(), py::arg("rates").noconvert(), py::arg("deltas").noconvert(),
        py::arg("n_threads"));
}

template void bind_features<SCHURSCOPE_SCALAR>(py::module_& m);

}  // namespace bindings
