// One step of a cell, forwards and backwards, on the panel of one step: what lies between the matrix products.
#pragma once

#include "schurscope/network.hpp"

namespace schurscope {

/// x = φ(x), `size` elements in whole vectors.
template <class T>
void activate(Activation activation, Index size, T* x) {
  if (activation == Activation::identity) return;
  with_activation(activation, [&](auto phi) {
    for (Index i = 0; i < size; i += lanes<T>) store(x + i, activate<decltype(phi)::value, T>(load(x + i)));
  });
}

/// The first rates of `size` units and trials: of h_0 (null is 0), which the current form also keeps in `current`.
template <class T>
void start(const Cell<T>& cell, Index size, const T* h_0, T* current, T* rates) {
  if (h_0 != nullptr) {
    std::copy_n(h_0, size, rates);
  } else {
    std::fill_n(rates, size, T(0));
  }
  if (cell.form == Form::rate) return;
  std::copy_n(rates, size, current);
  activate(cell.activation, size, rates);
}

/// Turn the products W_hh r_{t-1} + W_xh x_t + b_h in `next` into the rates r_t.
///
/// `rates` are r_{t-1}; `noise` is e_t or null; `current`, h_{t-1} of the current form, becomes h_t. `slopes`, unless
/// null, become φ'(z_t) in the rate form and φ'(h_t) in the current form.
template <class T>
void advance(const Cell<T>& cell, Index size, const T* rates, const T* noise, T* current, T* next, T* slopes) {
  with_activation(cell.activation, [&](auto phi) {
    constexpr Activation activation = decltype(phi)::value;
    for (Index i = 0; i < size; i += lanes<T>) {
      Vec<T> z = load(next + i);
      if (noise != nullptr) z += load(noise + i);
      Vec<T> value;
      if (cell.form == Form::rate) {
        value = activate<activation, T>(z);
        if (slopes != nullptr) store(slopes + i, slope<activation, T>(value));
        if (cell.leak != T(1)) value = load(rates + i) + cell.leak * (value - load(rates + i));
      } else {
        const Vec<T> h = load(current + i) + cell.leak * (z - load(current + i));
        store(current + i, h);
        value = activate<activation, T>(h);
        if (slopes != nullptr) store(slopes + i, slope<activation, T>(value));
      }
      store(next + i, value);
    }
  });
}

/// Turn the products dL/dr_t (through the next step's weights and the readout) in `delta` into d_t = dL/dz_t.
///
/// `carried` is dL/dh_{t+1}, becomes dL/dh_t and reaches h_t through the leak alone; `slopes` are those of `advance`.
template <class T>
void retreat(const Cell<T>& cell, Index size, const T* slopes, T* carried, T* delta) {
  const T kept = T(1) - cell.leak;
  for (Index i = 0; i < size; i += lanes<T>) {
    const Vec<T> through_leak = load(carried + i) * kept, rate = load(delta + i), phi = load(slopes + i);
    if (cell.form == Form::rate) {
      const Vec<T> h = rate + through_leak;
      store(carried + i, h);
      store(delta + i, h * phi * cell.leak);
    } else {
      const Vec<T> h = rate * phi + through_leak;
      store(carried + i, h);
      store(delta + i, h * cell.leak);
    }
  }
}

/// e = dL/d(W_hy r + b_y) for L = scale · Σ w (y - target)², y = ψ(…) in `y`, which becomes e; returns Σ w (y - target)².
template <class T>
double output_error(Activation output, Index n_outputs, Index width, const T* target, const T* weight, T scale, T* y) {
  Vec<T> loss{};
  activate(output, n_outputs * width, y);
  with_activation(output, [&](auto psi) {
    for (Index i = 0; i < n_outputs * width; i += lanes<T>) {
      const Vec<T> value = load(y + i), difference = value - load(target + i);
      const Vec<T> weighted = difference * load(weight + i % width);
      loss += weighted * difference;
      store(y + i, weighted * (T(2) * scale) * slope<decltype(psi)::value, T>(value));
    }
  });
  return total<T>(loss);
}

}  // namespace schurscope
