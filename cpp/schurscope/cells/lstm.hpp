// The LSTM, with the logistic function σ and the products z = W_hh h_{t-1} + W_xh x_t + b_h of each gate:
//
//     i, f, o = σ(z),   g = tanh(z + ξ_t),   c_t = f ∘ c_{t-1} + i ∘ g,   h_t = o ∘ tanh(c_t).
//
// Of the four gates' rows, in the order i, f, g, o, one unit's fill a tile.
#pragma once

#include "schurscope/cells/gated.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {
namespace cells {

template <class T>
class Lstm : public Gated<T> {
 public:
  using Packed = PackedMatrix<T>;
  using Gated<T>::Gated;

  static bool fits(const CellDescription& cell) { return cell.form == Form::lstm; }

  Index product_rows() const { return 4 * this->n_hidden_; }
  Index carried_rows() const { return this->n_hidden_; }       ///< c_t
  Index tape_rows() const { return taped * this->n_hidden_; }  ///< of each unit: i, f, g, o, c_{t-1}, tanh(c_t)
  Index adjoint_rows() const { return this->n_hidden_; }       ///< dL/dc_t, through c_{t+1} alone
  Index scratch_rows() const { return this->n_hidden_; }       ///< dL/dh_t

  Index delta_row(Index gate) const { return gate * this->n_hidden_; }
  Index operand_row(Index /*gate*/) const { return 0; }
  std::vector<OuterProduct> outer_products() const { return {{0, product_rows(), 0, this->depth()}}; }
  void write_gradient(std::vector<GradientSums<T>>& sums, const GradientView<T>& gradient) const {
    write_rows(sums.front(), product_rows(), this->n_hidden_, this->n_inputs_, gradient);
  }

  void pack(const NetworkView<T>& network, Packed& packed) const {
    packed.reset(product_rows(), this->depth(), /*block_rows=*/4);
    for (Index gate = 0; gate < 4; ++gate) {
      packed.put_rows(network.recurrent(gate), 0, gate, 4);
      if (network.b_h != nullptr) packed.put_rows(this->column(network.b_h, gate), this->n_hidden_, gate, 4);
      packed.put_rows(network.encoder(gate), network.readout_depth(), gate, 4);
    }
  }
  void pack_backward(const NetworkView<T>& network, Packed& packed) const { pack_transposed(network, packed); }

  /// From [h_0; c_0].
  void start(const T* starts, Index width, T* carried, T* rates) const {
    const Index size = this->n_hidden_ * width;
    this->copy_or_clear(starts, size, rates);
    this->copy_or_clear(starts == nullptr ? nullptr : starts + size, size, carried);
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
    multiply<V>(backward, step.later, step.scratch);
    const Index gate_size = this->n_hidden_ * width;
    const T* tape = step.tape;
    for (Index at = 0; at < gate_size; tape += taped * width) {
      for (Index v = 0; v < width; v += lanes<T>, at += lanes<T>) {
        const auto taken = [&](Index row) { return simd::load(tape + row * width + v); };
        const Vec<T> i = taken(0), f = taken(1), g = taken(2), o = taken(3), past = taken(4), squashed = taken(5);
        const Vec<T> h = simd::load(step.scratch + at);
        const Vec<T> c = simd::load(step.adjoint + at) + h * o * activations::Tanh::slope<T>(squashed);
        T* const delta = step.delta + at;
        simd::store(delta, c * g * this->slope(i));
        simd::store(delta + gate_size, c * past * this->slope(f));
        simd::store(delta + 2 * gate_size, c * i * activations::Tanh::slope<T>(g));
        simd::store(delta + 3 * gate_size, h * squashed * this->slope(o));
        simd::store(step.adjoint + at, c * f);
      }
    }
  }

 private:
  static constexpr Index taped = 6;

  template <int V, bool keep>
  __attribute__((noinline)) void advance_units(const Packed& packed, const Step<T>& step) const {
    constexpr Index width = V * lanes<T>;
    T* tape = step.tape;
    for (Index unit = 0; unit < this->n_hidden_; ++unit) {
      detail::Tile<4, V, T> tile{};
      detail::accumulate(tile, packed.block(4 * unit), 1, 4, step.state, width, packed.depth());
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        const Index at = unit * width + v * lanes<T>;
        const Vec<T> i = this->logistic(tile.sum[0][v]), f = this->logistic(tile.sum[1][v]);
        if (step.noise != nullptr) tile.sum[2][v] += simd::load(step.noise + at);
        const Vec<T> g = simd::tanh<T>(tile.sum[2][v]), o = this->logistic(tile.sum[3][v]);
        const Vec<T> past = simd::load(step.carried + at), c = f * past + i * g, squashed = simd::tanh<T>(c);
        simd::store(step.carried + at, c);
        simd::store(step.next + at, o * squashed);
        if constexpr (keep) {
          Index row = 0;
          for (const Vec<T> value : {i, f, g, o, past, squashed})
            simd::store(tape + row++ * width + v * lanes<T>, value);
        }
      }
      if constexpr (keep) tape += taped * width;
    }
  }
};

}  // namespace cells
}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
