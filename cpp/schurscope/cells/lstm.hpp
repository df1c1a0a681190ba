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
    const Index first = this->first_index(step);
    T* tape = step.tape;
    for (Index unit = 0; unit < this->n_hidden_; ++unit) {
      detail::Tile<4, V, T> tile{};
      detail::accumulate(tile, packed.block(4 * unit) + 4 * first, 1, 4, step.state + first * width, width,
                         packed.depth() - first);
      if constexpr (keep) {
        update_and_keep(tile, unit, step, tape);
        tape += taped * width;
      } else {
        update(tile, unit, step);
      }
    }
  }

  /// c_t and h_t from the products of one unit, with one division for i ∘ g and one for o ∘ tanh(c_t). Loops of their own
  /// for c_t and h_t keep independent vectors within the processor's reach.
  template <int V>
  void update(detail::Tile<4, V, T>& tile, Index unit, const Step<T>& step) const {
    constexpr Index width = V * lanes<T>;
    T *const carried = step.carried + unit * width, *const next = step.next + unit * width;
    add_noise(tile, unit, step);
    Vec<T> c[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const simd::Fraction<T> g = simd::tanh_fraction<T>(tile.sum[2][v]);
      const Vec<T> f = this->logistic(tile.sum[1][v]), den = simd::logistic_denominator<T>(tile.sum[0][v]);
      c[v] = f * simd::load(carried + v * lanes<T>) + simd::quotient<T>(g.num, g.den * den);
      simd::store(carried + v * lanes<T>, c[v]);
    }
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const simd::Fraction<T> squashed = simd::tanh_fraction<T>(c[v]);
      const Vec<T> den = simd::logistic_denominator<T>(tile.sum[3][v]);
      simd::store(next + v * lanes<T>, simd::quotient<T>(squashed.num, squashed.den * den));
    }
  }

  /// The same with every factor by itself, for the tape.
  template <int V>
  void update_and_keep(detail::Tile<4, V, T>& tile, Index unit, const Step<T>& step, T* tape) const {
    constexpr Index width = V * lanes<T>;
    T *const carried = step.carried + unit * width, *const next = step.next + unit * width;
    add_noise(tile, unit, step);
    Vec<T> c[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const Index at = v * lanes<T>;
      const Vec<T> i = this->logistic(tile.sum[0][v]), f = this->logistic(tile.sum[1][v]);
      const Vec<T> g = simd::tanh<T>(tile.sum[2][v]), past = simd::load(carried + at);
      c[v] = f * past + i * g;
      simd::store(carried + at, c[v]);
      simd::store(tape + at, i);
      simd::store(tape + width + at, f);
      simd::store(tape + 2 * width + at, g);
      simd::store(tape + 4 * width + at, past);
    }
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const Index at = v * lanes<T>;
      const Vec<T> o = this->logistic(tile.sum[3][v]), squashed = simd::tanh<T>(c[v]);
      simd::store(next + at, o * squashed);
      simd::store(tape + 3 * width + at, o);
      simd::store(tape + 5 * width + at, squashed);
    }
  }

  template <int V>
  void add_noise(detail::Tile<4, V, T>& tile, Index unit, const Step<T>& step) const {
    if (step.noise == nullptr) return;
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) tile.sum[2][v] += simd::load(step.noise + (unit * V + v) * lanes<T>);
  }
};

}  // namespace cells
}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
