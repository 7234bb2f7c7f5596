// A vector of trials, or of strings: V holds one real number of each of LANES, U one whole number.
//
// Arithmetic is the compiler's own (vector extensions of GCC and Clang). Only what these lack is
// spelled out here, for AVX-512, AVX2 and, slower, for any machine; all else is free of intrinsics.
// With DOUBLE numbers have twice the bits, and functions are the C library's: for tests.
#pragma once

#include <stdint.h>

// All of the C library that is needed; the last two with DOUBLE only.
extern "C" double log(double), exp(double), erf(double);

#ifdef DOUBLE
typedef double Real;
typedef int64_t Bits;  // as wide as a Real
#else
typedef float Real;
typedef int Bits;
#endif
#ifndef LANES
#if defined(__AVX512F__) && !defined(DOUBLE)
#define LANES 16
#elif defined(__wasm__) || defined(__ARM_NEON)
#define LANES 4
#else
#define LANES 8
#endif
#endif
typedef Real V __attribute__((vector_size(sizeof(Real) * LANES)));
typedef Bits M __attribute__((vector_size(sizeof(Bits) * LANES)));  // of comparisons of V
typedef uint32_t U __attribute__((vector_size(4 * LANES)));
typedef int I __attribute__((vector_size(4 * LANES)));
#define INLINE static inline __attribute__((always_inline))
#define APART static __attribute__((noinline))  // with registers of its own

INLINE V all(Real x) { return x - V{}; }
INLINE U all_u(uint32_t x) { return x - U{}; }
INLINE U min(U a, U b) { return a < b ? a : b; }
INLINE V to_real(U a) { return __builtin_convertvector((I)a, V); }
INLINE M same(U a, uint32_t b) { return __builtin_convertvector((I)(a == b), M); }
INLINE M negative(U a) { return __builtin_convertvector((I)a, M) < 0; }

