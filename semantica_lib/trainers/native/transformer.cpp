// The paper's transformer of one layer and one head, trained on the XOR task: whole steps, many of
// them a call, LANES trials at once. It computes what semantica_lib/trainers/stacked.py defines.
//
// Written for one trial; a V is one number of each of LANES trials. Without positions a context is
// how often each symbol is shown, and the parity. Strings that show the same context are computed
// once, and the symbols that they hide are counted.
//
// Compiled for one shape: FEATURES, INNER (of the feed-forward part), EXACT, RELU, BIAS (of the output:
// 0 none, 1 learned, 2 fixed), SCHEME (a way to tie, as in ties.h; 0 none), and the job's.
#include "job.h"

constexpr int D = FEATURES, F = INNER;
#include "ties.h"
constexpr int SHOWN = BITS - 1;      // symbols of bits beside the masked one
constexpr int PLANES = (K + 3) / 4;  // words that hold a count of 8 bits for each symbol
constexpr int TOGETHER = 2;          // contexts that pass through the layer side by side

struct Parameters {  // in the order of the stack's buffer, but for the output table behind the rest
  V input[S][D];
#if SCHEME
  V own[OWN_ROWS][OWN];  // of the way to tie
#endif
  V asks[3][D][D], asks_bias[3][D];  // queries, keys, values
  V out[D][D], out_bias[D];
  V wide[F][D], wide_bias[F], narrow[D][F], narrow_bias[D];
  V scale1[D], shift1[D], scale2[D], shift2[D];
#if BIAS
  V bias[S];
#endif
  V output[S][D];  // of a way to tie that has no such table what it makes of others
};
constexpr int ALL = sizeof(Parameters) / sizeof(V), TABLE = S * D;
constexpr int HELD = BIAS == 2 ? S : 0;  // parameters before the output table whose moments alone move

// ------------------------------------------------------------------ contexts

// A context as one word: three bits for how often each symbol is shown, bit 31 for odd parity.
// They are numbered by their partial sums s0 <= s1 <= ...: C(s0, 1) + C(s1 + 1, 2) + C(s2 + 2, 3) ...
constexpr int choose(int n, int k) {
  int result = 1;
  for (int i = 1; i <= k; i++) result = result * (n - k + i) / i;
  return n < k ? 0 : result;
}
constexpr int EVEN_CONTEXTS = choose(SHOWN + K - 1, K - 1), CONTEXTS = 2 * EVEN_CONTEXTS;
constexpr int ROOM = (CONTEXTS + LANES - 1) / LANES * LANES;  // whole vectors
constexpr uint32_t SUMS = 0111111u & ((1u << 3 * (K - 1)) - 1);

struct Contexts {
  uint32_t code[ROOM] = {};
  uint32_t share[K][16] = {};  // of a partial sum in the number
  constexpr Contexts() {
    for (int j = 0; j < K - 1; j++) for (int sum = 0; sum <= SHOWN; sum++) share[j][sum] = choose(sum + j, j + 1);
    for (int number = 0; number < CONTEXTS; number++) {
      int rest = number % EVEN_CONTEXTS, above = SHOWN;
      uint32_t packed = number < EVEN_CONTEXTS ? 0 : 1u << 31;
      for (int j = K - 2; j >= 0; j--) {  // the largest partial sum that fits
        int sum = above;
        while (choose(sum + j, j + 1) > rest) sum--;
        rest -= choose(sum + j, j + 1);
        packed |= uint32_t(above - sum) << 3 * (j + 1);
        above = sum;
      }
      code[number] = packed | above;
    }
  }
};
alignas(64) static constexpr Contexts contexts;

struct Batch {  // the contexts of each trial, each once, with what they hide
  int cases;    // of the trial that has most; a trial's others hide nothing
  U codes[ROOM + TOGETHER];
#if EXACT
  V hides[ROOM + TOGETHER][K];
#else
  U hides[PLANES][ROOM + TOGETHER];  // 8 bits a symbol
#endif
};

