// Rollouts: one step of the network on a panel of trials, then steps × trials × ablations, with the measures accumulated
// while the outputs are in the first-level cache.
#pragma once

#include <vector>

#include "schurscope/ablation.hpp"
#include "schurscope/cell.hpp"
#include "schurscope/panel.hpp"
#include "schurscope/parallel.hpp"

namespace schurscope {

/// The state [r; 1; x] of step t - 1 to the rates r_t in next[0 : n_hidden]; see `advance` for the rest.
template <int V, class T>
inline void step(const NetworkView<T>& network, const PackedMatrix<T>& recurrent, const T* state, const T* noise,
                 T* current, T* next, T* slopes = nullptr) {
  if (network.cell.plain() && noise == nullptr && slopes == nullptr) {
    multiply<V>(recurrent, state, next, [](Vec<T> sum, Index) { return vector_tanh<T>(sum); });
  } else {
    multiply<V>(recurrent, state, next);
    advance(network.cell, network.n_hidden * V * lanes<T>, state, noise, current, next, slopes);
  }
}

/// Put x_t, and the constant 1 that carries the biases, under the hidden rows of a state [r; 1; x].
template <class T>
inline void set_inputs(const NetworkView<T>& network, const T* x, Index width, T* state) {
  if (network.has_bias()) std::fill_n(state + network.n_hidden * width, width, T(1));
  std::copy_n(x, network.n_inputs * width, state + network.readout_depth() * width);
}

/// The two states of a rollout (now and next), the current of the current form, and the outputs, for one thread.
template <class T>
struct RolloutScratch {
  AlignedBuffer<T> state, next, current, y;