// look_up: of the first eight numbers of a table. max and min: what is not a number in b stays.
#if LANES == 16 && defined(__AVX512F__)
#define INSTRUCTIONS "AVX-512"
#include <immintrin.h>
INLINE V reciprocal(V x) { V r = (V)_mm512_rcp14_ps((__m512)x); return r * (2.f - x * r); }
INLINE V max(V a, V b) { return (V)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE V min(V a, V b) { return (V)_mm512_min_ps((__m512)a, (__m512)b); }
INLINE V root(V x) { return (V)_mm512_sqrt_ps((__m512)x); }
INLINE V inverse_root(V x) {
  V r = (V)_mm512_rsqrt14_ps((__m512)x);
  return r * (1.5f - 0.5f * x * r * r);
}
INLINE V rounded(V x) { return (V)_mm512_roundscale_ps((__m512)x, 8); }
INLINE V times_two_to(V x, V n) { return (V)_mm512_scalef_ps((__m512)x, (__m512)n); }
INLINE U look_up(const uint32_t (&table)[16], U at) {
  return (U)_mm512_permutexvar_epi32((__m512i)at, _mm512_loadu_si512(table));
}
// The high and the low half of a product of 64 bits.
INLINE void multiply(U a, uint32_t by, U& high, U& low) {
  __m512i x = (__m512i)a, k = _mm512_set1_epi32(by);
  __m512i even = _mm512_mul_epu32(x, k), odd = _mm512_mul_epu32(_mm512_srli_epi64(x, 32), k);
  high = (U)_mm512_mask_shuffle_epi32(odd, 0x5555, even, (_MM_PERM_ENUM)0xF5);
  low = a * by;
}
// Those of 16 words whose `present` is not zero, one behind the other; returns how many.
INLINE int compress(uint32_t* to, U words, U present) {
  __mmask16 keep = _mm512_test_epi32_mask((__m512i)present, (__m512i)present);
  _mm512_storeu_si512(to, _mm512_maskz_compress_epi32(keep, (__m512i)words));
  return __builtin_popcount(keep);
}
#else
#if defined(__AVX2__) && LANES == 8
#define INSTRUCTIONS "AVX2"
#include <immintrin.h>
INLINE U look_up(const uint32_t (&table)[16], U at) {
  return (U)_mm256_permutevar8x32_epi32(_mm256_loadu_si256((const __m256i*)table), (__m256i)at);
}
INLINE void multiply(U a, uint32_t by, U& high, U& low) {
  __m256i x = (__m256i)a, k = _mm256_set1_epi32(by);
  __m256i even = _mm256_mul_epu32(x, k), odd = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), k);
  high = (U)_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
  low = a * by;
}
#else
#define INSTRUCTIONS "no special instructions"
INLINE U look_up(const uint32_t (&table)[16], U at) {
  U found;
  for (int l = 0; l < LANES; l++) found[l] = table[at[l]];
  return found;
}
INLINE void multiply(U a, uint32_t by, U& high, U& low) {
  for (int l = 0; l < LANES; l++) high[l] = (uint64_t)a[l] * by >> 32;
  low = a * by;
}
#endif
INLINE int compress(uint32_t* to, U words, U present) {
  int count = 0;
  for (int l = 0; l < LANES; l++) {
    to[count] = words[l];
    count += present[l] != 0;
  }
  return count;
}
#if defined(__AVX2__) && LANES == 8 && !defined(DOUBLE)
INLINE V max(V a, V b) { return (V)_mm256_max_ps((__m256)a, (__m256)b); }
INLINE V min(V a, V b) { return (V)_mm256_min_ps((__m256)a, (__m256)b); }
INLINE V root(V x) { return (V)_mm256_sqrt_ps((__m256)x); }
INLINE V reciprocal(V x) {
  V r = (V)_mm256_rcp_ps((__m256)x);
  r = r * (2.f - x * r);
  return r * (2.f - x * r);
}
INLINE V inverse_root(V x) {
  V r = (V)_mm256_rsqrt_ps((__m256)x);
  return r * (1.5f - 0.5f * x * r * r);
}
INLINE V rounded(V x) { return (V)_mm256_round_ps((__m256)x, 8); }
#else
INLINE V max(V a, V b) { return a > b ? a : b; }
INLINE V min(V a, V b) { return a < b ? a : b; }
INLINE V reciprocal(V x) { return 1 / x; }
INLINE V root(V x) {
  V y;
  for (int l = 0; l < LANES; l++) y[l] = sizeof(Real) == 8 ? __builtin_sqrt(x[l]) : __builtin_sqrtf(x[l]);
  return y;
}
INLINE V inverse_root(V x) { return 1 / root(x); }
INLINE V rounded(V x) { V shift = all(12582912); return (x + shift) - shift; }
#endif
#ifndef DOUBLE
INLINE V times_two_to(V x, V n) { return x * (V)((__builtin_convertvector(n, I) + 127) << 23); }
#endif
#endif

#ifdef DOUBLE
INLINE V exp(V x) {
  V y;
  for (int l = 0; l < LANES; l++) y[l] = exp(x[l]);
  return y;
}
// The normal distribution function, and its density.
INLINE V normal(V u, V& density) {
  V y;
  for (int l = 0; l < LANES; l++) y[l] = 0.5 + 0.5 * erf(u[l] * 0.70710678118654752);
  density = 0.39894228040143268 * exp(-0.5 * u * u);
  return y;
}
#else
// 2^n 2^r with |r| at most a half; the polynomial is within 1e-7 of 2^r. At least e^-87, at most e^87.
INLINE V exp(V x) {
  x = min(all(87), max(all(-87), x));
  V n = rounded(x * 1.44269504f), r = x * 1.44269504f - n, p = all(1.32647e-3f);
  p = p * r + 9.67151e-3f; p = p * r + 5.550734e-2f; p = p * r + 0.24022242f; p = p * r + 0.69314698f;
  return times_two_to(p * r + 1.f, n);
}
// The normal distribution function (Abramowitz & Stegun 7.1.26, error 1.5e-7), and its density.
INLINE V normal(V u, V& density) {
  V x = max(u, -u) * 0.70710678f, e = exp(-0.5f * u * u);
  V t = reciprocal(1.f + 0.3275911f * x), p = all(1.061405429f);
  p = p * t - 1.453152027f; p = p * t + 1.421413741f; p = p * t - 0.284496736f; p = p * t + 0.254829592f;
  V tail = 0.5f * p * t * e;
  density = 0.39894228f * e;
  return u < 0.f ? tail : 1.f - tail;
}
#endif