// A symbol, counted: a one in its three bits, and its number above.
constexpr uint32_t NUMBER = 24;
constexpr uint32_t counted(int symbol) { return 1u << 3 * symbol | uint32_t(symbol) << NUMBER; }

// The batch of the trial in this lane.
INLINE void gather(Batch& batch, int lane, const Strings* strings, const Job& job, int trial, uint64_t step) {
  alignas(64) uint32_t seen[PLANES][ROOM] = {}, at[LANES];
  for (int s = 0; s < job.string_count; s += LANES) {
    const Strings& own = strings[s / LANES];
    U symbols[BITS], place = draw<counted>(symbols, own, job, trial, step), shown = U{}, hidden = U{};
    for (int k = 0; k < BITS; k++) {
      shown += symbols[k];
      hidden = place == uint32_t(k) ? symbols[k] : hidden;
    }
    U sums = (shown - hidden) * SUMS, number = own.odd * uint32_t(EVEN_CONTEXTS);
    for (int j = 0; j < K - 1; j++) number += look_up(contexts.share[j], sums >> 3 * j & 7);
    U symbol = hidden >> NUMBER;
    *(U*)at = number * 4 + (symbol & 3) + (symbol >> 2) * uint32_t(4 * ROOM);
    int count = job.string_count - s < LANES ? job.string_count - s : LANES;
    for (int l = 0; l < count; l++) ((unsigned char*)seen)[at[l]]++;
  }
  alignas(64) uint32_t codes[ROOM + LANES], hides[PLANES][ROOM + LANES];
  int cases = 0;
  for (int i = 0; i < ROOM; i += LANES) {
    U any = *(U*)(seen[0] + i);
    for (int plane = 1; plane < PLANES; plane++) any |= *(U*)(seen[plane] + i);
    for (int plane = 0; plane < PLANES; plane++) compress(hides[plane] + cases, *(U*)(seen[plane] + i), any);
    cases += compress(codes + cases, *(const U*)(contexts.code + i), any);
  }
  for (int c = 0; c < cases; c++) {
    ((uint32_t*)&batch.codes[c])[lane] = codes[c];
#if !EXACT
    for (int plane = 0; plane < PLANES; plane++) ((uint32_t*)&batch.hides[plane][c])[lane] = hides[plane][c];
#endif
  }
  batch.cases = cases > batch.cases ? cases : batch.cases;
}

// ------------------------------------------------------------------ the layer, forward and back

// y = W x + b
template <int R, int C> INLINE void affine(V* y, const V (*W)[C], const V* b, const V* x) {
  for (int i = 0; i < R; i++) {
    y[i] = b[i];
    for (int j = 0; j < C; j++) y[i] += W[i][j] * x[j];
  }
}
// x += W' y
template <int R, int C> INLINE void transposed(V* x, const V (*W)[C], const V* y) {
  for (int i = 0; i < R; i++) for (int j = 0; j < C; j++) x[j] += W[i][j] * y[i];
}
// a . b
template <int N> INLINE V dot(const V* a, const V* b) {
  V sum = a[0] * b[0];
  for (int i = 1; i < N; i++) sum += a[i] * b[i];
  return sum;
}
template <int N> INLINE void zero(V* a) { for (int i = 0; i < N; i++) a[i] = V{}; }
// a += b, W += a b'
template <int N> INLINE void add(V* a, const V* b) { for (int i = 0; i < N; i++) a[i] += b[i]; }
template <int R, int C> INLINE void add(V (*W)[C], const V* a, const V* b) {
  for (int i = 0; i < R; i++) for (int j = 0; j < C; j++) W[i][j] += a[i] * b[j];
}
// W += the sum over contexts of a b'
template <int R, int C, class A, class B> INLINE void outer(V (*W)[C], A a, B b) {
  for (int i = 0; i < R; i++) for (int j = 0; j < C; j++) {
    V sum = W[i][j];
    for (int c = 0; c < TOGETHER; c++) sum += a(c)[i] * b(c)[j];
    W[i][j] = sum;
  }
}
// n = (x - mean) / deviation, y = scale n + shift; returns 1 / deviation
INLINE V norm(V* y, V* n, const V* x, const V* scale, const V* shift) {
  V mean = x[0], variance = V{};
  for (int i = 1; i < D; i++) mean += x[i];
  mean *= Real(1) / D;
  for (int i = 0; i < D; i++) n[i] = x[i] - mean, variance += n[i] * n[i];
  V r = inverse_root(variance * (Real(1) / D) + Real(1e-5));
  for (int i = 0; i < D; i++) n[i] *= r, y[i] = scale[i] * n[i] + shift[i];
  return r;
}
// dx = r (g - mean of g - n mean of g n), where g = scale dy
INLINE void norm_back(V* dx, const V* dy, const V* n, const V* scale, V r) {
  V g[D], mean = V{}, along = V{};
  for (int i = 0; i < D; i++) g[i] = dy[i] * scale[i], mean += g[i], along += g[i] * n[i];
  mean *= Real(1) / D, along *= Real(1) / D;
  for (int i = 0; i < D; i++) dx[i] = r * (g[i] - mean - n[i] * along);
}
// The activation, and its slope.
INLINE V activation(V u, V& slope) {
#if RELU
  slope = u > 0 ? all(1) : V{};
  return u * slope;
#else
  V density, below = normal(u, density);
  slope = below + u * density;
  return u * below;
#endif
}

