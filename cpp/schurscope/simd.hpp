// SIMD vectors, whose width follows -march, through the vector extensions of GCC and Clang.
//
// The files that include this one are written once for all levels: the compiler flags of an instruction-set level
// determine the width of a vector and the number of vectors in a register tile.
#pragma once

#if !defined(__GNUC__) && !defined(__clang__)
#error "schurscope needs the vector extensions of GCC or Clang"
#endif
#if defined(__FAST_MATH__) || __FINITE_MATH_ONLY__
#error "schurscope needs NaN, and sums in the order they are written: compile without -ffast-math"
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <new>
#include <type_traits>
#include <utility>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "schurscope/platform.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

#if defined(__AVX512F__)
inline constexpr int vector_bytes = 64;
#elif defined(__AVX__)
inline constexpr int vector_bytes = 32;
#else
inline constexpr int vector_bytes = 16;
#endif

namespace detail {

template <class T>
struct VectorOf;

template <>
struct VectorOf<float> {
  typedef float type __attribute__((vector_size(vector_bytes)));
  typedef std::int32_t bits __attribute__((vector_size(vector_bytes)));
};

template <>
struct VectorOf<double> {
  typedef double type __attribute__((vector_size(vector_bytes)));
  typedef std::int64_t bits __attribute__((vector_size(vector_bytes)));
};

}  // namespace detail

template <class T>
using Vec = typename detail::VectorOf<T>::type;
template <class T>
using Bits = typename detail::VectorOf<T>::bits;

/// Elements in one vector.
template <class T>
inline constexpr int lanes = vector_bytes / static_cast<int>(sizeof(T));

namespace simd {

template <class T>
inline Vec<T> broadcast(T value) {
  return value - Vec<T>{};
}

template <class T>
inline Vec<T> load(const T* aligned) {
  return *reinterpret_cast<const Vec<T>*>(aligned);
}

template <class T>
inline Vec<T> load_unaligned(const T* from) {
  Vec<T> value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class T>
inline void store(T* aligned, Vec<T> value) {
  *reinterpret_cast<Vec<T>*>(aligned) = value;
}

template <class T>
inline Bits<T> as_bits(Vec<T> value) {
  Bits<T> bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

template <class T>
inline Vec<T> from_bits(Bits<T> bits) {
  Vec<T> value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// The smaller of a and b, element by element; b where either is NaN (as in the x86 instruction, which compilers
/// do not emit for a comparison that must honour NaN).
template <class T>
inline Vec<T> minimum(Vec<T> a, Vec<T> b) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<T, float>)
    return _mm512_min_ps(a, b);
  else
    return _mm512_min_pd(a, b);
#elif defined(__AVX__)
  if constexpr (std::is_same_v<T, float>)
    return _mm256_min_ps(a, b);
  else
    return _mm256_min_pd(a, b);
#elif defined(__SSE2__)
  if constexpr (std::is_same_v<T, float>)
    return _mm_min_ps(a, b);
  else
    return _mm_min_pd(a, b);
#else
  return a < b ? a : b;
#endif
}

/// The larger of a and b, likewise.
template <class T>
inline Vec<T> maximum(Vec<T> a, Vec<T> b) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<T, float>)
    return _mm512_max_ps(a, b);
  else
    return _mm512_max_pd(a, b);
#elif defined(__AVX__)
  if constexpr (std::is_same_v<T, float>)
    return _mm256_max_ps(a, b);
  else
    return _mm256_max_pd(a, b);
#elif defined(__SSE2__)
  if constexpr (std::is_same_v<T, float>)
    return _mm_max_ps(a, b);
  else
    return _mm_max_pd(a, b);
#else
  return a > b ? a : b;
#endif
}

template <class T>
inline Vec<T> absolute(Vec<T> x) {
  return from_bits<T>(as_bits<T>(x) & ~as_bits<T>(broadcast(T(-0.0))));
}

