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
static_assert(G % LANES == 0, "gates fill vectors");

template <int IN> struct Way { Real input[IN][G], state[H][G], bias_input[G], bias_state[G]; };
struct alignas(sizeof(V)) Parameters {
  Way<E> first[D];  // layer; the gates in PyTorch's order: to enter, to keep, new, to show
  Way<X> other[L - 1][D];
  Real input[S][E], output[S][E], head[E][X], head_bias[E];
};
constexpr int VECTORS = sizeof(Parameters) / sizeof(V);

// Calls `use` with each parameter, in the order of the stack's buffer.
template <class Use> INLINE void each(Parameters& p, int64_t tables, Use use) {
  const auto row = [&](Real* x, int count) { for (int i = 0; i < count; i++) use(x[i]); };
  const auto column = [&](Real (*W)[G], int r, int count) { for (int i = 0; i < count; i++) use(W[i][r]); };
  const auto way = [&](auto& own, int inputs) {
    for (int r = 0; r < G; r++) column(own.input, r, inputs);
    for (int r = 0; r < G; r++) column(own.state, r, H);
    row(own.bias_input, G), row(own.bias_state, G);
  };
  row(p.input[0], S * E);
  if (tables == 2) row(p.output[0], S * E);
  row(p.head[0], E * X), row(p.head_bias, E);
  for (int d = 0; d < D; d++) way(p.first[d], E);
  for (int l = 0; l < L - 1; l++) for (int d = 0; d < D; d++) way(p.other[l][d], X);
}

struct Group {  // LANES strings of a batch
  U token[T], target, place;
  int low, high;  // masked places
};
// What a step of a direction leaves. On the way back the gates' gradients take their place, and are
// transposed: LANES gates of each string.
struct Cell { V gates[G], c[H], tanh_c[H]; };
struct Work {  // all that a trial is worked on with
  Parameters state[2][3], gradient;  // parameters and moments before a step and after it
  Strings strings[GROUPS];
  Group drawn[GROUPS], sorted[GROUPS];
  // What each symbol gives to the first layer's gates, and that gradient.
  alignas(sizeof(V)) Real given[D][G][16], by_symbol[D][S][G];
  V h[L][T][X], dh[2][T][X], none[H];        // dh: of a layer's output, and of the one below
  Cell cells[L][D][T];
  V output[S][E], head[E][X], head_bias[E];  // gradients, not yet summed over the strings
};

// The greatest divisor of n that is at most so large.
constexpr int part(int n, int most) {
  while (n % most) most--;
  return most;
}
constexpr int SUMS = LANES == 16 ? 16 : 8;  // that registers hold

// ------------------------------------------------------------------ the batch

constexpr uint32_t itself(int symbol) { return symbol; }

// Draws a trial's batch, and sorts it by the masked place.
APART void gather(Work& o, const Job& job, int trial, uint64_t step) {
  int next[BITS + 1] = {};  // where the next string with that masked place goes
  for (int s = 0; s < job.string_count; s += LANES) {
    const Strings& own = o.strings[s / LANES];
    Group& group = o.drawn[s / LANES];
    group.place = draw<itself>(group.token, own, job, trial, step);
    for (int k = 0; k < BITS; k++) {
      group.target = group.place == uint32_t(k) ? group.token[k] : group.target;
      group.token[k] = group.place == uint32_t(k) ? all_u(MASK) : group.token[k];
    }
    group.token[BITS] = own.odd + EVEN;
    for (int l = 0; l < LANES && s + l < job.string_count; l++) next[group.place[l] + 1]++;
  }
  for (int place = 0; place < BITS; place++) next[place + 1] += next[place];
  for (Group& group : o.sorted) group.low = BITS, group.high = 0;
  for (int s = 0; s < job.string_count; s++) {
    const uint32_t* from = (uint32_t*)&o.drawn[s / LANES] + s % LANES;
    const int place = from[(T + 1) * LANES], at = next[place]++;
    Group& to = o.sorted[at / LANES];
    for (int i = 0; i < T + 2; i++) ((uint32_t*)&to)[i * LANES + at % LANES] = from[i * LANES];
    to.low = place < to.low ? place : to.low, to.high = place > to.high ? place : to.high;
  }
}

// ------------------------------------------------------------------ a layer, forward and back

