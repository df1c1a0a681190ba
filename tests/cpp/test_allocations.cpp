// A training step reuses its buffers: as many allocations for many batches as for one.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <random>
#include <stdexcept>
#include <vector>

namespace {
std::atomic<long> allocations{0};
}

// Eigen asks malloc, not operator new, and reports it here.
#define EIGEN_RUNTIME_NO_MALLOC
#define eigen_assert(condition) ((condition) ? void() : throw std::logic_error(#condition))
#include "schurscope/optimizer.hpp"

// Not inlined, or GCC takes the pairs of them apart and finds that they do not match.
#define OUT_OF_LINE __attribute__((noinline))
OUT_OF_LINE void* operator new(std::size_t size) {
  ++allocations;
  if (void* const memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
OUT_OF_LINE void* operator new(std::size_t size, std::align_val_t alignment) {
  ++allocations;
  const std::size_t unit = static_cast<std::size_t>(alignment);
  if (void* const memory = std::aligned_alloc(unit, (size + unit - 1) / unit * unit)) return memory;
  throw std::bad_alloc();
}
OUT_OF_LINE void operator delete(void* memory) noexcept { std::free(memory); }
OUT_OF_LINE void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
OUT_OF_LINE void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }

namespace {

using namespace schurscope;

constexpr Index n_hidden = 37;

long allocations_of_training(const CellDescription& cell, Index n_batches) {
  constexpr Index n_inputs = 3, n_outputs = 2, batch_size = 70, n_steps = 6;
  const Index n_trials = n_batches * batch_size;
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 0.2f);
  const auto values = [&](Index size) {
    std::vector<float> result(static_cast<std::size_t>(size));
    for (float& value : result) value = normal(random);
    return result;
  };
  const Index n_starts = starts_of(cell.form);
  const Model model{{n_hidden, n_inputs, n_outputs, -1, true, false, false, gates_of(cell.form)}, cell};
  std::vector<float> theta = values(model.layout.size()), first(theta.size()), second(theta.size());
  const std::vector<float> inputs = values(n_trials * n_steps * n_inputs),
                           targets = values(n_trials * n_steps * n_outputs),
                           noise = values(n_trials * n_steps * n_hidden), h_0 = values(n_starts * n_hidden);
  const std::vector<float> weights(static_cast<std::size_t>(n_trials * n_steps), 1.0f);
  std::vector<double> loss(static_cast<std::size_t>(n_batches));
  const TrialsView<float> trials{n_trials,       n_steps,        n_inputs,     n_outputs,  n_hidden, inputs.data(),
                                 targets.data(), weights.data(), noise.data(), h_0.data(), true,     n_starts};
  const AdamOptions options{1e-3, 0.9, 0.999, 1e-8, 0.01, true, 1.0};
  Interrupt interrupt;
  const long before = allocations;
  Eigen::internal::set_is_malloc_allowed(false);
  train(model, options, trials, batch_size, AdamState<float>{theta.data(), first.data(), second.data(), 0}, loss.data(),
        interrupt);
  Eigen::internal::set_is_malloc_allowed(true);
  return allocations - before;
}

TEST_CASE("training allocates nothing per step") {
  const std::vector<double> leaks(n_hidden, 0.5);
  CellDescription gated[3];
  gated[0].form = Form::gru_reset_after;
  gated[1].form = Form::gru_reset_before;
  gated[2].form = Form::lstm;
  for (const CellDescription& cell :
       {CellDescription{}, CellDescription{activations::Softplus{}, Form::current, 0.5},
        CellDescription{activations::Softplus{}, Form::rate, 1, leaks.data()},
        CellDescription{activations::Tanh{}, Form::current, 1, leaks.data(), Readout::hidden}, gated[0], gated[1],
        gated[2]}) {
    const long once = allocations_of_training(cell, 1);
    CHECK(once > 0);
    CHECK(allocations_of_training(cell, 9) == once);
  }
}

}  // namespace
