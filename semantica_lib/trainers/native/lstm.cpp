// The paper's LSTM, of some layers in one direction or both, trained on the XOR task: whole steps,
// many of them a call. It computes what semantica_lib/trainers/stacked.py defines.
//
// Written for one string; a V is one number of each of LANES strings of a trial. Only the masked
// place is read, so the last layer runs no further than it: strings are sorted by it.
//
// Compiled for one shape: FEATURES, HIDDEN (of each direction), LAYERS, DIRECTIONS, and the job's.
#include "job.h"

constexpr int E = FEATURES, H = HIDDEN, L = LAYERS, D = DIRECTIONS, T = BITS + 1;
constexpr int G = 4 * H, X = D * H;  // gates of a direction; what a layer gives to the next
#ifndef TOGETHER_
#define TOGETHER_ 2
#endif
constexpr int TOGETHER = TOGETHER_;        // groups of strings that pass through a layer side by side
constexpr int WRITTEN = K + 1;       // symbols that the place of a bit may show: the mask is the last

template <int IN> struct Way { Real input[G][IN], state[G][H], bias_input[G], bias_state[G]; };
struct alignas(sizeof(V)) Parameters {  // in the order of the stack's buffer, but for the output table
  Real input[S][E], head[E][X], head_bias[E];
  Way<E> first[D];  // layer
  Way<X> other[L - 1][D];
  Real output[S][E];
};
constexpr int TABLE = S * E, ALL = __builtin_offsetof(Parameters, output) / sizeof(Real) + TABLE;
constexpr int VECTORS = sizeof(Parameters) / sizeof(V);

// Gradients, not yet summed over the lanes; of the first layer's input by symbol.
template <int IN> struct WaySums { V input[G][IN], state[G][H], bias[G]; };
struct Sums {
  V output[S][E], head[E][X], head_bias[E];
  struct { V written[G][WRITTEN], parity[G][2], state[G][H]; } first[D];
  WaySums<X> other[L - 1][D];
};

struct Group {  // LANES strings of a batch
  U token[T], target, place;
  int low, high;  // masked places
};
struct Cell { V gates[4][H], c[H], tanh_c[H]; };  // to enter, to keep, new, to show: PyTorch's order

struct Work {  // all that a trial is worked on with
  Strings strings[GROUPS];
  Group drawn[GROUPS], groups[GROUPS + TOGETHER];
  V h[L][TOGETHER][T][X], shown[TOGETHER][T][WRITTEN];
  Cell cells[L][D][TOGETHER][T];      // on the way back gradients take the place of the gates
  V dh[2][TOGETHER][T][X], none[H];  // of a layer's output and of the one below
  Sums sums;
  Real table[D][G][16];  // what the first layer gets from each symbol
  Parameters state[2][3], gradient;   // before and after a step; parameters and moments
};

// The greatest divisor of n that is at most so large.
constexpr int part(int n, int most) {
  while (n % most) most--;
  return most;
}
constexpr int REGISTERS = LANES == 16 ? 24 : 12;  // for sums

// ------------------------------------------------------------------ the batch

constexpr uint32_t itself(int symbol) { return symbol; }

// Draws a trial's batch, sorted by the masked place; returns how many groups it fills.
static void gather(Work& work, const Job& job, int trial, uint64_t step) {
  int next[BITS + 1] = {};  // string with that masked place
  for (int s = 0; s < job.string_count; s += LANES) {
    const Strings& own = work.strings[s / LANES];
    Group& o = work.drawn[s / LANES];
    o.place = draw<itself>(o.token, own, job, trial, step);
    for (int k = 0; k < BITS; k++) {
      o.target = o.place == uint32_t(k) ? o.token[k] : o.target;
      o.token[k] = o.place == uint32_t(k) ? all_u(MASK) : o.token[k];
    }
    o.token[BITS] = own.odd + EVEN;
    for (int l = 0; l < LANES && s + l < job.string_count; l++) next[o.place[l] + 1]++;
  }
  for (int place = 0; place < BITS; place++) next[place + 1] += next[place];
  for (Group& o : work.groups) o.low = BITS, o.high = 0;
  for (int s = 0; s < job.string_count; s++) {
    const uint32_t* from = (uint32_t*)&work.drawn[s / LANES] + s % LANES;
    const int place = from[(T + 1) * LANES], at = next[place]++;
    Group& o = work.groups[at / LANES];
    for (int i = 0; i < T + 2; i++) ((uint32_t*)&o)[i * LANES + at % LANES] = from[i * LANES];
    o.low = place < o.low ? place : o.low, o.high = place > o.high ? place : o.high;
  }
}

