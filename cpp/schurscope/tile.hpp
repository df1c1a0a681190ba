// The kernel: products of a small matrix with a panel, in register tiles.
//
// A panel holds up to `max_vectors` vectors of trials side by side: element (k, trial) of a panel of V vectors lies at
// k * V * lanes + trial. A tile is `tile_rows` rows by V vectors of results, all in registers: per inner index it loads
// V vectors of the panel and broadcasts one weight per row, so that 4 × 4 takes 8 loads to 16 multiply-adds, and the
// 16 independent sums hide the latency of the multiply-add. With 16 vector registers there is room for 4 × 3 or 4 × 2;
// AArch64 has 32 (of 128 bits), and instructions that multiply by one element of a register. Rows of four divide most
// widths in use; the remainder runs through the same code with fewer rows.
#pragma once

#include <algorithm>
#include <type_traits>

#include "schurscope/simd.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr int max_vectors = 4;
#elif defined(__AVX__)
inline constexpr int max_vectors = 3;
#else
inline constexpr int max_vectors = 2;
#endif
inline constexpr int tile_rows = 4;

/// Trials in a full panel.
template <class T>
inline constexpr int panel_lanes = max_vectors * lanes<T>;

/// The inner dimension is split into slices of this length, so that the slice of the panel that all row blocks read
/// (192 rows of 256 bytes) stays in the L1 cache.
inline constexpr Index inner_block = 192;

/// A row-major matrix that is read one row at a time.
template <class T>
struct MatrixView {
  const T* data;
  Index rows, cols, row_stride;
  const T* row(Index i) const { return data + i * row_stride; }
};

/// Weights stored in the order in which the tiles read them: blocks of tile_rows rows, inner index by inner index.
template <class T>
class PackedMatrix {
 public:
  /// Reset to zeros of the given shape; `put` fills it. A cell with tiles of its own may have blocks of another height.
  void reset(Index rows, Index depth, Index block_rows = tile_rows) {
    rows_ = rows;
    depth_ = depth;
    block_rows_ = block_rows;
    data_.resize(static_cast<std::size_t>(rows * depth));
  }
  /// Columns [column, column + a.cols) become those of `a`.
  void put(const MatrixView<T>& a, Index column) {
    for_each_block([&](Index first, Index height, T* block) {
      for (Index k = 0; k < a.cols; ++k) {
        for (Index r = 0; r < height; ++r) block[(column + k) * height + r] = a.row(first + r)[k];
      }
    });
  }
  /// The same for some rows only: row i of `a` becomes row first + i · step.
  void put_rows(const MatrixView<T>& a, Index column, Index first, Index step) {
    for (Index i = 0; i < a.rows; ++i) {
      const Index row = first + i * step, in_block = row % block_rows_, block = row - in_block;
      const Index height = std::min<Index>(block_rows_, rows_ - block);
      T* const to = data_.data() + block * depth_ + in_block;
      for (Index k = 0; k < a.cols; ++k) to[(column + k) * height] = a.row(i)[k];
    }
  }
  /// As `put`, with the transpose of `a`.
  void put_transposed(const MatrixView<T>& a, Index column) {
    for_each_block([&](Index first, Index height, T* block) {
      for (Index k = 0; k < a.rows; ++k) std::copy_n(a.row(k) + first, height, block + (column + k) * height);
    });
  }
  Index rows() const { return rows_; }
  Index depth() const { return depth_; }
  const T* block(Index first_row) const { return data_.data() + first_row * depth_; }

 private:
  template <class F>
  void for_each_block(const F& f) {
    for (Index first = 0; first < rows_; first += block_rows_) {
      f(first, std::min<Index>(block_rows_, rows_ - first), data_.data() + first * depth_);
    }
  }

  AlignedBuffer<T> data_;
  Index rows_ = 0, depth_ = 0, block_rows_ = tile_rows;
};

namespace detail {

template <int R, int V, class T>
struct Tile {
  Vec<T> sum[R][V];
};

/// tile[r][v] += sum_k a[k * k_stride + r * r_stride] x[k][v]
template <int R, int V, class T>
inline __attribute__((always_inline)) void accumulate(Tile<R, V, T>& tile, const T* a, Index r_stride, Index k_stride,
                                                      const T* x, Index x_stride, Index depth) {
#pragma GCC unroll 2
  for (Index k = 0; k < depth; ++k) {
    Vec<T> row[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) row[v] = simd::load(x + v * lanes<T>);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const Vec<T> weight = simd::broadcast(a[r * r_stride]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) tile.sum[r][v] += weight * row[v];
    }
    a += k_stride;
    x += x_stride;
  }
}

template <int R, int V, class T>
inline __attribute__((always_inline)) void load_tile(Tile<R, V, T>& tile, const T* from, Index stride) {
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) tile.sum[r][v] = simd::load(from + r * stride + v * lanes<T>);
  }
}

template <int R, int V, class T>
inline __attribute__((always_inline)) void store_tile(const Tile<R, V, T>& tile, T* to, Index stride) {
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) simd::store(to + r * stride + v * lanes<T>, tile.sum[r][v]);
  }
}

