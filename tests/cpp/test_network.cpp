// Rollouts, ablations and gradients against plain loops, for shapes that leave remainders everywhere.
#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "gradient_error.hpp"
#include "schurscope/objective.hpp"
#include "schurscope/perturbation/gains.hpp"
#include "schurscope/run_ablations.hpp"

namespace {

using namespace schurscope;

template <class T>
using Values = std::vector<T>;

template <class T>
Values<T> normal(std::mt19937_64& random, Index size, double scale) {
  std::normal_distribution<double> distribution(0, scale);
  Values<T> values(static_cast<std::size_t>(size));
  for (T& value : values) value = static_cast<T>(distribution(random));
  return values;
}

struct Shape {
  Index n_hidden, n_inputs, n_outputs, n_trials, n_steps;
  bool biases;
};

// Widths and trial counts around the sizes of tiles, vectors and panels, and one beyond the inner block.
const Shape shapes[] = {
    {1, 1, 1, 1, 1, true},   {3, 2, 1, 5, 4, false},  {7, 1, 5, 17, 3, true},   {64, 3, 3, 64, 5, false},
    {66, 4, 2, 97, 3, true}, {72, 8, 8, 33, 4, true}, {250, 2, 3, 20, 2, true}, {5, 3, 2, 200, 3, false},
};

template <class T>
struct Case {
  Shape shape;
  Values<T> W_hh, W_xh, W_hy, b_h, b_y, inputs, targets, weights;

