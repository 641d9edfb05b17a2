// The oracle's convolutions, token shifts and recurrences: every sequence row by row, in double precision.
#include <algorithm>
#include <cmath>

#include "ops/reference.h"

namespace rf {

using oracle::floats;
using oracle::Matrix;
using oracle::softplus;

namespace {

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}
double silu(double x) {
  return oracle::activate(Activation::silu, x);
}

std::vector<double> unit(const double* x, std::size_t n) {
  double squares = 1e-6;
  for (std::size_t i = 0; i < n; ++i) squares += x[i] * x[i];
  std::vector<double> out(x, x + n);
  for (double& value : out) value /= std::sqrt(squares);
  return out;
}

// One head's state: S[i][j].
struct HeadState {
  double* values;
  std::size_t keys, width;

  double& at(std::size_t i, std::size_t j) const { return values[i * width + j]; }
  // sum over i of k[i] * S[i][j]
  double read(const double* k, std::size_t j) const {
    double sum = 0;
    for (std::size_t i = 0; i < keys; ++i) sum += k[i] * at(i, j);
    return sum;
  }
};

}  // namespace

// What a recurrence sees of one row, with the shapes that all its kinds share.
struct Reference::ScanRow {
  const Program& program;
  const Scan& scan;
  std::vector<double> x, side;
  double* state;
  std::vector<double> y;

  const float* vector(WeightId id) const { return floats(program, id); }
  std::size_t key_dim() const { return static_cast<std::size_t>(scan.key_dim); }
  std::size_t value_dim() const { return static_cast<std::size_t>(scan.value_dim); }
  std::size_t heads() const { return static_cast<std::size_t>(scan.heads); }
  std::size_t keys() const { return static_cast<std::size_t>(scan.keys()); }
  std::size_t values() const { return static_cast<std::size_t>(scan.values()); }
  std::size_t group(std::size_t head) const {
    return static_cast<std::size_t>(scan.group_of(static_cast<int>(head)));
  }
  HeadState head(std::size_t h) const {
    return {state + h * key_dim() * value_dim(), key_dim(), value_dim()};
  }

  void mamba();
  void mamba2();
  void delta();
  void rwkv6();
  void rwkv7();
  void kda();
  void gla();
};

void Reference::ScanRow::mamba() {
  const std::size_t channels = values();
  const double *z = side.data() + channels, *t = z + channels;
  std::vector<double> keys(t + channels, t + channels + key_dim()),
      queries(t + channels + key_dim(), t + channels + 2 * key_dim());
  oracle::normalise(program, scan.key_norm, keys.data(), key_dim());
  oracle::normalise(program, scan.query_norm, queries.data(), key_dim());
  const HeadState s = head(0);
  for (std::size_t j = 0; j < channels; ++j) {
    const double d = softplus(t[j]);
    for (std::size_t i = 0; i < key_dim(); ++i)
      s.at(i, j) = std::exp(d * vector(scan.decay)[j * key_dim() + i]) * s.at(i, j) + keys[i] * d * x[j];
    y[j] = (s.read(queries.data(), j) + vector(scan.bonus)[j] * x[j]) * silu(z[j]);
  }
}

void Reference::ScanRow::mamba2() {
  for (std::size_t h = 0; h < heads(); ++h) {
    const HeadState s = head(h);
    const double *u = x.data() + h * value_dim(), *k = x.data() + values() + group(h) * key_dim(),
                 *q = k + keys(), *z = side.data() + h * value_dim();
    const double d =
        softplus(side[2 * values() + 2 * keys() + h] + static_cast<double>(vector(scan.step_bias)[h]));
    const double decay = std::exp(d * vector(scan.decay)[h]);
    for (std::size_t j = 0; j < value_dim(); ++j) {
      for (std::size_t i = 0; i < key_dim(); ++i) s.at(i, j) = decay * s.at(i, j) + k[i] * d * u[j];
      y[h * value_dim() + j] = (s.read(q, j) + vector(scan.bonus)[h] * u[j]) * silu(z[j]);
    }
  }
  const std::size_t part = values() / static_cast<std::size_t>(scan.groups);
  for (std::size_t at = 0; at < values(); at += part)
    oracle::normalise(program, scan.norm, y.data() + at, part, at);
}

