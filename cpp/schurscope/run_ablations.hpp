// The ablations of one network, each rolled out over all trials. A plan splits them into jobs; each job computes W~ and
// sums the measure while the outputs are in the L1 cache; finally the sums of the jobs are combined.
#pragma once

#include <vector>

#include "schurscope/measures/measures.hpp"
#include "schurscope/perturbation/ablated_matrix.hpp"
#include "schurscope/rollout.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

/// Output arrays for the sums of a measure's scores over channels and weighted steps, row-major, in double. A nonfinite
/// sum marks a diverged rollout.
struct AblationSums {
  double* per_trial;  ///< (ablations, trials)
  double* per_step;   ///< (ablations, steps)
};

/// The split into jobs. A job is one ablation or, near the end, so that the threads finish together, one ablation on
/// one group of panels. The groups do not depend on the number of threads.
class AblationPlan {
 public:
  AblationPlan(Index n_ablations, Index n_panels, int n_threads)
      : n_panels_(n_panels),
        n_groups_(std::min(n_panels, most_groups)),
        n_whole_(n_threads == 1 ? n_ablations : std::max<Index>(0, n_ablations - 2 * n_threads)),
        n_parts_((n_ablations - n_whole_) * n_groups_) {}

  struct Job {
    Index ablation, first_group, end_group;
    Index part;  ///< among the jobs of one group; negative: the whole ablation
  };

  Index n_jobs() const { return n_whole_ + n_parts_; }
  Index n_parts() const { return n_parts_; }
  Job job(Index number) const {
    if (number < n_whole_) return {number, 0, n_groups_, -1};
    const Index part = number - n_whole_, group = part % n_groups_;
    return {ablation_of_part(part), group, group + 1, part};
  }
  Index ablation_of_part(Index part) const { return n_whole_ + part / n_groups_; }
  Index first_panel(Index group) const { return n_panels_ * group / n_groups_; }

 private:
  static constexpr Index most_groups = 16;
  Index n_panels_, n_groups_, n_whole_, n_parts_;
};

/// The sums per step of jobs that may share an ablation, added in the order of the groups: bit-identical for any number
/// of threads.
class StepSums {
 public:
  StepSums(const AblationPlan& plan, Index n_ablations, Index n_steps, double* per_step)
      : plan_(plan),
        n_steps_(n_steps),
        per_step_(per_step),
        of_parts_(static_cast<std::size_t>(plan.n_parts() * n_steps)) {
    std::fill_n(per_step, n_ablations * n_steps, 0.0);
  }

  /// The row that a job adds to.
  double* row(const AblationPlan::Job& job) {
    return job.part < 0 ? per_step_ + job.ablation * n_steps_ : of_parts_.data() + job.part * n_steps_;
  }

  void reduce() {
    for (Index part = 0; part < plan_.n_parts(); ++part) {
      double* const sums = per_step_ + plan_.ablation_of_part(part) * n_steps_;
      for (Index t = 0; t < n_steps_; ++t) sums[t] += of_parts_[static_cast<std::size_t>(part * n_steps_ + t)];
    }
  }

 private:
  const AblationPlan& plan_;
  Index n_steps_;
  double* per_step_;
  std::vector<double> of_parts_;
};

/// The ablations of one gate's recurrent matrix, `schur.W`. For perturbations see perturbation/ablated_matrix.hpp.
template <class T, class Perturbation>
struct GateAblations {
  SchurView<T> schur;
  std::vector<Perturbation> perturbations;  ///< one for each ablation; an empty one leaves the gate as it is
};

namespace detail {

/// Read-only inputs of all jobs.
template <class Cell, class Perturbation>
struct AblationWork {
  using T = typename Cell::Scalar;

  const NetworkView<T>& network;
  const Cell& cell;
  const std::vector<GateAblations<T, Perturbation>>& gates;
  Measure measure;
  Index n_trials, n_steps;
  PackedMatrix<T> readout;
  std::vector<TrialPanel<T>> panels;

  AblationWork(const NetworkView<T>& of_network, const Cell& of_cell,
               const std::vector<GateAblations<T, Perturbation>>& of_gates, const TrialsView<T>& trials, Measure scored)
      : network(of_network),
        cell(of_cell),
        gates(of_gates),
        measure(scored),
        n_trials(trials.n_trials),
        n_steps(trials.n_steps),
        panels(static_cast<std::size_t>(PanelLayout<T>{trials.n_trials}.count())) {
    pack_readout(network, readout);
    for (std::size_t p = 0; p < panels.size(); ++p) panels[p].load(trials, static_cast<Index>(p));
  }
};

/// A thread's memory and operations.
template <class Cell, class Perturbation>
class AblationWorker {
  using T = typename Cell::Scalar;