INLINE V sigmoid(V x) { return 1 / (1 + exp(-x)); }
INLINE V tanh(V x) { return 2 / (1 + exp(-2 * x)) - 1; }

INLINE V look_up(const Real (&table)[16], U at) {
#ifdef DOUBLE
  V found;
  for (int l = 0; l < LANES; l++) found[l] = table[at[l]];
  return found;
#else
  return (V)look_up((const uint32_t (&)[16])table, at);
#endif
}
// The first halves of two vectors number by number in turn, and their second halves.
INLINE void interleave(V a, V b, V& first, V& second) {
#if LANES == 16 && defined(__AVX512F__) && !defined(DOUBLE)
  const __m512i at = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  first = (V)_mm512_permutex2var_ps((__m512)a, at, (__m512)b);
  second = (V)_mm512_permutex2var_ps((__m512)a, _mm512_add_epi32(at, _mm512_set1_epi32(8)), (__m512)b);
#elif LANES == 8 && defined(__AVX2__) && !defined(DOUBLE)
  __m256 low = _mm256_unpacklo_ps((__m256)a, (__m256)b), high = _mm256_unpackhi_ps((__m256)a, (__m256)b);
  first = (V)_mm256_permute2f128_ps(low, high, 0x20), second = (V)_mm256_permute2f128_ps(low, high, 0x31);
#else
  for (int l = 0; l < LANES / 2; l++) {
    first[2 * l] = a[l], first[2 * l + 1] = b[l];
    second[2 * l] = a[LANES / 2 + l], second[2 * l + 1] = b[LANES / 2 + l];
  }
#endif
}
// Rows become columns. Each turn moves the first bit of a number's place, (row, column), to its end.
INLINE void transpose(V* rows) {
  for (int turn = 1; turn < LANES; turn *= 2) {
    V turned[LANES];
    for (int i = 0; i < LANES / 2; i++) interleave(rows[i], rows[i + LANES / 2], turned[2 * i], turned[2 * i + 1]);
    for (int i = 0; i < LANES; i++) rows[i] = turned[i];
  }
}
// The sum of a vector's numbers: half to half until there is one.
template <int N = LANES> INLINE Real total(const Real* x) {
  if constexpr (N == 1) return *x;
  else {
    typedef Real Half __attribute__((vector_size(sizeof(Real) * N / 2)));
    Half sum = *(const Half*)x + *(const Half*)(x + N / 2);
    return total<N / 2>((const Real*)&sum);
  }
}
INLINE Real total(V x) { return total<LANES>((const Real*)&x); }

INLINE V logarithm(V x) {
  V y;
  for (int l = 0; l < LANES; l++) y[l] = log(x[l]);
  return y;
}

// Philox4x32 with ten rounds, as in semantica_lib/datasets/streams.py.
struct Words { U word[4]; };
INLINE Words philox(U a, U b, U c, U d, U left, U right) {
  for (int round = 0; round < 10; round++) {
    U high_a, low_a, high_c, low_c;
    multiply(a, 0xD2511F53u, high_a, low_a);
    multiply(c, 0xCD9E8D57u, high_c, low_c);
    a = high_c ^ b ^ left, b = low_c, c = high_a ^ d ^ right, d = low_a;
    left += 0x9E3779B9u, right += 0xBB67AE85u;
  }
  return {{a, b, c, d}};
}
