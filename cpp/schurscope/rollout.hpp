// Rollouts: one step of the network on a panel of trials, then steps × trials × ablations, with the measures accumulated
// while the outputs are in the first-level cache.
#pragma once

#include <vector>

#include "schurscope/ablation.hpp"
#include "schurscope/network.hpp"
#include "schurscope/panel.hpp"
#include "schurscope/parallel.hpp"
#include "schurscope/tanh.hpp"

namespace schurscope {

/// next[0 : n_hidden] = tanh([W_hh | b_h | W_xh] · [h; 1; x])
template <int V, class T>
inline void step(const PackedMatrix<T>& recurrent, const T* state, T* next) {
  multiply<V>(recurrent, state, next, [](Vec<T> sum, Index) { return vector_tanh<T>(sum); });
}

/// y = [W_hy | b_y] · [h; 1]
template <int V, class T>
inline void read_out(const PackedMatrix<T>& readout, const T* state, T* y) {
  multiply<V>(readout, state, y, [](Vec<T> sum, Index) { return sum; });
}

/// Put x_t, and the constant 1 that carries the biases, under the hidden rows of a state [h; 1; x].
template <class T>
inline void set_inputs(const NetworkView<T>& network, const T* x, Index width, T* state) {
  if (network.has_bias()) std::fill_n(state + network.n_hidden * width, width, T(1));
  std::copy_n(x, network.n_inputs * width, state + network.readout_depth() * width);
}

/// The two states of a rollout (now and next) and its outputs, for one thread.
template <class T>
struct RolloutScratch {
  AlignedBuffer<T> state, next, y;

  void resize(const NetworkView<T>& network, Index width) {
    state.resize(static_cast<std::size_t>(network.depth() * width));
    next.resize(static_cast<std::size_t>(network.depth() * width));
    y.resize(static_cast<std::size_t>(network.n_outputs * width));
  }
};

/// Run one panel from h_0 = 0 and call visit(t, state) after each step with the state whose hidden rows are h_t.
template <int V, class T, class Visit>
void run_panel(const NetworkView<T>& network, const PackedMatrix<T>& recurrent, const T* inputs, Index n_steps,
               RolloutScratch<T>& scratch, Interrupt& interrupt, const Visit& visit) {
  constexpr Index width = V * lanes<T>;
  T* state = scratch.state.data();
  T* next = scratch.next.data();
  std::fill_n(state, network.n_hidden * width, T(0));
  set_inputs(network, inputs, width, state);
  for (Index t = 0; t < n_steps; ++t) {
    step<V>(recurrent, state, next);
    const bool more = t + 1 < n_steps;
    set_inputs(network, inputs + (more ? t + 1 : t) * network.n_inputs * width, width, next);
    visit(t, next);
    std::swap(state, next);
    interrupt.check();
  }
}

/// Outputs (trials, steps, n_outputs) and hidden states (trials, steps, n_hidden); either may be null.
template <class T>
void rollout(const NetworkView<T>& network, const T* inputs, Index n_trials, Index n_steps, T* outputs, T* states,
             int n_threads, Interrupt& interrupt) {
  const PanelLayout<T> layout{n_trials};
  PackedMatrix<T> recurrent, readout;
  pack_recurrent(network, recurrent);
  pack_readout(network, readout);
  parallel_for(layout.count(), n_threads, interrupt, [&] {
    RolloutScratch<T> scratch;
    AlignedBuffer<T> panel;
    scratch.resize(network, panel_lanes<T>);
    panel.resize(static_cast<std::size_t>(n_steps * network.n_inputs * panel_lanes<T>));
    return [&, scratch = std::move(scratch), panel = std::move(panel)](Index p) mutable {
      const Index first = layout.first(p), count = layout.size(p), width = layout.width(p);
      to_panel(inputs, first, count, n_steps, network.n_inputs, width, panel.data());
      detail::with_constant(layout.vectors(p), [&](auto v) {
        constexpr int V = decltype(v)::value;
        run_panel<V>(network, recurrent, panel.data(), n_steps, scratch, interrupt, [&](Index t, const T* state) {
          if (states != nullptr) from_panel(state, width, first, count, t, n_steps, network.n_hidden, states);
          if (outputs != nullptr) {
            read_out<V>(readout, state, scratch.y.data());
            from_panel(scratch.y.data(), width, first, count, t, n_steps, network.n_outputs, outputs);
          }
        });
      });
    };
  });
}

/// Where a sweep leaves its measures, row-major, in double. Sums over weighted steps and channels:
/// squared_error: w (ŷ - y)², agreement: w [ŷ y > 0]; per trial (ablations, trials) and per step (ablations, steps).
/// A sum that is not finite belongs to a rollout that diverged.
struct SweepResult {
  double* squared_error;
  double* agreement;
  double* squared_error_per_step;
  double* agreement_per_step;
};

namespace detail {

/// Trials as panels, converted once and read by all ablations.
template <class T>
struct TrialPanels {
  AlignedBuffer<T> inputs, targets, weights;
  std::vector<char> counts;  ///< (panels, steps): whether any trial of the panel has weight at the step

