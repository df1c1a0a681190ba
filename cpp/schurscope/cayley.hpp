// The Cayley parametrisation of a normal recurrent matrix, and the pull-back of a gradient through it.
//
//     W = O D Oᵀ,   O = (I - A)(I + A)⁻¹,   A = (U - Uᵀ)/2,   D = blockdiag([[a, -b], [b, a]] …, r …).
//
// A is skew, so I + A is never singular, O is orthogonal and W is normal for any parameters. The arithmetic is in
// double, so that W is as normal as rounding allows, even for a float network.
#pragma once

#include <Eigen/LU>

#include "schurscope/matrix.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

class Cayley {
 public:
  using Matrix = Eigen::MatrixXd;

  /// n = 2 n_pairs + the number of real eigenvalues.
  Cayley(Index n, Index n_pairs) : n_(n), n_pairs_(n_pairs), diagonal_(n), side_(n) { side_.setZero(); }

  /// W for U (n, n) row-major, pairs (n_pairs, 2) of a and b, reals (n - 2 n_pairs).
  template <class T>
  const Matrix& matrix(const T* U, const T* pairs, const T* reals) {
    const Eigen::Map<const RowMajorMatrix<T>> u(U, n_, n_);
    const Matrix full = u.template cast<double>();
    const Matrix sum = Matrix::Identity(n_, n_) + (full - full.transpose()) / 2;
    inverse_ = sum.partialPivLu().inverse();
    orthogonal_ = 2 * inverse_ - Matrix::Identity(n_, n_);  // (I - A)(I + A)⁻¹ = 2 (I + A)⁻¹ - I
    for (Index k = 0; k < n_; ++k) {
      const Index pair = k / 2;
      const bool paired = pair < n_pairs_;
      diagonal_(k) = static_cast<double>(paired ? pairs[2 * pair] : reals[k - 2 * n_pairs_]);
      // D(k + 1, k) = b = -D(k, k + 1), kept at the first index of the pair
      if (paired && k % 2 == 0) side_(k) = static_cast<double>(pairs[2 * pair + 1]);
    }
    product_ = orthogonal_ * diagonal_.asDiagonal();
    for (Index k = 0; k < 2 * n_pairs_; k += 2) {
      product_.col(k) += side_(k) * orthogonal_.col(k + 1);
      product_.col(k + 1) -= side_(k) * orthogonal_.col(k);
    }
    W_.noalias() = product_ * orthogonal_.transpose();
    return W_;
  }

  /// Gradients of the parameters of the last `matrix` from G = dL/dW (n, n) row-major.
  ///
  /// dL/dD = Oᵀ G O on D's blocks; dL/dO = G O Dᵀ + Gᵀ O D; dO = -2 (I + A)⁻¹ dA (I + A)⁻¹; dA = (dU - dUᵀ)/2.
  template <class T>
  void pull_back(const T* G, T* U_gradient, T* pairs_gradient, T* reals_gradient) {
    const Matrix g = Eigen::Map<const RowMajorMatrix<T>>(G, n_, n_).template cast<double>();
    gradient_O_.noalias() = g * orthogonal_;
    for (Index k = 0; k < n_; ++k) {
      const auto dot = [&](Index i, Index j) { return orthogonal_.col(i).dot(gradient_O_.col(j)); };
      if (k >= 2 * n_pairs_) {
        reals_gradient[k - 2 * n_pairs_] = static_cast<T>(dot(k, k));
      } else if (k % 2 == 0) {
        pairs_gradient[k] = static_cast<T>(dot(k, k) + dot(k + 1, k + 1));
        pairs_gradient[k + 1] = static_cast<T>(dot(k + 1, k) - dot(k, k + 1));
      }
    }
    times_D_transposed(gradient_O_);
    gradient_O_.noalias() += g.transpose() * product_;  // product_ = O D
    half_.noalias() = inverse_.transpose() * gradient_O_;
    gradient_A_.noalias() = half_ * inverse_.transpose();
    Eigen::Map<RowMajorMatrix<T>>(U_gradient, n_, n_) = (gradient_A_.transpose() - gradient_A_).template cast<T>();
  }

 private:
  void times_D_transposed(Matrix& m) const {
    for (Index k = 0; k < 2 * n_pairs_; k += 2) {
      const Eigen::VectorXd first = m.col(k);
      m.col(k) = diagonal_(k) * first - side_(k) * m.col(k + 1);
      m.col(k + 1) = diagonal_(k + 1) * m.col(k + 1) + side_(k) * first;
    }
    for (Index k = 2 * n_pairs_; k < n_; ++k) m.col(k) *= diagonal_(k);
  }

  Index n_, n_pairs_;
  Matrix inverse_, orthogonal_, product_, W_, gradient_O_, gradient_A_, half_;
  Eigen::VectorXd diagonal_, side_;
};

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