// The places of a direction: from the first by steps of `by` to the last.
struct Path {
  int first, by, last;
  Path(int layer, int d, const Group& group) : first(d ? BITS : 0), by(d ? -1 : 1), last(d ? 0 : BITS) {
    if (layer == L - 1 || D == 1) last = d ? group.low : group.high;
  }
};
template <bool FIRST, class P> INLINE auto& way(P& p, int l, int d) {
  if constexpr (FIRST) return p.first[d];
  else return p.other[l - 1][d];
}

// y[q] += W' x for B units' gates of each kind q, which begin at row q H of W'
template <int B, int C> INLINE void times(V (&y)[4][B], const Real (*W)[G], const V* x) {
  for (int c = 0; c < C; c++) for (int q = 0; q < 4; q++) for (int i = 0; i < B; i++) y[q][i] += W[c][q * H + i] * x[c];
}
// x += W y
template <int C> INLINE void back(V* x, const Real (*W)[G], const V* y) {
  constexpr int B = part(C, SUMS);
  for (int c = 0; c < C; c += B) {
    V sum[B];
    for (int i = 0; i < B; i++) sum[i] = x[c + i];
    for (int r = 0; r < G; r++) for (int i = 0; i < B; i++) sum[i] += W[c + i][r] * y[r];
    for (int i = 0; i < B; i++) x[c + i] = sum[i];
  }
}
// W += the sum of x y' over places and strings; y is transposed
template <int C> APART void outer(Real (*W)[G], const V* const* x, const V* const* y, int places, int strings) {
  constexpr int R = part(G / LANES, 2), B = part(C, SUMS / R);
  for (int r = 0; r < G / LANES; r += R) for (int c = 0; c < C; c += B) {
    V sum[B][R];
    for (int i = 0; i < B; i++) for (int j = 0; j < R; j++) sum[i][j] = ((V*)W[c + i])[r + j];
    for (int t = 0; t < places; t++) for (int s = 0; s < strings; s++)
      for (int i = 0; i < B; i++) for (int j = 0; j < R; j++) sum[i][j] += ((Real*)&x[t][c + i])[s] * y[t][(r + j) * LANES + s];
    for (int i = 0; i < B; i++) for (int j = 0; j < R; j++) ((V*)W[c + i])[r + j] = sum[i][j];
  }
}

// i, f, o = sigmoid(W x + U h' + b), g = tanh(...), c = i g + f c', h = o tanh(c), with the place
// before marked by a dash.
template <bool FIRST> APART void forward(const Parameters& p, Work& o, const Group& group, int l) {
  constexpr int B = part(H, SUMS / 4);
  for (int d = 0; d < D; d++) {
    const Path path(l, d, group);
    const auto& own = way<FIRST>(p, l, d);
    for (int t = path.first;; t += path.by) {
      Cell& cell = o.cells[l][d][t];
      for (int k = 0; k < H; k += B) {
        V a[4][B];
        for (int q = 0; q < 4; q++) for (int i = 0; i < B; i++) {
          const int r = q * H + k + i;
          a[q][i] = FIRST ? look_up(o.given[d][r], group.token[t]) : all(own.bias_input[r] + own.bias_state[r]);
        }
        if (!FIRST) times<B, X>(a, (const Real(*)[G])&own.input[0][k], o.h[l - 1][t]);
        if (t != path.first) times<B, H>(a, (const Real(*)[G])&own.state[0][k], o.h[l][t - path.by] + d * H);
        for (int i = 0; i < B; i++) {
          V enter = sigmoid(a[0][i]), keep = sigmoid(a[1][i]), fresh = tanh(a[2][i]), show = sigmoid(a[3][i]);
          V c = enter * fresh;
          if (t != path.first) c += keep * o.cells[l][d][t - path.by].c[k + i];
          V tanh_c = tanh(c), *gates = cell.gates + k + i;
          gates[0] = enter, gates[H] = keep, gates[2 * H] = fresh, gates[3 * H] = show;
          cell.c[k + i] = c, cell.tanh_c[k + i] = tanh_c;
          o.h[l][t][d * H + k + i] = show * tanh_c;
        }
      }
      if (t == path.last) break;
    }
  }
}

