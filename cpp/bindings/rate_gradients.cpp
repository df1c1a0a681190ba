// Gradients of these cells, for SCHURSCOPE_SCALAR: see training.cpp.
#include "schurscope/bptt.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

template class Backpropagation<cells::Elman<SCHURSCOPE_SCALAR>>;
template class Backpropagation<cells::Rate<SCHURSCOPE_SCALAR>>;

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
