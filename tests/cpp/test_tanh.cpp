// simd::tanh against the C library's tanh in the next wider type, in units in the last place of the exact result.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>

#include "schurscope/tanh.hpp"

namespace {

using namespace schurscope;

constexpr double bound = 3.0;

template <class T>
T tanh_of(T x) {
  return simd::tanh<T>(simd::broadcast(x))[0];
}

/// |got - exact| in the spacing of T just below |exact|.
template <class T, class Wide>
double ulp_error(T got, Wide exact) {
  const T magnitude = std::max(static_cast<T>(std::abs(exact)), std::numeric_limits<T>::min());
  const T spacing = magnitude - std::nextafter(magnitude, T(0));
  return static_cast<double>(std::abs(static_cast<Wide>(got) - exact) / static_cast<Wide>(spacing));
}

template <class T>
void check_special_values() {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  CHECK(tanh_of(infinity) == T(1));
  CHECK(tanh_of(-infinity) == T(-1));
  CHECK(tanh_of(std::numeric_limits<T>::max()) == T(1));
  CHECK(std::isnan(tanh_of(std::numeric_limits<T>::quiet_NaN())));
  CHECK(tanh_of(T(0)) == T(0));
  CHECK(tanh_of(std::numeric_limits<T>::min()) == std::numeric_limits<T>::min());
}

TEST_CASE("special values") {
  check_special_values<float>();
  check_special_values<double>();
}

TEST_CASE("every seventh float from 1e-20 to beyond saturation") {
  double worst = 0;
  bool odd = true;
  const float first = 1e-20f, last = 12.0f;
  std::uint32_t begin, end;
  std::memcpy(&begin, &first, 4);
  std::memcpy(&end, &last, 4);
  for (std::uint32_t bits = begin; bits < end; bits += 7 * lanes<float>) {
    Vec<float> x;
    for (int l = 0; l < lanes<float>; ++l) {
      const std::uint32_t b = bits + 7 * static_cast<std::uint32_t>(l);
      float value;
      std::memcpy(&value, &b, 4);
      x[l] = value;
    }
    const Vec<float> y = simd::tanh<float>(x), mirrored = simd::tanh<float>(-x);
    for (int l = 0; l < lanes<float>; ++l) {
      worst = std::max(worst, ulp_error(float{y[l]}, std::tanh(static_cast<double>(x[l]))));
      odd = odd && mirrored[l] == -y[l];
    }
  }
  CHECK(worst < bound);
  CHECK(odd);
}

TEST_CASE("doubles: dense near 0, in the middle and near saturation") {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> uniform(0, 1);
  double worst = 0;
  bool odd = true;
  for (int i = 0; i < 1'500'000; ++i) {
    const double u = uniform(random);
    const double x = i % 3 == 0 ? std::exp(-40 * u) : i % 3 == 1 ? 2 * u : 17 + 4 * u;
    const double y = tanh_of(x);
    worst = std::max(worst, ulp_error(y, std::tanh(static_cast<long double>(x))));
    odd = odd && tanh_of(-x) == -y;
  }
  CHECK(worst < bound);
  CHECK(odd);
}

}  // namespace
