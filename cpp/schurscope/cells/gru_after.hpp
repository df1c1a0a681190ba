// The GRU whose reset comes after the recurrent product of the candidate n, with the logistic function σ and h = h_{t-1}:
//
//     r = σ(W_hh^r h + W_xh^r x_t + b_h^r),   z likewise,   q = W_hh^n h + b_hn,
//     n = tanh(W_xh^n x_t + b_h^n + r ∘ q + ξ_t),   h_t = n + z ∘ (h - n).
//
// A tile holds one unit's r, z and q, and after the rows of h the candidate's other part in the place of q.
#pragma once

#include "schurscope/cells/gated.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {
namespace cells {

template <class T>
class GruAfter : public Gated<T> {
 public:
  using Packed = PackedMatrix<T>;
  using Gated<T>::Gated;

  static bool fits(const CellDescription& cell) { return cell.form == Form::gru_reset_after; }

  Index product_rows() const { return 4 * this->n_hidden_; }  ///< of n's argument, r, z and q
  Index carried_rows() const { return 0; }
  Index tape_rows() const { return taped * this->n_hidden_; }  ///< of each unit: r, z, n, q
  Index adjoint_rows() const { return this->n_hidden_; }       ///< dL/dh_t that reaches h_t without products
  Index scratch_rows() const { return this->n_hidden_; }       ///< dL/dh_t

  Index delta_row(Index gate) const { return (gate + 1) * this->n_hidden_; }
  Index operand_row(Index /*gate*/) const { return 0; }
  /// r, z and q act on [h; 1], and n, r and z on [1; x].
  std::vector<OuterProduct> outer_products() const {
    const Index n = this->n_hidden_, read = n + this->biases_;
    return {{n, 3 * n, 0, read}, {0, 3 * n, n, this->biases_ + this->n_inputs_}};
  }
  void write_gradient(std::vector<GradientSums<T>>& sums, const GradientView<T>& gradient) const {
    const Index n = this->n_hidden_, n_inputs = this->n_inputs_;
    for (Index i = 0; i < 3 * n; ++i) {
      const T* const of_h = sums[0].row(i);
      std::copy_n(of_h, n, gradient.W_hh + i * n);
      if (i >= 2 * n && gradient.b_hn != nullptr) gradient.b_hn[i - 2 * n] = of_h[n];
      const T* const of_x = sums[1].row((i + n) % (3 * n));
      std::copy_n(of_x + this->biases_, n_inputs, gradient.W_xh + i * n_inputs);
      if (gradient.b_h != nullptr) gradient.b_h[i] = of_x[0];
    }
  }

  /// Columns of h, 1 for b_hn, 1 for b_h, and x.
  void pack(const NetworkView<T>& network, Packed& packed) const {
    const Index n = this->n_hidden_, read = network.readout_depth();
    packed.reset(3 * n, read + this->biases_ + this->n_inputs_, /*block_rows=*/3);
    for (Index gate = 0; gate < 3; ++gate) {
      packed.put_rows(network.recurrent(gate), 0, gate, 3);
      if (network.b_h != nullptr) packed.put_rows(this->column(network.b_h, gate), read, gate, 3);
      packed.put_rows(network.encoder(gate), read + this->biases_, gate, 3);
    }
    if (network.b_hn != nullptr) packed.put_rows(this->column(network.b_hn, 0), n, 2, 3);
  }
  void pack_backward(const NetworkView<T>& network, Packed& packed) const { pack_transposed(network, packed); }

  void start(const T* h_0, Index width, T* /*carried*/, T* rates) const {
    this->copy_or_clear(h_0, this->n_hidden_ * width, rates);
  }

  template <int V>
  void advance(const Packed& packed, const Step<T>& step) const {
    if (step.tape == nullptr) {
      advance_units<V, false>(packed, step);
    } else {
      advance_units<V, true>(packed, step);
    }
  }

  template <int V>
  __attribute__((noinline)) void retreat(const Packed& backward, const ReverseStep<T>& step) const {
    constexpr Index width = V * lanes<T>;
    const Index gate_size = this->n_hidden_ * width;
    multiply<V>(backward, step.later + gate_size, step.scratch);
    const T* tape = step.tape;
    for (Index at = 0; at < gate_size; tape += taped * width) {
      for (Index v = 0; v < width; v += lanes<T>, at += lanes<T>) {
        const auto taken = [&](Index row) { return simd::load(tape + row * width + v); };
        const Vec<T> r = taken(0), z = taken(1), n = taken(2), q = taken(3);
        const Vec<T> h = simd::load(step.scratch + at) + simd::load(step.adjoint + at);
        const Vec<T> of_n = (h - h * z) * activations::Tanh::slope<T>(n);
        T* const delta = step.delta + at;
        simd::store(delta, of_n);
        simd::store(delta + gate_size, of_n * q * this->slope(r));
        simd::store(delta + 2 * gate_size, h * (simd::load(step.state + at) - n) * this->slope(z));
        simd::store(delta + 3 * gate_size, of_n * r);
        simd::store(step.adjoint + at, h * z);
      }
    }
  }

 private:
  static constexpr Index taped = 4;

  template <int V, bool keep>
  __attribute__((noinline)) void advance_units(const Packed& packed, const Step<T>& step) const {
    constexpr Index width = V * lanes<T>;
    const Index first = this->first_index(step), read = this->n_hidden_ + this->biases_;
    const T* const driven = step.state + this->n_hidden_ * width;  // [1; x]
    T* tape = step.tape;
    for (Index unit = 0; unit < this->n_hidden_; ++unit) {
      const T* const weights = packed.block(3 * unit);
      detail::Tile<3, V, T> tile{};
      detail::accumulate(tile, weights + 3 * first, 1, 3, step.state + first * width, width, read - first);
      Vec<T> q[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        q[v] = tile.sum[2][v];
        tile.sum[2][v] = Vec<T>{};
      }
      detail::accumulate(tile, weights + 3 * read, 1, 3, driven, width, packed.depth() - read);
      Vec<T> r[V], z[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) r[v] = this->logistic(tile.sum[0][v]), z[v] = this->logistic(tile.sum[1][v]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        const Index at = unit * width + v * lanes<T>;
        if (step.noise != nullptr) tile.sum[2][v] += simd::load(step.noise + at);
        const Vec<T> n = simd::tanh<T>(tile.sum[2][v] + r[v] * q[v]), h = simd::load(step.state + at);
        simd::store(step.next + at, n + z[v] * (h - n));
        if constexpr (keep) {
          Index row = 0;
          for (const Vec<T> value : {r[v], z[v], n, q[v]}) simd::store(tape + row++ * width + v * lanes<T>, value);
        }
      }
      if constexpr (keep) tape += taped * width;
    }
  }
};

}  // namespace cells
}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