// What one context passes from line to line, and leaves for the gradients of the weights.
struct Case {
  U code;
  V count[S], hits[K], total, per_Z, y[D], r1, n1[D], h[D], u[F], a[F], slope[F], z[D], r2, n2[D], f[D], l[S], top, sum;
  V dl[S], df[D], dz[D], da[F], du[F], dh[D], dy[D], dZ;
};

// How often context number c shows each symbol, and what it hides.
INLINE void read(Case& o, const Batch& batch, int c, Real share) {
  o.code = batch.codes[c], o.total = V{};
  for (int j = 0; j < K; j++) {
    o.count[j] = to_real(o.code >> 3 * j & 7);
#if EXACT
    o.hits[j] = batch.hides[c][j];
#else
    o.hits[j] = share * to_real(batch.hides[j / 4][c] >> 8 * (j % 4) & 255);
#endif
    o.total += o.hits[j];
  }
  o.count[ODD] = negative(o.code) ? all(1) : V{}, o.count[EVEN] = 1 - o.count[ODD], o.count[MASK] = all(1);
}

const Real per_root = Real(1 / __builtin_sqrt(double(D)));

// What the mask gets from symbol j is G_j = out (V x_j + bias) + bias, and its own row besides,
// weighted by e_j = exp(q . k_j / sqrt D). Of a context with counts n it is
// y = sum n_j e_j G_j / Z, where Z = sum n_j e_j.
INLINE void attend(const Parameters& p, V* q, V (*k)[D], V (*v)[D], V* e, V (*G)[D], V (*eG)[D]) {
  V most;
  affine<D, D>(q, p.asks[0], p.asks_bias[0], p.input[MASK]);
  for (int j = 0; j < S; j++) {
    affine<D, D>(k[j], p.asks[1], p.asks_bias[1], p.input[j]);
    affine<D, D>(v[j], p.asks[2], p.asks_bias[2], p.input[j]);
    affine<D, D>(G[j], p.out, p.out_bias, v[j]);
    e[j] = dot<D>(q, k[j]) * per_root;
    most = j ? max(most, e[j]) : e[j];
  }
  for (int j = 0; j < S; j++) {
    e[j] = exp(e[j] - most);
    for (int i = 0; i < D; i++) G[j][i] += p.input[MASK][i], eG[j][i] = e[j] * G[j][i];
  }
}

