// The activations: one struct each, and the list from which networks choose.
//
// A struct defines the activation's name, its values φ(x), NaN where x is NaN, and its slopes φ'(x) as a function of
// y = φ(x). To add one, write its struct and list it in `Activation`.
#pragma once

#include "schurscope/choice.hpp"
#include "schurscope/exp.hpp"
#include "schurscope/tanh.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {
namespace activations {

struct Tanh {
  static constexpr const char* name = "tanh";

  template <class T>
  static Vec<T> value(Vec<T> x) {
    return simd::tanh<T>(x);
  }
  template <class T>
  static Vec<T> slope(Vec<T> y) {
    return simd::broadcast(T(1)) - y * y;
  }
};

struct Relu {
  static constexpr const char* name = "relu";

  template <class T>
  static Vec<T> value(Vec<T> x) {
    return simd::maximum<T>(Vec<T>{}, x);
  }
  /// 0 at 0.
  template <class T>
  static Vec<T> slope(Vec<T> y) {
    return y > T(0) ? simd::broadcast(T(1)) : Vec<T>{};
  }
};

/// log(1 + exp(x)), within 4 ULP where it is a normal number.
struct Softplus {
  static constexpr const char* name = "softplus";

  template <class T>
  static Vec<T> value(Vec<T> x) {
    return simd::maximum<T>(Vec<T>{}, x) + simd::log1p_up_to_one<T>(simd::exp_of_minus_absolute<T>(x));
  }
  /// 1 - exp(-y), as exp(-y) = 1 / (1 + exp(x)); y is not negative.
  template <class T>
  static Vec<T> slope(Vec<T> y) {
    return simd::broadcast(T(1)) - simd::exp_of_minus_absolute<T>(y);
  }
};

/// The logistic function 1 / (1 + exp(-x)), within 4 ULP where it is a normal number.
struct Sigmoid {
  static constexpr const char* name = "sigmoid";

  template <class T>
  static Vec<T> value(Vec<T> x) {
    const Vec<T> u = simd::exp_of_minus_absolute<T>(x);
    return simd::quotient<T>(x < T(0) ? u : simd::broadcast(T(1)), u + T(1));
  }
  template <class T>
  static Vec<T> slope(Vec<T> y) {
    return y * (simd::broadcast(T(1)) - y);
  }
};

struct Identity {
  static constexpr const char* name = "identity";

  template <class T>
  static Vec<T> value(Vec<T> x) {
    return x;
  }
  template <class T>
  static Vec<T> slope(Vec<T>) {
    return simd::broadcast(T(1));
  }
};

}  // namespace activations

using Activation =
    Choice<activations::Tanh, activations::Relu, activations::Softplus, activations::Sigmoid, activations::Identity>;

/// x = φ(x), `size` elements in whole vectors.
template <class T>
void activate(Activation activation, Index size, T* x) {
  if (activation.is<activations::Identity>()) return;
  activation.visit([&](auto phi) {
    for (Index i = 0; i < size; i += lanes<T>) simd::store(x + i, phi.template value<T>(simd::load(x + i)));
  });
}

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
