// Gradients of these cells, for SCHURSCOPE_SCALAR: see training.cpp.
#include "schurscope/bptt.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

template class Backpropagation<cells::Current<SCHURSCOPE_SCALAR>>;
template class Backpropagation<cells::ReadCurrent<SCHURSCOPE_SCALAR>>;

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
