// The functions that add bindings to the module. Those on float or double arrays have an object file per scalar.
#pragma once

#include <pybind11/pybind11.h>

namespace bindings {

void bind_schur(pybind11::module_& m);
void bind_perturbations(pybind11::module_& m);
template <class T>
void bind_rollouts(pybind11::module_& m);
template <class T>
void bind_ablations(pybind11::module_& m);
template <class T>
void bind_features(pybind11::module_& m);
template <class T>
void bind_training(pybind11::module_& m);

}  // namespace bindings
