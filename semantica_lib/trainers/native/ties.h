// Ways to tie the tables E (input) and O (output), as semantica_lib/models/ties.py defines them: what
// the tables are, before a step's gradient, and whose gradient theirs is, after it.
//
// Compiled for one SCHEME: 0 one table or two, 1 lookup, 2 scaled, 3 soft, 4 tied but the mask,
// 5 mapped, 6 pseudo-inverse. For S symbols of D features.
#pragma once
#include "lanes.h"

enum { LOOKUP = 1, SCALED, SOFT, BUT_MASK, MAPPED, INVERSE };
constexpr bool STRONG = SCHEME == LOOKUP || SCHEME == SCALED || SCHEME == SOFT;  // has a strength
// Its own parameters: a strength; the mask's output row; the map W; the factor L.
constexpr int OWN_ROWS = SCHEME == MAPPED || SCHEME == INVERSE ? D : 1, OWN = STRONG ? 1 : D;

#if SCHEME
const Real shrunk = Real(1 / __builtin_sqrt(double(D)));
#if SCHEME == 6
// X of X L' = R, by the lower triangle of L; a feature after the other.
INLINE void solve_upper(V (*x)[D], const V (*r)[D], const V (*L)[D]) {
  for (int i = 0; i < D; i++) for (int j = 0; j < S; j++) {
    x[j][i] = r[j][i];
    for (int k = 0; k < i; k++) x[j][i] -= x[j][k] * L[i][k];
    x[j][i] *= reciprocal(L[i][i]);
  }
}
// X of X L = R.
INLINE void solve_lower(V (*x)[D], const V (*r)[D], const V (*L)[D]) {
  for (int i = D - 1; i >= 0; i--) for (int j = 0; j < S; j++) {
    x[j][i] = r[j][i];
    for (int k = i + 1; k < D; k++) x[j][i] -= x[j][k] * L[k][i];
    x[j][i] *= reciprocal(L[i][i]);
  }
}

// Both tables come of a free one A, which lies in the place of E, and does so again when the gradients
// are its. Z is A made orthonormal, by columns; E = Z (L L')^-1, by X = Z L'^-1; O = Z L L', by P = Z L.
struct Ties {
  V A[S][D], Z[S][D], X[S][D], P[S][D], along[D][D], length[D];

  void derive(V (*E)[D], V (*O)[D], const V (*L)[D]) {
    for (int c = 0; c < D; c++) {
      for (int j = 0; j < S; j++) A[j][c] = Z[j][c] = E[j][c];
      for (int k = 0; k < c; k++) {
        along[c][k] = V{};
        for (int j = 0; j < S; j++) along[c][k] += Z[j][k] * A[j][c];
        for (int j = 0; j < S; j++) Z[j][c] -= along[c][k] * Z[j][k];
      }
      V square = V{};
      for (int j = 0; j < S; j++) square += Z[j][c] * Z[j][c];
      length[c] = root(square);
      for (int j = 0; j < S; j++) Z[j][c] *= reciprocal(length[c]);
    }
    solve_upper(X, Z, L), solve_lower(E, X, L);
    for (int j = 0; j < S; j++) for (int k = 0; k < D; k++) {
      P[j][k] = V{};
      for (int m = k; m < D; m++) P[j][k] += Z[j][m] * L[m][k];
    }
    for (int j = 0; j < S; j++) for (int i = 0; i < D; i++) {
      O[j][i] = V{};
      for (int k = 0; k <= i; k++) O[j][i] += P[j][k] * L[i][k];
    }
  }

  void fold(V (*gE)[D], V (*gO)[D], V (*gL)[D], V (*E)[D], const V (*)[D], const V (*L)[D]) {
    V gX[S][D], gZ[S][D];
    solve_upper(gX, gE, L), solve_lower(gZ, gX, L);
    for (int i = 0; i < D; i++) for (int k = 0; k <= i; k++) for (int j = 0; j < S; j++)
      gL[i][k] -= E[j][i] * gX[j][k] + gZ[j][i] * X[j][k];
    for (int j = 0; j < S; j++) for (int k = 0; k < D; k++) {
      V gP = V{};
      for (int i = k; i < D; i++) gP += gO[j][i] * L[i][k], gL[i][k] += gO[j][i] * P[j][k];
      for (int m = k; m < D; m++) gZ[j][m] += gP * L[m][k], gL[m][k] += Z[j][m] * gP;
    }
    for (int c = D - 1; c >= 0; c--) {  // back through the columns, the last one first
      V within = V{};
      for (int j = 0; j < S; j++) within += Z[j][c] * gZ[j][c];
      for (int j = 0; j < S; j++) gE[j][c] = gZ[j][c] = (gZ[j][c] - within * Z[j][c]) * reciprocal(length[c]);
      for (int k = 0; k < c; k++) {
        V towards = V{};
        for (int j = 0; j < S; j++) towards += gZ[j][c] * Z[j][k];
        for (int j = 0; j < S; j++) {
          gE[j][c] -= towards * Z[j][k];
          gZ[j][k] -= along[c][k] * gZ[j][c] + towards * A[j][c];
        }
      }
    }
    for (int j = 0; j < S; j++) for (int i = 0; i < D; i++) E[j][i] = A[j][i], gO[j][i] = V{};
  }
};
#else
struct Ties {
  // O, where it comes of E.
  void derive(V (*E)[D], V (*O)[D], const V (*own)[OWN]) {
    for (int j = 0; j < S && SCHEME != SOFT; j++) for (int i = 0; i < D; i++) {
      O[j][i] = E[j][i];
      if constexpr (SCHEME == SCALED) O[j][i] *= shrunk;
      if constexpr (SCHEME == BUT_MASK) if (j == MASK) O[j][i] = own[0][i];
      if constexpr (SCHEME == MAPPED) {
        O[j][i] = V{};
        for (int k = 0; k < D; k++) O[j][i] += E[j][k] * own[k][i];
      }
    }
  }

  // To the gradients of parameters, of those gE and gO of the tables; with that of the penalty
  // `strength * sum of (O - E)^2`.
  void fold(V (*gE)[D], V (*gO)[D], V (*gown)[OWN], V (*E)[D], const V (*O)[D], const V (*own)[OWN]) {
    for (int j = 0; j < S; j++) for (int i = 0; i < D; i++) {
      V &in = gE[j][i], &out = gO[j][i];
      if constexpr (SCHEME == LOOKUP) in = own[0][0] * in + out;
      if constexpr (SCHEME == SCALED) in += shrunk * out;
      if constexpr (SCHEME == BUT_MASK) (j == MASK ? gown[0][i] : in) += out;
      if constexpr (SCHEME == MAPPED) for (int k = 0; k < D; k++) gE[j][k] += own[k][i] * out, gown[k][i] += E[j][k] * out;
      if constexpr (SCHEME == SOFT) {
        V apart = O[j][i] - E[j][i], pull = 2 * own[0][0] * apart;
        out += pull, in -= pull, gown[0][0] += apart * apart;
      } else out = V{};
    }
  }
};
#endif
#endif