// ------------------------------------------------------------------ a layer

// The places of a layer's direction: from the first by steps of `by` to before the end.
struct Path {
  int first, by, end;
  Path(int layer, int d, const Group& own) : first(d ? T - 1 : 0), by(d ? -1 : 1), end(d ? -1 : T) {
    if (layer == L - 1 || D == 1) end = d ? own.low - 1 : own.high + 1;
  }
};

template <int l> INLINE auto& way(const Parameters& p, int d) {
  if constexpr (l) return p.other[l - 1][d];
  else return p.first[d];
}

// y[q][i] += the rows q H + k + i of W, times x
template <int B, int C> INLINE void times(V (&y)[4][B], const Real (*W)[C], int k, const V* x) {
  for (int c = 0; c < C; c++) for (int q = 0; q < 4; q++) for (int i = 0; i < B; i++) y[q][i] += W[q * H + k + i][c] * x[c];
}
// x += W' y
template <int C> INLINE void transposed(V* x, const Real (*W)[C], const V* y) {
  constexpr int B = part(C, REGISTERS);
  for (int c = 0; c < C; c += B) {
    V sum[B];
    for (int j = 0; j < B; j++) sum[j] = x[c + j];
    for (int r = 0; r < G; r++) for (int j = 0; j < B; j++) sum[j] += W[r][c + j] * y[r];
    for (int j = 0; j < B; j++) x[c + j] = sum[j];
  }
}
#ifndef BR_
#define BR_ 4
#define BC_ 5
#endif
// W += the sum of a b' over a list of pairs
template <int R, int C> INLINE void outer(V (*W)[C], const V* const* a, const V* const* b, int pairs) {
  constexpr int Y = part(C, BC_), B = part(R, BR_);
  for (int r = 0; r < R; r += B) for (int c = 0; c < C; c += Y) {
    V sum[B][Y];
    for (int i = 0; i < B; i++) for (int j = 0; j < Y; j++) sum[i][j] = W[r + i][c + j];
    for (int n = 0; n < pairs; n++) for (int i = 0; i < B; i++) for (int j = 0; j < Y; j++) sum[i][j] += a[n][r + i] * b[n][c + j];
    for (int i = 0; i < B; i++) for (int j = 0; j < Y; j++) W[r + i][c + j] = sum[i][j];
  }
}
INLINE V tanh(V x) { return 2 * sigmoid(2 * x) - 1; }

template <int l> static void forward(const Parameters& p, Work& o, const Group* groups) {
  constexpr int B = part(H, REGISTERS / 4 > 4 ? 4 : REGISTERS / 4);
  for (int d = 0; d < D; d++) for (int n = 0; n < TOGETHER; n++) {
    const Path path(l, d, groups[n]);
    const auto& own = way<l>(p, d);
    for (int t = path.first; t != path.end; t += path.by) {
      Cell& cell = o.cells[l][d][n][t];
      const V* before = o.cells[l][d][n][t - path.by].c;
      for (int k = 0; k < H; k += B) {
        V a[4][B];
        for (int q = 0; q < 4; q++) for (int i = 0; i < B; i++) {
          const int r = q * H + k + i;
          a[q][i] = l ? all(own.bias_input[r] + own.bias_state[r]) : look_up(o.table[d][r], groups[n].token[t]);
        }
        if constexpr (l) times<B, X>(a, own.input, k, o.h[l - 1][n][t]);
        if (t != path.first) times<B, H>(a, own.state, k, o.h[l][n][t - path.by] + d * H);
        for (int i = 0; i < B; i++) {
          V enter = sigmoid(a[0][i]), keep = sigmoid(a[1][i]), fresh = tanh(a[2][i]), show = sigmoid(a[3][i]);
          V c = enter * fresh;
          if (t != path.first) c += keep * before[k + i];
          V tanh_c = tanh(c);
          cell.gates[0][k + i] = enter, cell.gates[1][k + i] = keep, cell.gates[2][k + i] = fresh, cell.gates[3][k + i] = show;
          cell.c[k + i] = c, cell.tanh_c[k + i] = tanh_c;
          o.h[l][n][t][d * H + k + i] = show * tanh_c;
        }
      }
    }
  }
}

