// Whole epochs of multilayer perceptrons in one call; `whole.py` describes the arguments and holds the reference.
//
// Values lie by example, then by unit, in rows padded to a multiple of eight: so the sums of a layer, of its inputs' gradients and
// of its weights' gradients all are "a number times a row of vectors", without a sum across a vector. Every element of a sum is
// added in one fixed order, with fused multiply-add written out, so that the bits depend on the arguments alone: not on the
// size of a tile, not on the processor, not on what runs beside it. Padding stays 0.
//
// Nothing here allocates, prints or calls a library: exponentials and logarithms are polynomials.

#include <stdint.h>

namespace {

constexpr int LANES = 8;
constexpr int TILE = 64;  // examples that go through all layers together, so that their values stay in the cache
constexpr int MOST_LAYERS = 32, MOST_CLASSES = 128;  // `whole.py` refuses more
constexpr double LEAST_CHANCE = 1e-7;  // below which binary cross entropy takes no logarithm, as in Keras

enum Activation { RELU, TANH, SIGMOID, EXPONENTIAL };
enum Output { SOFTMAX, LOGISTIC, LINEAR };
enum Loss { CROSS_ENTROPY, MEAN_SQUARED, BINARY };
enum Optimizer { ADAM, NADAM, RMSPROP, SGD, ADAGRAD, ADADELTA };

template <class T>
struct Kind;
template <>
struct Kind<float> {
  typedef float V __attribute__((ext_vector_type(LANES)));
  typedef int32_t I __attribute__((ext_vector_type(LANES)));
  static constexpr int MANTISSA = 23, BIAS = 127, TERMS = 7;
  static constexpr float MOST = 88.72f, LEAST = -87.0f;
  static constexpr float LN2_HIGH = 6.93145752e-1f, LN2_LOW = 1.42860677e-6f;
};
template <>
struct Kind<double> {
  typedef double V __attribute__((ext_vector_type(LANES)));
  typedef int64_t I __attribute__((ext_vector_type(LANES)));
  static constexpr int MANTISSA = 52, BIAS = 1023, TERMS = 13;
  static constexpr double MOST = 709.78, LEAST = -708.0;
  static constexpr double LN2_HIGH = 6.93147180369123816490e-1, LN2_LOW = 1.90821492927058770002e-10;
};

template <class T>
using V = typename Kind<T>::V;
template <class T>
using I = typename Kind<T>::I;

template <class T>
inline V<T> all(double value) {
  return (V<T>)((T)value);
}
template <class T>
inline V<T> load(const T* at) {
  return *(const V<T>*)at;
}
template <class T>
inline void store(T* at, V<T> value) {
  *(V<T>*)at = value;
}
template <class T>
inline V<T> either(I<T> mask, V<T> yes, V<T> no) {
  return (V<T>)((mask & (I<T>)yes) | (~mask & (I<T>)no));
}
template <class W>
inline W fma(W a, W b, W c) {
  return __builtin_elementwise_fma(a, b, c);
}

constexpr double FACTORIALS[] = {1,     1,      2,       6,        24,        120,        720,
                                 5040., 40320., 362880., 3628800., 39916800., 479001600., 6227020800.};

template <class T>
inline V<T> exponential(V<T> x) {
  typedef Kind<T> K;
  const V<T> most = all<T>(K::MOST), least = all<T>(K::LEAST);
  V<T> inside = either<T>(x > most, most, either<T>(x > least, x, least));  // not a number becomes the least
  V<T> n = __builtin_elementwise_roundeven(inside * all<T>(1.44269504088896340736));
  V<T> r = fma(n, all<T>(-K::LN2_LOW), fma(n, all<T>(-K::LN2_HIGH), inside));
  V<T> sum = all<T>(1 / FACTORIALS[K::TERMS]);
#pragma unroll
  for (int k = K::TERMS - 1; k >= 0; k--) sum = fma(sum, r, all<T>(1 / FACTORIALS[k]));
  // In two factors, since 2^n alone may lie beyond the largest number where the product does not.
  I<T> whole = __builtin_convertvector(n, I<T>), half = whole >> 1;
  V<T> found = sum * (V<T>)((half + K::BIAS) << K::MANTISSA) * (V<T>)((whole - half + K::BIAS) << K::MANTISSA);
  found = either<T>(x > most, all<T>(__builtin_inf()), found);
  found = either<T>(x < least, all<T>(0), found);
  return either<T>(x == x, found, x);
}

// After fdlibm: log(m 2^n) with m in [sqrt(1/2), sqrt(2)) and s = (m - 1) / (m + 1).
template <class T>
inline V<T> logarithm(V<T> x) {
  typedef Kind<T> K;
  constexpr double L[] = {6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01,
                          1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01};
  const I<T> mask = (I<T>)((((int64_t)1) << K::MANTISSA) - 1);
  I<T> bits = (I<T>)x, n = (bits >> K::MANTISSA) - K::BIAS;
  V<T> m = (V<T>)((bits & mask) | (I<T>)all<T>(1));
  I<T> large = m > all<T>(1.41421356237309504880);
  m = either<T>(large, m * all<T>(0.5), m);
  n -= large;  // a true comparison is -1
  V<T> f = m - all<T>(1), s = f / (f + all<T>(2)), z = s * s, half = all<T>(0.5) * f * f;
  V<T> sum = all<T>(L[6]);
#pragma unroll
  for (int k = 5; k >= 0; k--) sum = fma(sum, z, all<T>(L[k]));
  V<T> power = __builtin_convertvector(n, V<T>);
  V<T> low = fma(s, half + z * sum, power * all<T>(K::LN2_LOW));
  V<T> found = fma(power, all<T>(K::LN2_HIGH), f - (half - low));
  found = either<T>(x == all<T>(__builtin_inf()), x, found);
  found = either<T>(x == all<T>(0), all<T>(-__builtin_inf()), found);
  return either<T>(x == x, found, x);
}

template <class T>
inline V<T> logistic(V<T> x) {
  return all<T>(1) / (all<T>(1) + exponential<T>(-x));
}
template <class T>
inline V<T> activated(int kind, V<T> x) {
  if (kind == RELU) return either<T>(x < all<T>(0), all<T>(0), x);
  if (kind == TANH) return all<T>(1) - all<T>(2) / (exponential<T>(x + x) + all<T>(1));
  return kind == SIGMOID ? logistic<T>(x) : exponential<T>(x);
}
// The derivative where the activation's value is `a`.
template <class T>
inline V<T> slope(int kind, V<T> a) {
  if (kind == RELU) return either<T>(a <= all<T>(0), all<T>(0), all<T>(1));
  if (kind == TANH) return fma(-a, a, all<T>(1));
  return kind == SIGMOID ? a * (all<T>(1) - a) : a;
}

inline int64_t padded(int64_t units) { return (units + LANES - 1) / LANES * LANES; }

// Sums

// R rows and N vectors of C = start + A B, where A[r, k] lies at a + r ar + k ak.
template <class T, int R, int N>
inline void block(T* c, int64_t ldc, const T* start, int64_t lds, const T* a, int64_t ar, int64_t ak, const T* b, int64_t ldb,
                  int64_t terms) {
  V<T> sum[R][N];
#pragma unroll
  for (int r = 0; r < R; r++)
#pragma unroll
    for (int n = 0; n < N; n++) sum[r][n] = start ? load(start + r * lds + n * LANES) : all<T>(0);
  for (int64_t k = 0; k < terms; k++) {
    V<T> row[N];
#pragma unroll
    for (int n = 0; n < N; n++) row[n] = load(b + k * ldb + n * LANES);
#pragma unroll
    for (int r = 0; r < R; r++) {
      const V<T> number = (V<T>)(a[r * ar + k * ak]);
#pragma unroll
      for (int n = 0; n < N; n++) sum[r][n] = fma(number, row[n], sum[r][n]);
    }
  }
#pragma unroll
  for (int r = 0; r < R; r++)
#pragma unroll
    for (int n = 0; n < N; n++) store(c + r * ldc + n * LANES, sum[r][n]);
}

template <class T, int N>
inline void columns(int64_t rows, T* c, int64_t ldc, const T* start, int64_t lds, const T* a, int64_t ar, int64_t ak, const T* b,
                    int64_t ldb, int64_t terms) {
  int64_t r = 0;
  for (; r + 6 <= rows; r += 6)  // with two vectors, as many sums as sixteen registers hold
    block<T, 6, N>(c + r * ldc, ldc, start ? start + r * lds : 0, lds, a + r * ar, ar, ak, b, ldb, terms);
  if (r + 4 <= rows) {
    block<T, 4, N>(c + r * ldc, ldc, start ? start + r * lds : 0, lds, a + r * ar, ar, ak, b, ldb, terms);
    r += 4;
  }
  if (r + 2 <= rows) {
    block<T, 2, N>(c + r * ldc, ldc, start ? start + r * lds : 0, lds, a + r * ar, ar, ak, b, ldb, terms);
    r += 2;
  }
  if (r < rows) block<T, 1, N>(c + r * ldc, ldc, start ? start + r * lds : 0, lds, a + r * ar, ar, ak, b, ldb, terms);
}

template <class T>
void product(int64_t rows, int64_t vectors, T* c, int64_t ldc, const T* start, int64_t lds, const T* a, int64_t ar, int64_t ak,
             const T* b, int64_t ldb, int64_t terms) {
  while (vectors > 0) {
    const int take = vectors >= 2 ? 2 : 1;
    if (take == 2)
      columns<T, 2>(rows, c, ldc, start, lds, a, ar, ak, b, ldb, terms);
    else
      columns<T, 1>(rows, c, ldc, start, lds, a, ar, ak, b, ldb, terms);
    c += take * LANES;
    b += take * LANES;
    if (start) start += take * LANES;
    vectors -= take;
  }
}

// W (inputs, padded outputs) to its transpose (outputs, padded inputs), 8 x 8 at a time.
template <class T>
void transposed(const T* w, int64_t inputs, int64_t outputs, T* t) {
  const int64_t ldw = padded(outputs), ldt = padded(inputs);
  for (int64_t i = 0; i < ldt; i += LANES)
    for (int64_t o = 0; o < ldw; o += LANES) {
      V<T> r[LANES], s[LANES];
      for (int k = 0; k < LANES; k++) r[k] = i + k < inputs ? load(w + (i + k) * ldw + o) : all<T>(0);
#pragma unroll
      for (int k = 0; k < 8; k += 2) {
        s[k] = __builtin_shufflevector(r[k], r[k + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        s[k + 1] = __builtin_shufflevector(r[k], r[k + 1], 1, 9, 3, 11, 5, 13, 7, 15);
      }
#pragma unroll
      for (int k = 0; k < 8; k += 4)
        for (int j = 0; j < 2; j++) {
          r[k + j] = __builtin_shufflevector(s[k + j], s[k + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
          r[k + j + 2] = __builtin_shufflevector(s[k + j], s[k + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
#pragma unroll
      for (int j = 0; j < 4; j++) {
        s[j] = __builtin_shufflevector(r[j], r[j + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        s[j + 4] = __builtin_shufflevector(r[j], r[j + 4], 4, 5, 6, 7, 12, 13, 14, 15);
      }
      for (int k = 0; k < LANES && o + k < outputs; k++) store(t + (o + k) * ldt + i, s[k]);
    }
}

// Dropout

// Philox 4x64 with ten rounds (Salmon et al., 2011), as NumPy's: the same words for the same key and counter.
inline void philox(uint64_t counter, uint64_t key0, uint64_t key1, uint64_t out[4]) {
  uint64_t c0 = counter, c1 = 0, c2 = 0, c3 = 0;
#pragma unroll
  for (int round = 0; round < 10; round++) {
    const unsigned __int128 p = (unsigned __int128)c0 * 0xD2E7470EE14C6C93ull, q = (unsigned __int128)c2 * 0xCA5A826395121157ull;
    c0 = (uint64_t)(q >> 64) ^ c1 ^ key0;
    c1 = (uint64_t)q;
    c2 = (uint64_t)(p >> 64) ^ c3 ^ key1;
    c3 = (uint64_t)p;
    key0 += 0x9E3779B97F4A7C15ull;
    key1 += 0xBB67AE8584CAA73Bull;
  }
  out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

// The factor of each unit of one example, by its place in the epoch: 0, or `kept`.
template <class T>
inline void masked(int64_t place, int64_t units, const uint64_t key[2], uint32_t threshold, T kept, T* row) {
  const int64_t blocks = (units + 15) / 16;
  for (int64_t b = 0; b < blocks; b++) {
    union {
      uint64_t words[4];
      uint16_t parts[16];
    } drawn;
    philox((uint64_t)(place * blocks + b) + 1, key[0], key[1], drawn.words);
    const int64_t here = units - b * 16 < 16 ? units - b * 16 : 16;
    for (int64_t u = 0; u < here; u++) row[b * 16 + u] = drawn.parts[u] >= threshold ? kept : (T)0;
  }
}

}  // namespace

// What `whole.py` fills in, member by member.
extern "C" struct Arguments {
  int32_t layers, output, loss, optimizer;  // layers: of weights, the output's included
  int32_t sizes[MOST_LAYERS + 1];
  int32_t activations[MOST_LAYERS];
  int64_t from, to, batch;  // the places of the epoch's order to go through, and examples a step
  const void* points;
  const int32_t* labels;
  const int32_t* order;
  void *weights, *first, *second, *scratch;
  double* scalars;
  double rate;
  uint64_t keys[MOST_LAYERS][2];
  uint32_t threshold;  // of 65536; 0 for no dropout
};

namespace {

// One network's values on a tile, its weights and their gradients; pointers into the caller's arrays.
template <class T>
struct Network {
  int layers;
  const int32_t* sizes;
  T *weights[MOST_LAYERS], *bias[MOST_LAYERS], *turned[MOST_LAYERS];
  T *gradient[MOST_LAYERS], *bias_gradient[MOST_LAYERS];
  T *input, *values[MOST_LAYERS], *masks[MOST_LAYERS], *dropped[MOST_LAYERS], *delta, *before;
  T *flat, *flat_gradient;
  int64_t length;  // of each of the two
};

template <class T>
int64_t arranged(const Arguments& a, Network<T>& net) {
  T* at = (T*)a.weights;
  net.layers = a.layers, net.sizes = a.sizes, net.flat = at;
  for (int l = 0; l < a.layers; l++) {
    const int64_t wide = padded(a.sizes[l + 1]);
    net.weights[l] = at, net.bias[l] = at + a.sizes[l] * wide, at += (a.sizes[l] + 1) * wide;
  }
  net.length = at - net.flat;
  T* free = (T*)a.scratch;
  net.flat_gradient = free;
  int64_t widest = LANES;
  for (int l = 0; l < a.layers; l++) {
    const int64_t wide = padded(a.sizes[l + 1]);
    net.gradient[l] = free + (net.weights[l] - net.flat), net.bias_gradient[l] = free + (net.bias[l] - net.flat);
    widest = wide > widest ? wide : widest;
  }
  free += net.length;
  net.input = free, free += padded(TILE * a.sizes[0]);
  for (int l = 0; l < a.layers; l++) {
    const int64_t wide = padded(a.sizes[l + 1]);
    net.values[l] = free, free += TILE * wide;
    net.turned[l] = free, free += l ? a.sizes[l + 1] * padded(a.sizes[l]) : 0;
    net.masks[l] = net.dropped[l] = net.values[l];
    if (a.threshold && l + 1 < a.layers) {
      net.masks[l] = free, free += TILE * wide;
      net.dropped[l] = free, free += TILE * wide;
    }
  }
  net.delta = free, free += TILE * widest;
  net.before = free, free += TILE * widest;
  return free - (T*)a.scratch;
}

template <class T>
const T* inputs_of(const Network<T>& net, int l) {
  return l ? net.dropped[l - 1] : net.input;
}
template <class T>
int64_t stride_of(const Network<T>& net, int l) {
  return l ? padded(net.sizes[l]) : net.sizes[0];
}

// `rows` examples of the tile through the network. place: of the first of them in the epoch; below 0 where nothing is dropped.
template <class T>
void forward(const Arguments& a, const Network<T>& net, int64_t rows, int64_t place) {
  for (int l = 0; l < net.layers; l++) {
    const int64_t wide = padded(net.sizes[l + 1]), units = net.sizes[l + 1];
    T* values = net.values[l];
    product<T>(rows, wide / LANES, values, wide, net.bias[l], 0, inputs_of(net, l), stride_of(net, l), 1, net.weights[l], wide,
               net.sizes[l]);
    if (l + 1 == net.layers) return;
    for (int64_t at = 0; at < rows * wide; at += LANES) store(values + at, activated<T>(a.activations[l], load(values + at)));
    if (net.dropped[l] == values) continue;
    T *mask = net.masks[l], *dropped = net.dropped[l];
    const T kept = (T)(65536.0 / (65536.0 - a.threshold));
    for (int64_t row = 0; row < rows; row++) {
      if (place < 0)
        for (int64_t u = 0; u < units; u++) mask[row * wide + u] = 1;
      else
        masked<T>(place + row, units, a.keys[l], a.threshold, kept, mask + row * wide);
      for (int64_t u = units; u < wide; u++) mask[row * wide + u] = 0;
    }
    for (int64_t at = 0; at < rows * wide; at += LANES) store(dropped + at, load(values + at) * load(mask + at));
  }
}

// Eight examples' losses, and their gradients by the raw outputs in place of these. classes vectors: raw; target: 1 or 0.
template <class T>
inline V<T> lost(int loss, int output, int classes, V<T>* raw, const V<T>* target) {
  const V<T> one = all<T>(1), none = all<T>(0);
  V<T> found = none;
  if (loss != CROSS_ENTROPY && output == LOGISTIC) {
    for (int c = 0; c < classes; c++) {
      const V<T> chance = logistic<T>(raw[c]), off = chance - target[c];
      if (loss == MEAN_SQUARED) {
        found += off * off;
        raw[c] = (off + off) * chance * (one - chance);
      } else {
        const V<T> size = either<T>(raw[c] < none, raw[c], -raw[c]);  // -|raw|
        found += either<T>(raw[c] < none, none, raw[c]) - raw[c] * target[c] + logarithm<T>(one + exponential<T>(size));
        raw[c] = off;
      }
    }
    return found / all<T>(classes);
  }
  if (loss == MEAN_SQUARED && output == LINEAR) {
    for (int c = 0; c < classes; c++) {
      const V<T> off = raw[c] - target[c];
      found += off * off;
      raw[c] = off + off;
    }
    return found / all<T>(classes);
  }
  // A softmax, of the logistics' logarithms where the output is logistic.
  V<T> chain[MOST_CLASSES], most = all<T>(-__builtin_inf());
  for (int c = 0; c < classes; c++) {
    if (output == LOGISTIC) {
      const V<T> size = either<T>(raw[c] < none, raw[c], -raw[c]);
      chain[c] = one - logistic<T>(raw[c]);
      raw[c] = either<T>(raw[c] < none, raw[c], none) - logarithm<T>(one + exponential<T>(size));
    }
    most = either<T>(raw[c] < most, most, raw[c]);  // what is not a number stays so
  }
  V<T> sum = none;
  for (int c = 0; c < classes; c++) {
    raw[c] = raw[c] - most;
    sum += exponential<T>(raw[c]);
  }
  const V<T> whole = logarithm<T>(sum);
  if (loss == CROSS_ENTROPY) {
    for (int c = 0; c < classes; c++) {
      found += target[c] * (whole - raw[c]);
      raw[c] = exponential<T>(raw[c] - whole) - target[c];
      if (output == LOGISTIC) raw[c] *= chain[c];
    }
    return found;
  }
  V<T> mean = none;
  for (int c = 0; c < classes; c++) {
    const V<T> told = whole - raw[c], chance = exponential<T>(-told);
    if (loss == MEAN_SQUARED) {
      const V<T> off = chance - target[c];
      found += off * off;
      chain[c] = off + off;
    } else {
      const V<T> rest = one - chance, least = all<T>(LEAST_CHANCE);
      found += target[c] * told - (one - target[c]) * logarithm<T>(either<T>(rest < least, least, rest));
      chain[c] = (one - target[c]) * either<T>(rest < least, none, one / rest);
    }
    mean = fma(chain[c], chance, mean);
    raw[c] = chance;
  }
  for (int c = 0; c < classes; c++) {
    const V<T> pull = raw[c] * (chain[c] - mean);
    raw[c] = loss == BINARY ? pull + (raw[c] - target[c]) : pull;
  }
  return found / all<T>(classes);
}

// The sum of the tile's losses; the gradients by its raw outputs go to `delta`, divided by the batch's size.
template <class T>
double scored(const Arguments& a, const Network<T>& net, int64_t rows, const int32_t* examples, int64_t batch) {
  const int classes = net.sizes[net.layers];
  const int64_t wide = padded(classes);
  const T* raw = net.values[net.layers - 1];
  const V<T> share = all<T>(1.0 / (double)(a.loss == CROSS_ENTROPY ? batch : batch * classes));
  double total = 0;
  for (int64_t from = 0; from < rows; from += LANES) {
    V<T> column[MOST_CLASSES], target[MOST_CLASSES];
    const int64_t here = rows - from < LANES ? rows - from : LANES;
    for (int lane = 0; lane < LANES; lane++) {
      const int64_t row = from + (lane < here ? lane : 0);
      const int label = a.labels[examples[row]];
      for (int c = 0; c < classes; c++) column[c][lane] = raw[row * wide + c], target[c][lane] = c == label;
    }
    const V<T> loss = lost<T>(a.loss, a.output, classes, column, target);
    for (int64_t lane = 0; lane < here; lane++) {
      total += (double)loss[lane];
      T* row = net.delta + (from + lane) * wide;
      for (int64_t c = classes; c < wide; c++) row[c] = 0;
    }
    for (int c = 0; c < classes; c++) {
      const V<T> pull = column[c] * share;
      for (int64_t lane = 0; lane < here; lane++) net.delta[(from + lane) * wide + c] = pull[lane];
    }
  }
  return total;
}

// The gradients by all weights, added to what is there unless this is the batch's first tile.
template <class T>
void backward(const Arguments& a, const Network<T>& net, int64_t rows, bool first) {
  T *delta = net.delta, *before = net.before;
  for (int l = net.layers - 1; l >= 0; l--) {
    const int64_t wide = padded(net.sizes[l + 1]), below = padded(net.sizes[l]);
    product<T>(net.sizes[l], wide / LANES, net.gradient[l], wide, first ? 0 : net.gradient[l], wide, inputs_of(net, l), 1,
               stride_of(net, l), delta, wide, rows);
    for (int64_t o = 0; o < wide; o += LANES) {
      V<T> sum = first ? all<T>(0) : load(net.bias_gradient[l] + o);
      for (int64_t row = 0; row < rows; row++) sum += load(delta + row * wide + o);
      store(net.bias_gradient[l] + o, sum);
    }
    if (l == 0) return;
    product<T>(rows, below / LANES, before, below, 0, 0, delta, wide, 1, net.turned[l], below, net.sizes[l + 1]);
    const T *values = net.values[l - 1], *mask = net.masks[l - 1];
    const bool drops = net.dropped[l - 1] != values;
    for (int64_t at = 0; at < rows * below; at += LANES) {
      V<T> pull = load(before + at);
      if (drops) pull *= load(mask + at);
      store(before + at, pull * slope<T>(a.activations[l - 1], load(values + at)));
    }
    T* other = delta;
    delta = before, before = other;
  }
}

// One step of the optimizer, as PyTorch's with its default settings; `scalars` are the step's number and running products.
template <class T>
void stepped(const Arguments& a, const Network<T>& net) {
  double* const at = a.scalars;
  T *w = net.flat, *first = (T*)a.first, *second = (T*)a.second;
  const T* gradient = net.flat_gradient;
  constexpr double B1 = 0.9, B2 = 0.999, EPSILON = 1e-8;
  at[0] += 1, at[1] *= B1, at[2] *= B2;
  double now = a.rate / (1 - at[1]), next = 0;
  if (a.optimizer == NADAM) {  // at[3]: the product of the momenta; at[4]: 0.96 to the power 0.004 t
    const double shrink = 0.9998367253526753;  // 0.96 ** 0.004
    at[4] *= shrink;
    const double momentum = B1 * (1 - 0.5 * at[4]), coming = B1 * (1 - 0.5 * at[4] * shrink);
    at[3] *= momentum;
    now = a.rate * (1 - momentum) / (1 - at[3]), next = a.rate * coming / (1 - at[3] * coming);
  }
  const V<T> rate = all<T>(a.rate), step = all<T>(now), ahead = all<T>(next), spread = all<T>(1 - at[2]);
  for (int64_t k = 0; k < net.length; k += LANES) {
    const V<T> g = load(gradient + k);
    V<T> value = load(w + k);
    if (a.optimizer == SGD) {
      value = fma(-rate, g, value);
    } else if (a.optimizer == ADAM || a.optimizer == NADAM) {
      const V<T> m0 = load(first + k), m = fma(all<T>(1 - B1), g - m0, m0);
      const V<T> v = fma(all<T>(1 - B2) * g, g, all<T>(B2) * load(second + k));
      const V<T> deep = __builtin_elementwise_sqrt(v / spread) + all<T>(EPSILON);
      store(first + k, m), store(second + k, v);
      value = a.optimizer == ADAM ? value - step * m / deep : value - (step * g + ahead * m) / deep;
    } else if (a.optimizer == RMSPROP) {
      const V<T> v = fma(all<T>(0.01) * g, g, all<T>(0.99) * load(first + k));
      store(first + k, v);
      value -= rate * g / (__builtin_elementwise_sqrt(v) + all<T>(EPSILON));
    } else if (a.optimizer == ADAGRAD) {
      const V<T> v = fma(g, g, load(first + k));
      store(first + k, v);
      value -= rate * g / (__builtin_elementwise_sqrt(v) + all<T>(1e-10));
    } else {
      const V<T> v = fma(all<T>(0.1) * g, g, all<T>(0.9) * load(first + k)), moved = load(second + k);
      const V<T> change = __builtin_elementwise_sqrt((moved + all<T>(1e-6)) / (v + all<T>(1e-6))) * g;
      store(first + k, v), store(second + k, fma(all<T>(0.1) * change, change, all<T>(0.9) * moved));
      value = fma(-rate, change, value);
    }
    store(w + k, value);
  }
}

template <class T>
void turned(const Network<T>& net) {
  for (int l = 1; l < net.layers; l++) transposed<T>(net.weights[l], net.sizes[l], net.sizes[l + 1], net.turned[l]);
}

// Some steps of an epoch; the sum of its examples' losses.
template <class T>
double advanced(const Arguments& a) {
  Network<T> net;
  arranged<T>(a, net);
  const T* points = (const T*)a.points;
  const int64_t features = a.sizes[0];
  double total = 0;
  turned(net);
  for (int64_t from = a.from; from < a.to; from += a.batch) {
    const int64_t batch = a.to - from < a.batch ? a.to - from : a.batch;
    for (int64_t tile = 0; tile < batch; tile += TILE) {
      const int64_t rows = batch - tile < TILE ? batch - tile : TILE;
      const int32_t* examples = a.order + from + tile;
      for (int64_t row = 0; row < rows; row++)
        for (int64_t x = 0; x < features; x++) net.input[row * features + x] = points[examples[row] * features + x];
      forward<T>(a, net, rows, from + tile);
      total += scored<T>(a, net, rows, examples, batch);
      backward<T>(a, net, rows, tile == 0);
    }
    stepped<T>(a, net);
    turned(net);
  }
  return total;
}

// The raw outputs (to, classes) of all points, in their own order.
template <class T>
void outputs(const Arguments& a, T* found) {
  Network<T> net;
  arranged<T>(a, net);
  const T* points = (const T*)a.points;
  const int classes = net.sizes[net.layers];
  for (int64_t from = 0; from < a.to; from += TILE) {
    const int64_t rows = a.to - from < TILE ? a.to - from : TILE;
    for (int64_t at = 0; at < rows * a.sizes[0]; at++) net.input[at] = points[from * a.sizes[0] + at];
    forward<T>(a, net, rows, -1);
    for (int64_t row = 0; row < rows; row++)
      for (int c = 0; c < classes; c++) found[(from + row) * classes + c] = net.values[net.layers - 1][row * padded(classes) + c];
  }
}

}  // namespace

extern "C" {

// The digest of this file, which `whole.py` looks for.
extern const char evenhand_source[] = SOURCE;

// How many numbers of scratch a network needs.
int64_t evenhand_scratch(const Arguments* a) {
  Network<float> net;
  return arranged<float>(*a, net);
}

double evenhand_advance_float(const Arguments* a) { return advanced<float>(*a); }
double evenhand_advance_double(const Arguments* a) { return advanced<double>(*a); }

void evenhand_outputs_float(const Arguments* a, float* found) { outputs<float>(*a, found); }
void evenhand_outputs_double(const Arguments* a, double* found) { outputs<double>(*a, found); }

// The order (count) that sorts `keys`, equal ones by their place. spare: 2 count numbers.
void evenhand_order(const uint64_t* keys, int32_t* order, uint64_t* spare, int64_t count) {
  // By the upper 32 bits, eleven at a time; the few that agree in these are put right by all bits afterwards.
  uint64_t *from = spare, *to = spare + count;
  for (int64_t k = 0; k < count; k++) from[k] = (keys[k] >> 32 << 32) | (uint64_t)k;
  for (int shift = 32; shift < 64; shift += 11) {
    int64_t counts[2048] = {0};
    for (int64_t k = 0; k < count; k++) counts[(from[k] >> shift) & 2047]++;
    for (int64_t k = 0, sum = 0; k < 2048; k++) {
      const int64_t here = counts[k];
      counts[k] = sum, sum += here;
    }
    for (int64_t k = 0; k < count; k++) to[counts[(from[k] >> shift) & 2047]++] = from[k];
    uint64_t* other = from;
    from = to, to = other;
  }
  for (int64_t k = 0; k < count; k++) order[k] = (int32_t)(uint32_t)from[k];
  for (int64_t k = 1; k < count; k++) {
    const int32_t mine = order[k];
    int64_t at = k;
    for (; at > 0 && keys[order[at - 1]] > keys[mine]; at--) order[at] = order[at - 1];
    order[at] = mine;
  }
}

}  // extern "C"
