// Ordering the diagonal blocks of a real Schur form W = Q T Q^T by adjacent swaps.
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "schurscope/schur_block.hpp"
#include "schurscope/schur_swap.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

/// Result of reorder().
struct Reordering {
  Index n_swaps = 0;
  /// The eigenvalues (see block_eigenvalue) of the upper and the lower block of each refused swap.
  std::vector<std::pair<std::complex<double>, std::complex<double>>> refused;
};

namespace detail {

/// Sorts items[begin, end) by nonincreasing value, and groups neighbours whose values agree to `tolerance`. Returns the
/// groups' boundaries, `begin` and `end` included.
template <class Value>
std::vector<std::size_t> sort_into_ties(std::vector<Index>& items, std::size_t begin, std::size_t end, Value value,
                                        double tolerance) {
  const auto first = items.begin() + static_cast<std::ptrdiff_t>(begin);
  const auto last = items.begin() + static_cast<std::ptrdiff_t>(end);
  std::sort(first, last, [&](Index i, Index j) { return value(i) > value(j) || (value(i) == value(j) && i < j); });
  std::vector<std::size_t> boundaries{begin};
  for (std::size_t k = begin + 1; k < end; ++k)
    if (value(items[k - 1]) - value(items[k]) > tolerance) boundaries.push_back(k);
  boundaries.push_back(end);
  return boundaries;
}

}  // namespace detail

/// Sort key of the blocks: the modulus |shift + lambda|, or the real part of lambda.
///
/// A leaky network's map (1 - a) I + a W has W's Schur vectors and eigenvalues a (shift + lambda), shift = (1 - a) / a.
struct OrderKey {
  bool by_real_part = false;
  double shift = 0;

  double operator()(std::complex<double> eigenvalue) const {
    return by_real_part ? eigenvalue.real() : detail::length_of(shift + eigenvalue.real(), eigenvalue.imag());
  }
};

/// The sorted order of the diagonal blocks: order[i] is the block that belongs at place i.
///
/// Nonincreasing key. Keys that agree to 1e-12 rho (rho: the largest |shift + lambda|; neighbours in sorted order, so
/// chains count) are ties: larger real part first. Real parts that agree to 1e-12 rho are ties again: the order in T.
inline std::vector<Index> block_order(const ConstMatrixRef& T, const std::vector<Index>& starts, OrderKey key = {}) {
  const std::size_t n_blocks = starts.size();
  std::vector<double> keys(n_blocks), real(n_blocks);
  double rho = 0;
  for (std::size_t k = 0; k < n_blocks; ++k) {
    const Index end = k + 1 < n_blocks ? starts[k + 1] : T.rows();
    const std::complex<double> eigenvalue = block_eigenvalue(T, starts[k], end - starts[k]);
    keys[k] = key(eigenvalue);
    real[k] = eigenvalue.real();
    rho = std::max(rho, std::abs(key.shift + eigenvalue));
  }
  const double tolerance = 1e-12 * rho;
  std::vector<Index> order(n_blocks);
  std::iota(order.begin(), order.end(), Index{0});
  const auto by = [](const std::vector<double>& values) {
    return [&values](Index k) { return values[static_cast<std::size_t>(k)]; };
  };
  const auto groups = detail::sort_into_ties(order, 0, n_blocks, by(keys), tolerance);
  for (std::size_t g = 0; g + 1 < groups.size(); ++g) {
    const auto reals = detail::sort_into_ties(order, groups[g], groups[g + 1], by(real), tolerance);
    for (std::size_t r = 0; r + 1 < reals.size(); ++r)
      std::sort(order.begin() + static_cast<std::ptrdiff_t>(reals[r]),
                order.begin() + static_cast<std::ptrdiff_t>(reals[r + 1]));
  }
  return order;
}

