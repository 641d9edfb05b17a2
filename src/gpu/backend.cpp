// The GPU back end: one device, one stream; a run is a list of launches, captured as a graph for each bucket
// of rows. A batch is uploaded in one piece, and what it wants comes back in one.
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "gpu/capture.h"
#include "gpu/device.h"
#include "gpu/gpu.h"
#include "gpu/kernel_names.h"
#include "gpu/layout.h"
#include "gpu/lower.h"
#include "gpu/objects.h"

namespace rf {
namespace gpu {
namespace {

constexpr std::size_t reserve = std::size_t{128} << 20;  // what graphs, code and the driver itself may need
constexpr int graph_rows = 64;                           // longer batches are not worth a graph each

struct GpuRun : Run {
  struct Launches {
    Bucket bucket;
    std::vector<Launch> launches;
    std::vector<int> steps;  // of each launch
    Handle graph = nullptr;
    int uses = 0;
  };
  GpuRun(int first_step, int last_step) : first(first_step), last(last_step) {}
  int first, last;
  std::vector<std::unique_ptr<Launches>> buckets;
};

class Gpu : public Backend {
 public:
  explicit Gpu(std::unique_ptr<Device> device) : device_(std::move(device)) {}
  ~Gpu() override;

  std::string name() const override { return "gpu/" + device_->info().arch; }
  bool can(const Program& program, const Step& step, std::string* why) const override;
  MemoryNeed need(const Program& program, std::span<const int> steps,
                  const RunLimits& limits) const override {
    return Layout(program, steps, limits).need();
  }
  std::optional<std::size_t> free_memory() const override {
    const std::size_t free = device_->free_memory();
    return free > reserve ? free - reserve : std::size_t{0};
  }
  double measure_bandwidth() override;
  void load(const Program& program, std::span<const int> steps, const RunLimits& limits,
            void (*progress)(void*, std::size_t, std::size_t), void* context) override;
  std::unique_ptr<Run> prepare(int first, int last) override;
  void run(Run& run, const Batch& batch, std::span<Stat> stats) override;
  void read(SlotId slot, int rows, float* out) override;
  void write(SlotId slot, int rows, const float* in) override;
  const float* host(SlotId slot) const override;
  std::span<const Candidate> best(int wanted) const override;
  std::size_t page_bytes() const override { return layout_.page_bytes(); }
  void read_page(int page, std::byte* out) override;
  void write_page(int page, const std::byte* in) override;
  std::size_t state_bytes() const override { return layout_.state_bytes(); }
  void copy_state(int from, int to) override;
  void read_state(int slot, std::byte* out) override;
  void write_state(int slot, const std::byte* in) override;

 private:
  void release();
  void take_weights(void (*progress)(void*, std::size_t, std::size_t), void* context);
  GpuRun::Launches& launches_for(GpuRun& run, const Bucket& bucket);
  std::unique_ptr<GpuRun::Launches> lower(const GpuRun& run, const Bucket& bucket) const;
  void upload(const Batch& batch);
  void start(GpuRun::Launches& launches);
  void enqueue(const GpuRun::Launches& launches);
  void measure(const GpuRun& run, const GpuRun::Launches& launches, const Batch& batch,
               std::span<Stat> stats);
  std::size_t row_bytes(SlotId slot, int rows) const {
    return static_cast<std::size_t>(layout_.width(slot)) * static_cast<std::size_t>(rows) * sizeof(float);
  }

