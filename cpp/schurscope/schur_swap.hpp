// The direct swap of two adjacent diagonal blocks of a real Schur form (Bai & Demmel, Linear Algebra Appl. 186, 1993).
//
// For [[A, B], [0, C]] with A of size p and C of size q, the solution X of the Sylvester equation A X - X C = B gives
// the invariant subspace of C, spanned by the columns of [-X; I]. An orthogonal U whose first q columns span it moves C
// to the top. The swap is refused if rounding would perturb the eigenvalues more than the form's own error.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "schurscope/schur_block.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

namespace detail {

template <int Rows, int Cols = Rows>
using Small = Eigen::Matrix<double, Rows, Cols>;

/// Solves K x = b by Gaussian elimination with complete pivoting, for entries of K and b of at most 1 in modulus.
///
/// A pivot below machine precision is replaced by it: K is singular if the blocks share an eigenvalue, and the large x
/// gives a subspace that the tests of the swap accept or refuse.
template <int N>
Small<N, 1> solve_complete_pivoting(Small<N> K, Small<N, 1> b) {
  std::array<int, N> unknown;
  for (int k = 0; k < N; ++k) unknown[static_cast<std::size_t>(k)] = k;
  for (int k = 0; k < N; ++k) {
    int row = k, col = k;
    double largest = 0;
    for (int j = k; j < N; ++j)
      for (int i = k; i < N; ++i) {
        const double size = std::abs(K(i, j));
        if (size > largest) {
          largest = size;
          row = i;
          col = j;
        }
      }
    if (row != k) {
      for (int j = k; j < N; ++j) std::swap(K(k, j), K(row, j));
      std::swap(b[k], b[row]);
    }
    if (col != k) {
      for (int i = 0; i < N; ++i) std::swap(K(i, k), K(i, col));
      std::swap(unknown[static_cast<std::size_t>(k)], unknown[static_cast<std::size_t>(col)]);
    }
    if (largest < std::numeric_limits<double>::epsilon()) K(k, k) = std::numeric_limits<double>::epsilon();
    const double inverse = 1 / K(k, k);
    for (int i = k + 1; i < N; ++i) {
      const double factor = K(i, k) * inverse;
      for (int j = k + 1; j < N; ++j) K(i, j) -= factor * K(k, j);
      b[i] -= factor * b[k];
    }
    K(k, k) = inverse;
  }
  Small<N, 1> x;
  for (int k = N - 1; k >= 0; --k) {
    for (int j = k + 1; j < N; ++j) b[k] -= K(k, j) * b[j];
    b[k] *= K(k, k);
    x[unknown[static_cast<std::size_t>(k)]] = b[k];
  }
  return x;
}

/// Orthogonal U whose first Cols columns span those of S (Householder).
template <int Rows, int Cols>
Small<Rows> orthogonal_completion(Small<Rows, Cols> S) {
  Small<Rows> U = Small<Rows>::Identity();
  for (int k = 0; k < Cols; ++k) {
    double v[Rows], tail = 0;
    for (int i = k; i < Rows; ++i) v[i] = S(i, k);
    for (int i = k + 1; i < Rows; ++i) tail += v[i] * v[i];
    v[k] += std::copysign(std::sqrt(v[k] * v[k] + tail), v[k]);
    if (v[k] == 0) continue;
    // From v itself, not from the length: the reflection is then orthogonal to the last bit or two.
    const double scale = 2 / (v[k] * v[k] + tail);
    for (int j = k + 1; j < Cols; ++j) {
      double projection = 0;
      for (int i = k; i < Rows; ++i) projection += v[i] * S(i, j);
      for (int i = k; i < Rows; ++i) S(i, j) -= scale * projection * v[i];
    }
    for (int i = 0; i < Rows; ++i) {
      double projection = 0;
      for (int j = k; j < Rows; ++j) projection += U(i, j) * v[j];
      for (int j = k; j < Rows; ++j) U(i, j) -= scale * projection * v[j];
    }
  }
  return U;
}

/// A swap of adjacent blocks: (D before) = U (D after) U^T for the small diagonal piece D that holds both.
template <int N>
struct Swap {
  Small<N> U;
  Small<N> D;
};

/// Standardises the 2x2 block of swap.D that starts at `start`, and applies the rotation to swap.U.
template <int N>
void standardise_within(Swap<N>& swap, int start) {
  Small<N>&D = swap.D, &U = swap.U;
  const int i = start, j = start + 1;
  Block2 block{D(i, i), D(i, j), D(j, i), D(j, j)};
  const Rotation G = standardise(block);
  const auto rotate = [G](double& x, double& y) {
    const double before = x;
    x = G.cosine * before + G.sine * y;
    y = G.cosine * y - G.sine * before;
  };
  for (int k = j + 1; k < N; ++k) rotate(D(i, k), D(j, k));
  for (int k = 0; k < i; ++k) rotate(D(k, i), D(k, j));
  for (int k = 0; k < N; ++k) rotate(U(k, i), U(k, j));
  D(i, i) = block.a;
  D(i, j) = block.b;
  D(j, i) = block.c;
  D(j, j) = block.d;
}

/// Swaps the leading P x P block of `before` with the trailing Q x Q block. False: refused, `swap` is meaningless.
template <int P, int Q>
bool make_swap(const Small<P + Q>& before, Swap<P + Q>& swap) {
  constexpr int N = P + Q;
  if constexpr (N == 2) {
    const Rotation G = exchange(before(0, 0), before(0, 1), before(1, 1));
    swap.U << G.cosine, -G.sine, G.sine, G.cosine;
    swap.D << before(1, 1), before(0, 1), 0, before(0, 0);
    return true;
  } else {
    const Small<P> A = before.template topLeftCorner<P, P>();
    const Small<P, Q> B = before.template topRightCorner<P, Q>();
    const Small<Q> C = before.template bottomRightCorner<Q, Q>();
    // K vec(X) = vec(B), columns of X stacked.
    Small<P * Q> K = Small<P * Q>::Zero();
    for (int j = 0; j < Q; ++j) {
      K.template block<P, P>(j * P, j * P) += A;
      for (int i = 0; i < Q; ++i) K.template block<P, P>(j * P, i * P).diagonal().array() -= C(i, j);
    }
    const double K_size = K.cwiseAbs().maxCoeff(), B_size = B.cwiseAbs().maxCoeff();
    Small<N, Q> subspace = Small<N, Q>::Zero();
    if (B_size > 0) {
      const Small<P * Q, 1> b = B.reshaped() / B_size;
      const Small<P * Q, 1> x = solve_complete_pivoting<P * Q>(K / K_size, b);
      subspace.template topRows<P>() =
          -(B_size / std::max(B_size, K_size)) * x.template reshaped<Eigen::ColMajor>(P, Q);
      subspace.template bottomRows<Q>().diagonal().setConstant(K_size / std::max(B_size, K_size));
    } else {
      subspace.template bottomRows<Q>().setIdentity();
    }
    swap.U = orthogonal_completion<N, Q>(subspace);
    swap.D.noalias() = swap.U.transpose() * before * swap.U;

    // LAPACK's dlaexc allows the coupling 10 eps times the largest entry. Comparing all of D costs two products, which
    // round: sound swaps of random blocks reach 17 eps.
    const double unit = std::numeric_limits<double>::epsilon() * before.cwiseAbs().maxCoeff();
    const double weak_bound = std::max(10 * unit, std::numeric_limits<double>::min());
    const double strong_bound = 4 * weak_bound;
    auto coupling = swap.D.template bottomLeftCorner<P, Q>();
    if (!(coupling.cwiseAbs().maxCoeff() <= weak_bound)) return false;
    coupling.setZero();
    if constexpr (Q == 2)
      standardise_within(swap, 0);
    else
      swap.D(0, 0) = C(0, 0);
    if constexpr (P == 2)
      standardise_within(swap, Q);
    else
      swap.D(N - 1, N - 1) = A(0, 0);
    return (before - swap.U * swap.D * swap.U.transpose()).cwiseAbs().maxCoeff() <= strong_bound;
  }
}

/// Multiplies N adjacent columns of length `rows` by U from the right.
template <int N>
void rotate_columns(double* first, Index stride, Index rows, const Small<N>& U) {
  for (Index i = 0; i < rows; ++i) {
    double x[N];
    for (int j = 0; j < N; ++j) x[j] = first[i + j * stride];
    for (int k = 0; k < N; ++k) {
      double y = x[0] * U(0, k);
      for (int j = 1; j < N; ++j) y += x[j] * U(j, k);
      first[i + k * stride] = y;
    }
  }
}

/// Multiplies N adjacent rows of length `cols` by U^T from the left.
template <int N>
void rotate_rows(double* first, Index stride, Index cols, const Small<N>& U) {
  const Small<N> U_transposed = U.transpose();
  for (Index j = 0; j < cols; ++j) {
    Eigen::Map<Small<N, 1>> column(first + j * stride);
    column = (U_transposed * column).eval();
  }
}

/// T -> G^T T G and Z -> Z G for an orthogonal G that differs from the identity in the N x N piece U at `start`; that
/// diagonal piece of T becomes D.
template <int N>
void apply_locally(MatrixRef T, MatrixRef Z, Index start, const Swap<N>& change) {
  const Index end = start + N;
  T.block<N, N>(start, start) = change.D;
  rotate_columns<N>(&T(0, start), T.outerStride(), start, change.U);
  if (end < T.cols()) rotate_rows<N>(&T(start, end), T.outerStride(), T.cols() - end, change.U);
  rotate_columns<N>(&Z(0, start), Z.outerStride(), Z.rows(), change.U);
}

template <int P, int Q>
bool swap_blocks_of_size(MatrixRef T, MatrixRef Z, Index start) {
  Swap<P + Q> swap;
  if (!make_swap<P, Q>(T.block<P + Q, P + Q>(start, start), swap)) return false;
  apply_locally(T, Z, start, swap);
  return true;
}

}  // namespace detail

/// Brings the 2x2 block of T at `start` to standard form, and updates Z.
inline void standardise_block(MatrixRef T, MatrixRef Z, Index start) {
  detail::Swap<2> change{detail::Small<2>::Identity(), T.block<2, 2>(start, start)};
  detail::standardise_within(change, 0);
  detail::apply_locally(T, Z, start, change);
}

/// Swaps the adjacent blocks of T that start at `start`, and updates the orthogonal factor Z to preserve Z T Z^T.
/// False: refused, nothing has changed.
inline bool swap_blocks(MatrixRef T, MatrixRef Z, Index start, Index first_size, Index second_size) {
  if (first_size == 1)
    return second_size == 1 ? detail::swap_blocks_of_size<1, 1>(T, Z, start)
                            : detail::swap_blocks_of_size<1, 2>(T, Z, start);
  return second_size == 1 ? detail::swap_blocks_of_size<2, 1>(T, Z, start)
                          : detail::swap_blocks_of_size<2, 2>(T, Z, start);
}

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
