// The current form, with the leak a and the activation φ:
//
//     h_t = (1 - a) h_{t-1} + a (z_t + ξ_t),   r_t = φ(h_t).
#pragma once

#include "schurscope/cells/ungated.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {
namespace cells {

template <class T>
class Current : public Ungated<T> {
 public:
  explicit Current(const NetworkView<T>& network)
      : Ungated<T>(network), activation_(network.cell.activation), leak_(static_cast<T>(network.cell.leak)) {}

  static bool fits(const CellDescription& cell) { return cell.form == Form::current; }

  Index carried_rows() const { return this->n_hidden_; }  ///< h_t
  Index tape_rows() const { return this->n_hidden_; }     ///< φ'(h_t)
  Index adjoint_rows() const { return this->n_hidden_; }  ///< dL/dh_t, which reaches h_{t-1} through the leak alone

  void start(const T* h_0, Index width, T* carried, T* rates) const {
    Ungated<T>::start(h_0, width, carried, rates);
    std::copy_n(rates, this->n_hidden_ * width, carried);
    activate(activation_, this->n_hidden_ * width, rates);
  }

  const T* hidden(const T* /*rates*/, const T* carried) const { return carried; }

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
  void advance_units(Index size, const Step<T>& step) const {
    const T leak = leak_;  // a copy, which stores cannot alias
    activation_.visit([&](auto phi) {
      for (Index i = 0; i < size; i += lanes<T>) {
        Vec<T> z = simd::load(step.next + i);
        if (step.noise != nullptr) z += simd::load(step.noise + i);
        const Vec<T> h = simd::load(step.carried + i) + leak * (z - simd::load(step.carried + i));
        simd::store(step.carried + i, h);
        const Vec<T> rate = phi.template value<T>(h);
        if (step.tape != nullptr) simd::store(step.tape + i, phi.template slope<T>(rate));
        simd::store(step.next + i, rate);
      }
    });
  }

  void retreat_units(Index size, const T* slopes, T* adjoint, T* delta) const {
    const T leak = leak_, kept = T(1) - leak;
    for (Index i = 0; i < size; i += lanes<T>) {
      const Vec<T> through_leak = simd::load(adjoint + i) * kept, slope = simd::load(slopes + i);
      const Vec<T> h = simd::load(delta + i) * slope + through_leak;
      simd::store(adjoint + i, h);
      simd::store(delta + i, h * leak);
    }
  }

  Activation activation_;
  T leak_;
};

}  // namespace cells
}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