// h = norm1(y), u = W1 h + b1, a = act(u), z = W2 a + b2 + h, f = norm2(z), l = O f, plus the bias.
INLINE void forward(const Parameters& p, const V* e, const V (*eG)[D], Case (&cases)[TOGETHER]) {
  for (Case& o : cases) {
    M odd = negative(o.code);
    V Z = e[MASK] + (odd ? e[ODD] : e[EVEN]);
    for (int i = 0; i < D; i++) o.y[i] = eG[MASK][i] + (odd ? eG[ODD][i] : eG[EVEN][i]);
    for (int j = 0; j < K; j++) {
      Z += o.count[j] * e[j];
      for (int i = 0; i < D; i++) o.y[i] += o.count[j] * eG[j][i];
    }
    o.per_Z = reciprocal(Z);
    for (int i = 0; i < D; i++) o.y[i] *= o.per_Z;
  }
  for (Case& o : cases) o.r1 = norm(o.h, o.n1, o.y, p.scale1, p.shift1);
  for (Case& o : cases) affine<F, D>(o.u, p.wide, p.wide_bias, o.h);
  for (Case& o : cases) for (int i = 0; i < F; i++) o.a[i] = activation(o.u[i], o.slope[i]);
  for (Case& o : cases) affine<D, F>(o.z, p.narrow, p.narrow_bias, o.a), add<D>(o.z, o.h);
  for (Case& o : cases) o.r2 = norm(o.f, o.n2, o.z, p.scale2, p.shift2);
  for (Case& o : cases) for (int j = 0; j < S; j++) {
    o.l[j] = dot<D>(p.output[j], o.f);
#if BIAS
    o.l[j] += p.bias[j];
#endif
    o.top = j ? max(o.top, o.l[j]) : o.l[j];
  }
  for (Case& o : cases) for (int j = 0; j < S; j++) {
    o.dl[j] = exp(o.l[j] - o.top);
    o.sum = j ? o.sum + o.dl[j] : o.dl[j];
  }
}

// The gradient g of the mean cross-entropy, which is returned; without the logarithms of the
// softmax's sums, which are finite, where nobody asks for it.
INLINE V gradient(const Parameters& p, Parameters& g, const Batch& batch, Real share, bool with_loss) {
  V q[D], k[S][D], v[S][D], e[S], G[S][D], eG[S][D];
  attend(p, q, k, v, e, G, eG);
  for (int i = 0; i < ALL; i++) ((V*)&g)[i] = V{};
  V deG[S][D] = {}, de[S] = {}, loss = V{};  // gradients of e_j G_j and, beside it, of e_j
  for (int from = 0; from < batch.cases; from += TOGETHER) {
    // Line by line for a few contexts: while one waits for its sums, the next are at work.
    Case cases[TOGETHER];
    for (int c = 0; c < TOGETHER; c++) read(cases[c], batch, from + c, share);

    forward(p, e, eG, cases);
    for (Case& o : cases) for (int j = 0; j < K; j++) loss += o.hits[j] * (o.top - o.l[j]);
    if (with_loss) for (Case& o : cases) loss += o.total * logarithm(o.sum);

    // Back, from the end of each line to its beginning: dl = total softmax(l) - hits, and so on.
    for (Case& o : cases) {
      V scale = o.total * reciprocal(o.sum);
      for (int j = 0; j < S; j++) o.dl[j] = j < K ? o.dl[j] * scale - o.hits[j] : o.dl[j] * scale;
    }
    for (Case& o : cases) zero<D>(o.df), transposed<S, D>(o.df, p.output, o.dl);
    for (Case& o : cases) norm_back(o.dz, o.df, o.n2, p.scale2, o.r2);
    for (Case& o : cases) {
      zero<F>(o.da), transposed<D, F>(o.da, p.narrow, o.dz);
      for (int i = 0; i < F; i++) o.du[i] = o.da[i] * o.slope[i];
    }
    for (Case& o : cases) zero<D>(o.dh), add<D>(o.dh, o.dz), transposed<F, D>(o.dh, p.wide, o.du);
    for (Case& o : cases) norm_back(o.dy, o.dh, o.n1, p.scale1, o.r1);
    for (Case& o : cases) {
      o.dZ = -o.per_Z * dot<D>(o.dy, o.y);
      for (int i = 0; i < D; i++) o.dy[i] *= o.per_Z;
    }

    // What each leaves for its weights.
#define OF(field) [&](int c) { return cases[c].field; }
    outer<S, D>(g.output, OF(dl), OF(f));
    outer<D, F>(g.narrow, OF(dz), OF(a));
    outer<F, D>(g.wide, OF(du), OF(h));
    outer<S, D>(deG, OF(count), OF(dy));
    for (Case& o : cases) {
      add<F>(g.wide_bias, o.du), add<D>(g.narrow_bias, o.dz), add<D>(g.shift2, o.df), add<D>(g.shift1, o.dh);
      for (int i = 0; i < D; i++) g.scale2[i] += o.df[i] * o.n2[i], g.scale1[i] += o.dh[i] * o.n1[i];
      for (int j = 0; j < S; j++) de[j] += o.count[j] * o.dZ;
#if BIAS
      add<S>(g.bias, o.dl);
#endif
    }
  }
  V dq[D] = {};
  for (int j = 0; j < S; j++) {  // back through e_j and G_j
    V dG[D], dv[D] = {}, dk[D], ds = per_root * e[j] * (dot<D>(G[j], deG[j]) + de[j]);
    for (int i = 0; i < D; i++) dG[i] = e[j] * deG[j][i], dk[i] = ds * q[i], dq[i] += ds * k[j][i];
    transposed<D, D>(dv, p.out, dG);
    add<D>(g.input[MASK], dG), add<D>(g.out_bias, dG), add<D>(g.asks_bias[1], dk), add<D>(g.asks_bias[2], dv);
    add<D, D>(g.out, dG, v[j]), add<D, D>(g.asks[1], dk, p.input[j]), add<D, D>(g.asks[2], dv, p.input[j]);
    transposed<D, D>(g.input[j], p.asks[1], dk);
    transposed<D, D>(g.input[j], p.asks[2], dv);
  }
  transposed<D, D>(g.input[MASK], p.asks[0], dq);
  add<D>(g.asks_bias[0], dq), add<D, D>(g.asks[0], dq, p.input[MASK]);
  return loss;
}

