// simd::tanh against tanh in a wider type, in units in the last place of the exact result: for float the C library's for
// double, for double our own in double-double, since long double is not wider everywhere.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>

#include "double_double.hpp"
#include "schurscope/tanh.hpp"

namespace {

using namespace schurscope;

constexpr double bound = 3.0;

template <class T>
T tanh_of(T x) {
  return simd::tanh<T>(simd::broadcast(x))[0];
}

/// The spacing of T just below |exact|.
template <class T>
T spacing_at(T exact) {
  const T magnitude = std::max(std::abs(exact), std::numeric_limits<T>::min());
  return magnitude - std::nextafter(magnitude, T(0));
}

/// |got - tanh(x)| in that spacing.
double ulp_error(float got, float x) {
  const double exact = std::tanh(static_cast<double>(x));
  return std::abs(static_cast<double>(got) - exact) / static_cast<double>(spacing_at(static_cast<float>(exact)));
}
double ulp_error(double got, double x) {
  const double_double::DoubleDouble exact = double_double::tanh(x);
  return std::abs((got - exact.high) - exact.low) / spacing_at(exact.high);
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

TEST_CASE("every 101st float from 1e-20 to beyond saturation") {
  double worst = 0;
  bool odd = true;
  const float first = 1e-20f, last = 12.0f;
  constexpr std::uint32_t stride = 101;
  std::uint32_t begin, end;
  std::memcpy(&begin, &first, 4);
  std::memcpy(&end, &last, 4);
  for (std::uint32_t bits = begin; bits < end; bits += stride * lanes<float>) {
    Vec<float> x;
    for (int l = 0; l < lanes<float>; ++l) {
      const std::uint32_t b = bits + stride * static_cast<std::uint32_t>(l);
      float value;
      std::memcpy(&value, &b, 4);
      x[l] = value;
    }
    const Vec<float> y = simd::tanh<float>(x), mirrored = simd::tanh<float>(-x);
    for (int l = 0; l < lanes<float>; ++l) {
      worst = std::max(worst, ulp_error(float{y[l]}, float{x[l]}));
      odd = odd && mirrored[l] == -y[l];
    }
  }
  CHECK(worst < bound);
  CHECK(odd);
}

TEST_CASE("the reference agrees with the C library where that is wider, and with tabulated digits") {
  using double_double::tanh;
  // From a computation with 60 digits, as the nearest double and the rest.
  struct Known {
    double x, high, low;
  };
  const Known table[] = {
      {0x1.70ef54646d497p-57, 0x1.70ef54646d497p-57, -0x1.fed4f3ec0c467p-172},
      {0x1.0000000000000p-20, 0x1.ffffffffff555p-21, 0x1.5555556666666p-75},
      {0x1.999999999999ap-4, 0x1.983d7795f413ap-4, 0x1.0562af1da747bp-58},
      {0x1.199999999999ap-1, 0x1.00442f6419203p-1, -0x1.a6f0615dc969bp-56},
      {0x1.0000000000000p+0, 0x1.85efab514f394p-1, 0x1.5618caf8a4f11p-55},
      {0x1.a000000000000p+1, 0x1.fe76795d353a0p-1, 0x1.5ace83f582f40p-55},
      {0x1.2800000000000p+4, 0x1.ffffffffffffep-1, 0x1.d9ee380d67eaep-55},
  };
  for (const Known& known : table) {
    const double_double::DoubleDouble got = tanh(known.x);
    CHECK(std::abs((got.high - known.high) + (got.low - known.low)) < 1e-29 * std::abs(known.high));
  }
  if constexpr (std::numeric_limits<long double>::digits > std::numeric_limits<double>::digits) {
    const long double tolerance = std::max(4 * std::numeric_limits<long double>::epsilon(), 1e-29L);
    for (double x = 1e-18; x < 25; x *= 1.37) {
      const double_double::DoubleDouble got = tanh(x);
      const long double exact = std::tanh(static_cast<long double>(x));
      const long double difference = static_cast<long double>(got.high) + static_cast<long double>(got.low) - exact;
      CHECK(std::abs(difference) < tolerance * exact);
    }
  }
}

TEST_CASE("doubles: dense near 0, in the middle and near saturation") {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> uniform(0, 1);
  double worst = 0;
  bool odd = true;
  for (int i = 0; i < 100'000; ++i) {
    const double u = uniform(random);
    const double x = i % 3 == 0 ? std::exp(-40 * u) : i % 3 == 1 ? 2 * u : 17 + 4 * u;
    const double y = tanh_of(x);
    worst = std::max(worst, ulp_error(y, x));
    odd = odd && tanh_of(-x) == -y;
  }
  CHECK(worst < bound);
  CHECK(odd);
}

}  // namespace
