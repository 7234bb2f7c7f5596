// What is common to the kernels: the job that a call is given, drawing from the task, the optimizer.
//
// Compiled for one shape: BIT_SYMBOLS, ZERO_SYMBOLS, BITS, LYING, TURNING (odds, with the
// string's parity), OPTIMIZER (0 AdamW, 1 Adam, 2 SGD).
#pragma once
#include "lanes.h"

constexpr int K = BIT_SYMBOLS, S = K + 3, EVEN = K, ODD = K + 1, MASK = K + 2;
constexpr int THRESHOLDS = LYING ? K - 1 : (K - ZERO_SYMBOLS > ZERO_SYMBOLS ? K - ZERO_SYMBOLS : ZERO_SYMBOLS) - 1;
constexpr int DISTRIBUTIONS = TURNING ? 4 : 2;  // of bit 0 and bit 1; then those in strings of odd parity
constexpr int GROUPS = ((1 << BITS) + LANES - 1) / LANES;  // of strings

struct Job {  // what a call is to do; arrays are row by row
  Real *flat, *first, *second;  // (trial, parameter): input, [output], the rest; and its moments
  int64_t* stopped;             // (trial,): the steps done by a trial that diverged; else NEVER, 2^62
  const uint32_t* seeds;        // (trial,)
  const int64_t* untie_at;      // (trial,): until which step two tables move as one
  const uint32_t* limits;       // (trial, distribution, threshold)
  const uint32_t* strings;      // (string,): the training strings' numbers
  const uint32_t* codes;        // (case,): with EXACT, the contexts
  const Real* joint;            // (trial, symbol, case): with EXACT, how likely each hides a symbol
  const Real* factors;          // (step, trial, 3): kept, rate, scale of the second moment's root
  const Real* decay;            // (trial,): with Adam, what joins the gradient
  Real* losses;                 // (trial,): before the last of the steps
  unsigned char* memory;        // to work in, as much as the kernel's `memory` says
  int64_t step, steps;          // the first one's number; how many
  int64_t trials, string_count, cases;
  int64_t tables;               // 1: tied, the output table is not in the buffer; else 2
  Real beta1, beta2, eps;
};

// LANES training strings side by side.
struct Strings { U number, odd, one[BITS]; };  // all bits set where a bit is 1

INLINE void read(Strings* strings, const Job& job) {
  for (int s = 0; s < job.string_count; s += LANES) {
    Strings& own = strings[s / LANES];
    for (int l = 0; l < LANES; l++) own.number[l] = job.strings[s + l < job.string_count ? s + l : job.string_count - 1];
    own.odd = U{};
    for (int k = 0; k < BITS; k++) own.one[k] = -(own.number >> k & 1), own.odd ^= own.one[k] & 1;
  }
}

// The symbol of a bit whose word reaches so many thresholds.
constexpr int symbol_of(int bit, int reached) {
  int from = !LYING && bit ? ZERO_SYMBOLS : 0, count = LYING ? K : bit ? K - ZERO_SYMBOLS : ZERO_SYMBOLS;
  return from + (reached < count ? reached : count - 1);
}

// What a trial draws at a step for these strings, as XorTask.draw, bit for bit: each bit's symbol,
// `as` a word that stands for it, and, returned, the place that is masked.
template <uint32_t as(int)> INLINE U draw(U* symbols, const Strings& own, const Job& job, int trial, uint64_t step) {
  const uint32_t* limits = job.limits + trial * DISTRIBUTIONS * THRESHOLDS;
  U low = all_u(uint32_t(step)), high = all_u(uint32_t(step >> 32)), key = all_u(job.seeds[trial]);
  U words[(BITS + 4) / 4 * 4];
  for (int block = 0; block < (BITS + 4) / 4; block++) {
    Words w = philox(own.number, all_u(block), low, high, key, U{});
    for (int i = 0; i < 4; i++) words[4 * block + i] = w.word[i];
  }
  for (int k = 0; k < BITS; k++) {
    U symbol = own.one[k] ? all_u(as(symbol_of(1, 0))) : all_u(as(symbol_of(0, 0)));
    U word = min(words[k], all_u(0xFFFFFFFEu));  // so that a limit of 2^32 - 1 is never reached
    for (int t = 0; t < THRESHOLDS; t++) {
      U limit = own.one[k] ? all_u(limits[THRESHOLDS + t]) : all_u(limits[t]);
      if constexpr (TURNING) {
        U turned = own.one[k] ? all_u(limits[3 * THRESHOLDS + t]) : all_u(limits[2 * THRESHOLDS + t]);
        limit = own.odd != 0 ? turned : limit;
      }
      U next = own.one[k] ? all_u(as(symbol_of(1, t + 1))) : all_u(as(symbol_of(0, t + 1)));
      symbol = word >= limit ? next : symbol;
    }
    symbols[k] = symbol;
  }
  U place, unused;
  multiply(words[BITS], BITS, place, unused);
  return place;
}

// One step of the optimizer on parameters w with moments m and v, by their gradient d.
INLINE void move(V& w, V& m, V& v, V d, V kept, V rate, V scale, V decay, const Job& job) {
#if OPTIMIZER == 2
  w = kept * w - rate * d;
#else
#if OPTIMIZER == 1
  d += decay * w;
#endif
  m += (d - m) * (1 - job.beta1);
  v = job.beta2 * v + (1 - job.beta2) * d * d;
  w = kept * w - rate * m * reciprocal(root(v) * scale + job.eps);
#endif
}
