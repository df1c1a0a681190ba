// Shared by all bindings: arrays of the caller, checks of their shapes, and calls without the GIL.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <initializer_list>
#include <stdexcept>

#include "schurscope/parallel.hpp"

namespace bindings {

namespace py = pybind11;
using namespace schurscope;

template <class T>
using Array = py::array_t<T, py::array::c_style>;

inline void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

template <class A>
bool has_shape(const A& array, std::initializer_list<Index> shape) {
  if (array.ndim() != static_cast<Index>(shape.size())) return false;
  Index axis = 0;
  for (const Index size : shape) {
    if (array.shape(axis++) != size) return false;
  }
  return true;
}

/// Checks Python's pending signals; only the main thread has any, so only there is the GIL worth the wait.
class PythonSignals {
 public:
  PythonSignals() {
    const py::object threading = py::module_::import("threading");
    main_ = threading.attr("current_thread")().is(threading.attr("main_thread")());
  }
  Interrupt interrupt() const {
    if (!main_) return Interrupt{};
    return Interrupt{[] {
      const py::gil_scoped_acquire gil;
      return PyErr_CheckSignals() != 0;
    }};
  }

 private:
  bool main_;
};

/// Run an interruptible call without the GIL. An exception that a signal handler raises meanwhile ends the call.
template <class Call>
void run(const Call& call) {
  const PythonSignals signals;
  try {
    const py::gil_scoped_release released;
    Interrupt interrupt = signals.interrupt();
    call(interrupt);
  } catch (const Interrupted&) {
    throw py::error_already_set();
  }
}

/// Run a short call without the GIL.
template <class Call>
auto without_gil(const Call& call) {
  const py::gil_scoped_release released;
  return call();
}

}  // namespace bindings