  std::unique_ptr<Device> device_;
  Layout layout_;
  Buffer weights_, cache_, activations_;
  Pinned batch_, result_;
  std::vector<Handle> graphs_;
  enum class Fetched : std::uint8_t { nothing, logits, best };
  Fetched fetched_ = Fetched::nothing;  // what lies in result_; the stream has been waited for
  std::optional<Capture> capture_;
};

Gpu::~Gpu() {
  release();
}

void Gpu::release() {
  for (const Handle graph : std::exchange(graphs_, {})) device_->destroy_graph(graph);
  for (Buffer* buffer : {&weights_, &cache_, &activations_}) *buffer = Buffer();
  for (Pinned* pinned : {&batch_, &result_}) *pinned = Pinned();
}

bool Gpu::can(const Program& program, const Step& step, std::string* why) const {
  const auto no = [why](std::string reason) {
    if (why != nullptr) *why = std::move(reason);
    return false;
  };
  for (int i = 0; i < linear_count(step.op); ++i) {
    if (step.linear[i].weight == none || step.op == Op::row) continue;
    const Weight& weight = program.weights[static_cast<std::size_t>(step.linear[i].weight)];
    if (!can_tile(weight.tensor.type))
      return no(fmt::format("{}: no kernel for {}", weight.name, type_info(weight.tensor.type).name));
    if (!one_of_many(step.op) && weight.tensor.shape[2] > 1 && weight.tensor.shape[1] % tile_rows != 0)
      return no(fmt::format("{}: matrices of {} rows", weight.name, weight.tensor.shape[1]));
  }
  if (step.op == Op::scan && step.scan.key_dim > most_scan_keys)
    return no(fmt::format("a recurrence with keys of {}, at most {} fit", step.scan.key_dim, most_scan_keys));
  if (step.op == Op::scan && (step.scan.kind == Scan::Kind::kda || step.scan.kind == Scan::Kind::gla))
    return no("no kernel for this recurrence");
  if (step.activation == Activation::softplus || (step.op == Op::row && step.row.kind == Row::Kind::gate))
    return no("no kernel for gates of heads");
  if ((step.op == Op::gate_up || step.op == Op::experts_up) && step.clamp > 0)
    return no("no kernel for clamped gates");
  if (step.op == Op::row && step.row.streams > most_streams)
    return no(fmt::format("{} streams, at most {} fit", step.row.streams, most_streams));
  if (step.routing.experts > most_experts) return no(fmt::format("{} experts", step.routing.experts));
  if (step.op == Op::index || (step.op == Op::attend && step.side != none))
    return no("no kernel for chosen positions");
  const Attention& a = step.attention;
  if (step.op == Op::attend && std::max(a.key_dim, a.value_dim) > 576)
    return no(fmt::format("heads of {}, at most 576 fit", std::max(a.key_dim, a.value_dim)));
  if (step.op == Op::attend && a.norm_after_rope && a.norm_over == Attention::NormOver::row &&
      (a.q_norm.kind != Norm::Kind::off || a.k_norm.kind != Norm::Kind::off))
    return no("norms over whole rows after the rotation");
  // The same launches that would run it, of a small batch and of a large one.
  const int steps[] = {static_cast<int>(&step - program.steps.data())};
  RunLimits limits;
  const Layout layout(program, steps, limits);
  for (const int rows : {1, 64}) {
    Lowering lowering(layout, device_->info(),
                      {.rows = rows, .wanted = rows, .single = true, .several = true});
    lowering.step(step);
    for (const Launch& launch : lowering.launches())
      if (launch.threads == 0) return no(fmt::format("no kernel {}", launch.kernel));
  }
  return true;
}

// Copies within the device, which read every byte and write it.
double Gpu::measure_bandwidth() {
  const std::size_t bytes = std::min<std::size_t>(std::size_t{512} << 20, device_->free_memory() / 4);
  const Buffer from(*device_, bytes), to(*device_, bytes);
  double best = 0;
  for (int round = 0; round < 6; ++round) {
    const Handle first = device_->mark();
    device_->copy_within(to.at(), from.at(), bytes);
    const Handle last = device_->mark();
    device_->wait();
    const auto ns = static_cast<double>(std::max<std::int64_t>(device_->between(first, last), 1));
    best = std::max(best, 2 * static_cast<double>(bytes) / ns * 1e9);
    device_->destroy_mark(first);
    device_->destroy_mark(last);
  }
  return best;
}

void Gpu::load(const Program& program, std::span<const int> steps, const RunLimits& limits,
               void (*progress)(void*, std::size_t, std::size_t), void* context) {
  release();
  layout_ = Layout(program, steps, limits);
  const MemoryNeed need = layout_.need();
  if (need.total() > device_->free_memory())
    throw DeviceError(fmt::format("{}: {} MB wanted (weights {}, cache {}, activations {}), {} MB free",
                                  device_->info().name, need.total() >> 20, need.weights >> 20,
                                  need.cache >> 20, need.activations >> 20, device_->free_memory() >> 20),
                      true);
  weights_ = Buffer(*device_, need.weights);
  cache_ = Buffer(*device_, need.cache);
  activations_ = Buffer(*device_, need.activations);
  layout_.weights = weights_.at();
  layout_.cache = cache_.at();
  layout_.activations = activations_.at();
  batch_ = Pinned(*device_, layout_.batch_bytes());
  const bool gives_result = std::ranges::any_of(
      steps, [&](int s) { return program.steps[static_cast<std::size_t>(s)].out == program.logits; });
  if (program.logits != none && gives_result)
    result_ = Pinned(*device_, std::max(layout_.slot_bytes(program.logits), layout_.best_bytes()));
  take_weights(progress, context);
  const std::vector<std::byte> zeros(layout_.arrived_bytes());
  device_->copy_in(reinterpret_cast<Address>(layout_.arrived()), zeros.data(), zeros.size());
  capture_ = Capture::from_environment(device_->info());
}

// Tiles are made a batch at a time in host memory and go through pinned staging.
void Gpu::take_weights(void (*progress)(void*, std::size_t, std::size_t), void* context) {
  std::vector<std::uint8_t> made;
  std::size_t done = 0;
  for (const Layout::Tiles& tiles : layout_.tiles()) {
    const TiledWeight& t = tiles.tiled;
    const Tensor& tensor = layout_.program().tensor(tiles.id);
    const int at_once = static_cast<int>(
        std::max<std::size_t>(1, (std::size_t{4} << 20) / std::max<std::size_t>(t.tile_bytes, 1)));
    for (int first = 0; first < t.tiles(); first += at_once) {
      const int last = std::min(first + at_once, t.tiles());
      made.resize(static_cast<std::size_t>(last - first) * t.tile_bytes);
      for (int i = first; i < last; ++i)
        write_tile(tensor, t, i, made.data() + static_cast<std::size_t>(i - first) * t.tile_bytes);
      device_->copy_in(layout_.weights + tiles.at + static_cast<std::size_t>(first) * t.tile_bytes,
                       made.data(), made.size());
      const std::int64_t first_row = t.first_row(first), end = t.first_row(last - 1) + t.rows_in(last - 1);
      tensor.release(first_row, end);
      done += made.size();
      if (progress != nullptr) progress(context, done, weights_.bytes());
    }
  }
  for (const Layout::Vector& vector : layout_.vectors())
    device_->copy_in(layout_.weights + vector.at, vector.values.data(), vector.values.size() * sizeof(float));
  device_->wait();
}

std::unique_ptr<GpuRun::Launches> Gpu::lower(const GpuRun& run, const Bucket& bucket) const {
  auto made = std::make_unique<GpuRun::Launches>();
  made->bucket = bucket;
  Lowering lowering(layout_, device_->info(), bucket);
  const auto from_here = [&](int step) { made->steps.resize(lowering.launches().size(), step); };
  const auto steps =
      std::span(layout_.program().steps)
          .subspan(static_cast<std::size_t>(run.first), static_cast<std::size_t>(run.last - run.first));
  for (const Rope& rope : layout_.ropes()) {
    const auto first = std::ranges::find_if(
        steps, [&](const Step& step) { return step.op == Op::attend && step.attention.rope == rope; });
    if (first == steps.end()) continue;
    lowering.rope(rope);
    from_here(run.first + static_cast<int>(first - steps.begin()));
  }
  for (std::size_t i = 0; i < steps.size(); ++i) {
    lowering.step(steps[i]);
    from_here(run.first + static_cast<int>(i));
  }
  if (bucket.best && layout_.best_parts() > 0 &&
      run.last == static_cast<int>(layout_.program().steps.size())) {
    lowering.best();
    from_here(run.last - 1);
  }
  made->launches = std::move(lowering.launches());
  return made;
}

// Kernels of small batches and of large ones are found at once: a driver may have to compile them.
std::unique_ptr<Run> Gpu::prepare(int first, int last) {
  auto run = std::make_unique<GpuRun>(first, last);
  std::vector<Launch> all;
  for (const int rows : {1, 2, layout_.limits().batch.rows}) {
    auto some = lower(*run, {.rows = rows,
                             .wanted = std::min(rows, layout_.limits().batch.wanted),
                             .single = true,
                             .several = true,
                             .best = true});
    std::ranges::move(some->launches, std::back_inserter(all));
  }
  device_->find_functions(all);
  return run;
}

GpuRun::Launches& Gpu::launches_for(GpuRun& run, const Bucket& bucket) {
  for (const auto& each : run.buckets)
    if (each->bucket == bucket) return *each;
  auto made = lower(run, bucket);
  device_->find_functions(made->launches);
  return *run.buckets.emplace_back(std::move(made));
}

void Gpu::upload(const Batch& batch) {
  if (fetched_ == Fetched::nothing) device_->wait();  // the block of the batch before may still be on its way
  layout_.write_batch(batch, reinterpret_cast<std::int32_t*>(batch_.data()));
  device_->copy_in_later(layout_.batch_at(), batch_, layout_.batch_bytes());
  fetched_ = Fetched::nothing;
}

void Gpu::enqueue(const GpuRun::Launches& launches) {
  for (const Launch& launch : launches.launches) device_->launch(launch);
}

// The second time a bucket is used it becomes a graph.
void Gpu::start(GpuRun::Launches& launches) {
  static const bool graphs = [] {
    const char* off = std::getenv("ROCMFORGE_GPU_GRAPHS");
    return off == nullptr || std::strcmp(off, "0") != 0;
  }();
  if (launches.graph != nullptr) return device_->launch_graph(launches.graph);
  if (!graphs || launches.bucket.rows > graph_rows || launches.uses++ == 0) return enqueue(launches);
  device_->begin_capture();
  try {
    enqueue(launches);
  } catch (...) {
    device_->abandon_capture();
    throw;
  }
  launches.graph = device_->end_capture();
  graphs_.push_back(launches.graph);
  device_->launch_graph(launches.graph);
}

void Gpu::run(Run& any, const Batch& batch, std::span<Stat> stats) {
  auto& run = dynamic_cast<GpuRun&>(any);
  device_->use();
  upload(batch);
  GpuRun::Launches& launches = launches_for(run, bucket_of(batch));
  if (capture_)
    capture_->run(*device_, layout_, launches.launches);
  else if (!stats.empty())
    measure(run, launches, batch, stats);
  else
    start(launches);
  const Program& program = layout_.program();
  const bool last = run.last == static_cast<int>(program.steps.size());
  if (!last || result_.bytes() == 0 || batch.wanted() == 0) return;
  const bool best = launches.bucket.best && layout_.best_parts() > 0;
  // Whole pages, so that it goes right with any driver.
  const std::size_t bytes = best ? layout_.best_bytes() : row_bytes(program.logits, batch.wanted());
  const auto from = best ? reinterpret_cast<Address>(layout_.best())
                         : reinterpret_cast<Address>(layout_.slot(program.logits));
  device_->copy_out_later(result_, from, (bytes + Device::unit - 1) / Device::unit * Device::unit);
  device_->wait();
  fetched_ = best ? Fetched::best : Fetched::logits;
}

void Gpu::measure(const GpuRun& run, const GpuRun::Launches& launches, const Batch& batch,
                  std::span<Stat> stats) {
  std::vector<Handle> marks;
  std::vector<int> steps;
  for (std::size_t i = 0; i < launches.launches.size(); ++i) {
    if (i == 0 || launches.steps[i] != launches.steps[i - 1]) {
      marks.push_back(device_->mark());
      steps.push_back(launches.steps[i]);
    }
    device_->launch(launches.launches[i]);
  }
  marks.push_back(device_->mark());
  device_->wait();
  for (std::size_t i = 0; i < steps.size(); ++i)
    stats[static_cast<std::size_t>(steps[i])].ns += device_->between(marks[i], marks[i + 1]);
  for (const Handle mark : marks) device_->destroy_mark(mark);
  for (int s = run.first; s < run.last; ++s) {
    const Cost cost =
        cost_of(layout_.program(), layout_.program().steps[static_cast<std::size_t>(s)], batch.rows(),
                batch.wanted(), batch.context(), kv_element_bytes(layout_.limits().kv), batch.sequences());
    Stat& stat = stats[static_cast<std::size_t>(s)];
    ++stat.calls;
    stat.bytes += cost.bytes;
    stat.flops += cost.flops;
  }
}

void Gpu::read(SlotId slot, int rows, float* out) {
  device_->use();
  device_->copy_out(out, reinterpret_cast<Address>(layout_.slot(slot)), row_bytes(slot, rows));
}

void Gpu::write(SlotId slot, int rows, const float* in) {
  device_->use();
  device_->copy_in(reinterpret_cast<Address>(layout_.slot(slot)), in, row_bytes(slot, rows));
}

std::span<const Candidate> Gpu::best(int wanted) const {
  if (fetched_ != Fetched::best) return {};
  static_assert(sizeof(Candidate) == sizeof(Best) && best_candidates == best_count);
  return {reinterpret_cast<const Candidate*>(result_.data()),
          static_cast<std::size_t>(wanted) * best_candidates};
}

const float* Gpu::host(SlotId slot) const {
  const bool here = fetched_ == Fetched::logits && slot == layout_.program().logits;
  return here ? reinterpret_cast<const float*>(result_.data()) : nullptr;
}

void Gpu::read_page(int page, std::byte* out) {
  device_->use();
  for (std::size_t c = 0; c < layout_.caches().size(); ++c) {
    const std::size_t bytes = layout_.caches()[c].page_bytes;
    if (bytes == 0) continue;
    device_->copy_out(out, layout_.cache_at(static_cast<CacheId>(c)) + static_cast<std::size_t>(page) * bytes,
                      bytes);
    out += bytes;
  }
}

void Gpu::write_page(int page, const std::byte* in) {
  device_->use();
  for (std::size_t c = 0; c < layout_.caches().size(); ++c) {
    const std::size_t bytes = layout_.caches()[c].page_bytes;
    if (bytes == 0) continue;
    device_->copy_in(layout_.cache_at(static_cast<CacheId>(c)) + static_cast<std::size_t>(page) * bytes, in,
                     bytes);
    in += bytes;
  }
}

void Gpu::copy_state(int from, int to) {
  if (state_bytes() == 0) return;
  device_->use();
  device_->copy_within(layout_.state_slot(to), layout_.state_slot(from), state_bytes());
}

void Gpu::read_state(int slot, std::byte* out) {
  if (state_bytes() == 0) return;
  device_->use();
  device_->copy_out(out, layout_.state_slot(slot), state_bytes());
}

void Gpu::write_state(int slot, const std::byte* in) {
  if (state_bytes() == 0) return;
  device_->use();
  device_->copy_in(layout_.state_slot(slot), in, state_bytes());
}

std::vector<int> peers_of(std::span<const FoundDevice> devices, int index) {
  std::vector<int> peers;
  const FoundDevice& one = devices[static_cast<std::size_t>(index)];
  for (int i = 0; i < static_cast<int>(devices.size()); ++i) {
    const FoundDevice& other = devices[static_cast<std::size_t>(i)];
    if (i != index && other.driver == one.driver && one.driver->reaches(one.index, other.index))
      peers.push_back(i);
  }
  return peers;
}

}  // namespace
}  // namespace gpu

std::vector<GpuDescription> find_gpus(const std::string& library, std::string* why) {
  std::vector<GpuDescription> all;
  const std::vector<gpu::FoundDevice> devices = gpu::find_devices(library, why);
  for (int i = 0; i < static_cast<int>(devices.size()); ++i) {
    const gpu::FoundDevice& found = devices[static_cast<std::size_t>(i)];
    try {
      const gpu::Device device(found.driver, found.index);
      const gpu::DeviceInfo& info = device.info();
      all.push_back({.index = i,
                     .name = info.name,
                     .arch = info.arch,
                     .target = gpu::target_for(info.arch),
                     .library = info.library,
                     .pci_id = info.pci_id,
                     .driver_version = info.version,
                     .processors = info.processors,
                     .wave = info.wave,
                     .integrated = info.integrated,
                     .bounces = device.bounces(),
                     .memory = info.memory,
                     .free = info.free,
                     .carve_out = info.kernel.carve_out,
                     .gtt = info.kernel.gtt,
                     .gtt_free = info.kernel.gtt_free,
                     .peers = gpu::peers_of(devices, i)});
    } catch (const DeviceError& error) {
      spdlog::warn("gpu:{} is left out: {}", i, error.what());
      if (why != nullptr) *why += (why->empty() ? "" : "; ") + std::string(error.what());
    }
  }
  return all;
}

std::unique_ptr<Backend> make_gpu(const GpuOptions& options) {
  std::string why;
  const std::vector<gpu::FoundDevice> found = gpu::find_devices(options.library, &why);
  if (found.empty()) fail("no GPU driver found{}{}", why.empty() ? "" : ": ", why);
  if (options.index < 0 || options.index >= static_cast<int>(found.size()))
    fail("gpu:{}: there are {} GPUs", options.index, found.size());
  const gpu::FoundDevice& one = found[static_cast<std::size_t>(options.index)];
  auto device = std::make_unique<gpu::Device>(one.driver, one.index);
  if (gpu::target_for(device->info().arch).empty())
    fail("{} ({}): this build has no code object for it; found {}", device->info().name, device->info().arch,
         gpu::targets().empty() ? "none at all" : fmt::format("{}", fmt::join(gpu::targets(), ", ")));
  return std::make_unique<gpu::Gpu>(std::move(device));
}

std::vector<std::string> gpu_targets() {
  return gpu::targets();
}

}  // namespace rf
