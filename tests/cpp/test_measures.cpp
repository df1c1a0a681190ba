// The measures against plain loops in a wider type, and at the edges: ties, zeros, small numbers, NaN.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "schurscope/measures/measures.hpp"

namespace {

using namespace schurscope;

/// The score of one trial, in every lane.
template <class M, class T>
T score(const std::vector<T>& output, const std::vector<T>& target) {
  const Index n = static_cast<Index>(output.size()), width = lanes<T>;
  AlignedBuffer<T> y(static_cast<std::size_t>(n * width)), wanted(y.size());
  for (std::size_t i = 0; i < y.size(); ++i) {
    y[i] = output[i / static_cast<std::size_t>(width)];
    wanted[i] = target[i / static_cast<std::size_t>(width)];
  }
  const Vec<T> scores = M::template score<T>(y.data(), wanted.data(), n, width);
  const bool is_nan = std::isnan(scores[0]);
  for (int l = 1; l < lanes<T>; ++l) REQUIRE((is_nan ? std::isnan(scores[l]) : scores[l] == scores[0]));
  return scores[0];
}

template <class T>
std::vector<T> normal(std::mt19937_64& random, std::size_t size, double scale) {
  std::normal_distribution<double> distribution(0, scale);
  std::vector<T> values(size);
  for (T& value : values) value = static_cast<T>(distribution(random));
  return values;
}

template <class T>
void check_against_loops() {
  std::mt19937_64 random(5);
  double worst = 0;
  const double eps = static_cast<double>(std::numeric_limits<T>::epsilon());
  for (int round = 0; round < 3000; ++round) {
    const std::size_t n = 1 + static_cast<std::size_t>(round % 9);
    const std::vector<T> y = normal<T>(random, n, round % 2 == 0 ? 1 : 30), other = normal<T>(random, n, 1);
    long double squared = 0, agree = 0, sum = 0, entropy = 0;
    std::size_t first = 0, wanted = 0;
    for (std::size_t c = 0; c < n; ++c) {
      squared += std::pow(static_cast<long double>(y[c]) - static_cast<long double>(other[c]), 2.0L);
      agree += (y[c] > 0) == (other[c] > 0);
      if (y[c] > y[first]) first = c;
      if (other[c] > other[wanted]) wanted = c;
    }
    std::vector<T> one_hot(n);
    one_hot[wanted] = 1;
    for (std::size_t c = 0; c < n; ++c)
      sum += std::exp(static_cast<long double>(y[c]) - static_cast<long double>(y[first]));
    entropy = static_cast<long double>(y[first]) - static_cast<long double>(y[wanted]) + std::log(sum);
    if (wanted == first) {
      sum = 0;
      for (std::size_t c = 0; c < n; ++c) {
        if (c != first) sum += std::exp(static_cast<long double>(y[c]) - static_cast<long double>(y[first]));
      }
      entropy = std::log1p(sum);
    }
    REQUIRE(score<measures::SquaredError, T>(y, other) ==
            doctest::Approx(static_cast<double>(squared)).epsilon(10 * eps));
    REQUIRE(static_cast<double>(score<measures::Agreement, T>(y, other)) == static_cast<double>(agree));
    REQUIRE(static_cast<double>(score<measures::Accuracy, T>(y, other)) == (first == wanted ? 1 : 0));
    const double got = static_cast<double>(score<measures::CrossEntropy, T>(y, one_hot));
    // A difference of outputs is rounded, and exp makes of its last digit as many as the difference is large.
    const double spread =
        static_cast<double>(*std::max_element(y.begin(), y.end()) - *std::min_element(y.begin(), y.end()));
    if (entropy > 1e-30L) worst = std::max(worst, std::abs(got / static_cast<double>(entropy) - 1) / (4 + spread));
  }
  CHECK(worst < eps);
}

TEST_CASE("scores agree with plain loops") {
  check_against_loops<double>();
  check_against_loops<float>();
}

template <class T>
void check_edges() {
  constexpr T nan = std::numeric_limits<T>::quiet_NaN(), infinity = std::numeric_limits<T>::infinity();
  const T small = std::numeric_limits<T>::min();
  using measures::Accuracy, measures::Agreement, measures::CrossEntropy, measures::SquaredError;
  CHECK(score<Agreement, T>({small, -small, 0, 1}, {small, -small, 1, 0}) == T(2));
  CHECK(score<Accuracy, T>({1, 3, 3}, {0, 1, 0}) == T(1));  // of equal channels the first
  CHECK(score<Accuracy, T>({1, 3, 3}, {0, 0, 1}) == T(0));
  CHECK(score<Accuracy, T>({1, 3, 3}, {0, 1, 1}) == T(1));
  CHECK(score<Accuracy, T>({-1}, {0}) == T(1));
  CHECK(score<CrossEntropy, T>({5}, {1}) == T(0));
  CHECK(score<CrossEntropy, T>({0, 0}, {T(0.5), T(0.5)}) == doctest::Approx(std::log(2)).epsilon(1e-6));
  CHECK(score<CrossEntropy, T>({0, T(1e30)}, {1, 0}) == T(1e30));
  CHECK(score<CrossEntropy, T>({0, T(1e30)}, {0, 1}) <= std::numeric_limits<T>::min() * T(4));
  for (const T wrong : {nan, infinity, -infinity}) {
    for (std::size_t at = 0; at < 3; ++at) {
      std::vector<T> y{1, 2, 3};
      y[at] = wrong;
      CHECK(!std::isfinite(score<SquaredError, T>(y, {1, 0, 0})));
      CHECK(std::isnan(score<Agreement, T>(y, {1, 0, 0})));
      CHECK(std::isnan(score<Accuracy, T>(y, {1, 0, 0})));
      CHECK(!std::isfinite(score<CrossEntropy, T>(y, {T(0.5), T(0.5), 0})));
    }
  }
  for (std::size_t at = 0; at < 3; ++at) {
    std::vector<T> y{1, 2, 3};
    y[at] = nan;
    CHECK(std::isnan(score<CrossEntropy, T>(y, {1, 0, 0})));
  }
}

TEST_CASE("ties, zeros and small numbers; what is not finite stays so") {
  check_edges<double>();
  check_edges<float>();
}

TEST_CASE("weights scale a step's scores, and 0 hides what is not finite") {
  using T = double;
  constexpr int V = 2;
  constexpr Index width = V * lanes<T>;
  AlignedBuffer<T> y(width), target(width), weight(width);
  AlignedBuffer<double> per_trial(width), per_step(lanes<T>);
  double expected = 0;
  for (std::size_t l = 0; l < width; ++l) {
    weight[l] = static_cast<double>(l % 3);
    y[l] = l % 3 == 0 ? std::numeric_limits<T>::infinity() : static_cast<double>(l);
    if (l % 3 != 0) expected += weight[l] * y[l] * y[l];
  }
  const Index n_outputs = 1;
  add_scores_of<V, T>(measures::SquaredError{})(y.data(), target.data(), weight.data(), n_outputs, per_trial.data(),
                                                per_step.data());
  double of_trials = 0, of_step = 0;
  for (std::size_t l = 0; l < per_trial.size(); ++l) of_trials += per_trial[l];
  for (std::size_t l = 0; l < per_step.size(); ++l) of_step += per_step[l];
  CHECK(of_trials == expected);
  CHECK(of_step == expected);
}

}  // namespace
