// Rollouts of one network's ablations, for arrays of SCHURSCOPE_SCALAR.
#include "binders.hpp"
#include "gains.hpp"
#include "networks.hpp"
#include "schurscope/run_ablations.hpp"

namespace bindings {

namespace {

/// sums (per_trial, per_step).
template <class T>
void to_ablations(const NetworkArguments<T>& weights, const SchurArguments& schur, const AblationsArguments& ablations,
                  const TrialsArguments<T>& arguments, const std::string& measure,
                  std::tuple<Array<double>, Array<double>> sums, int n_threads) {
  const NetworkView<T> network = network_view<T>(weights);
  const Index n = network.n_hidden;
  const TrialsView<T> trials = measured_trials_view<T>(arguments, n, network.n_inputs, network.n_outputs);
  const auto& [Q, schur_T] = schur;
  require(has_shape(Q, {n, n}) && has_shape(schur_T, {n, n}), "Q and T must have the shape of W_hh");
  const Ablations checked(ablations, n);
  const Index n_ablations = checked.count();
  auto& [per_trial, per_step] = sums;
  require(has_shape(per_trial, {n_ablations, trials.n_trials}) && has_shape(per_step, {n_ablations, trials.n_steps}),
          "sums must be (ablations, trials) and (ablations, steps)");
  const AblationSums to{per_trial.mutable_data(), per_step.mutable_data()};
  const SchurView<T> view{network.W_hh, Q.data(), schur_T.data(), n};
  const Measure chosen = Measure::named(measure);
  run([&](Interrupt& interrupt) {
    run_ablations(network, view, checked.perturbations(), trials, chosen, to, n_threads, interrupt);
  });
}

}  // namespace

template <class T>
void bind_ablations(py::module_& m) {
  m.def("run_ablations", to_ablations<T>, py::arg("network").noconvert(), py::arg("schur").noconvert(),
        py::arg("ablations").noconvert(), py::arg("trials").noconvert(), py::arg("measure"),
        py::arg("sums").noconvert(), py::arg("n_threads"));
}

template void bind_ablations<SCHURSCOPE_SCALAR>(py::module_& m);

}  // namespace bindings
