// The diagonal blocks of a real Schur form: their positions, their eigenvalues, and their standard form.
//
// A quasi-upper-triangular T has 1x1 blocks (real eigenvalues) and 2x2 blocks (conjugate pairs) on its diagonal.
// Exact zeros of the subdiagonal separate blocks, without a threshold, so T and cT have the same blocks.
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "schurscope/matrix.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

namespace detail {

inline void require_square(const ConstMatrixRef& T, const char* name) {
  if (T.rows() != T.cols())
    throw std::invalid_argument(std::string(name) + " must be square, got " + std::to_string(T.rows()) + " x " +
                                std::to_string(T.cols()));
}

}  // namespace detail

/// First index of each diagonal block.
///
/// Throws std::invalid_argument unless T is quasi-upper-triangular: square, exactly zero below the subdiagonal, and
/// without two nonzero subdiagonal entries in a row.
inline std::vector<Index> block_starts(const ConstMatrixRef& T) {
  detail::require_square(T, "T");
  const Index n = T.rows();
  for (Index j = 0; j < n; ++j)
    for (Index i = j + 2; i < n; ++i)
      if (T(i, j) != 0)
        throw std::invalid_argument("T must be quasi-upper-triangular, but T[" + std::to_string(i) + ", " +
                                    std::to_string(j) + "] below the subdiagonal is not zero");
  std::vector<Index> starts;
  starts.reserve(static_cast<std::size_t>(n));
  for (Index i = 0; i < n;) {
    const Index size = i + 1 < n && T(i + 1, i) != 0 ? 2 : 1;
    if (size == 2 && i + 2 < n && T(i + 2, i + 1) != 0)
      throw std::invalid_argument(
          "T must be quasi-upper-triangular, but its subdiagonal has two nonzero entries in a row, in columns " +
          std::to_string(i) + " and " + std::to_string(i + 1));
    starts.push_back(i);
    i += size;
  }
  return starts;
}

namespace detail {

/// sqrt(x² + y²) without overflow. Not std::hypot: glibc gave it a new version in 2.35, and a wheel that calls it runs
/// on nothing older.
inline double length_of(double x, double y) {
  const double larger = std::max(std::abs(x), std::abs(y)), smaller = std::min(std::abs(x), std::abs(y));
  if (larger == 0) return 0;
  const double ratio = smaller / larger;
  return larger * std::sqrt(1 + ratio * ratio);
}

/// The 2x2 matrix [[a, b], [c, d]].
struct Block2 {
  double a, b, c, d;
};

/// The matrix [[cosine, -sine], [sine, cosine]]; a product of rotations is their matrix product.
struct Rotation {
  double cosine = 1, sine = 0;