 public:
  explicit AblationWorker(const AblationWork<Cell, Perturbation>& work)
      : work_(work),
        rollout_(work.network, work.cell, panel_lanes<T>),
        W_ablated_(static_cast<std::size_t>(work.network.product_rows() * work.network.n_hidden)),
        per_trial_(panel_lanes<T>),
        per_step_(static_cast<std::size_t>(work.n_steps * lanes<T>)) {}

  /// Packs W~, reusing it until another ablation is requested.
  void perturb(Index ablation) {
    if (packed_ablation_ == ablation) return;
    T* to = W_ablated_.data();
    for (const GateAblations<T, Perturbation>& gate : work_.gates) {
      ablated_matrix(gate.schur, gate.perturbations[static_cast<std::size_t>(ablation)], perturbation_, to);
      to += gate.schur.n * gate.schur.n;
    }
    NetworkView<T> ablated = work_.network;
    ablated.W_hh = W_ablated_.data();
    work_.cell.pack(ablated, recurrent_);
    packed_ablation_ = ablation;
  }

  /// Rolls panels [begin, end) out. `per_trial` is the ablation's row.
  void run(Index begin, Index end, double* per_trial, Interrupt& interrupt) {
    per_step_.clear();
    for (Index p = begin; p < end; ++p) {
      const TrialPanel<T>& panel = work_.panels[static_cast<std::size_t>(p)];
      per_trial_.clear();
      with_constant(panel.vectors(), [&](auto v) { run_panel_of<decltype(v)::value>(panel, interrupt); });
      std::copy_n(per_trial_.data(), panel.count(), per_trial + PanelLayout<T>{work_.n_trials}.first(p));
    }
  }

  /// Adds the steps of the last `run` to a row of sums per step.
  void add_steps(double* sums) const {
    for (Index t = 0; t < work_.n_steps; ++t) {
      double sum = 0;
      for (int l = 0; l < lanes<T>; ++l) sum += per_step_[static_cast<std::size_t>(t * lanes<T> + l)];
      sums[t] += sum;
    }
  }

 private:
  template <int V>
  void run_panel_of(const TrialPanel<T>& panel, Interrupt& interrupt) {
    const AddScores<T> add_scores = add_scores_of<V, T>(work_.measure);
    schurscope::run_panel<V>(work_.network, work_.cell, recurrent_, panel, work_.n_steps, rollout_, interrupt,
                             [&](Index t, const T* state) {
                               if (!panel.counts(t)) return;
                               read_out<V>(work_.network, work_.readout, state, rollout_);
                               add_scores(rollout_.y.data(), panel.targets(t), panel.weights(t),
                                          work_.network.n_outputs, per_trial_.data(), per_step_.data() + t * lanes<T>);
                             });
  }

  const AblationWork<Cell, Perturbation>& work_;
  RolloutScratch<T> rollout_;
  PerturbationScratch perturbation_;
  AlignedBuffer<T> W_ablated_;
  typename Cell::Packed recurrent_;
  AlignedBuffer<double> per_trial_, per_step_;
  Index packed_ablation_ = -1;
};

template <class Cell, class T, class Perturbation>
void run_ablations_of(const Cell& cell, const NetworkView<T>& network,
                      const std::vector<GateAblations<T, Perturbation>>& gates, const TrialsView<T>& trials,
                      Measure measure, const AblationSums& sums, int n_threads, Interrupt& interrupt) {
  const AblationWork<Cell, Perturbation> work(network, cell, gates, trials, measure);
  const Index n_ablations = static_cast<Index>(gates.front().perturbations.size());
  const AblationPlan plan(n_ablations, static_cast<Index>(work.panels.size()), n_threads);
  StepSums per_step(plan, n_ablations, trials.n_steps, sums.per_step);
  parallel_for(plan.n_jobs(), n_threads, interrupt, [&] {
    return [&, worker = AblationWorker<Cell, Perturbation>(work)](Index number) mutable {
      const AblationPlan::Job job = plan.job(number);
      worker.perturb(job.ablation);
      for (Index group = job.first_group; group < job.end_group; ++group) {
        worker.run(plan.first_panel(group), plan.first_panel(group + 1),
                   sums.per_trial + job.ablation * trials.n_trials, interrupt);
        worker.add_steps(per_step.row(job));
      }
    };
  });
  per_step.reduce();
}

}  // namespace detail

/// Ablation a has the perturbation a of each gate, of which `gates` has as many as the network has recurrent matrices, in
/// their order.
template <class T, class Perturbation>
void run_ablations(const NetworkView<T>& network, const std::vector<GateAblations<T, Perturbation>>& gates,
                   const TrialsView<T>& trials, Measure measure, const AblationSums& sums, int n_threads,
                   Interrupt& interrupt) {
  with_cell(network, [&](const auto& cell) {
    detail::run_ablations_of(cell, network, gates, trials, measure, sums, n_threads, interrupt);
  });
}

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
