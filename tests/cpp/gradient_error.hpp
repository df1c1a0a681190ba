// How far a gradient is from central differences of its loss.
#pragma once

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

/// The largest difference along random axes, and along one direction that all parameters share. `loss(theta, gradient)`
/// returns the loss, and writes its gradient.
template <class Loss>
double gradient_error(const Loss& loss, const std::vector<double>& theta, std::mt19937_64& random) {
  constexpr int n_axes = 12;
  constexpr double h = 1e-5;
  std::vector<double> gradient(theta.size()), unused(theta.size());
  loss(theta, gradient);
  std::normal_distribution<double> normal(0, 1 / std::sqrt(double(theta.size())));
  std::uniform_int_distribution<std::size_t> axis(0, theta.size() - 1);
  double worst = 0;
  for (int k = 0; k <= n_axes; ++k) {
    std::vector<double> direction(theta.size(), 0.0), above = theta, below = theta;
    if (k < n_axes)
      direction[axis(random)] = 1;
    else
      std::generate(direction.begin(), direction.end(), [&] { return normal(random); });
    double slope = 0;
    for (std::size_t i = 0; i < theta.size(); ++i) {
      above[i] += h * direction[i];
      below[i] -= h * direction[i];
      slope += gradient[i] * direction[i];
    }
    worst = std::max(worst, std::abs((loss(above, unused) - loss(below, unused)) / (2 * h) - slope));
  }
  return worst;
}
