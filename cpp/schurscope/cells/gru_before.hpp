// The GRU whose reset comes before the recurrent product of the candidate n, with the logistic function σ and h = h_{t-1}:
//
//     r = σ(W_hh^r h + W_xh^r x_t + b_h^r),   z likewise,
//     n = tanh(W_hh^n (r ∘ h) + W_xh^n x_t + b_h^n + ξ_t),   h_t = n + z ∘ (h - n).
//
// The state has r ∘ h as extra rows, [h; 1; x; r ∘ h], so that the candidate's product is one of consecutive rows. A tile
// holds r and z of two units.
#pragma once

#include "schurscope/cells/gated.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {
namespace cells {

template <class T>
class GruBefore : public Gated<T> {
 public:
  struct Packed {
    PackedMatrix<T> gates,
        candidate;  ///< for [h; 1; x] and [1; x; r ∘ h]; for the reverse step of [d_r; d_z; e] and d_n
  };
  using Gated<T>::Gated;

  static bool fits(const CellDescription& cell) { return cell.form == Form::gru_reset_before; }

  Index depth() const { return Gated<T>::depth() + this->n_hidden_; }
  Index product_rows() const { return 3 * this->n_hidden_; }  ///< of n, r and z
  Index carried_rows() const { return 0; }
  Index tape_rows() const { return 3 * this->n_hidden_; }  ///< r, z, n
  Index adjoint_rows() const { return this->n_hidden_; }   ///< dL/dh_t that reaches h_t without products
  Index scratch_rows() const { return this->n_hidden_; }   ///< z; dL/dh_t, then dL/d(r ∘ h)

  Index delta_row(Index gate) const { return (gate + 1) % 3 * this->n_hidden_; }
  Index operand_row(Index gate) const { return gate == 2 ? Gated<T>::depth() : 0; }
  std::vector<OuterProduct> outer_products() const {
    const Index n = this->n_hidden_;
    return {{n, 2 * n, 0, Gated<T>::depth()}, {0, n, n, Gated<T>::depth()}};
  }
  void write_gradient(std::vector<GradientSums<T>>& sums, const GradientView<T>& gradient) const {
    const Index n = this->n_hidden_, n_inputs = this->n_inputs_;
    write_rows(sums[0], 2 * n, n, n_inputs, gradient);
    for (Index i = 0; i < n; ++i) {
      const T* const row = sums[1].row(i);
      if (gradient.b_h != nullptr) gradient.b_h[2 * n + i] = row[0];
      std::copy_n(row + this->biases_, n_inputs, gradient.W_xh + (2 * n + i) * n_inputs);
      std::copy_n(row + this->biases_ + n_inputs, n, gradient.W_hh + (2 * n + i) * n);
    }
  }

  void pack(const NetworkView<T>& network, Packed& packed) const {
    const Index n = this->n_hidden_;
    packed.gates.reset(2 * n, Gated<T>::depth());
    for (Index gate = 0; gate < 2; ++gate) {
      packed.gates.put_rows(network.recurrent(gate), 0, gate, 2);
      if (network.b_h != nullptr) packed.gates.put_rows(this->column(network.b_h, gate), n, gate, 2);
      packed.gates.put_rows(network.encoder(gate), network.readout_depth(), gate, 2);
    }
    packed.candidate.reset(n, Gated<T>::depth());
    if (network.b_h != nullptr) packed.candidate.put(this->column(network.b_h, 2), 0);
    packed.candidate.put(network.encoder(2), this->biases_);
    packed.candidate.put(network.recurrent(2), this->biases_ + this->n_inputs_);
  }
  void pack_backward(const NetworkView<T>& network, Packed& packed) const {
    const Index n = this->n_hidden_;
    packed.gates.reset(n, 2 * n + network.n_outputs);
    packed.gates.put_transposed({network.W_hh, 2 * n, n, n}, 0);
    packed.gates.put_transposed(network.readout(), 2 * n);
    packed.candidate.reset(n, n);
    packed.candidate.put_transposed(network.recurrent(2), 0);
  }

  void start(const T* h_0, Index width, T* /*carried*/, T* rates) const {
    this->copy_or_clear(h_0, this->n_hidden_ * width, rates);
  }

  template <int V>
  __attribute__((noinline)) void advance(const Packed& packed, const Step<T>& step) const {
    constexpr Index width = V * lanes<T>;
    const Index n = this->n_hidden_, size = n * width;
    T* const z = step.tape == nullptr ? step.scratch : step.tape + size;
    const Index paired = n - n % 2;
    for (Index unit = 0; unit < paired; unit += 2) open_gates<V, 2>(packed.gates, unit, z, step);
    if (paired < n) open_gates<V, 1>(packed.gates, paired, z, step);
    multiply<V>(packed.candidate, step.state + size, step.next, [&](Vec<T> sum, Index at) {
      if (step.noise != nullptr) sum += simd::load(step.noise + at);
      const Vec<T> candidate = simd::tanh<T>(sum);
      if (step.tape != nullptr) simd::store(step.tape + 2 * size + at, candidate);
      return candidate + simd::load(z + at) * (simd::load(step.state + at) - candidate);
    });
  }

  template <int V>
  __attribute__((noinline)) void retreat(const Packed& backward, const ReverseStep<T>& step) const {
    constexpr Index width = V * lanes<T>;
    const Index size = this->n_hidden_ * width;
    const T *const of_r = step.tape, *const of_z = of_r + size, *const of_n = of_z + size;
    multiply<V>(backward.gates, step.later + size, step.scratch);
    for (Index at = 0; at < size; at += lanes<T>) {
      const Vec<T> z = simd::load(of_z + at), n = simd::load(of_n + at);
      const Vec<T> h = simd::load(step.scratch + at) + simd::load(step.adjoint + at);
      simd::store(step.delta + at, (h - h * z) * activations::Tanh::slope<T>(n));
      simd::store(step.delta + 2 * size + at, h * (simd::load(step.state + at) - n) * this->slope(z));
      simd::store(step.adjoint + at, h * z);
    }
    multiply<V>(backward.candidate, step.delta, step.scratch);
    for (Index at = 0; at < size; at += lanes<T>) {
      const Vec<T> r = simd::load(of_r + at), of_reset = simd::load(step.scratch + at);
      simd::store(step.delta + size + at, of_reset * simd::load(step.state + at) * this->slope(r));
      simd::store(step.adjoint + at, simd::load(step.adjoint + at) + of_reset * r);
    }
  }

 private:
  /// r ∘ h into the state's extra rows, and z.
  template <int V, int units>
  void open_gates(const PackedMatrix<T>& gates, Index first, T* z, const Step<T>& step) const {
    constexpr Index width = V * lanes<T>;
    T* const reset = step.state + Gated<T>::depth() * width;
    const Index index = this->first_index(step);
    detail::Tile<2 * units, V, T> tile{};
    detail::accumulate(tile, gates.block(2 * first) + 2 * units * index, 1, 2 * units, step.state + index * width,
                       width, gates.depth() - index);
#pragma GCC unroll 2
    for (int u = 0; u < units; ++u) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        const Index at = (first + u) * width + v * lanes<T>;
        const Vec<T> r = this->logistic(tile.sum[2 * u][v]);
        simd::store(z + at, this->logistic(tile.sum[2 * u + 1][v]));
        simd::store(reset + at, r * simd::load(step.state + at));
        if (step.tape != nullptr) simd::store(step.tape + at, r);
      }
    }
  }
};

}  // namespace cells
}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
