// The rate form, with the leaks a and the activation φ:
//
//     h_t = (1 - a) ∘ h_{t-1} + a ∘ φ(z_t + ξ_t),   r_t = h_t.
#pragma once

#include "schurscope/cells/leaky.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {
namespace cells {

template <class T>
class Rate : public Leaky<T> {
 public:
  using Leaky<T>::Leaky;

  static bool fits(const CellDescription& cell) { return cell.form == Form::rate; }

  Index tape_rows() const { return this->n_hidden_; }  ///< φ'(z_t)

  template <int V>
  void advance(const PackedMatrix<T>& recurrent, const Step<T>& step) const {
    multiply<V>(recurrent, step.state, step.next);
    advance_units(V * lanes<T>, step);
  }

  template <int V>
  void retreat(const PackedMatrix<T>& backward, const ReverseStep<T>& step) const {
    multiply<V>(backward, step.later, step.delta);
    retreat_units(V * lanes<T>, step);
  }

 private:
  // The activation is looked up in each step, not compiled in: one kernel serves all.
  void advance_units(Index width, const Step<T>& step) const {
    this->activation_.visit([&](auto phi) {
      this->for_each_vector(width, [&](T leak, Index i) {
        Vec<T> z = simd::load(step.next + i);
        if (step.noise != nullptr) z += simd::load(step.noise + i);
        Vec<T> value = phi.template value<T>(z);
        if (step.tape != nullptr) simd::store(step.tape + i, phi.template slope<T>(value));
        if (leak != T(1)) value = simd::load(step.state + i) + leak * (value - simd::load(step.state + i));
        simd::store(step.next + i, value);
      });
    });
  }

  void retreat_units(Index width, const ReverseStep<T>& step) const {
    this->for_each_vector(width, [&](T leak, Index i) {
      const Vec<T> through_leak = simd::load(step.adjoint + i) * (T(1) - leak), slope = simd::load(step.tape + i);
      const Vec<T> h = simd::load(step.delta + i) + through_leak;
      simd::store(step.adjoint + i, h);
      simd::store(step.delta + i, h * slope * leak);
    });
  }
};

}  // namespace cells
}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