  explicit Case(const Shape& s) : shape(s) {
    std::mt19937_64 random(17);
    W_hh = normal<T>(random, s.n_hidden * s.n_hidden, 1 / std::sqrt(double(s.n_hidden)));
    W_xh = normal<T>(random, s.n_hidden * s.n_inputs, 1);
    W_hy = normal<T>(random, s.n_outputs * s.n_hidden, 1 / std::sqrt(double(s.n_hidden)));
    b_h = normal<T>(random, s.n_hidden, 0.3);
    b_y = normal<T>(random, s.n_outputs, 0.3);
    inputs = normal<T>(random, s.n_trials * s.n_steps * s.n_inputs, 1);
    targets = normal<T>(random, s.n_trials * s.n_steps * s.n_outputs, 1);
    weights = normal<T>(random, s.n_trials * s.n_steps, 1);
    for (T& w : weights) w = w > T(0.5) ? T(0) : std::abs(w);
    weights[0] = T(1);
  }
  NetworkView<T> network() const {
    return {shape.n_hidden,
            shape.n_inputs,
            shape.n_outputs,
            W_hh.data(),
            W_xh.data(),
            W_hy.data(),
            shape.biases ? b_h.data() : nullptr,
            shape.biases ? b_y.data() : nullptr};
  }
  TrialsView<T> trials() const {
    return {shape.n_trials, shape.n_steps, shape.n_inputs, shape.n_outputs,
            shape.n_hidden, inputs.data(), targets.data(), weights.data()};
  }
};

// A leak for each unit, for the widest of the shapes; one has none.
const Values<double> leaks = [] {
  Values<double> values(250);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = 1.0 / double(1 + i % 7);
  return values;
}();

const CellDescription described[] = {{},
                                     {activations::Sigmoid{}, Form::rate, 0.4},
                                     {activations::Softplus{}, Form::current, 0.3},
                                     {activations::Sigmoid{}, Form::rate, 1, leaks.data()},
                                     {activations::Softplus{}, Form::current, 1, leaks.data()},
                                     {activations::Tanh{}, Form::current, 0.3, nullptr, Readout::hidden},
                                     {activations::Tanh{}, Form::current, 1, leaks.data(), Readout::hidden}};

double plain_activation(const CellDescription& cell, double z) {
  if (cell.activation.is<activations::Sigmoid>()) return 1 / (1 + std::exp(-z));
  if (cell.activation.is<activations::Softplus>()) return std::log1p(std::exp(z));
  return std::tanh(z);
}

/// Outputs (trials, steps, n_outputs), in double, one number at a time.
template <class T>
Values<double> plain_outputs(const Case<T>& c, const CellDescription& cell = {}) {
  const Shape& s = c.shape;
  const bool current = cell.form == Form::current, reads_rates = cell.readout == Readout::rates;
  const auto rate = [&](double h) { return current ? plain_activation(cell, h) : h; };
  Values<double> outputs;
  for (Index trial = 0; trial < s.n_trials; ++trial) {
    Values<double> h(std::size_t(s.n_hidden), 0.0);
    for (Index t = 0; t < s.n_steps; ++t) {
      Values<double> next(h.size());
      Values<double> rates(h.size());
      for (std::size_t k = 0; k < h.size(); ++k) rates[k] = rate(h[k]);
      for (Index i = 0; i < s.n_hidden; ++i) {
        double sum = s.biases ? double(c.b_h[std::size_t(i)]) : 0;
        for (Index k = 0; k < s.n_hidden; ++k)
          sum += double(c.W_hh[std::size_t(i * s.n_hidden + k)]) * rates[std::size_t(k)];
        for (Index k = 0; k < s.n_inputs; ++k) {
          sum += double(c.W_xh[std::size_t(i * s.n_inputs + k)]) *
                 double(c.inputs[std::size_t((trial * s.n_steps + t) * s.n_inputs + k)]);
        }
        const double a = cell.leaks != nullptr ? cell.leaks[i] : cell.leak;
        const double value = current ? sum : plain_activation(cell, sum);
        next[std::size_t(i)] = (1 - a) * h[std::size_t(i)] + a * value;
      }
      h = next;
      for (Index i = 0; i < s.n_outputs; ++i) {
        double sum = s.biases ? double(c.b_y[std::size_t(i)]) : 0;
        for (Index k = 0; k < s.n_hidden; ++k)
          sum += double(c.W_hy[std::size_t(i * s.n_hidden + k)]) *
                 (reads_rates ? rate(h[std::size_t(k)]) : h[std::size_t(k)]);
        outputs.push_back(sum);
      }
    }
  }
  return outputs;
}

template <class T>
void check_rollout(double tolerance) {
  for (const Shape& shape : shapes) {
    CAPTURE(shape.n_hidden);
    const Case<T> c(shape);
    for (const CellDescription& cell : described) {
      CAPTURE(&cell - described);
      const Values<double> expected = plain_outputs(c, cell);
      Values<T> outputs(expected.size());
      Interrupt interrupt;
      NetworkView<T> network = c.network();
      network.cell = cell;
      rollout<T>(network, c.trials(), outputs.data(), nullptr, 2, interrupt);
      double worst = 0;
      for (std::size_t i = 0; i < expected.size(); ++i)
        worst = std::max(worst, std::abs(double(outputs[i]) - expected[i]));
      CHECK(worst < tolerance);
    }
  }
}

TEST_CASE("rollouts agree with plain loops, for each cell") {
  check_rollout<double>(1e-13);
  check_rollout<float>(1e-4);
}

template <class T>
void check_ablations(double tolerance) {
  for (const Shape& shape : shapes) {
    CAPTURE(shape.n_hidden);
    const Case<T> c(shape);
    const Index n = shape.n_hidden;
    // Q = I, T = the upper triangle of W: removing a rectangle of it leaves W with those entries zeroed.
    Values<double> identity(std::size_t(n * n), 0.0), upper(std::size_t(n * n), 0.0);
    for (Index i = 0; i < n; ++i) {
      identity[std::size_t(i * n + i)] = 1;
      for (Index j = i; j < n; ++j) upper[std::size_t(i * n + j)] = double(c.W_hh[std::size_t(i * n + j)]);
    }
    const Rectangle rectangle{0, n / 2, n / 3, n};
    const double gain = 0.25;
    const std::vector<Gains> ablations{{nullptr, nullptr, 0}, {&rectangle, &gain, 1}};
    Case<T> ablated = c;
    for (Index i = 0; i < n / 2; ++i)
      for (Index j = std::max(i + 1, n / 3); j < n; ++j) ablated.W_hh[std::size_t(i * n + j)] *= T(gain);

    const std::size_t trials = std::size_t(shape.n_trials), steps = std::size_t(shape.n_steps);
    const auto run = [&](int n_threads) {
      Values<double> sums(2 * trials + 2 * steps);
      Interrupt interrupt;
      run_ablations<T, Gains>(c.network(), {{{c.W_hh.data(), identity.data(), upper.data(), n}, ablations}}, c.trials(),
                              measures::SquaredError{}, {sums.data(), sums.data() + 2 * trials}, n_threads, interrupt);
      return sums;
    };
    const Values<double> sums = run(1);
    CHECK(sums == run(2));
    CHECK(sums == run(5));

    double worst = 0;
    for (std::size_t a = 0; a < 2; ++a) {
      const Values<double> outputs = plain_outputs(a == 0 ? c : ablated);
      Values<double> per_trial(trials), per_step(steps);
      for (std::size_t i = 0; i < trials; ++i) {
        for (std::size_t t = 0; t < steps; ++t) {
          for (std::size_t k = 0; k < std::size_t(shape.n_outputs); ++k) {
            const std::size_t at = (i * steps + t) * std::size_t(shape.n_outputs) + k;
            const double difference = outputs[at] - double(c.targets[at]);
            const double weighted = double(c.weights[i * steps + t]) * difference * difference;
            per_trial[i] += weighted;
            per_step[t] += weighted;
          }
        }
      }
      for (std::size_t i = 0; i < trials; ++i)
        worst = std::max(worst, std::abs(per_trial[i] - sums[a * trials + i]) / (1 + per_trial[i]));
      for (std::size_t t = 0; t < steps; ++t)
        worst = std::max(worst, std::abs(per_step[t] - sums[2 * trials + a * steps + t]) / (1 + per_step[t]));
    }
    CHECK(worst < tolerance);
  }
}

TEST_CASE("ablations agree with plain loops, with the same bits for any number of threads") {
  check_ablations<double>(1e-12);
  check_ablations<float>(1e-4);
}

TEST_CASE("gradients agree with central differences, dense and Cayley, for each cell") {
  for (const Shape& shape : shapes) {
    for (std::size_t k = 0; k < 2 * std::size(described); ++k) {
      const CellDescription& cell = described[k / 2];
      const bool cayley = k % 2 == 1;
      // The products are those of the plain cell, and Cayley's are Eigen's.
      if (shape.n_hidden > (k == 0 ? 250 : k == 1 ? 72 : 10)) continue;
      CAPTURE(shape.n_hidden);
      CAPTURE(k);
      const Case<double> c(shape);
      const Index n_pairs = cayley ? shape.n_hidden / 3 : -1;
      const Model model{{shape.n_hidden, shape.n_inputs, shape.n_outputs, n_pairs, shape.biases, shape.biases}, cell};
      std::mt19937_64 random(3);
      const Values<double> theta = normal<double>(random, model.layout.size(), 0.2);
      Interrupt interrupt;
      const auto loss = [&](const Values<double>& at, Values<double>& gradient) {
        return loss_gradient(model, at.data(), c.trials(), gradient.data(), interrupt);
      };
      CHECK(gradient_error(loss, theta, random) < 1e-7);
    }
  }
}

}  // namespace
