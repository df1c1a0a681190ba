// The headers as another project uses them: the ordered Schur form of a matrix whose eigenvalues are known, and a
// network's rollout and ablations against plain loops. Says what is wrong and fails, or is silent.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <schurscope/perturbation/gains.hpp>
#include <schurscope/run_ablations.hpp>
#include <schurscope/schur.hpp>
#include <vector>

namespace {

using Matrix = schurscope::RowMajorMatrix<double>;

constexpr int n_hidden = 4, n_inputs = 1, n_outputs = 2, n_trials = 3, n_steps = 6, n_R = 1;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "wrong: %s\n", what);
  std::exit(EXIT_FAILURE);
}

bool near(double got, double expected) { return std::abs(got - expected) <= 1e-12 * (1 + std::abs(expected)); }

Matrix product(const Matrix& A, const Matrix& B) {
  Matrix C = Matrix::Zero(A.rows(), B.cols());
  for (int i = 0; i < A.rows(); ++i)
    for (int j = 0; j < B.cols(); ++j)
      for (int k = 0; k < A.cols(); ++k) C(i, j) += A(i, k) * B(k, j);
  return C;
}

bool near(const Matrix& got, const Matrix& expected) {
  for (int i = 0; i < got.rows(); ++i)
    for (int j = 0; j < got.cols(); ++j)
      if (!near(got(i, j), expected(i, j))) return false;
  return true;
}

/// The companion matrix of (z - 3)(z + 2)(z² - 2z + 2), whose roots are 3, -2 and 1 ± i, over 4.
Matrix recurrent_weights() {
  Matrix W(n_hidden, n_hidden);
  W << 3, 2, -10, 12, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0;
  return W / 4;
}

schurscope::RealSchur checked_schur(const Matrix& W) {
  const schurscope::RealSchur schur = schurscope::real_schur(W);
  const Matrix Q = schur.Q, T = schur.T;
  require(near(T(0, 0), 0.75) && near(T(1, 1), -0.5), "the real eigenvalues, in the order of their moduli");
  require(near(T(2, 2), 0.25) && near(T(3, 3), 0.25) && near(T(2, 3) * T(3, 2), -0.0625), "the pair comes last");
  require(T(1, 0) == 0 && T(2, 1) == 0 && T(2, 0) == 0 && T(3, 0) == 0 && T(3, 1) == 0, "T is quasi-upper-triangular");
  require(near(product(Q, Q.transpose()), Matrix::Identity(n_hidden, n_hidden)), "Q is orthogonal");
  require(near(product(product(Q, T), Q.transpose()), W), "W = Q T Q^T");
  return schur;
}

const double W_xh[n_hidden] = {1.0, -0.5, 0.25, 0.75};
const double W_hy[n_outputs * n_hidden] = {0.5, -1.0, 0.25, 2.0, 1.5, 0.5, -0.75, 1.0};
const double b_h[n_hidden] = {0.1, 0.0, -0.2, 0.3};

/// Outputs (trials, steps, n_outputs) of h_t = tanh(W_xh x_t + W_hh h_{t-1} + b_h), y_t = W_hy h_t.
std::vector<double> plain_outputs(const Matrix& W_hh, const std::vector<double>& inputs) {
  std::vector<double> outputs;
  for (int trial = 0; trial < n_trials; ++trial) {
    double h[n_hidden] = {}, next[n_hidden];
    for (int t = 0; t < n_steps; ++t) {
      for (int i = 0; i < n_hidden; ++i) {
        double sum = b_h[i] + W_xh[i] * inputs[static_cast<std::size_t>(trial * n_steps + t)];
        for (int k = 0; k < n_hidden; ++k) sum += W_hh(i, k) * h[k];
        next[i] = std::tanh(sum);
      }
      for (int i = 0; i < n_hidden; ++i) h[i] = next[i];
      for (int i = 0; i < n_outputs; ++i) {
        double sum = 0;
        for (int k = 0; k < n_hidden; ++k) sum += W_hy[i * n_hidden + k] * h[k];
        outputs.push_back(sum);
      }
    }
  }
  return outputs;
}

double squared_error(const std::vector<double>& outputs, const std::vector<double>& targets, int trial) {
  double sum = 0;
  for (int k = trial * n_steps * n_outputs; k < (trial + 1) * n_steps * n_outputs; ++k) {
    const std::size_t at = static_cast<std::size_t>(k);
    sum += (outputs[at] - targets[at]) * (outputs[at] - targets[at]);
  }
  return sum;
}

}  // namespace

int main() {
  const Matrix W_hh = recurrent_weights();
  const schurscope::RealSchur schur = checked_schur(W_hh);

  schurscope::NetworkView<double> network{};
  network.n_hidden = n_hidden;
  network.n_inputs = n_inputs;
  network.n_outputs = n_outputs;
  network.W_hh = W_hh.data();
  network.W_xh = W_xh;
  network.W_hy = W_hy;
  network.b_h = b_h;

  std::vector<double> inputs, targets;
  for (int k = 0; k < n_trials * n_steps; ++k) inputs.push_back(std::sin(1.7 * k));
  for (int k = 0; k < n_trials * n_steps * n_outputs; ++k) targets.push_back(std::cos(0.9 * k));
  const std::vector<double> weights(inputs.size(), 1.0);

  schurscope::TrialsView<double> trials{};
  trials.n_trials = n_trials;
  trials.n_steps = n_steps;
  trials.n_inputs = n_inputs;
  trials.n_outputs = n_outputs;
  trials.n_hidden = n_hidden;
  trials.inputs = inputs.data();
  trials.targets = targets.data();
  trials.weights = weights.data();

  schurscope::Interrupt interrupt;
  const std::vector<double> expected = plain_outputs(W_hh, inputs);
  std::vector<double> outputs(expected.size());
  schurscope::rollout<double>(network, trials, outputs.data(), nullptr, 2, interrupt);
  for (std::size_t k = 0; k < outputs.size(); ++k) require(near(outputs[k], expected[k]), "the rollout");

  // The full network, and the one without the couplings from C to R: the rows of R, the columns of C.
  const Matrix Q = schur.Q, T = schur.T;
  Matrix T_ablated = T;
  for (int j = n_R; j < n_hidden; ++j) T_ablated(0, j) = 0;
  const std::vector<double> ablated = plain_outputs(product(product(Q, T_ablated), Q.transpose()), inputs);

  const schurscope::Rectangle CR{0, n_R, n_R, n_hidden};
  const double gain = 0;
  const std::vector<schurscope::Gains> ablations{{nullptr, nullptr, 0}, {&CR, &gain, 1}};
  std::vector<double> per_trial(2 * n_trials), per_step(2 * n_steps);
  schurscope::run_ablations<double, schurscope::Gains>(
      network, {{{W_hh.data(), Q.data(), T.data(), n_hidden}, ablations}}, trials, schurscope::measures::SquaredError{},
      {per_trial.data(), per_step.data()}, 2, interrupt);
  for (int trial = 0; trial < n_trials; ++trial) {
    const double full = squared_error(expected, targets, trial), without_CR = squared_error(ablated, targets, trial);
    require(std::abs(full - without_CR) > 1e-3, "the ablation changes nothing");
    require(near(per_trial[static_cast<std::size_t>(trial)], full), "the full network");
    require(near(per_trial[static_cast<std::size_t>(n_trials + trial)], without_CR), "the ablation");
  }
}
