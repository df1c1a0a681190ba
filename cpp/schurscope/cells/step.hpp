// What a cell is given for one step of a panel of trials: arrays of whole rows, (rows, width) each.
#pragma once

#include "schurscope/simd.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

/// A step forwards, from t - 1 to t.
template <class T>
struct Step {
  T* state;        ///< [r_{t-1}; 1; x_t] and any rows that the cell keeps behind them
  const T* noise;  ///< ξ_t, an input to each unit, (N_h, width), or null
  T* carried;      ///< what the cell carries beside the rates: that of t - 1, to become that of t
  T* scratch;
  T* next;  ///< whose first N_h rows become the rates r_t
  T* tape;  ///< what the step backwards will need, or null if there will be none
};

/// The same step backwards. The delta of a step is d_t = dL/dz_t, with z_t the cell's products.
template <class T>
struct ReverseStep {
  const T* later;  ///< [d_{t+1}; e_t], with e_t = dL/d(W_hy r_t + b_y)
  const T* state;  ///< as the step forwards left it
  const T* next;   ///< [r_t; …]
  const T* tape;   ///< as the step forwards left it
  T* adjoint;      ///< what reaches step t other than through the products: that of t + 1, to become that of t
  T* scratch;
  T* delta;  ///< to become d_t
};

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
