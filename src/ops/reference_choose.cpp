// The oracle's choice of positions.
#include <algorithm>
#include <numeric>

#include "ops/reference.h"
#include "ops/selection.h"

namespace rf {

using oracle::Matrix;

void Reference::choose(std::size_t index, const Batch& batch) {
  const Step& step = program_->steps[index];
  const Attention& a = step.attention;
  const Selection& c = step.selection;
  ReferenceCache& cache = pages(a.cache);
  const auto heads = static_cast<std::size_t>(a.heads), group = heads / static_cast<std::size_t>(c.groups);
  std::vector<Matrix> queries;
  for (int r = 0; r < batch.rows(); ++r) {
    const float* in = row(step.x, static_cast<std::size_t>(r));
    Matrix q(heads, a.key_dim), k(1, a.key_dim);
    std::copy_n(in, q.values.size(), q.values.begin());
    std::copy_n(in + q.values.size(), k.width, k.values.begin());
    prepare_heads(a, index, batch.position(r), q, k);
    queries.push_back(q);
    const std::vector<float> key(k.values.begin(), k.values.end());
    cache.store(batch.pages(batch.sequence(r)), batch.position(r), key.data(), nullptr);
  }
  for (int r = 0; r < batch.rows(); ++r) {
    const int position = batch.position(r);
    const float* weights = row(step.x, static_cast<std::size_t>(r)) + a.row_width();
    std::vector<float> scores(static_cast<std::size_t>(position) + 1), scratch(scores.size());
    for (std::size_t g = 0; g < static_cast<std::size_t>(c.groups); ++g) {
      for (int p = 0; p <= position; ++p) {
        const float* key = cache.at(batch.pages(batch.sequence(r)), p);
        double sum = 0;
        for (std::size_t h = g * group; h < (g + 1) * group; ++h) {
          const double dot =
              std::inner_product(key, key + a.key_dim, queries[static_cast<std::size_t>(r)].row(h), 0.0);
          sum += c.weighted ? weights[h] * std::max(dot, 0.0) : dot;
        }
        scores[static_cast<std::size_t>(p)] = static_cast<float>(sum);
      }
      choose_blocks(c, position, scores.data(), scratch.data(),
                    row(step.out, static_cast<std::size_t>(r)) + g * static_cast<std::size_t>(c.blocks));
    }
  }
}

}  // namespace rf