template <int R, int V, class T, class Finish>
inline void multiply_rows(const T* a, const T* panel, Index first, Index last, Index depth, Index row, T* out,
                          const Finish& finish) {
  constexpr Index width = V * lanes<T>;
  Tile<R, V, T> tile{};
  if (first > 0) load_tile(tile, out + row * width, width);
  accumulate(tile, a + first * R, 1, R, panel + first * width, width, last - first);
  if (last < depth) {
    store_tile(tile, out + row * width, width);
    return;
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const Index at = (row + r) * width + v * lanes<T>;
      simd::store(out + at, finish(tile.sum[r][v], at));
    }
  }
}

/// Call f with std::integral_constant<int, n>, 1 <= n <= 4.
template <class F>
inline void with_constant(Index n, const F& f) {
  switch (n) {
    case 1:
      return f(std::integral_constant<int, 1>{});
    case 2:
      return f(std::integral_constant<int, 2>{});
    case 3:
      return f(std::integral_constant<int, 3>{});
    default:
      return f(std::integral_constant<int, 4>{});
  }
}

}  // namespace detail

/// out = finish(A · panel): rows of A by V vectors of trials. `finish(sum, at)` is called once per vector of results,
/// while it is in a register, with its offset in `out`. `out` may not overlap the panel.
template <int V, class T, class Finish>
inline void multiply(const PackedMatrix<T>& a, const T* panel, T* out, const Finish& finish) {
  const Index depth = a.depth(), rows = a.rows(), whole = rows - rows % tile_rows;
  for (Index first = 0; first < depth; first += inner_block) {
    const Index last = depth - first < inner_block + inner_block / 4 ? depth : first + inner_block;
    for (Index row = 0; row < whole; row += tile_rows) {
      detail::multiply_rows<tile_rows, V>(a.block(row), panel, first, last, depth, row, out, finish);
    }
    if (whole < rows) {
      detail::with_constant(rows - whole, [&](auto r) {
        detail::multiply_rows<decltype(r)::value, V>(a.block(whole), panel, first, last, depth, whole, out, finish);
      });
    }
    if (last == depth) break;
  }
}

/// out = A · panel.
template <int V, class T>
inline void multiply(const PackedMatrix<T>& a, const T* panel, T* out) {
  multiply<V>(a, panel, out, [](Vec<T> sum, Index) { return sum; });
}

/// C += A · B with A unpacked (rows × depth, row stride `a_stride`) and B, C in rows of whole vectors (`b_stride`,
/// `c_stride` elements apart, `columns` a multiple of lanes<T>): the outer products of the weight gradients.
template <class T>
inline void add_product(const T* a, Index rows, Index depth, Index a_stride, const T* b, Index b_stride, T* c,
                        Index c_stride, Index columns) {
  const Index vectors = columns / lanes<T>;
  const Index blocks = (vectors + max_vectors - 1) / max_vectors;
  for (Index block = 0; block < blocks; ++block) {
    const Index from = vectors * block / blocks, to = vectors * (block + 1) / blocks;
    detail::with_constant(to - from, [&](auto v) {
      constexpr int V = decltype(v)::value;
      for (Index row = 0; row < rows; row += tile_rows) {
        detail::with_constant(std::min<Index>(tile_rows, rows - row), [&](auto r) {
          constexpr int R = decltype(r)::value;
          T* const target = c + row * c_stride + from * lanes<T>;
          detail::Tile<R, V, T> tile;
          detail::load_tile(tile, target, c_stride);
          detail::accumulate(tile, a + row * a_stride, a_stride, 1, b + from * lanes<T>, b_stride, depth);
          detail::store_tile(tile, target, c_stride);
        });
      }
    });
  }
}

/// C[i][j] += A_i ∘ B_j over the vectors of two panels of `width` lanes, summed over vectors but not over lanes: the
/// outer products for the few rows of B that would not fill a vector of columns. C is (rows, columns, lanes<T>).
template <class T>
inline void add_lane_products(const T* a, Index rows, const T* b, Index columns, Index width, T* c) {
  for (Index row = 0; row < rows; row += tile_rows) {
    detail::with_constant(std::min<Index>(tile_rows, rows - row), [&](auto r) {
      constexpr int R = decltype(r)::value;
      for (Index column = 0; column < columns; column += max_vectors) {
        detail::with_constant(std::min<Index>(max_vectors, columns - column), [&](auto n) {
          constexpr int N = decltype(n)::value;
          T* const target = c + (row * columns + column) * lanes<T>;
          detail::Tile<R, N, T> tile;
          detail::load_tile(tile, target, columns * lanes<T>);
          for (Index lane = 0; lane < width; lane += lanes<T>) {
            Vec<T> of_b[N];
#pragma GCC unroll 4
            for (int j = 0; j < N; ++j) of_b[j] = simd::load(b + (column + j) * width + lane);
#pragma GCC unroll 4
            for (int i = 0; i < R; ++i) {
              const Vec<T> of_a = simd::load(a + (row + i) * width + lane);
#pragma GCC unroll 4
              for (int j = 0; j < N; ++j) tile.sum[i][j] += of_a * of_b[j];
            }
          }
          detail::store_tile(tile, target, columns * lanes<T>);
        });
      }
    });
  }
}

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
