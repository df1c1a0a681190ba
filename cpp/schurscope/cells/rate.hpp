// The rate form, with the leak a and the activation φ:
//
//     h_t = (1 - a) h_{t-1} + a φ(z_t + ξ_t),   r_t = h_t.
#pragma once

#include "schurscope/cells/ungated.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {
namespace cells {

template <class T>
class Rate : public Ungated<T> {
 public:
  explicit Rate(const NetworkView<T>& network)
      : Ungated<T>(network), activation_(network.cell.activation), leak_(static_cast<T>(network.cell.leak)) {}

  static bool fits(const CellDescription& cell) { return cell.form == Form::rate; }

  Index tape_rows() const { return this->n_hidden_; }     ///< φ'(z_t)
  Index adjoint_rows() const { return this->n_hidden_; }  ///< dL/dh_t, which reaches h_{t-1} through the leak alone

  template <int V>
  void advance(const PackedMatrix<T>& recurrent, const Step<T>& step) const {
    multiply<V>(recurrent, step.state, step.next);
    advance_units(this->n_hidden_ * V * lanes<T>, step);
  }

  template <int V>
  void retreat(const PackedMatrix<T>& backward, const ReverseStep<T>& step) const {
    multiply<V>(backward, step.later, step.delta);
    retreat_units(this->n_hidden_ * V * lanes<T>, step.tape, step.adjoint, step.delta);
  }

 private:
  // The activation is looked up in each step, not compiled in: one kernel serves all.
  void advance_units(Index size, const Step<T>& step) const {
    const T leak = leak_;  // a copy, which stores cannot alias
    activation_.visit([&](auto phi) {
      for (Index i = 0; i < size; i += lanes<T>) {
        Vec<T> z = simd::load(step.next + i);
        if (step.noise != nullptr) z += simd::load(step.noise + i);
        Vec<T> value = phi.template value<T>(z);
        if (step.tape != nullptr) simd::store(step.tape + i, phi.template slope<T>(value));
        if (leak != T(1)) value = simd::load(step.state + i) + leak * (value - simd::load(step.state + i));
        simd::store(step.next + i, value);
      }
    });
  }

  void retreat_units(Index size, const T* slopes, T* adjoint, T* delta) const {
    const T leak = leak_, kept = T(1) - leak;
    for (Index i = 0; i < size; i += lanes<T>) {
      const Vec<T> through_leak = simd::load(adjoint + i) * kept, slope = simd::load(slopes + i);
      const Vec<T> h = simd::load(delta + i) + through_leak;
      simd::store(adjoint + i, h);
      simd::store(delta + i, h * slope * leak);
    }
  }

  Activation activation_;
  T leak_;
};

}  // namespace cells
}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