template <int l> static void backward(const Parameters& p, Work& o, const Group* groups) {
  auto &above = o.dh[l % 2], &below = o.dh[(l + 1) % 2];
  if (l) for (auto& group : below) for (auto& place : group) for (V& x : place) x = V{};
  for (int d = 0; d < D; d++) {
    const auto& own = way<l>(p, d);
    const V *all_a[TOGETHER * T], *all_x[TOGETHER * T], *a[TOGETHER * T], *past[TOGETHER * T], *end_a[TOGETHER], *end_x[TOGETHER];
    int pairs = 0, later = 0, ends = 0;
    for (int n = 0; n < TOGETHER; n++) {
      const Path path(l, d, groups[n]);
      V dc[H] = {}, back[H] = {};
      for (int t = path.end - path.by;; t -= path.by) {
        Cell& cell = o.cells[l][d][n][t];
        auto& gates = cell.gates;
        const V* before = t == path.first ? o.none : o.cells[l][d][n][t - path.by].c;
        for (int k = 0; k < H; k++) {
          V enter = gates[0][k], keep = gates[1][k], fresh = gates[2][k], show = gates[3][k], tanh_c = cell.tanh_c[k];
          V dh = above[n][t][d * H + k] + back[k];
          V c = dc[k] + dh * show * (1 - tanh_c * tanh_c);
          gates[0][k] = c * fresh * enter * (1 - enter);
          gates[1][k] = c * before[k] * keep * (1 - keep);
          gates[2][k] = c * enter * (1 - fresh * fresh);
          gates[3][k] = dh * tanh_c * show * (1 - show);
          dc[k] = c * keep, back[k] = V{};
        }
        if (l || t < BITS) all_a[pairs] = gates[0], all_x[pairs++] = l ? o.h[l ? l - 1 : 0][n][t] : o.shown[n][t];
        else end_a[ends] = gates[0], end_x[ends++] = o.shown[n][t];
        if constexpr (l) transposed<X>(below[n][t], own.input, gates[0]);
        if (t == path.first) break;
        a[later] = gates[0], past[later++] = o.h[l][n][t - path.by] + d * H;
        transposed<H>(back, own.state, gates[0]);
      }
    }
    if constexpr (l) {
      auto& sums = o.sums.other[l - 1][d];
      outer<G, X>(sums.input, all_a, all_x, pairs);
      outer<G, H>(sums.state, a, past, later);
      for (int r = 0; r < G; r++) {
        V sum = sums.bias[r];
        for (int n = 0; n < pairs; n++) sum += all_a[n][r];
        sums.bias[r] = sum;
      }
    } else {
      auto& sums = o.sums.first[d];
      outer<G, WRITTEN>(sums.written, all_a, all_x, pairs);
      outer<G, 2>(sums.parity, end_a, end_x, ends);
      outer<G, H>(sums.state, a, past, later);
    }
  }
}

// ------------------------------------------------------------------ a step

