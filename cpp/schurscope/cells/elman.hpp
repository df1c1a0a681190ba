// h_t = tanh(z_t + ξ_t), r_t = h_t: the cell whose nonlinearity is applied while the products are in registers.
#pragma once

#include "schurscope/cells/ungated.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {
namespace cells {

template <class T>
class Elman : public Ungated<T> {
 public:
  using Ungated<T>::Ungated;

  static bool fits(const CellDescription& cell) {
    return cell.activation.is<activations::Tanh>() && cell.form == Form::rate && cell.leaks == nullptr &&
           static_cast<T>(cell.leak) == T(1);
  }

  template <int V>
  void advance(const PackedMatrix<T>& recurrent, const Step<T>& step) const {
    if (step.noise == nullptr) {
      multiply<V>(recurrent, step.state, step.next, [](Vec<T> z, Index) { return simd::tanh<T>(z); });
    } else {
      multiply<V>(recurrent, step.state, step.next);
      tanh_of_noisy(this->n_hidden_ * V * lanes<T>, step.noise, step.next);
    }
  }

  /// d_t = (W_hhᵀ d_{t+1} + W_hyᵀ e_t) ∘ (1 - h_t²): the slope comes from the state, so there is no tape.
  template <int V>
  void retreat(const PackedMatrix<T>& backward, const ReverseStep<T>& step) const {
    const T* const next = step.next;
    multiply<V>(backward, step.later, step.delta, [next](Vec<T> sum, Index at) {
      const Vec<T> h = simd::load(next + at);
      return sum - sum * (h * h);
    });
  }

 private:
  // A separate pass, not a second kernel.
  static void tanh_of_noisy(Index size, const T* noise, T* next) {
    for (Index i = 0; i < size; i += lanes<T>) {
      simd::store(next + i, simd::tanh<T>(simd::load(next + i) + simd::load(noise + i)));
    }
  }
};

}  // namespace cells
}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