void Reference::ScanRow::delta() {
  const auto block = static_cast<std::size_t>(scan.block);
  for (std::size_t h = 0; h < heads(); ++h) {
    const HeadState s = head(h);
    const double *v = x.data() + 2 * keys() + h * value_dim(),
                 *z = side.data() + 2 * keys() + values() + h * value_dim(),
                 *b = side.data() + 2 * keys() + 2 * values() + h / block * 2 * block + h % block;
    std::vector<double> q = unit(x.data() + group(h) * key_dim(), key_dim());
    const std::vector<double> k = unit(x.data() + keys() + group(h) * key_dim(), key_dim());
    for (double& value : q) value /= std::sqrt(static_cast<double>(key_dim()));
    const double g =
        std::exp(vector(scan.decay)[h] * softplus(b[block] + static_cast<double>(vector(scan.step_bias)[h])));
    double* out = y.data() + h * value_dim();
    for (std::size_t j = 0; j < value_dim(); ++j) {
      const double e = sigmoid(*b) * (v[j] - g * s.read(k.data(), j));
      for (std::size_t i = 0; i < key_dim(); ++i) s.at(i, j) = g * s.at(i, j) + k[i] * e;
      out[j] = s.read(q.data(), j);
    }
    oracle::normalise(program, scan.norm, out, value_dim());
    for (std::size_t j = 0; j < value_dim(); ++j) out[j] *= silu(z[j]);
  }
}

void Reference::ScanRow::kda() {
  for (std::size_t h = 0; h < heads(); ++h) {
    const HeadState s = head(h);
    const std::size_t at = h * key_dim();
    const double *v = x.data() + 2 * keys() + h * value_dim(),
                 *z = side.data() + 2 * keys() + values() + h * value_dim(),
                 *b = side.data() + 2 * keys() + 2 * values() + h,
                 *a = side.data() + 2 * keys() + 2 * values() + heads() + at;
    std::vector<double> q = unit(x.data() + at, key_dim());
    const std::vector<double> k = unit(x.data() + keys() + at, key_dim());
    for (double& value : q) value /= std::sqrt(static_cast<double>(key_dim()));
    for (std::size_t i = 0; i < key_dim(); ++i) {
      const double step = softplus(a[i] + static_cast<double>(vector(scan.step_bias)[at + i]));
      for (std::size_t j = 0; j < value_dim(); ++j) s.at(i, j) *= std::exp(vector(scan.decay)[h] * step);
    }
    double* out = y.data() + h * value_dim();
    for (std::size_t j = 0; j < value_dim(); ++j) {
      const double e = sigmoid(*b) * (v[j] - s.read(k.data(), j));
      for (std::size_t i = 0; i < key_dim(); ++i) s.at(i, j) += k[i] * e;
      out[j] = s.read(q.data(), j);
    }
    oracle::normalise(program, scan.norm, out, value_dim());
    for (std::size_t j = 0; j < value_dim(); ++j) out[j] *= sigmoid(z[j]);
  }
}

void Reference::ScanRow::gla() {
  const std::size_t all = heads() * key_dim();
  for (std::size_t h = 0; h < heads(); ++h) {
    const HeadState s = head(h);
    const std::size_t at = h * key_dim(), shared = group(h) * key_dim();
    const double *r = x.data() + at, *w = r + all, *k = x.data() + 2 * all + shared, *v = k + keys(),
                 *g = x.data() + 2 * all + 2 * keys() + at;
    for (std::size_t j = 0; j < value_dim(); ++j) {
      for (std::size_t i = 0; i < key_dim(); ++i) {
        const double d = std::exp(-std::exp(w[i]));
        s.at(i, j) = d * s.at(i, j) + k[i] * (1 - d) * v[j];
      }
      y[at + j] = g[j] * s.read(r, j) / std::sqrt(static_cast<double>(key_dim()));
    }
  }
}

void Reference::ScanRow::rwkv6() {
  for (std::size_t h = 0; h < heads(); ++h) {
    const HeadState s = head(h);
    const std::size_t at = h * key_dim();
    const double *r = x.data() + at, *w = r + keys(), *k = w + keys(), *v = k + keys(), *g = v + keys();
    double* out = y.data() + at;
    double bonus = 0;
    for (std::size_t i = 0; i < key_dim(); ++i) bonus += r[i] * vector(scan.bonus)[at + i] * k[i];
    for (std::size_t j = 0; j < value_dim(); ++j) {
      out[j] = bonus * v[j] + s.read(r, j);
      for (std::size_t i = 0; i < key_dim(); ++i)
        s.at(i, j) = std::exp(-std::exp(w[i])) * s.at(i, j) + k[i] * v[j];
    }
    oracle::normalise(program, scan.norm, out, value_dim(), at);
    for (std::size_t j = 0; j < value_dim(); ++j) out[j] *= g[j];
  }
}