  explicit TrialPanels(const TrialsView<T>& trials) {
    const PanelLayout<T> layout{trials.n_trials};
    const auto size = [&](Index features) {
      return static_cast<std::size_t>(layout.total_width() * trials.n_steps * features);
    };
    inputs.resize(size(trials.n_inputs));
    targets.resize(size(trials.n_outputs));
    weights.resize(size(1));
    counts.resize(static_cast<std::size_t>(layout.count() * trials.n_steps));
    for (Index p = 0; p < layout.count(); ++p) {
      const Index first = layout.first(p), count = layout.size(p), width = layout.width(p);
      const Index begin = layout.offset(p) * trials.n_steps;
      to_panel(trials.inputs, first, count, trials.n_steps, trials.n_inputs, width,
               inputs.data() + begin * trials.n_inputs);
      to_panel(trials.targets, first, count, trials.n_steps, trials.n_outputs, width,
               targets.data() + begin * trials.n_outputs);
      to_panel(trials.weights, first, count, trials.n_steps, Index{1}, width, weights.data() + begin);
      for (Index t = 0; t < trials.n_steps; ++t) {
        const T* const w = weights.data() + begin + t * width;
        counts[static_cast<std::size_t>(p * trials.n_steps + t)] =
            std::any_of(w, w + width, [](T value) { return value != T(0); });
      }
    }
  }
};

/// Sums of one panel's step: per lane into `trial_*`, over the panel's vectors into one vector of lanes `step_*`.
template <int V, class T>
inline void measure(const T* y, const T* target, const T* weight, Index n_outputs, double* trial_error,
                    double* trial_agreement, double* step_error, double* step_agreement) {
  constexpr Index width = V * lanes<T>;
  Vec<T> all_error{}, all_agreement{};
  for (int v = 0; v < V; ++v) {
    Vec<T> error{}, agreement{};
    for (Index c = 0; c < n_outputs; ++c) {
      const Vec<T> output = load(y + c * width + v * lanes<T>);
      const Vec<T> wanted = load(target + c * width + v * lanes<T>);
      const Vec<T> difference = output - wanted;
      error += difference * difference;
      agreement += output * wanted > T(0) ? broadcast(T(1)) : Vec<T>{};
    }
    const Vec<T> w = load(weight + v * lanes<T>);
    error *= w;
    agreement *= w;
    for (int l = 0; l < lanes<T>; ++l) {
      trial_error[v * lanes<T> + l] += static_cast<double>(error[l]);
      trial_agreement[v * lanes<T> + l] += static_cast<double>(agreement[l]);
    }
    all_error += error;
    all_agreement += agreement;
  }
  for (int l = 0; l < lanes<T>; ++l) {
    step_error[l] += static_cast<double>(all_error[l]);
    step_agreement[l] += static_cast<double>(all_agreement[l]);
  }
}

}  // namespace detail

/// The ablations of one network, each rolled out over all trials. `schur.W` is the network's W_hh.
///
/// A job is one ablation on one group of panels. The groups do not depend on the number of threads and each has its
/// slot for the per-step sums, which are added in the order of the groups at the end: the same bits for any number.
template <class T>
void sweep(const NetworkView<T>& network, const SchurView<T>& schur, const std::vector<AblationView>& ablations,
           const TrialsView<T>& trials, const SweepResult& result, int n_threads, Interrupt& interrupt) {
  constexpr Index most_groups = 16;
  const PanelLayout<T> layout{trials.n_trials};
  const Index n_steps = trials.n_steps, n_ablations = static_cast<Index>(ablations.size());
  const Index n_groups = std::min(layout.count(), most_groups);
  const detail::TrialPanels<T> panels(trials);
  PackedMatrix<T> readout;
  pack_readout(network, readout);
  std::vector<double> per_group(static_cast<std::size_t>(n_ablations * n_groups * n_steps * 2));

  // Whole ablations first, so that W~ is built once; single groups at the end, so that the threads finish together.
  struct Job {
    Index ablation, first_group, end_group;
  };
  std::vector<Job> jobs;
  for (Index a = 0; a < n_ablations; ++a) {
    if (n_threads == 1 || a + 2 * n_threads < n_ablations) {
      jobs.push_back({a, 0, n_groups});
    } else {
      for (Index g = 0; g < n_groups; ++g) jobs.push_back({a, g, g + 1});
    }
  }

  struct Worker {
    RolloutScratch<T> rollout;
    AblationScratch ablation;
    AlignedBuffer<T> W_ablated;
    PackedMatrix<T> recurrent;
    AlignedBuffer<double> trial_error, trial_agreement, step_sums;
    Index packed_ablation = -1;
  };
  parallel_for(static_cast<Index>(jobs.size()), n_threads, interrupt, [&] {
    Worker fresh;
    fresh.rollout.resize(network, panel_lanes<T>);
    fresh.W_ablated.resize(static_cast<std::size_t>(network.n_hidden * network.n_hidden));
    fresh.trial_error.resize(panel_lanes<T>);
    fresh.trial_agreement.resize(panel_lanes<T>);
    fresh.step_sums.resize(static_cast<std::size_t>(2 * n_steps * lanes<T>));
    return [&, worker = std::move(fresh)](Index j) mutable {
      const Job job = jobs[static_cast<std::size_t>(j)];
      if (worker.packed_ablation != job.ablation) {
        ablated_matrix(schur, ablations[static_cast<std::size_t>(job.ablation)], worker.ablation,
                       worker.W_ablated.data());
        NetworkView<T> ablated = network;
        ablated.W_hh = worker.W_ablated.data();
        pack_recurrent(ablated, worker.recurrent);
        worker.packed_ablation = job.ablation;
      }
      for (Index group = job.first_group; group < job.end_group; ++group) {
        worker.step_sums.clear();
        double* const step_error = worker.step_sums.data();
        double* const step_agreement = step_error + n_steps * lanes<T>;
        for (Index p = layout.count() * group / n_groups; p < layout.count() * (group + 1) / n_groups; ++p) {
          const Index begin = layout.offset(p) * n_steps, width = layout.width(p);
          worker.trial_error.clear();
          worker.trial_agreement.clear();
          detail::with_constant(layout.vectors(p), [&](auto v) {
            constexpr int V = decltype(v)::value;
            run_panel<V>(network, worker.recurrent, panels.inputs.data() + begin * trials.n_inputs, n_steps,
                         worker.rollout, interrupt, [&](Index t, const T* state) {
                           if (!panels.counts[static_cast<std::size_t>(p * n_steps + t)]) return;
                           read_out<V>(readout, state, worker.rollout.y.data());
                           detail::measure<V>(
                               worker.rollout.y.data(), panels.targets.data() + (begin + t * width) * trials.n_outputs,
                               panels.weights.data() + begin + t * width, trials.n_outputs, worker.trial_error.data(),
                               worker.trial_agreement.data(), step_error + t * lanes<T>, step_agreement + t * lanes<T>);
                         });
          });
          const Index slot = job.ablation * trials.n_trials + layout.first(p);
          std::copy_n(worker.trial_error.data(), layout.size(p), result.squared_error + slot);
          std::copy_n(worker.trial_agreement.data(), layout.size(p), result.agreement + slot);
        }
        double* const slot = per_group.data() + (job.ablation * n_groups + group) * n_steps * 2;
        for (Index t = 0; t < 2 * n_steps; ++t) {
          slot[t] = 0;
          for (int l = 0; l < lanes<T>; ++l) slot[t] += worker.step_sums[static_cast<std::size_t>(t * lanes<T> + l)];
        }
      }
    };
  });

  for (Index a = 0; a < n_ablations; ++a) {
    for (Index t = 0; t < n_steps; ++t) {
      double error = 0, agreement = 0;
      for (Index g = 0; g < n_groups; ++g) {
        const double* const slot = per_group.data() + (a * n_groups + g) * n_steps * 2;
        error += slot[t];
        agreement += slot[n_steps + t];
      }
      result.squared_error_per_step[a * n_steps + t] = error;
      result.agreement_per_step[a * n_steps + t] = agreement;
    }
  }
}

}  // namespace schurscope
