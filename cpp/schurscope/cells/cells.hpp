// The cells, and the choice among them. To add one, write its class and list it in `with_cell`.
//
// A cell is a class template on the scalar, made from a NetworkView<T>. It has
//
//     Scalar, Packed                  T, and its weights as `pack` lays them out for the kernel
//     fits(description)               static: whether it implements the description
//     depth()                         rows of the state: [r; 1; x] and any extra rows after them
//     product_rows()                  rows of each step's delta
//     carried_rows()                  rows that a step passes to the next beside the rates, such as the current
//     tape_rows(), adjoint_rows()     rows per step of the forward pass's tape, rows passed between reverse steps
//     scratch_rows()                  rows of scratch for a step in either direction
//     pack(network, packed), pack_backward(network, packed)
//     gates()                         its recurrent matrices. The adjoint of the recurrent product of gate g is the rows
//     delta_row(g), operand_row(g)    from delta_row(g) of a step's delta, what it multiplies those from operand_row(g) of
//                                     the state
//     outer_products()                the parts of the recurrent gradient (step.hpp), summed over steps and trials, which
//     write_gradient(sums, gradient)  puts into the layout of the weights
//     start(h_0, width, carried, rates)    the state before the first step; a null h_0 is 0
//     read(state, carried)            the panel [u_t; 1] that the readout reads: the state, if u_t is r_t; else `carried`,
//                                     and then a step's tape begins with the panel too, for read(state, tape)
//     hidden(read, carried)           whichever of the two holds h_t, the user's state
//     advance<V>(packed, step)        a forward step (step.hpp), products included
//     retreat<V>(packed, step)        a reverse step
//
// The cell runs its own products, because the work between them is its own: tanh applied in registers, or a gate that
// the next product needs.
#pragma once

#include <stdexcept>

#include "schurscope/cells/current.hpp"
#include "schurscope/cells/elman.hpp"
#include "schurscope/cells/gru_after.hpp"
#include "schurscope/cells/gru_before.hpp"
#include "schurscope/cells/lstm.hpp"
#include "schurscope/cells/rate.hpp"
#include "schurscope/cells/read_current.hpp"

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
  detail::with_first_fitting<cells::Elman<T>, cells::Rate<T>, cells::Current<T>, cells::ReadCurrent<T>,
                             cells::GruAfter<T>, cells::GruBefore<T>, cells::Lstm<T>>(network, f);
}

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
