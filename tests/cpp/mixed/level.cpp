// A function of the headers, as it is compiled for one instruction set.
#include "schurscope/activation.hpp"

using Function = void (*)();

Function SCHURSCOPE_FUNCTION();
Function SCHURSCOPE_FUNCTION() { return reinterpret_cast<Function>(&schurscope::activate<float>); }