/// num / den within 0.6 ULP, for quotients and denominators far from overflow and underflow. NaN stays NaN.
///
/// With 512-bit vectors the divider is slower than an approximate reciprocal (for double refined by one Newton step)
/// followed by a correction of the quotient by its residual. The residual must not be rounded twice, so the fused
/// operations are explicit, not left to the compiler.
template <class T>
inline Vec<T> quotient(Vec<T> num, Vec<T> den) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<T, float>) {
    const __m512 reciprocal = _mm512_rcp14_ps(den), q = num * reciprocal;
    return _mm512_fmadd_ps(_mm512_fnmadd_ps(q, den, num), reciprocal, q);
  } else {
    const __m512d rough = _mm512_rcp14_pd(den);
    const __m512d reciprocal = _mm512_fmadd_pd(rough, _mm512_fnmadd_pd(den, rough, broadcast(T(1))), rough);
    const __m512d q = num * reciprocal;
    return _mm512_fmadd_pd(_mm512_fnmadd_pd(q, den, num), reciprocal, q);
  }
#else
  return num / den;
#endif
}

/// sums[l] += value[l], in double.
template <class T>
inline void add_to(double* sums, Vec<T> value) {
  T elements[lanes<T>];
  std::memcpy(elements, &value, sizeof value);
  for (int l = 0; l < lanes<T>; ++l) sums[l] += static_cast<double>(elements[l]);
}

/// The sum of the elements, in double.
template <class T>
inline double total(Vec<T> value) {
  double sum = 0;
  for (int l = 0; l < lanes<T>; ++l) sum += static_cast<double>(value[l]);
  return sum;
}

namespace detail {

template <class V, std::size_t... I>
inline V zip_low(V a, V b, std::index_sequence<I...>) {
#if defined(__clang__) || __GNUC__ >= 12
  constexpr std::size_t n = sizeof...(I);
  return __builtin_shufflevector(a, b, (static_cast<int>(I % 2 ? n + I / 2 : I / 2))...);
#else
  return V{(I % 2 ? b[I / 2] : a[I / 2])...};
#endif
}

template <class V, std::size_t... I>
inline V zip_high(V a, V b, std::index_sequence<I...>) {
  constexpr std::size_t n = sizeof...(I);
#if defined(__clang__) || __GNUC__ >= 12
  return __builtin_shufflevector(a, b, (static_cast<int>(I % 2 ? n + n / 2 + I / 2 : n / 2 + I / 2))...);
#else
  return V{(I % 2 ? b[n / 2 + I / 2] : a[n / 2 + I / 2])...};
#endif
}

}  // namespace detail

/// Transpose the square of `lanes<T>` vectors in place: log2(lanes) perfect shuffles of its rows.
template <class T>
inline void transpose_square(Vec<T> (&rows)[lanes<T>]) {
  constexpr int n = lanes<T>;
  constexpr auto index = std::make_index_sequence<static_cast<std::size_t>(n)>{};
#pragma GCC unroll 4
  for (int stage = 1; stage < n; stage *= 2) {
    Vec<T> shuffled[n];
#pragma GCC unroll 8
    for (int i = 0; i < n / 2; ++i) {
      shuffled[2 * i] = detail::zip_low(rows[i], rows[i + n / 2], index);
      shuffled[2 * i + 1] = detail::zip_high(rows[i], rows[i + n / 2], index);
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) rows[i] = shuffled[i];
  }
}

}  // namespace simd

/// A zeroed, cache-line-aligned array that never shrinks: scratch memory, sized once and used many times.
template <class T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);
  static constexpr std::align_val_t alignment{64};

 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t size) { resize(size); }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~AlignedBuffer() { ::operator delete(data_, alignment); }

  /// Ensures room for `size` elements; the contents may be lost.
  void reserve(std::size_t size) {
    if (size <= size_) return;
    void* fresh = ::operator new(size * sizeof(T), alignment);
    ::operator delete(data_, alignment);
    data_ = static_cast<T*>(fresh);
    size_ = size;
    clear();
  }
  /// The same, all zero.
  void resize(std::size_t size) {
    reserve(size);
    clear();
  }
  void clear() {
    if (size_ > 0) std::memset(data_, 0, size_ * sizeof(T));
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