void Reference::ScanRow::rwkv7() {
  for (std::size_t h = 0; h < heads(); ++h) {
    const HeadState s = head(h);
    const std::size_t at = h * key_dim();
    const double *r = x.data() + at, *w = r + keys(), *a = w + 3 * keys(), *g = a + keys(), *m = g + keys();
    std::vector<double> k(w + keys(), w + keys() + key_dim()), v(a - keys(), a - keys() + key_dim());
    std::vector<double> c(key_dim()), remove(key_dim());
    double length = 0, bonus = 0;
    for (std::size_t i = 0; i < key_dim(); ++i) {
      if (!side.empty()) v[i] += (side[at + i] - v[i]) * m[i];
      c[i] = k[i] * vector(scan.key_scale)[at + i];
      length += c[i] * c[i];
      k[i] *= 1 + (a[i] - 1) * vector(scan.key_mix)[at + i];
      bonus += r[i] * k[i] * vector(scan.bonus)[at + i];
    }
    for (std::size_t i = 0; i < key_dim(); ++i) {
      c[i] /= std::max(std::sqrt(length), 1e-12);
      remove[i] = a[i] * c[i];
    }
    double* out = y.data() + at;
    for (std::size_t j = 0; j < value_dim(); ++j) {
      const double known = s.read(c.data(), j);
      for (std::size_t i = 0; i < key_dim(); ++i)
        s.at(i, j) = std::exp(-std::exp(-0.5) * sigmoid(w[i])) * s.at(i, j) + k[i] * v[j] - remove[i] * known;
      out[j] = s.read(r, j);
    }
    oracle::normalise(program, scan.norm, out, value_dim(), at);
    for (std::size_t j = 0; j < value_dim(); ++j) out[j] = (out[j] + v[j] * bonus) * g[j];
  }
}

// The state of a row's sequence, zero for its first row.
double* Reference::state_at(StateId id, const Batch& batch, int r) {
  std::vector<double>& all = states_[static_cast<std::size_t>(id)];
  const auto n = static_cast<std::size_t>(program_->states[static_cast<std::size_t>(id)].width);
  double* state = all.data() + static_cast<std::size_t>(batch.state(batch.sequence(r))) * n;
  if (batch.position(r) == 0) std::fill_n(state, n, 0.0);
  return state;
}

void Reference::conv(const Step& step, const Batch& batch) {
  const Conv& c = step.conv;
  const auto channels = static_cast<std::size_t>(c.channels), kernel = static_cast<std::size_t>(c.kernel);
  for (std::size_t r = 0; r < static_cast<std::size_t>(batch.rows()); ++r) {
    double* state = state_at(c.state, batch, static_cast<int>(r));  // [kernel - 1][channels], oldest first
    const float* x = row(step.x, r) + c.first_column;
    for (std::size_t i = 0; i < channels; ++i) {
      const double in = c.gated ? static_cast<double>(x[i]) * x[2 * channels + i] : x[i];
      const float* weights = floats(*program_, c.weight) + i * kernel;
      double sum = weights[kernel - 1] * in;
      for (std::size_t j = 0; j + 1 < kernel; ++j) {
        double& past = state[j * channels + i];
        sum += weights[j] * past;
        past = j + 2 < kernel ? state[(j + 1) * channels + i] : in;
      }
      if (c.bias != none) sum += floats(*program_, c.bias)[i];
      sum = oracle::activate(step.activation, sum);
      row(step.out, r)[i] = static_cast<float>(c.gated ? sum * x[channels + i] : sum);
    }
  }
}

void Reference::shift(const Step& step, const Batch& batch) {
  const Matrix now = input(step, batch);
  for (std::size_t r = 0; r < now.rows(); ++r) {
    double* before = state_at(step.shift.state, batch, static_cast<int>(r));
    for (std::size_t i = 0; i < static_cast<std::size_t>(step.shift.count); ++i)
      for (std::size_t c = 0; c < now.width; ++c) {
        double mix = floats(*program_, step.shift.mix[i])[c];
        if (step.side != none) mix += row(step.side, r)[i * now.width + c];
        const double n = now.row(r)[c];
        row(step.out, r)[i * now.width + c] = static_cast<float>(n + (before[c] - n) * mix);
      }
    std::copy_n(now.row(r), now.width, before);
  }
}

void Reference::scan(const Step& step, const Batch& batch) {
  const auto values = [&](SlotId slot, std::size_t r) {
    return slot == none ? std::vector<double>()
                        : std::vector<double>(row(slot, r), row(slot, r) + width(slot));
  };
  for (std::size_t r = 0; r < static_cast<std::size_t>(batch.rows()); ++r) {
    ScanRow now{.program = *program_,
                .scan = step.scan,
                .x = values(step.x, r),
                .side = values(step.side, r),
                .state = state_at(step.scan.state, batch, static_cast<int>(r)),
                .y = std::vector<double>(width(step.out))};
    switch (step.scan.kind) {
      case Scan::Kind::mamba:
        now.mamba();
        break;
      case Scan::Kind::mamba2:
        now.mamba2();
        break;
      case Scan::Kind::delta:
        now.delta();
        break;
      case Scan::Kind::rwkv6:
        now.rwkv6();
        break;
      case Scan::Kind::rwkv7:
        now.rwkv7();
        break;
      case Scan::Kind::kda:
        now.kda();
        break;
      case Scan::Kind::gla:
        now.gla();
        break;
    }
    std::transform(now.y.begin(), now.y.end(), row(step.out, r),
                   [](double x) { return static_cast<float>(x); });
  }
}

}  // namespace rf
