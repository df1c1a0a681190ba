// Shared by all headers: the namespace of the instruction set they are compiled for, and Index.
#pragma once

#include <cstddef>

// A program may contain sources compiled for different instruction sets. Their functions differ, so their names must
// differ, too, or the linker keeps one version for all.
#if defined(__AVX512F__)
#define SCHURSCOPE_ISA avx512
#elif defined(__AVX2__) && defined(__FMA__)
#define SCHURSCOPE_ISA avx2_fma
#elif defined(__AVX__)
#define SCHURSCOPE_ISA avx
#else
#define SCHURSCOPE_ISA baseline
#endif

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

/// Sizes, offsets and counts: signed, as Eigen's.
using Index = std::ptrdiff_t;

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