// The same from the end to the beginning.
template <bool FIRST> APART void backward(const Parameters& p, Work& o, const Group& group, int l, int strings) {
  auto &above = o.dh[l % 2], &below = o.dh[(l + 1) % 2];
  if (!FIRST) for (auto& place : below) for (V& x : place) x = V{};
  for (int d = 0; d < D; d++) {
    const Path path(l, d, group);
    const auto& own = way<FIRST>(p, l, d);
    auto& g = way<FIRST>(o.gradient, l, d);
    const V *input[T], *past[T], *da[T];  // of the places, from the last
    int places = 0;
    V dc[H] = {}, dpast[H] = {};
    for (int t = path.last;; t -= path.by) {
      Cell& cell = o.cells[l][d][t];
      V* gates = cell.gates;
      const V* before = t == path.first ? o.none : o.cells[l][d][t - path.by].c;
      for (int k = 0; k < H; k++) {
        V enter = gates[k], keep = gates[H + k], fresh = gates[2 * H + k], show = gates[3 * H + k];
        V dh = above[t][d * H + k] + dpast[k], c = dc[k] + dh * show * (1 - cell.tanh_c[k] * cell.tanh_c[k]);
        gates[k] = c * fresh * enter * (1 - enter);
        gates[H + k] = c * before[k] * keep * (1 - keep);
        gates[2 * H + k] = c * enter * (1 - fresh * fresh);
        gates[3 * H + k] = dh * cell.tanh_c[k] * show * (1 - show);
        dc[k] = c * keep, dpast[k] = V{};
      }
      if constexpr (!FIRST) back<X>(below[t], own.input, gates), input[places] = o.h[l - 1][t];
      if (t != path.first) back<H>(dpast, own.state, gates), past[places] = o.h[l][t - path.by] + d * H;
      for (int r = 0; r < G; r += LANES) transpose(gates + r);
      da[places++] = gates;
      if (FIRST) for (int s = 0; s < strings; s++) for (int r = 0; r < G / LANES; r++)
        ((V*)o.by_symbol[d][group.token[t][s]])[r] += gates[r * LANES + s];
      if (t == path.first) break;
    }
    outer<H>(g.state, past, da, places - 1, strings);
    if constexpr (!FIRST) {
      outer<X>(g.input, input, da, places, strings);
      for (int t = 0; t < places; t++) for (int s = 0; s < strings; s++) for (int r = 0; r < G / LANES; r++)
        ((V*)g.bias_input)[r] += da[t][r * LANES + s];
    }
  }
}