  friend Rotation operator*(Rotation left, Rotation right) {
    return {left.cosine * right.cosine - left.sine * right.sine, left.sine * right.cosine + left.cosine * right.sine};
  }
};

/// G such that G^T [[a, b], [0, d]] G = [[d, b], [0, a]]: its first column is d's eigenvector.
inline Rotation exchange(double a, double b, double d) {
  const double length = length_of(b, d - a);
  return length == 0 ? Rotation{} : Rotation{b / length, (d - a) / length};
}

/// G such that G^T m G has equal diagonal entries; m becomes that matrix.
inline Rotation equalise_diagonal(Block2& m) {
  const double half_difference = 0.5 * m.a - 0.5 * m.d;
  const double sum = m.b + m.c;
  const double length = length_of(sum, 2 * half_difference);
  const double cosine = std::sqrt(0.5 * (1 + std::abs(sum) / length));
  const double sine = -half_difference / (length * cosine) * std::copysign(1.0, sum);
  const double a = m.a * cosine + m.b * sine, b = m.b * cosine - m.a * sine;
  const double c = m.c * cosine + m.d * sine, d = m.d * cosine - m.c * sine;
  const double mean = 0.5 * m.a + 0.5 * m.d;
  m = {mean, b * cosine + d * sine, c * cosine - a * sine, mean};
  return {cosine, sine};
}

/// Brings m to the standard form of its eigenvalues and returns G: (m before) = G (m after) G^T.
///
/// A conjugate pair gets equal diagonal entries and off-diagonal entries of opposite sign: its imaginary part is then
/// sqrt(-bc). Real eigenvalues are split: c becomes exactly zero, and the larger modulus comes first (the larger value,
/// if the moduli are equal). Follows the case distinction of LAPACK's dlanv2, whose formulas keep small eigenvalues of
/// graded blocks accurate.
inline Rotation standardise(Block2& m) {
  const auto opposite_signs = [&m] { return (m.b < 0) != (m.c < 0); };
  const double p = 0.5 * m.a - 0.5 * m.d;
  Rotation G;
  if (m.c != 0 && m.b == 0) {
    G = {0, 1};
    m = {m.d, -m.c, 0, m.a};
  } else if (m.c != 0 && !(p == 0 && opposite_signs())) {
    const double larger = std::max(std::abs(m.b), std::abs(m.c));
    const double smaller = std::min(std::abs(m.b), std::abs(m.c)) * (opposite_signs() ? -1 : 1);
    const double scale = std::max(std::abs(p), larger);
    const double discriminant = p / scale * p + larger / scale * smaller;  // over scale
    if (discriminant >= 4 * std::numeric_limits<double>::epsilon() * scale) {
      const double z = p + std::copysign(std::sqrt(scale) * std::sqrt(discriminant), p);
      const double length = length_of(m.c, z);
      G = {z / length, m.c / length};
      m = {m.d + z, m.b - m.c, 0, m.d - larger / z * smaller};
    } else {
      // A pair, or real eigenvalues too close for the formula above: equalise the diagonal, then check the signs.
      G = equalise_diagonal(m);
      if (m.c != 0 && m.b == 0) {
        G = G * Rotation{0, 1};
        m = {m.d, -m.c, 0, m.a};
      } else if (m.c != 0 && !opposite_signs()) {
        const double root_b = std::sqrt(std::abs(m.b)), root_c = std::sqrt(std::abs(m.c));
        const double length = std::sqrt(std::abs(m.b + m.c));
        const double distance = std::copysign(root_b * root_c, m.c);
        G = G * Rotation{root_b / length, root_c / length};
        m = {m.a + distance, m.b - m.c, 0, m.d - distance};
      }
    }
  }
  const bool out_of_order = std::abs(m.a) < std::abs(m.d) || (std::abs(m.a) == std::abs(m.d) && m.a < m.d);
  if (m.c == 0 && out_of_order) {
    G = G * exchange(m.a, m.b, m.d);
    std::swap(m.a, m.d);
  }
  return G;
}

/// The eigenvalue of larger modulus; of a conjugate pair, the one with positive imaginary part.
inline std::complex<double> leading_eigenvalue(const Block2& m) {
  const double mean = 0.5 * m.a + 0.5 * m.d;
  const double p = 0.5 * m.a - 0.5 * m.d;
  const double scale = std::max({std::abs(p), std::abs(m.b), std::abs(m.c)});
  if (scale == 0) return mean;
  if (p == 0 && (m.b < 0) != (m.c < 0)) return {mean, std::sqrt(std::abs(m.b)) * std::sqrt(std::abs(m.c))};
  const double discriminant = (p / scale) * (p / scale) + (m.b / scale) * (m.c / scale);
  const double root = scale * std::sqrt(std::abs(discriminant));
  if (discriminant < 0) return {mean, root};
  return mean + std::copysign(root, mean);
}

}  // namespace detail

/// The eigenvalue, of larger modulus and nonnegative imaginary part, of the block of T that starts at `start`.
inline std::complex<double> block_eigenvalue(const ConstMatrixRef& T, Index start, Index size) {
  if (size == 1) return T(start, start);
  return detail::leading_eigenvalue(
      {T(start, start), T(start, start + 1), T(start + 1, start), T(start + 1, start + 1)});
}

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
