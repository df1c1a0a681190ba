// Rollouts, ablations and gradients of gated cells against plain loops, for shapes that leave remainders everywhere.
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

const Shape shapes[] = {
    {1, 1, 1, 1, 1, true},    {3, 2, 1, 5, 4, false},  {7, 1, 5, 17, 3, true},
    {64, 3, 3, 65, 3, false}, {66, 4, 2, 97, 2, true},
};

const Form forms[] = {Form::gru_reset_after, Form::gru_reset_before, Form::lstm};

template <class T>
struct Case {
  Shape shape;
  Form form;
  Values<T> W_hh, W_xh, W_hy, b_h, b_y, b_hn, inputs, targets, weights, noise, starts;

  Case(const Shape& s, Form f) : shape(s), form(f) {
    std::mt19937_64 random(17);
    const Index gates = gates_of(form), n = s.n_hidden, steps = s.n_trials * s.n_steps;
    W_hh = normal<T>(random, gates * n * n, 1 / std::sqrt(double(n)));
    W_xh = normal<T>(random, gates * n * s.n_inputs, 1);
    W_hy = normal<T>(random, s.n_outputs * n, 1 / std::sqrt(double(n)));
    b_h = normal<T>(random, gates * n, 0.3);
    b_y = normal<T>(random, s.n_outputs, 0.3);
    b_hn = normal<T>(random, n, 0.3);
    inputs = normal<T>(random, steps * s.n_inputs, 1);
    targets = normal<T>(random, steps * s.n_outputs, 1);
    weights = normal<T>(random, steps, 1);
    for (T& w : weights) w = w > T(0.5) ? T(0) : std::abs(w);
    weights[0] = T(1);
    noise = normal<T>(random, steps * n, 0.2);
    starts = normal<T>(random, s.n_trials * starts_of(form) * n, 0.5);
  }
  bool has_b_hn() const { return shape.biases && form == Form::gru_reset_after; }
  NetworkView<T> network() const {
    NetworkView<T> view{shape.n_hidden,
                        shape.n_inputs,
                        shape.n_outputs,
                        W_hh.data(),
                        W_xh.data(),
                        W_hy.data(),
                        shape.biases ? b_h.data() : nullptr,
                        shape.biases ? b_y.data() : nullptr};
    view.cell.form = form;
    view.b_hn = has_b_hn() ? b_hn.data() : nullptr;
    return view;
  }
  TrialsView<T> trials() const {
    return {shape.n_trials, shape.n_steps,  shape.n_inputs, shape.n_outputs, shape.n_hidden, inputs.data(),
            targets.data(), weights.data(), noise.data(),   starts.data(),   false,          starts_of(form)};
  }
};

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

/// Outputs (trials, steps, n_outputs), in double, one number at a time.
template <class T>
Values<double> plain_outputs(const Case<T>& c) {
  const Shape& s = c.shape;
  const std::size_t n = std::size_t(s.n_hidden), n_x = std::size_t(s.n_inputs), n_y = std::size_t(s.n_outputs);
  Values<double> outputs;
  for (std::size_t trial = 0; trial < std::size_t(s.n_trials); ++trial) {
    const T* const start = c.starts.data() + trial * n * std::size_t(starts_of(c.form));
    Values<double> h(start, start + n), cell(n);
    if (c.form == Form::lstm) cell.assign(start + n, start + 2 * n);
    for (std::size_t t = 0; t < std::size_t(s.n_steps); ++t) {
      const std::size_t step = trial * std::size_t(s.n_steps) + t;
      const auto driven = [&](std::size_t gate, std::size_t i) {
        double sum = s.biases ? double(c.b_h[gate * n + i]) : 0;
        for (std::size_t k = 0; k < n_x; ++k)
          sum += double(c.W_xh[(gate * n + i) * n_x + k]) * double(c.inputs[step * n_x + k]);
        return sum;
      };
      const auto recurrent = [&](std::size_t gate, std::size_t i, const Values<double>& state) {
        double sum = 0;
        for (std::size_t k = 0; k < n; ++k) sum += double(c.W_hh[(gate * n + i) * n + k]) * state[k];
        return sum;
      };
      const auto gate_of = [&](std::size_t gate, std::size_t i) {
        return logistic(driven(gate, i) + recurrent(gate, i, h));
      };
      Values<double> next(n), next_cell(n), reset(n);
      for (std::size_t i = 0; i < n; ++i) reset[i] = gate_of(0, i) * h[i];
      for (std::size_t i = 0; i < n; ++i) {
        const double xi = double(c.noise[step * n + i]);
        if (c.form == Form::lstm) {
          const double g = std::tanh(driven(2, i) + recurrent(2, i, h) + xi);
          next_cell[i] = gate_of(1, i) * cell[i] + gate_of(0, i) * g;
          next[i] = gate_of(3, i) * std::tanh(next_cell[i]);
        } else {
          const double b_hn = c.has_b_hn() ? double(c.b_hn[i]) : 0;
          const double inner =
              c.form == Form::gru_reset_before ? recurrent(2, i, reset) : gate_of(0, i) * (recurrent(2, i, h) + b_hn);
          const double candidate = std::tanh(driven(2, i) + inner + xi), z = gate_of(1, i);
          next[i] = (1 - z) * candidate + z * h[i];
        }
      }
      h = next;
      cell = next_cell;
      for (std::size_t i = 0; i < n_y; ++i) {
        double sum = s.biases ? double(c.b_y[i]) : 0;
        for (std::size_t k = 0; k < n; ++k) sum += double(c.W_hy[i * n + k]) * h[k];
        outputs.push_back(sum);
      }
    }
  }
  return outputs;
}