// From the last layer's states at the masked place to the loss, and back.
APART V head(const Parameters& p, Work& o, const Group& group, int strings, Real share, bool with_loss) {
  V weight, is[T], last[X] = {}, f[E], logit[S], top, dl[S], sum = V{}, df[E] = {}, dlast[X] = {}, whole, loss = V{};
  for (int s = 0; s < LANES; s++) weight[s] = s < strings ? share : 0;
  for (int t = group.low; t <= group.high; t++) {
    is[t] = same(group.place, t) ? all(1) : V{};
    for (int k = 0; k < X; k++) last[k] += is[t] * o.h[L - 1][t][k];
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
  if (with_loss) whole = top + logarithm(sum);
  V scale = weight * reciprocal(sum);
  for (int j = 0; j < S; j++) {
    V hit = same(group.target, j) ? weight : V{};
    if (with_loss) loss += hit * (whole - logit[j]);
    dl[j] = dl[j] * scale - hit;
    for (int i = 0; i < E; i++) o.output[j][i] += dl[j] * f[i], df[i] += p.output[j][i] * dl[j];
  }
  for (int i = 0; i < E; i++) {
    o.head_bias[i] += df[i];
    for (int k = 0; k < X; k++) o.head[i][k] += df[i] * last[k], dlast[k] += p.head[i][k] * df[i];
  }
  for (int t = 0; t < T; t++) for (int k = 0; k < X; k++)
    o.dh[(L - 1) % 2][t][k] = group.low <= t && t <= group.high ? is[t] * dlast[k] : V{};
  return loss;
}

// ------------------------------------------------------------------ steps

template <class A> INLINE void zero(A& x) { for (Real* at = (Real*)&x; at < (Real*)(&x + 1); at++) *at = 0; }

// The gradient of the mean cross-entropy, which is returned.
APART Real gradient(const Parameters& p, Work& o, int strings, bool with_loss) {
  Parameters& g = o.gradient;
  zero(g), zero(o.by_symbol), zero(o.output), zero(o.head), zero(o.head_bias);
  for (int d = 0; d < D; d++) for (int j = 0; j < S; j++) for (int r = 0; r < G; r++) {
    Real sum = p.first[d].bias_input[r] + p.first[d].bias_state[r];
    for (int i = 0; i < E; i++) sum += p.first[d].input[i][r] * p.input[j][i];
    o.given[d][r][j] = sum;
  }
  V loss = V{};
  for (int s = 0; s < strings; s += LANES) {
    const Group& group = o.sorted[s / LANES];
    const int present = strings - s < LANES ? strings - s : LANES;
    forward<true>(p, o, group, 0);
    for (int l = 1; l < L; l++) forward<false>(p, o, group, l);
    loss += head(p, o, group, present, Real(1) / strings, with_loss);
    for (int l = L - 1; l > 0; l--) backward<false>(p, o, group, l, present);
    backward<true>(p, o, group, 0, present);
  }
  for (int j = 0; j < S; j++) for (int i = 0; i < E; i++) g.output[j][i] = total(o.output[j][i]);
  for (int i = 0; i < E; i++) {
    g.head_bias[i] = total(o.head_bias[i]);
    for (int k = 0; k < X; k++) g.head[i][k] = total(o.head[i][k]);
  }
  for (int d = 0; d < D; d++) {
    for (int j = 0; j < S; j++) {
      const V* da = (V*)o.by_symbol[d][j];
      for (int r = 0; r < G / LANES; r++) ((V*)g.first[d].bias_input)[r] += da[r];
      for (int i = 0; i < E; i++) {
        V sum = V{};
        for (int r = 0; r < G / LANES; r++) {
          ((V*)g.first[d].input[i])[r] += p.input[j][i] * da[r];
          sum += ((V*)p.first[d].input[i])[r] * da[r];
        }
        g.input[j][i] += total(sum);
      }
    }
    const auto same_bias = [](auto& own) { for (int r = 0; r < G; r++) own.bias_state[r] = own.bias_input[r]; };
    same_bias(g.first[d]);
    for (int l = 0; l < L - 1; l++) same_bias(g.other[l][d]);
  }
  return total(loss);
}

// All steps of one trial.
static void train_one(const Job& job, int trial, Work& o) {
  Parameters *now = o.state[0], *next = o.state[1], &g = o.gradient;
  int64_t size = 0;
  each(g, job.tables, [&](Real&) { size++; });
  Real* buffers[3] = {job.flat + trial * size, job.first + trial * size, job.second + trial * size};
  zero(o.state);
  for (int part = 0; part < 3; part++) {
    const Real* from = buffers[part];
    each(now[part], job.tables, [&](Real& x) { x = *from++; });
    if (job.tables == 1) for (int i = 0; i < S * E; i++) now[part].output[0][i] = now[part].input[0][i];
  }
  int64_t& stopped = job.stopped[trial];
  const V decay = all(job.decay[trial]);
  for (int64_t step = job.step, end = job.step + job.steps; step < end; step++) {
    if (stopped <= step && step + 1 < end) continue;  // only the loss is left to tell
    gather(o, job, trial, step);
    job.losses[trial] = gradient(*now, o, job.string_count, step + 1 == end);
    if (job.tables == 1 || step < job.untie_at[trial])
      for (int i = 0; i < S * E; i++) g.input[0][i] = g.output[0][i] = g.input[0][i] + g.output[0][i];
    const Real* factors = job.factors + ((step - job.step) * job.trials + trial) * 3;
    V zero = V{};
    for (int i = 0; i < VECTORS; i++) {
      V w = ((V*)&now[0])[i], m = ((V*)&now[1])[i], v = ((V*)&now[2])[i];
      move(w, m, v, ((V*)&g)[i], all(factors[0]), all(factors[1]), all(factors[2]), decay, job);
      ((V*)&next[0])[i] = w, ((V*)&next[1])[i] = m, ((V*)&next[2])[i] = v;
      zero += 0 * (w + v);
    }
    if (stopped <= step) continue;
    if (total(zero) == 0) {
      Parameters* before = now;
      now = next, next = before;
    } else stopped = step;
  }
  for (int part = 0; part < 3; part++) {
    Real* to = buffers[part];
    each(now[part], job.tables, [&](Real& x) { *to++ = x; });
  }
}

INLINE Work& work(const Job& job) {
  Work& o = *(Work*)(((uintptr_t)job.memory + sizeof(V) - 1) / sizeof(V) * sizeof(V));
  zero(o.none);
  for (uint32_t* at = (uint32_t*)o.drawn; at < (uint32_t*)(o.sorted + GROUPS); at++) *at = 0;  // also of strings that are not
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
  for (int s = 0; s < job->string_count; s++) for (int i = 0; i < T + 1; i++)
    *rows++ = ((uint32_t*)&o.sorted[s / LANES])[i * LANES + s % LANES];
}
extern "C" int64_t memory() { return sizeof(Work) + sizeof(V); }
extern "C" const char* instructions() { return INSTRUCTIONS; }