// From the last layer's states at the masked place to the loss, and back; of the group that passes as number n.
INLINE V head(const Parameters& p, Work& o, const Group& own, int n, int present, Real share, bool with_loss) {
  V weight, is[T], last[X] = {}, f[E], logit[S], dl[S], top, sum = V{}, df[E] = {}, dlast[X] = {}, loss = V{};
  for (int l = 0; l < LANES; l++) weight[l] = l < present ? share : 0;
  for (int t = own.low; t <= own.high; t++) {
    is[t] = same(own.place, t) ? all(1) : V{};
    for (int k = 0; k < X; k++) last[k] += is[t] * o.h[L - 1][n][t][k];
  }
  for (int i = 0; i < E; i++) {
    f[i] = all(p.head_bias[i]);
    for (int k = 0; k < X; k++) f[i] += p.head[i][k] * last[k];
  }
  for (int j = 0; j < S; j++) {
    logit[j] = V{};
    for (int i = 0; i < E; i++) logit[j] += p.output[j][i] * f[i];
    top = j ? max(top, logit[j]) : logit[j];
  }
  for (int j = 0; j < S; j++) dl[j] = exp(logit[j] - top), sum += dl[j];
  V scale = weight * reciprocal(sum), whole = V{};
  if (with_loss) whole = top + logarithm(sum);
  for (int j = 0; j < S; j++) {
    V hit = same(own.target, j) ? weight : V{};
    if (with_loss) loss += hit * (whole - logit[j]);
    dl[j] = dl[j] * scale - hit;
    for (int i = 0; i < E; i++) o.sums.output[j][i] += dl[j] * f[i], df[i] += p.output[j][i] * dl[j];
  }
  for (int i = 0; i < E; i++) {
    o.sums.head_bias[i] += df[i];
    for (int k = 0; k < X; k++) o.sums.head[i][k] += df[i] * last[k], dlast[k] += p.head[i][k] * df[i];
  }
  for (int t = 0; t < T; t++) for (int k = 0; k < X; k++)
    o.dh[(L - 1) % 2][n][t][k] = own.low <= t && t <= own.high ? is[t] * dlast[k] : V{};
  return loss;
}

template <int l = 0> static void up(const Parameters& p, Work& o, const Group* groups) {
  forward<l>(p, o, groups);
  if constexpr (l + 1 < L) up<l + 1>(p, o, groups);
}
template <int l = L - 1> static void down(const Parameters& p, Work& o, const Group* groups) {
  backward<l>(p, o, groups);
  if constexpr (l) down<l - 1>(p, o, groups);
}

// The gradient of the mean cross-entropy, which is returned.
static Real gradient(const Parameters& p, Parameters& g, Work& o, int strings, bool with_loss) {
  for (int d = 0; d < D; d++) for (int r = 0; r < G; r++) for (int j = 0; j < S; j++) {
    Real& sum = o.table[d][r][j];
    sum = p.first[d].bias_input[r] + p.first[d].bias_state[r];
    for (int i = 0; i < E; i++) sum += p.first[d].input[r][i] * p.input[j][i];
  }
  for (int i = 0; i < sizeof(Sums) / sizeof(V); i++) ((V*)&o.sums)[i] = V{};
  V loss = V{};
  for (int from = 0; from * LANES < strings; from += TOGETHER) {
    const Group* groups = o.groups + from;
    for (int n = 0; n < TOGETHER; n++) for (int t = 0; t < T; t++) for (int j = 0; j < WRITTEN; j++)
      o.shown[n][t][j] = same(groups[n].token[t], t == BITS ? EVEN + j : j < K ? j : MASK) ? all(1) : V{};
    up(p, o, groups);
    for (int n = 0; n < TOGETHER; n++) loss += head(p, o, groups[n], n, strings - (from + n) * LANES, Real(1) / strings, with_loss);
    down(p, o, groups);
  }
  const auto sum = [](Real* to, const V* from, int count) { for (int i = 0; i < count; i++) to[i] = total(from[i]); };
  sum(g.output[0], o.sums.output[0], S * E);
  sum(g.head[0], o.sums.head[0], E * X + E);
  for (int i = 0; i < TABLE; i++) g.input[0][i] = 0;
  for (int d = 0; d < D; d++) {
    sum(g.first[d].state[0], o.sums.first[d].state[0], G * H);
    for (int r = 0; r < G; r++) {
      Real* input = g.first[d].input[r], &bias = g.first[d].bias_input[r];
      bias = 0;
      for (int i = 0; i < E; i++) input[i] = 0;
      for (int j = 0; j < S; j++) {
        Real share = total(j == MASK ? o.sums.first[d].written[r][K] : j < K ? o.sums.first[d].written[r][j] : o.sums.first[d].parity[r][j - K]);
        bias += share;
        for (int i = 0; i < E; i++) input[i] += share * p.input[j][i], g.input[j][i] += share * p.first[d].input[r][i];
      }
      g.first[d].bias_state[r] = bias;
    }
    for (int l = 0; l < L - 1; l++) {
      sum(g.other[l][d].input[0], o.sums.other[l][d].input[0], G * X + G * H + G);
      for (int r = 0; r < G; r++) g.other[l][d].bias_state[r] = g.other[l][d].bias_input[r];
    }
  }
  return total(loss);
}

