// The oracle's attention.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "ops/attention.h"
#include "ops/reference.h"

namespace rf {

using oracle::Matrix;

namespace {

// Norms `heads` rows of `all`, each over its first `width` elements.
void normalise_heads(const Program& program, const Norm& norm, Attention::NormOver over, std::size_t width,
                     Matrix& all) {
  if (norm.kind == Norm::Kind::off) return;
  if (over == Attention::NormOver::row)
    return oracle::normalise(program, norm, all.row(0), all.values.size());
  const bool shared =
      norm.weight == none || program.tensor(norm.weight).columns() * program.tensor(norm.weight).rows() ==
                                 static_cast<std::int64_t>(width);
  for (std::size_t h = 0; h < all.rows(); ++h)
    oracle::normalise(program, norm, all.row(h), width, shared ? 0 : h * width);
}

}  // namespace

void Reference::prepare_heads(const Attention& a, std::size_t index, int position, Matrix& queries,
                              Matrix& keys) {
  const auto norms = [&] {
    normalise_heads(*program_, a.q_norm, a.norm_over, queries.width, queries);
    const auto normed = static_cast<std::size_t>(a.key_normed > 0 ? a.key_normed : a.key_dim);
    if (keys.rows() > 0) normalise_heads(*program_, a.k_norm, a.norm_over, normed, keys);
  };
  if (!a.norm_after_rope) norms();
  for (Matrix* heads : {&queries, &keys})
    for (std::size_t h = 0; h < heads->rows(); ++h)
      oracle::rotate(a.rope, frequencies_[index], position, heads->row(h));
  if (a.norm_after_rope) norms();
  for (double& x : queries.values) x *= query_temperature(a, position);
}

void Reference::attend(std::size_t index, const Batch& batch) {
  const Step& step = program_->steps[index];
  const Attention& a = step.attention;
  const std::size_t dim = static_cast<std::size_t>(a.key_dim), heads = static_cast<std::size_t>(a.heads),
                    kv_heads = static_cast<std::size_t>(a.kv_heads),
                    value_dim = static_cast<std::size_t>(a.value_dim);
  std::vector<Matrix> queries;
  for (int r = 0; r < batch.rows(); ++r) {
    const float* in = row(step.x, static_cast<std::size_t>(r));
    Matrix q(heads, a.key_dim), k(a.stores ? kv_heads : 0, a.key_dim);
    for (std::size_t h = 0; h < heads; ++h) std::copy_n(in + h * dim * (a.gated ? 2 : 1), dim, q.row(h));
    in += a.query_width();
    std::copy_n(in, k.values.size(), k.values.begin());
    prepare_heads(a, index, batch.position(r), q, k);
    queries.push_back(q);
    if (!a.stores) continue;
    Matrix v(kv_heads, a.value_dim);
    if (!a.key_is_value) std::copy_n(in + k.values.size(), v.values.size(), v.values.begin());
    normalise_heads(*program_, a.v_norm, Attention::NormOver::head, value_dim, v);
    const std::vector<float> keys(k.values.begin(), k.values.end()), values(v.values.begin(), v.values.end());
    pages(a.cache).store(batch.pages(batch.sequence(r)), batch.position(r), keys.data(), values.data());
  }
  for (int r = 0; r < batch.rows(); ++r)
    for (std::size_t h = 0; h < heads; ++h) {
      std::vector<double> out(value_dim);
      attend_head(step, queries[static_cast<std::size_t>(r)].row(h), static_cast<int>(h), batch, r,
                  out.data());
      const float* gate = row(step.x, static_cast<std::size_t>(r)) + (2 * h + 1) * dim;
      if (a.gated)
        for (std::size_t d = 0; d < value_dim; ++d) out[d] /= 1 + std::exp(-static_cast<double>(gate[d]));
      std::ranges::copy(out, row(step.out, static_cast<std::size_t>(r)) + h * value_dim);
    }
}

// The positions that a query head of row `r` sees.
std::vector<int> Reference::seen_positions(const Step& step, int kv_head, const Batch& batch, int r) {
  const Attention& a = step.attention;
  const Selection& c = step.selection;
  const int position = batch.position(r), sequence = batch.sequence(r);
  const int length = batch.position(batch.first_row(sequence)) + batch.row_count(sequence);
  const Visible visible = visible_positions(a.sees, a.window, position, length);
  std::vector<int> seen;
  if (step.side == none || c.sees_all(position)) {
    for (int p = visible.first; p < visible.end; ++p) seen.push_back(p);
    return seen;
  }
  const float* list = row(step.side, static_cast<std::size_t>(r)) + (c.groups > 1 ? kv_head * c.blocks : 0);
  for (int i = 0; i < c.blocks && list[i] >= 0; ++i)
    for (int p = 0; p < c.block; ++p)
      if (const int at = static_cast<int>(list[i]) * c.block + p; at < visible.end) seen.push_back(at);
  return seen;
}

void Reference::attend_head(const Step& step, const double* query, int head, const Batch& batch, int r,
                            double* out) {
  const Attention& a = step.attention;
  const int position = batch.position(r), kv_head = head / (a.heads / a.kv_heads);
  const std::int32_t* table = batch.pages(batch.sequence(r));
  const double slope = alibi_slope(a, head);
  ReferenceCache& cache = pages(a.cache);
  const std::vector<int> seen = seen_positions(step, kv_head, batch, r);
  std::vector<double> scores;
  for (const int p : seen) {
    const float* key = cache.at(table, p) + kv_head * a.key_dim;
    double score = a.scale * std::inner_product(key, key + a.key_dim, query, 0.0);
    if (a.softcap > 0) score = a.softcap * std::tanh(score / a.softcap);
    scores.push_back(score - slope * std::abs(position - p));
  }
  const float* sinks = oracle::floats(*program_, a.sinks);
  oracle::softmax(scores, sinks == nullptr ? -std::numeric_limits<double>::infinity() : sinks[head]);
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const float* at = cache.at(table, seen[i]);
    const float* value =
        a.key_is_value ? at + kv_head * a.key_dim : at + a.kv_heads * a.key_dim + kv_head * a.value_dim;
    for (int d = 0; d < a.value_dim; ++d) out[d] += scores[i] * value[d];
  }
}

}  // namespace rf