  void resize(const NetworkView<T>& network, Index width) {
    state.resize(static_cast<std::size_t>(network.depth() * width));
    next.resize(static_cast<std::size_t>(network.depth() * width));
    if (network.cell.form == Form::current) current.resize(static_cast<std::size_t>(network.n_hidden * width));
    y.resize(static_cast<std::size_t>(network.n_outputs * width));
  }
};

/// ŷ_t into scratch.y.
template <int V, class T>
inline void read_out(const NetworkView<T>& network, const PackedMatrix<T>& readout, const T* state,
                     RolloutScratch<T>& scratch) {
  multiply<V>(readout, state, scratch.y.data());
  activate(network.cell.output, network.n_outputs * V * lanes<T>, scratch.y.data());
}

/// Run one panel and call visit(t, state) after each step with the state whose hidden rows are the rates r_t. In the
/// current form scratch.current is h_t then.
template <int V, class T, class Visit>
void run_panel(const NetworkView<T>& network, const PackedMatrix<T>& recurrent, const TrialPanel<T>& panel,
               Index n_steps, RolloutScratch<T>& scratch, Interrupt& interrupt, const Visit& visit) {
  constexpr Index width = V * lanes<T>;
  T* state = scratch.state.data();
  T* next = scratch.next.data();
  start(network.cell, network.n_hidden * width, panel.h_0(), scratch.current.data(), state);
  set_inputs(network, panel.inputs(0), width, state);
  for (Index t = 0; t < n_steps; ++t) {
    step<V>(network, recurrent, state, panel.noise(t), scratch.current.data(), next);
    set_inputs(network, panel.inputs(std::min(t + 1, n_steps - 1)), width, next);
    visit(t, next);
    std::swap(state, next);
    if (t % 16 == 0) interrupt.check();  // it looks at the clock, which a small step would notice
  }
}

/// Outputs (trials, steps, n_outputs) and hidden states h (trials, steps, n_hidden); either may be null.
template <class T>
void rollout(const NetworkView<T>& network, const TrialsView<T>& trials, T* outputs, T* states, int n_threads,
             Interrupt& interrupt) {
  const PanelLayout<T> layout{trials.n_trials};
  const Index n_steps = trials.n_steps;
  PackedMatrix<T> recurrent, readout;
  pack_recurrent(network, recurrent);
  pack_readout(network, readout);
  parallel_for(layout.count(), n_threads, interrupt, [&] {
    RolloutScratch<T> scratch;
    scratch.resize(network, panel_lanes<T>);
    return [&, scratch = std::move(scratch), panel = TrialPanel<T>()](Index p) mutable {
      panel.load(trials, p);
      const Index first = layout.first(p), count = panel.count(), width = panel.width();
      detail::with_constant(panel.vectors(), [&](auto v) {
        constexpr int V = decltype(v)::value;
        run_panel<V>(network, recurrent, panel, n_steps, scratch, interrupt, [&](Index t, const T* state) {
          if (states != nullptr) {
            const T* const h = network.cell.form == Form::rate ? state : scratch.current.data();
            from_panel(h, width, first, count, t, n_steps, network.n_hidden, states);
          }
          if (outputs != nullptr) {
            read_out<V>(network, readout, state, scratch);
            from_panel(scratch.y.data(), width, first, count, t, n_steps, network.n_outputs, outputs);
          }
        });
      });
    };
  });
}

/// What a sweep sums over channels and weighted steps: w (ŷ - y)², or w [ŷ y > 0].
enum class Measure { squared_error, agreement };

/// Where a sweep leaves its sums, row-major, in double. One that is not finite belongs to a rollout that diverged.
struct SweepResult {
  double* per_trial;  ///< (ablations, trials)
  double* per_step;   ///< (ablations, steps)
};

namespace detail {

/// Sums of one panel's step: per lane into `per_trial`, over the panel's vectors into one vector of lanes `per_step`.
template <int V, class T>
inline void measure(Measure what, const T* y, const T* target, const T* weight, Index n_outputs, double* per_trial,
                    double* per_step) {
  constexpr Index width = V * lanes<T>;
  Vec<T> all{};
  for (Index lane = 0; lane < width; lane += lanes<T>) {
    Vec<T> score{};
    for (Index c = 0; c < n_outputs; ++c) {
      const Vec<T> output = load(y + c * width + lane), wanted = load(target + c * width + lane);
      if (what == Measure::squared_error) {
        score += (output - wanted) * (output - wanted);
      } else {
        // The second term is 0, or NaN where the output is not finite.
        score += (output * wanted > T(0) ? broadcast(T(1)) : Vec<T>{}) + T(0) * output;
      }
    }
    const Vec<T> w = load(weight + lane);
    score = w != T(0) ? score * w : Vec<T>{};
    add_to<T>(per_trial + lane, score);
    all += score;
  }
  add_to<T>(per_step, all);
}

}  // namespace detail

/// The ablations of one network, each rolled out over all trials. `schur.W` is the network's W_hh.
///
/// A job is one ablation, or, near the end, where the threads are to finish together, one ablation on one group of
/// panels. The groups do not depend on the number of threads, and their per-step sums are added in order: the same bits
/// for any number.
template <class T>
void sweep(const NetworkView<T>& network, const SchurView<T>& schur, const std::vector<AblationView>& ablations,
           const TrialsView<T>& trials, Measure what, const SweepResult& result, int n_threads, Interrupt& interrupt) {
  constexpr Index most_groups = 16;
  const PanelLayout<T> layout{trials.n_trials};
  const Index n_steps = trials.n_steps, n_ablations = static_cast<Index>(ablations.size());
  const Index n_groups = std::min(layout.count(), most_groups);
  const Index n_whole = n_threads == 1 ? n_ablations : std::max<Index>(0, n_ablations - 2 * n_threads);
  std::vector<TrialPanel<T>> panels(static_cast<std::size_t>(layout.count()));
  for (Index p = 0; p < layout.count(); ++p) panels[static_cast<std::size_t>(p)].load(trials, p);
  PackedMatrix<T> readout;
  pack_readout(network, readout);
  std::vector<double> per_group(static_cast<std::size_t>((n_ablations - n_whole) * n_groups * n_steps));
  std::fill_n(result.per_step, n_ablations * n_steps, 0.0);

  struct Worker {
    RolloutScratch<T> rollout;
    AblationScratch ablation;
    AlignedBuffer<T> W_ablated;
    PackedMatrix<T> recurrent;
    AlignedBuffer<double> per_trial, per_step;
    Index packed_ablation = -1;
  };
  parallel_for(n_whole + (n_ablations - n_whole) * n_groups, n_threads, interrupt, [&] {
    Worker fresh;
    fresh.rollout.resize(network, panel_lanes<T>);
    fresh.W_ablated.resize(static_cast<std::size_t>(network.n_hidden * network.n_hidden));
    fresh.per_trial.resize(panel_lanes<T>);
    fresh.per_step.resize(static_cast<std::size_t>(n_steps * lanes<T>));
    return [&, worker = std::move(fresh)](Index job) mutable {
      const bool is_whole = job < n_whole;
      const Index ablation = is_whole ? job : n_whole + (job - n_whole) / n_groups;
      const Index first_group = is_whole ? 0 : (job - n_whole) % n_groups;
      const Index end_group = is_whole ? n_groups : first_group + 1;
      if (worker.packed_ablation != ablation) {
        ablated_matrix(schur, ablations[static_cast<std::size_t>(ablation)], worker.ablation, worker.W_ablated.data());
        NetworkView<T> ablated = network;
        ablated.W_hh = worker.W_ablated.data();
        pack_recurrent(ablated, worker.recurrent);
        worker.packed_ablation = ablation;
      }
      for (Index group = first_group; group < end_group; ++group) {
        worker.per_step.clear();
        for (Index p = layout.count() * group / n_groups; p < layout.count() * (group + 1) / n_groups; ++p) {
          const TrialPanel<T>& panel = panels[static_cast<std::size_t>(p)];
          worker.per_trial.clear();
          detail::with_constant(panel.vectors(), [&](auto v) {
            constexpr int V = decltype(v)::value;
            run_panel<V>(
                network, worker.recurrent, panel, n_steps, worker.rollout, interrupt, [&](Index t, const T* state) {
                  if (!panel.counts(t)) return;
                  read_out<V>(network, readout, state, worker.rollout);
                  detail::measure<V>(what, worker.rollout.y.data(), panel.targets(t), panel.weights(t),
                                     network.n_outputs, worker.per_trial.data(), worker.per_step.data() + t * lanes<T>);
                });
          });
          std::copy_n(worker.per_trial.data(), panel.count(),
                      result.per_trial + ablation * trials.n_trials + layout.first(p));
        }
        double* const sums =
            is_whole ? result.per_step + ablation * n_steps : per_group.data() + (job - n_whole) * n_steps;
        for (Index t = 0; t < n_steps; ++t) {
          double sum = 0;
          for (int l = 0; l < lanes<T>; ++l) sum += worker.per_step[static_cast<std::size_t>(t * lanes<T> + l)];
          sums[t] += sum;
        }
      }
    };
  });

  for (Index k = 0; k < (n_ablations - n_whole) * n_groups; ++k) {
    double* const sums = result.per_step + (n_whole + k / n_groups) * n_steps;
    for (Index t = 0; t < n_steps; ++t) sums[t] += per_group[static_cast<std::size_t>(k * n_steps + t)];
  }
}

}  // namespace schurscope
