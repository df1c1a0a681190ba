// Ordered real Schur forms from Eigen's factorisation.
#pragma once

#include <Eigen/Eigenvalues>
#include <cmath>
#include <stdexcept>

#include "schurscope/schur_order.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

/// W = Q T Q^T with Q orthogonal and T quasi-upper-triangular, its blocks standardised and ordered by modulus.
struct RealSchur {
  Eigen::MatrixXd Q, T;
  Reordering reordering;
};

/// The ordered real Schur form of W, factored by Eigen.
///
/// W is scaled by a power of two, and T scaled back, so that entries near the limits of double neither overflow nor
/// underflow. Throws std::invalid_argument unless W is square and finite, std::runtime_error if the QR iteration fails.
inline RealSchur real_schur(const ConstMatrixRef& W) {
  detail::require_square(W, "W");
  if (!W.allFinite()) throw std::invalid_argument("W must be finite");
  const Index n = W.rows();
  RealSchur schur{Eigen::MatrixXd::Identity(n, n), Eigen::MatrixXd::Zero(n, n), {}};
  int exponent = 0;
  if (n == 0 || std::frexp(W.cwiseAbs().maxCoeff(), &exponent) == 0) return schur;
  const auto scaled = [](int by) { return [by](double entry) { return std::ldexp(entry, by); }; };

  const Eigen::RealSchur<Eigen::MatrixXd> factored(W.unaryExpr(scaled(-exponent)));
  if (factored.info() != Eigen::Success) throw std::runtime_error("the QR iteration for W did not converge");
  schur.Q = factored.matrixU();
  schur.T = factored.matrixT();
  for (Index j = 0; j + 2 < n; ++j) schur.T.col(j).tail(n - j - 2).setZero();
  for (const Index start : block_starts(schur.T))
    if (start + 1 < n && schur.T(start + 1, start) != 0) standardise_block(schur.T, schur.Q, start);
  schur.reordering = sort_blocks(schur.T, schur.Q);
  const auto rescaled = scaled(exponent);
  schur.T = schur.T.unaryExpr(rescaled).eval();
  for (auto& [upper, lower] : schur.reordering.refused) {
    upper = {rescaled(upper.real()), rescaled(upper.imag())};
    lower = {rescaled(lower.real()), rescaled(lower.imag())};
  }
  return schur;
}

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
