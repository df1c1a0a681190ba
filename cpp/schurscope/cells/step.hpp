// The arguments of a cell's step on a panel of trials: arrays of whole rows, (rows, width) each.
#pragma once

#include "schurscope/simd.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

/// A forward step, from t - 1 to t.
template <class T>
struct Step {
  T* state;        ///< [r_{t-1}; 1; x_t] and any extra rows of the cell after them
  const T* noise;  ///< ξ_t, an input to each unit (of a gated cell, to its candidate), (N_h, width), or null
  T* carried;      ///< state of the cell beside the rates: in, of t - 1; out, of t
  T* scratch;
  T* next;               ///< its first N_h rows become the rates r_t
  T* tape;               ///< values for the reverse step, or null if there is none
  bool at_rest = false;  ///< r_{t-1} = 0: its products may be left out
};

/// The reverse step. The delta of a step is d_t = dL/dz_t, with z_t the cell's products.
template <class T>
struct ReverseStep {
  const T* later;  ///< [d_{t+1}; e_t], with e_t = dL/d(W_hy u_t + b_y)
  const T* state;  ///< as the forward step left it
  const T* next;   ///< [r_t; …]
  const T* tape;   ///< as the forward step left it
  T* adjoint;      ///< adjoint of the state, bypassing the products: in, of t + 1; out, of t
  T* scratch;
  T* delta;  ///< out: d_t
};

/// A part of the recurrent gradient: Σ_t of d_t's rows times s_t's columns, transposed.
struct OuterProduct {
  Index delta_row, rows;
  Index state_row, columns;
};

/// Gradients of NetworkView's arrays, in their layouts; a null pointer omits that gradient.
template <class T>
struct GradientView {
  T* W_hh;
  T* W_xh;
  T* W_hy;
  T* b_h;
  T* b_y;
  T* b_hn = nullptr;
};

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