template <class T>
void check_rollout(double tolerance) {
  for (const Form form : forms) {
    for (const Shape& shape : shapes) {
      CAPTURE(shape.n_hidden);
      const Case<T> c(shape, form);
      const Values<double> expected = plain_outputs(c);
      Values<T> outputs(expected.size());
      Interrupt interrupt;
      rollout<T>(c.network(), c.trials(), outputs.data(), nullptr, 2, interrupt);
      double worst = 0;
      for (std::size_t i = 0; i < expected.size(); ++i)
        worst = std::max(worst, std::abs(double(outputs[i]) - expected[i]));
      CHECK(worst < tolerance);
    }
  }
}

TEST_CASE("rollouts of gated cells agree with plain loops") {
  check_rollout<double>(1e-13);
  check_rollout<float>(1e-4);
}

TEST_CASE("an ablation changes the gates that it names, with the same bits for any number of threads") {
  for (const Form form : forms) {
    for (const Shape& shape : shapes) {
      CAPTURE(shape.n_hidden);
      const Case<double> c(shape, form);
      const Index n = shape.n_hidden;
      const std::size_t gates = std::size_t(gates_of(form)), size = std::size_t(n * n);
      // Q = I, T = the upper triangle of W: removing a rectangle of it leaves W with those entries zeroed.
      Values<double> identity(size, 0.0), upper(gates * size, 0.0);
      for (Index i = 0; i < n; ++i) {
        identity[std::size_t(i * n + i)] = 1;
        for (std::size_t gate = 0; gate < gates; ++gate)
          for (Index j = i; j < n; ++j) {
            const std::size_t at = gate * size + std::size_t(i * n + j);
            upper[at] = c.W_hh[at];
          }
      }
      const Rectangle rectangle{0, n / 2, n / 3, n};
      const double gain = 0.25;
      // Ablation 1 changes the first gate, ablation 2 the last.
      std::vector<GateAblations<double, Gains>> ablations;
      for (std::size_t gate = 0; gate < gates; ++gate) {
        const Gains none{nullptr, nullptr, 0}, some{&rectangle, &gain, 1};
        ablations.push_back({{c.W_hh.data() + gate * size, identity.data(), upper.data() + gate * size, n},
                             {none, gate == 0 ? some : none, gate + 1 == gates ? some : none}});
      }
      const std::size_t trials = std::size_t(shape.n_trials), steps = std::size_t(shape.n_steps);
      const auto run = [&](int n_threads) {
        Values<double> sums(3 * (trials + steps));
        Interrupt interrupt;
        run_ablations(c.network(), ablations, c.trials(), measures::SquaredError{},
                      {sums.data(), sums.data() + 3 * trials}, n_threads, interrupt);
        return sums;
      };
      const Values<double> sums = run(1);
      CHECK(sums == run(2));
      CHECK(sums == run(5));

      double worst = 0;
      for (std::size_t a = 0; a < 3; ++a) {
        Case<double> ablated = c;
        const std::size_t gate = a == 1 ? 0 : gates - 1;
        for (Index i = 0; a > 0 && i < n / 2; ++i)
          for (Index j = std::max(i + 1, n / 3); j < n; ++j) ablated.W_hh[gate * size + std::size_t(i * n + j)] *= gain;
        const Values<double> outputs = plain_outputs(ablated);
        for (std::size_t i = 0; i < trials; ++i) {
          double sum = 0;
          for (std::size_t at = i * steps * std::size_t(shape.n_outputs);
               at < (i + 1) * steps * std::size_t(shape.n_outputs); ++at) {
            const double difference = outputs[at] - c.targets[at];
            sum += c.weights[at / std::size_t(shape.n_outputs)] * difference * difference;
          }
          worst = std::max(worst, std::abs(sum - sums[a * trials + i]) / (1 + sum));
        }
      }
      CHECK(worst < 1e-12);
    }
  }
}

TEST_CASE("gradients of gated cells agree with central differences") {
  for (const Form form : forms) {
    for (const Shape& shape : shapes) {
      CAPTURE(shape.n_hidden);
      const Case<double> c(shape, form);
      Model model{{shape.n_hidden, shape.n_inputs, shape.n_outputs, -1, shape.biases, shape.biases, c.has_b_hn(),
                   gates_of(form)}};
      model.cell.form = form;
      std::mt19937_64 random(3);
      const Values<double> theta = normal<double>(random, model.layout.size(), 0.2);
      Interrupt interrupt;
      const auto loss = [&](const Values<double>& at, Values<double>& gradient) {
        return loss_gradient(model, at.data(), c.trials(), gradient.data(), interrupt);
      };
      CHECK(gradient_error(loss, theta, random) < 1e-8);
    }
  }
}

}  // namespace
