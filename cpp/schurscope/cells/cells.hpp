// The cells, and the choice among them. To add one: its class, and its name in `with_cell`.
//
// A cell is a class template on the scalar, made from a NetworkView<T>. It has
//
//     Scalar, Packed                  T, and its weights as `pack` lays them out for the kernel
//     fits(description)               static: whether it is the cell described
//     depth()                         rows of the state: [r; 1; x] and any that it keeps behind them
//     product_rows()                  rows of its products z, of each step's delta, and of the recurrent gradient
//     carried_rows()                  rows that a step hands to the next beside the rates, such as the current
//     tape_rows(), adjoint_rows()     rows per step from the forward to the reverse pass, rows between steps of the latter
//     scratch_rows()                  rows that a step in either direction may use as it likes
//     pack(network, packed), pack_backward(network, packed)
//     start(h_0, width, carried, rates)    the state before the first step; a null h_0 is 0
//     hidden(rates, carried)          where h_t, which the user sees, lies among the two
//     advance<V>(packed, step)        step.hpp's step forwards, products included
//     retreat<V>(packed, step)        and backwards
//
// It multiplies by itself, because what lies between products is its own: tanh applied in registers, a gate that must
// be known before the next product.
#pragma once

#include <stdexcept>

#include "schurscope/cells/current.hpp"
#include "schurscope/cells/elman.hpp"
#include "schurscope/cells/rate.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {
namespace detail {

template <class First, class... Others, class T, class F>
void with_first_fitting(const NetworkView<T>& network, const F& f) {
  if (First::fits(network.cell)) {
    f(First(network));
  } else if constexpr (sizeof...(Others) > 0) {
    with_first_fitting<Others...>(network, f);
  } else {
    throw std::invalid_argument("no cell fits the description");
  }
}

}  // namespace detail

/// Call f with the network's cell: the first of the list that fits.
template <class T, class F>
void with_cell(const NetworkView<T>& network, const F& f) {
  detail::with_first_fitting<cells::Elman<T>, cells::Rate<T>, cells::Current<T>>(network, f);
}

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
