// The transformer's kernel for a web page (book/trainer/build.py), which measures by the logits.
#include "transformer.cpp"

// Each symbol's logit at the masked place of the job's contexts, (case, symbol, lane), of the
// first LANES trials.
extern "C" void logits(const Job* job, V* into) {
  Parameters p;
  V q[D], k[S][D], v[S][D], e[S], G[S][D], eG[S][D];
  Batch batch = {};
  const int trials = job->trials < LANES ? job->trials : LANES, size = ALL - (job->tables == 1 ? TABLE : 0);
  for (int i = 0; i < size; i++) ((V*)&p)[place(i, job->tables)] = of_trials(job->flat + i, trials, size);
  if (job->tables == 1) for (int i = 0; i < TABLE; i++) ((V*)&p)[ALL - TABLE + i] = ((V*)&p)[i];
  for (int c = 0; c < job->cases; c++) batch.codes[c] = all_u(job->codes[c]);
  attend(p, q, k, v, e, G, eG);
  for (int from = 0; from < job->cases; from += TOGETHER) {
    Case cases[TOGETHER];
    for (int c = 0; c < TOGETHER; c++) read(cases[c], batch, from + c, 0);
    forward(p, e, eG, cases);
    for (int c = 0; c < TOGETHER; c++) for (int j = 0; j < S; j++) into[(from + c) * S + j] = cases[c].l[j];
  }
}