// All steps of one trial.
static void train_one(const Job& job, int trial, Work& o) {
  const int size = ALL - (job.tables == 1 ? TABLE : 0);
  Real* buffers[3] = {job.flat + trial * size, job.first + trial * size, job.second + trial * size};
  Parameters (*now)[3] = &o.state[0], (*next)[3] = &o.state[1];
  for (int part = 0; part < 3; part++) {
    Real* to = (Real*)&(*now)[part];
    for (int i = 0; i < VECTORS * LANES; i++) to[i] = 0;
    for (int i = 0; i < size; i++) to[place(i, job.tables, ALL, TABLE)] = buffers[part][i];
    if (job.tables == 1) for (int i = 0; i < TABLE; i++) to[ALL - TABLE + i] = to[i];
  }
  Parameters& g = o.gradient;
  int64_t& stopped = job.stopped[trial];
  const V decay = all(job.decay[trial]);
  for (int64_t step = job.step, end = job.step + job.steps; step < end; step++) {
    if (stopped >= 0 && step + 1 < end) continue;
    gather(o, job, trial, step);
    job.losses[trial] = gradient((*now)[0], g, o, job.string_count, step + 1 == end);
    if (job.tables == 1 || step < job.untie_at[trial]) for (int i = 0; i < TABLE; i++)
      g.input[0][i] = g.output[0][i] = g.input[0][i] + g.output[0][i];
    const Real* factors = job.factors + ((step - job.step) * job.trials + trial) * 3;
    V zero = V{};
    for (int i = 0; i < VECTORS; i++) {
      V moved[3];
      for (int part = 0; part < 3; part++) moved[part] = ((V*)&(*now)[part])[i];
      move(moved[0], moved[1], moved[2], ((V*)&g)[i], all(factors[0]), all(factors[1]), all(factors[2]), decay, job);
      for (int part = 0; part < 3; part++) ((V*)&(*next)[part])[i] = moved[part];
      zero += 0 * moved[0];
    }
    if (stopped < 0 && total(zero) == 0) {
      auto* before = now;
      now = next, next = before;
    } else if (stopped < 0) stopped = step;
  }
  for (int part = 0; part < 3; part++) for (int i = 0; i < size; i++)
    buffers[part][i] = ((Real*)&(*now)[part])[place(i, job.tables, ALL, TABLE)];
}

INLINE Work& work(const Job& job) {
  Work& o = *(Work*)(((uintptr_t)job.memory + sizeof(V) - 1) / sizeof(V) * sizeof(V));
  for (uint32_t* at = (uint32_t*)o.groups; at < (uint32_t*)(o.groups + GROUPS + TOGETHER); at++) *at = 0;
  for (V& zero : o.none) zero = V{};
  for (uint32_t* at = (uint32_t*)&o.gradient; at < (uint32_t*)(&o.gradient + 1); at++) *at = 0;
  read(o.strings, job);
  return o;
}

extern "C" void train(const Job* job) {
  Work& o = work(*job);
  for (int trial = 0; trial < job->trials; trial++) train_one(*job, trial, o);
}

// The batch of the first trial at the job's step: each string's tokens and target. For tests.
extern "C" void drawn(const Job* job, uint32_t* rows) {
  Work& o = work(*job);
  gather(o, *job, 0, job->step);
  for (int s = 0; s < job->string_count; s++) for (int i = 0; i < T + 1; i++) *rows++ = ((uint32_t*)&o.groups[s / LANES])[i * LANES + s % LANES];
}
extern "C" int64_t memory() { return sizeof(Work) + sizeof(V); }
extern "C" const char* instructions() { return INSTRUCTIONS; }