// ------------------------------------------------------------------ steps

struct Block { Parameters now, first, second; };  // of LANES trials

// One number of each trial of a block; the last trial's where there are fewer.
INLINE V of_trials(const Real* values, int trials, int apart) {
  V found;
  for (int l = 0; l < LANES; l++) found[l] = values[(l < trials ? l : trials - 1) * apart];
  return found;
}

// Where number i of a trial's buffer lies among the Parameters, of which the output table is the last.
INLINE int place(int i, int64_t tables) {
  if (i < TABLE || tables == 1) return i;
  return i < 2 * TABLE ? i + ALL - 2 * TABLE : i - TABLE;
}

// One step of the optimizer; returns zero, but what is no number where something is not finite.
INLINE V update(Block& block, Parameters& g, const Job& job, const V* factors, V decay, M joined) {
#if !SCHEME
  for (int j = 0; j < S; j++) for (int i = 0; i < D; i++) {
    V &a = g.input[j][i], &b = g.output[j][i], both = a + b;
    a = joined ? both : a, b = joined ? both : b;
  }
#endif
  V *w = (V*)&block.now, *m = (V*)&block.first, *v = (V*)&block.second, *d = (V*)&g, zero = V{};
  for (int i = 0; i < ALL; i++) {
    V before = w[i];
    move(w[i], m[i], v[i], d[i], factors[0], factors[1], factors[2], decay, job);
    if ((i >= ALL - TABLE - HELD && i < ALL - TABLE) || (STRONG && i == TABLE)) w[i] = before;
    zero += 0 * (w[i] + v[i]);
  }
  return zero;
}