/// Brings the diagonal blocks of T to the given order with the fewest adjacent swaps; updates Q to preserve Q T Q^T.
///
/// order[i] is the block (counted in T as given) that belongs at place i. Every swap standardises the 2x2 blocks it
/// moves; a pair that becomes real is split into two 1x1 blocks that keep its place, the larger modulus first.
/// A swap that rounding makes unsafe is refused: the two blocks keep their order, and the sort continues around them.
///
/// Throws std::invalid_argument if T is not quasi-upper-triangular, Q and T differ in shape, or `order` is not a
/// permutation of T's blocks; T and Q are then unchanged.
inline Reordering reorder(MatrixRef T, MatrixRef Q, const std::vector<Index>& order) {
  struct Block {
    Index size, rank;  // rank: the place where the block belongs
  };
  const std::vector<Index> starts = block_starts(T);
  if (Q.rows() != T.rows() || Q.cols() != T.cols()) throw std::invalid_argument("Q must have the shape of T");
  std::vector<Block> blocks(starts.size());
  for (std::size_t k = 0; k < starts.size(); ++k)
    blocks[k] = {(k + 1 < starts.size() ? starts[k + 1] : T.rows()) - starts[k], -1};
  bool permutation = order.size() == blocks.size();
  for (std::size_t place = 0; permutation && place < order.size(); ++place) {
    const auto block = static_cast<std::size_t>(order[place]);  // negative: out of range as well
    permutation = block < blocks.size() && blocks[block].rank < 0;
    if (permutation) blocks[block].rank = static_cast<Index>(place);
  }
  if (!permutation)
    throw std::invalid_argument("order must be a permutation of the " + std::to_string(blocks.size()) + " blocks of T");

  Reordering report;
  std::vector<std::pair<Index, Index>> refused;  // ranks of the two blocks
  const auto split_if_real = [&](std::size_t k, Index start) {
    if (blocks[k].size == 1 || T(start + 1, start) != 0) return;
    blocks[k].size = 1;
    blocks.insert(blocks.begin() + static_cast<std::ptrdiff_t>(k), blocks[k]);
  };

  // Insertion sort: blocks[0, i) is sorted except refusals, blocks[i] starts at row `start` and moves up as needed.
  std::size_t i = 0;
  Index start = 0;
  while (i < blocks.size()) {
    const bool misplaced = i > 0 && blocks[i - 1].rank > blocks[i].rank;
    const auto ranks = misplaced ? std::pair(blocks[i - 1].rank, blocks[i].rank) : std::pair<Index, Index>();
    if (!misplaced || std::find(refused.begin(), refused.end(), ranks) != refused.end()) {
      start += blocks[i].size;
      ++i;
      continue;
    }
    const Index upper_size = blocks[i - 1].size, lower_size = blocks[i].size;
    const Index top = start - upper_size;
    if (!swap_blocks(T, Q, top, upper_size, lower_size)) {
      refused.push_back(ranks);
      report.refused.emplace_back(block_eigenvalue(T, top, upper_size), block_eigenvalue(T, start, lower_size));
      continue;
    }
    ++report.n_swaps;
    std::swap(blocks[i - 1], blocks[i]);
    split_if_real(i, top + lower_size);
    split_if_real(i - 1, top);
    --i;
    start = top;
  }
  return report;
}

/// Orders T by block_order(). Where eigenvalues are so ill-conditioned that the swaps move their keys past each other,
/// or split a pair, the order is recomputed from the new T, at most ten times.
///
/// n_swaps counts all passes; `refused` holds the refusals of the last.
inline Reordering sort_blocks(MatrixRef T, MatrixRef Q, OrderKey key = {}) {
  Reordering report;
  for (int pass = 0; pass < 10; ++pass) {
    const std::vector<Index> order = block_order(T, block_starts(T), key);
    if (std::is_sorted(order.begin(), order.end())) break;
    Reordering last = reorder(T, Q, order);
    report.n_swaps += last.n_swaps;
    report.refused = std::move(last.refused);
    if (last.n_swaps == 0) break;
  }
  return report;
}

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
