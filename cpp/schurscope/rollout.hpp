// Rollouts: the steps of a network's cell on a panel of trials, and the outputs read from them.
#pragma once

#include <utility>

#include "schurscope/cells/cells.hpp"
#include "schurscope/panel.hpp"
#include "schurscope/parallel.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

/// Put x_t, and the constant 1 that carries the biases, under the rates of a state [r; 1; x].
template <class T>
inline void set_inputs(const NetworkView<T>& network, const T* x, Index width, T* state) {
  if (network.has_bias()) std::fill_n(state + network.n_hidden * width, width, T(1));
  std::copy_n(x, network.n_inputs * width, state + network.readout_depth() * width);
}

/// Buffers of one thread's rollout: the current and next states, the cell's own memory, and the outputs.
template <class T>
struct RolloutScratch {
  AlignedBuffer<T> state, next, carried, of_step, y;

  template <class Cell>
  RolloutScratch(const NetworkView<T>& network, const Cell& cell, Index width)
      : state(size(cell.depth(), width)),
        next(size(cell.depth(), width)),
        carried(size(cell.carried_rows(), width)),
        of_step(size(cell.scratch_rows(), width)),
        y(size(network.n_outputs, width)) {}

 private:
  static std::size_t size(Index rows, Index width) { return static_cast<std::size_t>(rows * width); }
};

/// ŷ_t into scratch.y, from the panel [u_t; 1] that `run_panel` visits.
template <int V, class T>
inline void read_out(const NetworkView<T>& network, const PackedMatrix<T>& readout, const T* read,
                     RolloutScratch<T>& scratch) {
  multiply<V>(readout, read, scratch.y.data());
  activate(network.output, network.n_outputs * V * lanes<T>, scratch.y.data());
}

/// Run one panel and call visit(t, read) after each step with the panel [u_t; 1] that the readout reads;
/// scratch.carried then holds that of step t.
template <int V, class Cell, class T, class Visit>
void run_panel(const NetworkView<T>& network, const Cell& cell, const typename Cell::Packed& recurrent,
               const TrialPanel<T>& panel, Index n_steps, RolloutScratch<T>& scratch, Interrupt& interrupt,
               const Visit& visit) {
  constexpr Index width = V * lanes<T>;
  T* state = scratch.state.data();
  T* next = scratch.next.data();
  cell.start(panel.h_0(), width, scratch.carried.data(), state);
  set_inputs(network, panel.inputs(0), width, state);
  for (Index t = 0; t < n_steps; ++t) {
    const bool at_rest = t == 0 && panel.h_0() == nullptr;
    cell.template advance<V>(recurrent, Step<T>{state, panel.noise(t), scratch.carried.data(), scratch.of_step.data(),
                                                next, /*tape=*/nullptr, at_rest});
    set_inputs(network, panel.inputs(std::min(t + 1, n_steps - 1)), width, next);
    visit(t, cell.read(next, scratch.carried.data()));
    std::swap(state, next);
    if (t % 16 == 0) interrupt.check();  // it reads the clock, which is slow beside a small step
  }
}

namespace detail {

template <class Cell, class T>
void rollout_of(const NetworkView<T>& network, const Cell& cell, const TrialsView<T>& trials, T* outputs, T* states,
                int n_threads, Interrupt& interrupt) {
  const PanelLayout<T> layout{trials.n_trials};
  const Index n_steps = trials.n_steps;
  typename Cell::Packed recurrent;
  PackedMatrix<T> readout;
  cell.pack(network, recurrent);
  pack_readout(network, readout);
  parallel_for(layout.count(), n_threads, interrupt, [&] {
    return [&, scratch = RolloutScratch<T>(network, cell, panel_lanes<T>), panel = TrialPanel<T>()](Index p) mutable {
      panel.load(trials, p);
      const Index first = layout.first(p), count = panel.count(), width = panel.width();
      with_constant(panel.vectors(), [&](auto v) {
        constexpr int V = decltype(v)::value;
        run_panel<V>(network, cell, recurrent, panel, n_steps, scratch, interrupt, [&](Index t, const T* read) {
          if (states != nullptr) {
            const T* const h = cell.hidden(read, scratch.carried.data());
            from_panel(h, width, first, count, t, n_steps, network.n_hidden, states);
          }
          if (outputs != nullptr) {
            read_out<V>(network, readout, read, scratch);
            from_panel(scratch.y.data(), width, first, count, t, n_steps, network.n_outputs, outputs);
          }
        });
      });
    };
  });
}

}  // namespace detail

/// Outputs (trials, steps, n_outputs) and hidden states h (trials, steps, n_hidden); either may be null.
template <class T>
void rollout(const NetworkView<T>& network, const TrialsView<T>& trials, T* outputs, T* states, int n_threads,
             Interrupt& interrupt) {
  with_cell(network, [&](const auto& cell) {
    detail::rollout_of(network, cell, trials, outputs, states, n_threads, interrupt);
  });
}

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