// All steps of the trials from `at` on, as many as fill a block.
static void train_block(const Job& job, int at, const Strings* strings) {
  const int trials = job.trials - at < LANES ? job.trials - at : LANES;
  const int size = ALL - (job.tables == 1 ? TABLE : 0);
  Block block, start;
  Parameters g;
  Real* buffers[3] = {job.flat, job.first, job.second};
  Parameters* parts[3] = {&block.now, &block.first, &block.second};
  for (int part = 0; part < 3; part++) {
    for (int i = 0; i < size; i++) ((V*)parts[part])[place(i, job.tables)] = of_trials(buffers[part] + at * size + i, trials, size);
    if (job.tables == 1) for (int i = 0; i < TABLE; i++) ((V*)parts[part])[ALL - TABLE + i] = ((V*)parts[part])[i];
  }
  Batch batch;
  batch.cases = 0;
  for (U& code : batch.codes) code = U{};
#if EXACT
  batch.cases = job.cases;
  for (int c = 0; c < ROOM + TOGETHER; c++) for (int j = 0; j < K; j++) {
    const bool there = c < job.cases;
    batch.codes[c] = all_u(there ? job.codes[c] : 0);
    batch.hides[c][j] = there ? of_trials(job.joint + (at * S + j) * job.cases + c, trials, S * job.cases) : V{};
  }
#endif
  int64_t* done = job.stopped + at;
  V decay = of_trials(job.decay + at, trials, 1), loss = V{};
  bool stopped = false;
  for (int l = 0; l < trials; l++) stopped |= done[l] <= job.step;
  start = block;
  for (int64_t step = job.step, end = job.step + job.steps; step < end; step++) {
#if !EXACT
    batch.cases = 0;
    for (auto& plane : batch.hides) for (U& hits : plane) hits = U{};
    for (int l = 0; l < trials; l++) gather(batch, l, strings, job, at + l, step);
#endif
#if SCHEME
    Parameters& p = block.now;
    Ties ties;
    ties.derive(p.input, p.output, p.own);
#endif
    V here = gradient(block.now, g, batch, Real(1) / job.string_count, step + 1 == end);
#if SCHEME
    ties.fold(g.input, g.output, g.own, p.input, p.output, p.own);
#endif
    V factors[3];
    for (int i = 0; i < 3; i++) factors[i] = of_trials(job.factors + ((step - job.step) * job.trials + at) * 3 + i, trials, 3);
    M joined = {};
    for (int l = 0; l < trials; l++) joined[l] = -(job.tables == 1 || step < job.untie_at[at + l]);
    Block before;
    if (stopped) before = block;
    V zero = update(block, g, job, factors, decay, joined) + 0 * here;
    loss = here;
    bool found = false;
    for (int l = 0; l < trials; l++) if (done[l] > step && !(zero[l] == 0)) done[l] = step, found = true;
    if (found && !stopped) {  // what this step began with is lost: go there once more
      stopped = true, block = start, step = job.step - 1;
      continue;
    }
    if (stopped) for (int l = 0; l < trials; l++) if (done[l] <= step)
      for (int i = 0; i < 3 * ALL; i++) ((V*)&block)[i][l] = ((V*)&before)[i][l];
  }
  for (int part = 0; part < 3; part++) for (int i = 0; i < size; i++) for (int l = 0; l < trials; l++)
    buffers[part][(at + l) * size + i] = ((V*)parts[part])[place(i, job.tables)][l];
  for (int l = 0; l < trials; l++) job.losses[at + l] = loss[l];
}

extern "C" void train(const Job* job) {
  Strings strings[GROUPS];
  read(strings, *job);
  for (int at = 0; at < job->trials; at += LANES) train_block(*job, at, strings);
}

// The batch of the first trial at the job's step: codes and hits (8 bits a symbol) of its contexts,
// (case,) and (plane, ROOM); returns how many. For tests.
extern "C" int drawn(const Job* job, uint32_t* codes, uint32_t* hides) {
#if EXACT
  return 0;
#else
  Strings strings[GROUPS];
  read(strings, *job);
  Batch batch;
  batch.cases = 0;
  gather(batch, 0, strings, *job, 0, job->step);
  for (int c = 0; c < batch.cases; c++) {
    codes[c] = batch.codes[c][0];
    for (int plane = 0; plane < PLANES; plane++) hides[plane * ROOM + c] = batch.hides[plane][c][0];
  }
  return batch.cases;
#endif
}
extern "C" int64_t memory() { return 0; }
extern "C" int room() { return ROOM; }
extern "C" const char* instructions() { return INSTRUCTIONS; }
