// The current form whose readout reads the currents, not the rates:
//
//     h_t = (1 - a) ∘ h_{t-1} + a ∘ (z_t + ξ_t),   r_t = φ(h_t),   y_t = ψ(W_hy h_t + b_y).
//
// In the reverse step, W_hyᵀ e_t is a part of dL/dh_t, where it was one of dL/dr_t.
#pragma once

#include "schurscope/cells/current.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {
namespace cells {

template <class T>
class ReadCurrent : public Current<T> {
 public:
  struct Packed {
    PackedMatrix<T> recurrent, readout;  ///< [W_hh | b_h | W_xh] alone; for the reverse step W_hhᵀ and W_hyᵀ
  };

  explicit ReadCurrent(const NetworkView<T>& network) : Current<T>(network), read_rows_(network.readout_depth()) {}

  static bool fits(const CellDescription& cell) {
    return cell.form == Form::current && cell.readout == Readout::hidden;
  }

  Index carried_rows() const { return read_rows_; }                 ///< [h_t; 1]
  Index tape_rows() const { return read_rows_ + this->n_hidden_; }  ///< [h_t; 1; φ'(h_t)]
  Index scratch_rows() const { return this->n_hidden_; }            ///< W_hyᵀ e_t

  void pack(const NetworkView<T>& network, Packed& packed) const { pack_recurrent(network, packed.recurrent); }
  void pack_backward(const NetworkView<T>& network, Packed& packed) const {
    packed.recurrent.reset(network.n_hidden, network.n_hidden);
    packed.recurrent.put_transposed(network.recurrent(), 0);
    packed.readout.reset(network.n_hidden, network.n_outputs);
    packed.readout.put_transposed(network.readout(), 0);
  }

  void start(const T* h_0, Index width, T* carried, T* rates) const {
    Current<T>::start(h_0, width, carried, rates);
    const Index h_size = this->n_hidden_ * width;
    std::fill_n(carried + h_size, read_rows_ * width - h_size, T(1));
  }

  const T* read(const T* /*state*/, const T* carried) const { return carried; }

  template <int V>
  void advance(const Packed& packed, const Step<T>& step) const {
    constexpr Index width = V * lanes<T>;
    multiply<V>(packed.recurrent, step.state, step.next);
    T* const slopes = step.tape == nullptr ? nullptr : step.tape + read_rows_ * width;
    this->advance_units(width, slopes, step);
    if (step.tape != nullptr) std::copy_n(step.carried, read_rows_ * width, step.tape);
  }

  template <int V>
  void retreat(const Packed& packed, const ReverseStep<T>& step) const {
    constexpr Index width = V * lanes<T>;
    multiply<V>(packed.recurrent, step.later, step.delta);
    multiply<V>(packed.readout, step.later + this->n_hidden_ * width, step.scratch);
    this->retreat_units(width, step.tape + read_rows_ * width, step.scratch, step);
  }

 private:
  Index read_rows_;
};

}  // namespace cells
}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
