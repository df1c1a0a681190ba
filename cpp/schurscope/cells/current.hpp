// The current form, with the leaks a and the activation φ:
//
//     h_t = (1 - a) ∘ h_{t-1} + a ∘ (z_t + ξ_t),   r_t = φ(h_t).
#pragma once

#include "schurscope/cells/leaky.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {
namespace cells {

template <class T>
class Current : public Leaky<T> {
 public:
  using Leaky<T>::Leaky;

  static bool fits(const CellDescription& cell) { return cell.form == Form::current && cell.readout == Readout::rates; }

  Index carried_rows() const { return this->n_hidden_; }  ///< h_t
  Index tape_rows() const { return this->n_hidden_; }     ///< φ'(h_t)

  void start(const T* h_0, Index width, T* carried, T* rates) const {
    Leaky<T>::start(h_0, width, carried, rates);
    std::copy_n(rates, this->n_hidden_ * width, carried);
    activate(this->activation_, this->n_hidden_ * width, rates);
  }

  const T* hidden(const T* /*read*/, const T* carried) const { return carried; }

  template <int V>
  void advance(const PackedMatrix<T>& recurrent, const Step<T>& step) const {
    multiply<V>(recurrent, step.state, step.next);
    advance_units(V * lanes<T>, step.tape, step);
  }

  template <int V>
  void retreat(const PackedMatrix<T>& backward, const ReverseStep<T>& step) const {
    multiply<V>(backward, step.later, step.delta);
    retreat_units(V * lanes<T>, step.tape, nullptr, step);
  }

 protected:
  void advance_units(Index width, T* slopes, const Step<T>& step) const {
    this->activation_.visit([&](auto phi) {
      this->for_each_vector(width, [&](T leak, Index i) {
        Vec<T> z = simd::load(step.next + i);
        if (step.noise != nullptr) z += simd::load(step.noise + i);
        const Vec<T> h = simd::load(step.carried + i) + leak * (z - simd::load(step.carried + i));
        simd::store(step.carried + i, h);
        const Vec<T> rate = phi.template value<T>(h);
        if (slopes != nullptr) simd::store(slopes + i, phi.template slope<T>(rate));
        simd::store(step.next + i, rate);
      });
    });
  }

  /// From dL/dr_t in step.delta, and the part of dL/dh_t that reaches h_t directly, or null if there is none.
  void retreat_units(Index width, const T* slopes, const T* direct, const ReverseStep<T>& step) const {
    this->for_each_vector(width, [&](T leak, Index i) {
      Vec<T> past_rate = simd::load(step.adjoint + i) * (T(1) - leak);
      if (direct != nullptr) past_rate += simd::load(direct + i);
      const Vec<T> h = simd::load(step.delta + i) * simd::load(slopes + i) + past_rate;
      simd::store(step.adjoint + i, h);
      simd::store(step.delta + i, h * leak);
    });
  }
};

}  // namespace cells
}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
