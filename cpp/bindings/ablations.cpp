// Rollouts of one network's ablations, for arrays of SCHURSCOPE_SCALAR.
#include "binders.hpp"
#include "gains.hpp"
#include "networks.hpp"
#include "schurscope/run_ablations.hpp"

namespace bindings {

namespace {

/// A Schur form and ablations of each recurrent matrix; sums (per_trial, per_step).
template <class T>
void to_ablations(const NetworkArguments<T>& weights, const std::vector<SchurArguments>& schurs,
                  const std::vector<AblationsArguments>& ablations, const TrialsArguments<T>& arguments,
                  const std::string& measure, std::tuple<Array<double>, Array<double>> sums, int n_threads) {
  const NetworkView<T> network = network_view<T>(weights);
  const Index n = network.n_hidden;
  const TrialsView<T> trials =
      measured_trials_view<T>(arguments, network.cell.form, n, network.n_inputs, network.n_outputs);
  const std::size_t n_gates = static_cast<std::size_t>(network.n_gates());
  require(schurs.size() == n_gates && ablations.size() == n_gates,
          "there must be a Schur form and ablations of each recurrent matrix");
  std::vector<Ablations> checked;  // keeps what the perturbations point to
  checked.reserve(n_gates);
  std::vector<GateAblations<T, Perturbation>> gates;
  for (std::size_t gate = 0; gate < n_gates; ++gate) {
    const auto& [Q, schur_T] = schurs[gate];
    require(has_shape(Q, {n, n}) && has_shape(schur_T, {n, n}), "Q and T must be (N_h, N_h)");
    checked.emplace_back(ablations[gate], n);
    require(checked[gate].count() == checked[0].count(), "the gates must have one number of ablations");
    gates.push_back({{network.recurrent(static_cast<Index>(gate)).data, Q.data(), schur_T.data(), n},
                     checked[gate].perturbations()});
  }
  const Index n_ablations = checked.front().count();
  auto& [per_trial, per_step] = sums;
  require(has_shape(per_trial, {n_ablations, trials.n_trials}) && has_shape(per_step, {n_ablations, trials.n_steps}),
          "sums must be (ablations, trials) and (ablations, steps)");
  const AblationSums to{per_trial.mutable_data(), per_step.mutable_data()};
  const Measure chosen = Measure::named(measure);
  run([&](Interrupt& interrupt) { run_ablations(network, gates, trials, chosen, to, n_threads, interrupt); });
}

}  // namespace

template <class T>
void bind_ablations(py::module_& m) {
  m.def("run_ablations", to_ablations<T>, py::arg("network").noconvert(), py::arg("schurs").noconvert(),
        py::arg("ablations").noconvert(), py::arg("trials").noconvert(), py::arg("measure"),
        py::arg("sums").noconvert(), py::arg("n_threads"));
}

template void bind_ablations<SCHURSCOPE_SCALAR>(py::module_& m);

}  // namespace bindings
