// schurscope._cpu: the instruction-set levels, and those that this machine supports. Compiled for the
// baseline, so that it loads everywhere; Python chooses among the variants of the core.
//
// The levels are those of the x86-64 psABI. Both the processor and the operating system must support
// them: for vector features __builtin_cpu_supports checks that the system saves the wider registers.
#include <pybind11/pybind11.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace py = pybind11;

namespace {

// Each includes the previous ones.
constexpr const char* levels[] = {"baseline", "x86-64-v3", "x86-64-v4"};

#if defined(__x86_64__)

// Read from CPUID: GCC before 11 does not know these features by name.
bool has_f16c_movbe_lzcnt() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr unsigned f16c_movbe = bit_F16C | bit_MOVBE;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & f16c_movbe) != f16c_movbe) return false;
  return __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_LZCNT) != 0;
}

bool runs_v3() {
  return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("avx2") &&
         __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
         has_f16c_movbe_lzcnt();
}

bool runs_v4() {
  return runs_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

#else

bool runs_v3() { return false; }
bool runs_v4() { return false; }

#endif

}  // namespace

PYBIND11_MODULE(_cpu, m, py::mod_gil_not_used()) {
  m.doc() = "The instruction-set levels of the compiled core, lowest first.";
  const int n_runnable = 1 + (runs_v3() ? 1 : 0) + (runs_v4() ? 1 : 0);
  py::list known;
  py::list runnable;
  for (const char* level : levels) {
    known.append(level);
    if (static_cast<int>(known.size()) <= n_runnable) runnable.append(level);
  }
  m.attr("LEVELS") = py::tuple(known);
  m.attr("RUNNABLE_LEVELS") = py::tuple(runnable);
}
