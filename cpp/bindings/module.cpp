// The core's Python module, compiled once per instruction-set level: free functions on the caller's arrays.
//
// Each call checks the shapes it relies on, releases the GIL while it works, writes only to its output arrays and keeps
// no state. User-facing errors belong to the Python layer; a failed check here is a bug in that layer.
#include <Eigen/Core>
#include <string>

#include "binders.hpp"
#include "schurscope/activation.hpp"
#include "schurscope/measures/measures.hpp"
#include "schurscope/parallel.hpp"

namespace py = pybind11;
using namespace schurscope;

namespace {

std::string compiler() {
#if defined(__clang__)
  return "Clang " __clang_version__;
#else
  return "GCC " __VERSION__;
#endif
}

py::dict build_info() {
  py::dict info;
  info["level"] = SCHURSCOPE_LEVEL;
  info["compiler"] = compiler();
#if defined(EIGEN_VERSION_STRING)
  info["eigen"] = EIGEN_VERSION_STRING;  // since Eigen 5, whose world is still 3
#else
  info["eigen"] = std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
                  std::to_string(EIGEN_MINOR_VERSION);
#endif
  info["vector_bits"] = std::to_string(8 * vector_bytes);
  return info;
}

template <class Names>
py::tuple as_tuple(const Names& names) {
  py::list list;
  for (const char* const name : names) list.append(name);
  return py::tuple(list);
}

}  // namespace

PYBIND11_MODULE(SCHURSCOPE_MODULE, m, py::mod_gil_not_used()) {
  m.doc() = "The compiled core of schurscope, instruction-set level " SCHURSCOPE_LEVEL ".";
  m.attr("LEVEL") = SCHURSCOPE_LEVEL;
  m.attr("ACTIVATIONS") = as_tuple(Activation::names);
  m.attr("MEASURES") = as_tuple(Measure::names);
  m.def("build_info", build_info);
  m.def("active_threads", [] { return active_threads.load(); });
  bindings::bind_schur(m);
  bindings::bind_perturbations(m);
  bindings::bind_rollouts<float>(m);
  bindings::bind_rollouts<double>(m);
  bindings::bind_ablations<float>(m);
  bindings::bind_ablations<double>(m);
  bindings::bind_features<float>(m);
  bindings::bind_features<double>(m);
  bindings::bind_training<float>(m);
  bindings::bind_training<double>(m);
}
