// Block detection, standard form, swaps, ordering and ablated matrices, against the identities that define them.
#include <doctest/doctest.h>

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <limits>
#include <random>

#include "schurscope/perturbation/block_gains.hpp"
#include "schurscope/perturbation/combined.hpp"
#include "schurscope/perturbation/gains.hpp"
#include "schurscope/schur.hpp"

namespace {

using namespace schurscope;
using namespace schurscope::detail;
using Eigen::MatrixXd;

constexpr double eps = std::numeric_limits<double>::epsilon();

MatrixXd gaussian(Index n, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal;
  return MatrixXd::NullaryExpr(n, n, [&] { return normal(generator) / std::sqrt(static_cast<double>(n)); });
}

/// Rounding in n rotations of n-vectors, with a margin.
double tolerance(Index n) { return 10 * static_cast<double>(n) * eps; }

void check_form(const MatrixXd& W, const MatrixXd& Q, const MatrixXd& T) {
  const Index n = W.rows();
  CHECK(T.rows() == n);
  if (n == 0) return;
  const double scale = std::max(W.cwiseAbs().maxCoeff(), std::numeric_limits<double>::min());
  CHECK((Q * (T / scale) * Q.transpose() - W / scale).norm() <= tolerance(n) * (W / scale).norm());
  CHECK((Q.transpose() * Q - MatrixXd::Identity(n, n)).norm() <= tolerance(n));
  for (const Index start : block_starts(T)) {
    if (start + 1 == n || T(start + 1, start) == 0) continue;
    CHECK(T(start, start) == T(start + 1, start + 1));
    CHECK((T(start, start + 1) < 0) != (T(start + 1, start) < 0));
  }
}

std::vector<double> block_moduli(const MatrixXd& T) {
  const std::vector<Index> starts = block_starts(T);
  std::vector<double> moduli;
  for (std::size_t k = 0; k < starts.size(); ++k) {
    const Index end = k + 1 < starts.size() ? starts[k + 1] : T.rows();
    moduli.push_back(std::abs(block_eigenvalue(T, starts[k], end - starts[k])));
  }
  return moduli;
}

bool is_identity(const std::vector<Index>& order) { return std::is_sorted(order.begin(), order.end()); }

/// Moduli of all eigenvalues, largest first.
Eigen::VectorXd moduli_of(const MatrixXd& W) {
  Eigen::VectorXd moduli = W.eigenvalues().cwiseAbs();
  std::sort(moduli.begin(), moduli.end(), std::greater<>());
  return moduli;
}

TEST_CASE("block_starts reads the subdiagonal and refuses what is not quasi-triangular") {
  MatrixXd T = MatrixXd::Identity(4, 4);
  T(2, 1) = 1e-300;
  CHECK(block_starts(T) == std::vector<Index>{0, 1, 3});
  CHECK(block_starts(MatrixXd(0, 0)).empty());
  T(3, 2) = 1;
  CHECK_THROWS_AS(block_starts(T), std::invalid_argument);
  T(3, 2) = 0;
  T(3, 0) = 1e-300;
  CHECK_THROWS_AS(block_starts(T), std::invalid_argument);
  CHECK_THROWS_AS(block_starts(MatrixXd(2, 3)), std::invalid_argument);
}

TEST_CASE("standardise: a similarity by a rotation, in standard form, at any scale") {
  std::mt19937 generator(1);
  std::normal_distribution<double> normal;
  const auto graded = [&] { return normal(generator) * std::pow(10.0, 4 * normal(generator)); };
  int n_pairs = 0, n_split = 0;
  for (int trial = 0; trial < 20000; ++trial) {
    const double scale = std::array{1.0, 1e-200, 1e200}[static_cast<std::size_t>(trial % 3)];
    const double a = normal(generator);
    // Every second block is close to a double eigenvalue, where rounding decides between pair and split.
    const double d = trial % 2 == 0 ? graded() : a * (1 + 1e-8 * normal(generator));
    const double b = graded(), c = trial % 2 == 0 ? graded() : 1e-16 * normal(generator) / b;
    const Block2 before{a * scale, b * scale, c * scale, d * scale};
    Block2 m = before;
    const Rotation rotation = standardise(m);
    Small<2> M, G, D;
    M << before.a, before.b, before.c, before.d;
    D << m.a, m.b, m.c, m.d;
    G << rotation.cosine, -rotation.sine, rotation.sine, rotation.cosine;
    const double size = M.cwiseAbs().maxCoeff();
    REQUIRE((G * (D / size) * G.transpose() - M / size).cwiseAbs().maxCoeff() <= 20 * eps);
    REQUIRE((G.transpose() * G - Small<2>::Identity()).cwiseAbs().maxCoeff() <= 10 * eps);
    if (m.c == 0) {
      ++n_split;
      REQUIRE(std::abs(m.a) >= std::abs(m.d));
    } else {
      ++n_pairs;
      REQUIRE(m.a == m.d);
      REQUIRE((m.b < 0) != (m.c < 0));
    }
  }
  CHECK(n_pairs > 1000);
  CHECK(n_split > 1000);
}

TEST_CASE("standardise keeps the small eigenvalue of a graded block accurate, at any scale") {
  // [[1, 1e8], [1e-20, 1e-9]]: the product of the eigenvalues is 1e-9 - 1e-12, their sum 1 + 1e-9.
  for (const int exponent : {0, -600, 600}) {
    const double c = std::ldexp(1.0, exponent);
    Block2 m{1 * c, 1e8 * c, 1e-20 * c, 1e-9 * c};
    standardise(m);
    CHECK(m.c == 0);
    CHECK(m.d / c == doctest::Approx(1e-9 - 1e-12).epsilon(1e-10));
  }
}

TEST_CASE("leading_eigenvalue of any 2x2 block") {
  CHECK(leading_eigenvalue({0, 0, 0, 0}) == std::complex<double>(0, 0));
  CHECK(leading_eigenvalue({1, 4, -1, 1}) == std::complex<double>(1, 2));
  CHECK(leading_eigenvalue({3, 1, 1, 3}) == std::complex<double>(4, 0));
  CHECK(leading_eigenvalue({-3, 1, 1, -3}) == std::complex<double>(-4, 0));
  const auto value = leading_eigenvalue({2, -5, 1, 0});  // 1 + 2i, diagonal entries differ
  CHECK(value.real() == doctest::Approx(1));
  CHECK(value.imag() == doctest::Approx(2));
}

TEST_CASE("block_order: moduli, then real parts, then the order in T; chains of ties") {
  const auto order_of = [](std::vector<double> diagonal) {
    const MatrixXd T = Eigen::Map<Eigen::VectorXd>(diagonal.data(), static_cast<Index>(diagonal.size())).asDiagonal();
    return block_order(T, block_starts(T));
  };
  CHECK(order_of({1, 3, 2}) == std::vector<Index>{1, 2, 0});
  CHECK(order_of({-1, 1, -2}) == std::vector<Index>{2, 1, 0});
  CHECK(order_of({1, 1 + 5e-13, 1}) == std::vector<Index>{0, 1, 2});
  CHECK(order_of({1, 1 + 1e-11, 1}) == std::vector<Index>{1, 0, 2});
  // Each modulus is within 1e-12 of the next, the ends are not: one chain, and the positive one leads.
  CHECK(order_of({-1, -(1 - 8e-13), 1 - 16e-13}) == std::vector<Index>{2, 0, 1});
  CHECK(order_of({0, 0}) == std::vector<Index>{0, 1});
  CHECK(order_of({}).empty());
}

TEST_CASE("reorder needs as many swaps as there are inversions, and keeps the form") {
  const Index n = 40;
  const MatrixXd W = gaussian(n, 2);
  const RealSchur sorted = real_schur(W);
  MatrixXd T = sorted.T, Q = sorted.Q;
  std::vector<Index> order(block_starts(T).size());
  std::iota(order.begin(), order.end(), Index{0});
  std::shuffle(order.begin(), order.end(), std::mt19937(3));
  Index inversions = 0;
  for (std::size_t i = 0; i < order.size(); ++i)
    for (std::size_t j = i + 1; j < order.size(); ++j) inversions += order[i] > order[j];
  const std::vector<double> before = block_moduli(T);
  const Reordering report = reorder(T, Q, order);
  CHECK(report.n_swaps == inversions);
  CHECK(report.refused.empty());
  check_form(W, Q, T);
  const std::vector<double> after = block_moduli(T);
  REQUIRE(after.size() == order.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    CHECK(after[i] == doctest::Approx(before[static_cast<std::size_t>(order[i])]).epsilon(1e-10));
}

TEST_CASE("reorder works inside a larger matrix and leaves the rest alone") {
  MatrixXd T_large = MatrixXd::Constant(9, 9, 7), Q_large = MatrixXd::Constant(8, 8, 7);
  const MatrixXd W = gaussian(6, 4);
  const RealSchur sorted = real_schur(W);
  T_large.block(1, 2, 6, 6) = sorted.T;
  Q_large.block(2, 1, 6, 6) = sorted.Q;
  std::vector<Index> reverse(block_starts(sorted.T).size());
  std::iota(reverse.rbegin(), reverse.rend(), Index{0});
  CHECK(reorder(T_large.block(1, 2, 6, 6), Q_large.block(2, 1, 6, 6), reverse).n_swaps > 0);
  check_form(W, Q_large.block(2, 1, 6, 6), T_large.block(1, 2, 6, 6));
  T_large.block(1, 2, 6, 6).setConstant(7);
  Q_large.block(2, 1, 6, 6).setConstant(7);
  CHECK((T_large.array() == 7).all());
  CHECK((Q_large.array() == 7).all());
}

TEST_CASE("reorder checks its arguments before it changes anything") {
  MatrixXd T = Eigen::Vector3d(1, 2, 3).asDiagonal(), Q = MatrixXd::Identity(3, 3), Q_small = MatrixXd::Identity(2, 2);
  for (const std::vector<Index>& wrong : {std::vector<Index>{0, 1}, {0, 1, 1}, {0, 1, 3}, {0, 1, -1}, {0, 1, 2, 3}})
    CHECK_THROWS_AS(reorder(T, Q, wrong), std::invalid_argument);
  CHECK_THROWS_AS(reorder(T, Q_small, {2, 1, 0}), std::invalid_argument);
  CHECK(T == MatrixXd(Eigen::Vector3d(1, 2, 3).asDiagonal()));
  CHECK(Q == MatrixXd::Identity(3, 3));
}

TEST_CASE("an unsafe swap is refused and reported, and the sort goes on around it") {
  // Blocks so graded that rounding in K exceeds what separates them; LAPACK's dtrexc refuses this swap as well.
  MatrixXd T = MatrixXd::Zero(6, 6), Q = MatrixXd::Identity(6, 6);
  T.topLeftCorner(4, 4) << 1, 1e-7, -1e3, 1e3, -1e6, 1, -1e5, 0, 0, 0, 1.1, 100, 0, 0, -1e-3, 1.1;
  T(4, 4) = 3;
  T(5, 5) = 2;
  const MatrixXd W = T;
  const Reordering report = reorder(T, Q, {2, 3, 1, 0});
  REQUIRE(report.refused.size() == 1);
  CHECK(report.n_swaps == 4);
  CHECK(std::abs(report.refused[0].first - std::complex<double>(1, std::sqrt(0.1))) <= 1e-9);
  CHECK(std::abs(report.refused[0].second - std::complex<double>(1.1, std::sqrt(0.1))) <= 1e-9);
  check_form(W, Q, T);
  const std::vector<double> moduli = block_moduli(T);
  REQUIRE(moduli.size() == 4);
  CHECK(moduli[0] == 3);
  CHECK(moduli[1] == 2);
  CHECK(moduli[2] < moduli[3]);

  MatrixXd untouched = W.topLeftCorner(4, 4), Z = MatrixXd::Identity(4, 4);
  CHECK(reorder(untouched, Z, {1, 0}).refused.size() == 1);
  CHECK(untouched == W.topLeftCorner(4, 4));
  CHECK(Z == MatrixXd::Identity(4, 4));
}

TEST_CASE("a pair that comes out real is split, and both halves take the pair's place") {
  // In [[1, 1], [-c, 1]] rounding errors of a swap can be larger than c: whether they make the pair real is chance.
  std::mt19937 generator(11);
  std::normal_distribution<double> normal;
  int n_split = 0;
  for (int trial = 0; trial < 200; ++trial) {
    MatrixXd T(4, 4), Q = MatrixXd::Identity(4, 4);
    T << 1, 1, normal(generator), normal(generator), -1e-16, 1, normal(generator), normal(generator), 0, 0, 2,
        normal(generator), 0, 0, 0, 3;
    const MatrixXd W = T;
    const Reordering report = reorder(T, Q, {2, 1, 0});
    check_form(W, Q, T);
    CHECK(T(0, 0) == 3);
    CHECK(T(1, 1) == 2);
    CHECK(T(2, 2) >= T(3, 3));
    CHECK(T(3, 3) == doctest::Approx(1).epsilon(1e-6));
    const bool split = T(3, 2) == 0;
    n_split += split;
    // 2 past the pair, then 3 past the pair, or past each of its halves, and past 2.
    if (!split) CHECK(report.n_swaps == 3);
    if (report.n_swaps == 4) CHECK(split);
  }
  CHECK(n_split > 10);
  CHECK(n_split < 190);
}

TEST_CASE("real_schur: standardised, ordered, with the eigenvalues of W") {
  for (const Index n : {1, 2, 3, 10, 50}) {
    const MatrixXd W = gaussian(n, static_cast<unsigned>(n));
    const RealSchur schur = real_schur(W);
    check_form(W, schur.Q, schur.T);
    CHECK(schur.reordering.refused.empty());
    CHECK(is_identity(block_order(schur.T, block_starts(schur.T))));
    std::vector<double> expanded;
    const std::vector<double> moduli = block_moduli(schur.T);
    const std::vector<Index> starts = block_starts(schur.T);
    for (std::size_t k = 0; k < starts.size(); ++k)
      expanded.insert(expanded.end(), static_cast<std::size_t>((k + 1 < starts.size() ? starts[k + 1] : n) - starts[k]),
                      moduli[k]);
    const Eigen::VectorXd expected = moduli_of(W);
    for (Index i = 0; i < n; ++i)
      CHECK(expanded[static_cast<std::size_t>(i)] == doctest::Approx(expected[i]).epsilon(1e-10));
  }
}

TEST_CASE("real_schur does not depend on the scale of W") {
  const MatrixXd W = gaussian(20, 5);
  const RealSchur schur = real_schur(W);
  for (const int exponent : {-900, -40, 1, 900}) {
    const double c = std::ldexp(1.0, exponent);
    const RealSchur scaled = real_schur(c * W);
    CHECK(scaled.T == c * schur.T);
    CHECK(scaled.Q == schur.Q);
  }
}

TEST_CASE("real_schur of special matrices") {
  std::vector<MatrixXd> matrices{MatrixXd::Zero(3, 3), MatrixXd::Identity(4, 4), MatrixXd::Zero(0, 0)};
  MatrixXd jordan = MatrixXd::Identity(5, 5), cyclic = MatrixXd::Zero(7, 7), low_rank = MatrixXd::Zero(6, 6);
  jordan.diagonal(1).setOnes();
  cyclic.diagonal(1).setOnes();
  cyclic(6, 0) = 1;
  low_rank = gaussian(6, 6).leftCols(1) * gaussian(6, 7).topRows(1);
  matrices.insert(matrices.end(), {jordan, jordan.transpose(), cyclic, low_rank});
  for (const MatrixXd& W : matrices) {
    const RealSchur schur = real_schur(W);
    check_form(W, schur.Q, schur.T);
    CHECK(is_identity(block_order(schur.T, block_starts(schur.T))));
  }
  CHECK_THROWS_AS(real_schur(MatrixXd::Zero(2, 3)), std::invalid_argument);
  CHECK_THROWS_AS(real_schur(MatrixXd::Constant(2, 2, std::numeric_limits<double>::infinity())), std::invalid_argument);
}

// Ablations

template <class Scalar>
struct Ablated {
  double removed;
  RowMajorMatrix<Scalar> W;
};

template <class Scalar>
Ablated<Scalar> ablate(const RowMajorMatrix<Scalar>& W, const RealSchur& schur,
                       const std::vector<Rectangle>& rectangles, const std::vector<double>& gains,
                       PerturbationScratch& scratch) {
  const RowMajorMatrix<double> Q = schur.Q, T = schur.T;
  RowMajorMatrix<Scalar> out = RowMajorMatrix<Scalar>::Constant(W.rows(), W.cols(), Scalar(-7));
  const double removed = ablated_matrix(SchurView<Scalar>{W.data(), Q.data(), T.data(), W.rows()},
                                        Gains{rectangles.data(), gains.data(), static_cast<std::int64_t>(gains.size())},
                                        scratch, out.data());
  return {removed, out};
}

/// T - T~ entry by entry.
MatrixXd removed_part(const MatrixXd& T, const std::vector<Rectangle>& rectangles, const std::vector<double>& gains) {
  MatrixXd dT = MatrixXd::Zero(T.rows(), T.cols());
  for (Index i = 0; i < T.rows(); ++i)
    for (Index j = i + 1; j < T.cols(); ++j) {
      if (j == i + 1 && T(j, i) != 0) continue;
      double gain = 1;
      for (std::size_t k = 0; k < gains.size(); ++k) {
        const Rectangle& r = rectangles[k];
        if (r.first_row <= i && i < r.end_row && r.first_col <= j && j < r.end_col) gain *= gains[k];
      }
      dT(i, j) = (1 - gain) * T(i, j);
    }
  return dT;
}

TEST_CASE("ablated_matrix is W - Q dT Q^T for any rectangles, reusing one scratch") {
  PerturbationScratch scratch;
  for (const Index n : {2, 9, 40, 17}) {
    const MatrixXd W = gaussian(n, 20 + static_cast<unsigned>(n));
    const RowMajorMatrix<double> W_rows = W;
    const RowMajorMatrix<float> W_float = W.cast<float>();
    const RealSchur schur = real_schur(W);
    std::mt19937 generator(8);
    std::uniform_int_distribution<std::int64_t> corner(0, n);
    std::uniform_real_distribution<double> gain(-1, 2);
    for (int trial = 0; trial < 40; ++trial) {
      std::vector<Rectangle> rectangles;
      std::vector<double> gains;
      for (int k = trial % 5; k > 0; --k) {
        const auto rows = std::minmax({corner(generator), corner(generator)});
        const auto cols = std::minmax({corner(generator), corner(generator)});
        rectangles.push_back({rows.first, rows.second, cols.first, cols.second});
        gains.push_back(k % 2 == 0 ? 0 : gain(generator));
      }
      const MatrixXd dT = removed_part(schur.T, rectangles, gains);
      const MatrixXd expected = W - schur.Q * dT * schur.Q.transpose();
      const auto result = ablate<double>(W_rows, schur, rectangles, gains, scratch);
      CHECK((result.W - expected).norm() <= tolerance(n) * W.norm());
      CHECK(result.removed == doctest::Approx(dT.norm()).epsilon(1e-12));
      const auto rounded = ablate<float>(W_float, schur, rectangles, gains, scratch);
      CHECK((rounded.W.cast<double>() - expected).norm() <=
            2 * static_cast<double>(std::numeric_limits<float>::epsilon()) * W.norm());
      CHECK(rounded.removed == result.removed);
    }
  }
}

TEST_CASE("an ablation that removes nothing gives W bit for bit") {
  const MatrixXd W = gaussian(12, 9);
  const RealSchur schur = real_schur(W);
  const RowMajorMatrix<double> W_rows = W;
  const RowMajorMatrix<float> W_float = W.cast<float>();
  PerturbationScratch scratch;
  using Case = std::pair<std::vector<Rectangle>, std::vector<double>>;
  for (const auto& [rectangles, gains] :
       {Case{{}, {}}, Case{{{0, 12, 0, 12}}, {1}}, Case{{{0, 12, 0, 12}, {0, 12, 0, 12}}, {2, 0.5}},
        Case{{{0, 0, 0, 12}}, {0}}, Case{{{5, 5, 12, 12}}, {0}}, Case{{{6, 12, 0, 6}}, {0}}}) {
    const auto result = ablate<double>(W_rows, schur, rectangles, gains, scratch);
    CHECK(result.removed == 0);
    CHECK(result.W == W_rows);
    CHECK(ablate<float>(W_float, schur, rectangles, gains, scratch).W == W_float);
  }
}

TEST_CASE("without the couplings and the nonnormality of the blocks the matrix is normal and keeps its eigenvalues") {
  PerturbationScratch scratch;
  for (const Index n : {2, 9, 40}) {
    const RowMajorMatrix<double> W = gaussian(n, 30 + static_cast<unsigned>(n));
    const RealSchur schur = real_schur(W);
    const RowMajorMatrix<double> Q = schur.Q, T = schur.T;
    const Rectangle all{0, n, 0, n};
    const BlockRange blocks{0, n};
    const double none = 0, half = 0.5;
    RowMajorMatrix<double> normal(n, n), partly(n, n);
    const SchurView<double> view{W.data(), Q.data(), T.data(), n};
    const Combined<Gains, BlockGains> everything{{Gains{&all, &none, 1}, BlockGains{&blocks, &none, 1}}};
    const double removed = ablated_matrix(view, everything, scratch, normal.data());
    CHECK((normal * normal.transpose() - normal.transpose() * normal).norm() <= tolerance(n) * W.squaredNorm());
    double squared_moduli = 0;
    const Eigen::EigenSolver<MatrixXd> solver(W);  // eigenvalues() refers into it
    for (const auto eigenvalue : solver.eigenvalues()) squared_moduli += std::norm(eigenvalue);
    CHECK(normal.squaredNorm() == doctest::Approx(squared_moduli).epsilon(1e-9));
    CHECK(removed > 0);
    // Half the gain: the geometric mean of the entries before and after.
    ablated_matrix(view, BlockGains{&blocks, &half, 1}, scratch, partly.data());
    const MatrixXd changed = Q.transpose() * partly * Q;
    for (Index row = 0; row + 1 < n; ++row) {
      if (T(row + 1, row) == 0) continue;
      const double b = T(row, row + 1), c = T(row + 1, row), omega = std::sqrt(-b * c);
      CHECK(std::abs(changed(row, row + 1)) == doctest::Approx(std::sqrt(std::abs(b) * omega)).epsilon(1e-9));
      CHECK(std::abs(changed(row + 1, row)) == doctest::Approx(std::sqrt(std::abs(c) * omega)).epsilon(1e-9));
    }
  }
}

TEST_CASE("the removed mass stays in the range of double") {
  for (const int exponent : {-1000, 900}) {
    const double c = std::ldexp(1.0, exponent);
    const MatrixXd W = gaussian(8, 10);
    const RealSchur schur = real_schur(W), scaled = real_schur(c * W);
    PerturbationScratch scratch;
    const double removed = ablate<double>(W, schur, {{0, 8, 0, 8}}, {0}, scratch).removed;
    CHECK(ablate<double>(c * W, scaled, {{0, 8, 0, 8}}, {0}, scratch).removed == c * removed);
  }
}

}  // namespace
