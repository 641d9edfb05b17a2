// The HIP entry points over host memory. Work on a stream is done when somebody waits for it or asks how far
// it is, so that what a host changes too early, or reads too early, shows.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "sim/faults.h"
#include "sim/fibres.h"
#include "sim/kernels.h"

namespace {

using namespace rf::gpu::sim;

// hipError_t
constexpr int success = 0, invalid_value = 1, out_of_memory = 2, no_device = 100, invalid_device = 101,
              invalid_image = 200, not_found = 500, not_ready = 600, launch_failure = 719;

std::recursive_mutex mutex;
std::map<std::uintptr_t, std::size_t> allocations;
std::size_t allocated = 0;

using Work = std::function<void()>;

struct Graph {
  std::vector<Work> work;
};

struct Stream {
  std::deque<Work> work;
  std::unique_ptr<Graph> capture;

  void add(Work one) {
    if (capture)
      capture->work.push_back(std::move(one));
    else
      work.push_back(std::move(one));
  }
  // false: a launch in it never ends.
  bool drain() {
    while (!work.empty() && !faults().hung && !faults().lost) {
      work.front()();
      if (faults().hung) return false;
      work.pop_front();
    }
    return !faults().hung;
  }
};

std::vector<Stream*> streams;

struct Event {
  Stream* stream = nullptr;
  bool done = true;
  std::int64_t at = 0;  // ns
};

std::int64_t now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

void count_launch() {
  Faults& f = faults();
  ++f.launches;
  if (f.launches == f.hang_launch) f.hung = true;
  if (f.lost_launch != 0 && f.launches >= f.lost_launch) f.lost = true;
}

int waited(Stream* stream) {
  const bool ended = stream->drain();
  if (faults().lost) return no_device;
  return ended ? success : not_ready;
}

// The driver's call would not return from a hang; the caller must never make it then.
int wait_for(Stream* stream) {
  const int result = waited(stream);
  if (result == not_ready) {
    std::fputs("simulated device: somebody waits for ever\n", stderr);
    std::abort();
  }
  return result;
}

#define RF_ENTRY(name, ...) extern "C" int name(__VA_ARGS__)
#define RF_ALIVE                                           \
  const std::lock_guard<std::recursive_mutex> lock(mutex); \
  if (faults().lost) return no_device

}  // namespace

RF_ENTRY(hipInit, unsigned) {
  return success;
}
RF_ENTRY(hipDriverGetVersion, int* version) {
  *version = 60000000;
  return success;
}
RF_ENTRY(hipGetDeviceCount, int* count) {
  const char* wanted = std::getenv("ROCMFORGE_SIM_DEVICES");
  *count = wanted != nullptr ? std::atoi(wanted) : 1;
  return *count > 0 ? success : no_device;
}
RF_ENTRY(hipSetDevice, int device) {
  RF_ALIVE;
  return device >= 0 ? success : invalid_device;
}
RF_ENTRY(hipDeviceGetName, char* name, int length, int) {
  std::snprintf(name, static_cast<std::size_t>(length), "simulated device, wave%d", RF_SIM_WAVE);
  return success;
}
RF_ENTRY(hipDeviceGetPCIBusId, char* name, int length, int device) {
  std::snprintf(name, static_cast<std::size_t>(length), "ffff:%02x:00.0", device);
  return success;
}
RF_ENTRY(hipDeviceCanAccessPeer, int* can, int device, int other) {
  *can = device != other;
  return success;
}
// Writes the arch's name somewhere into the properties, as every version of the real struct has it somewhere.
RF_ENTRY(hipGetDevicePropertiesR0600, void* properties, int) {
  std::snprintf(static_cast<char*>(properties) + 1160, 256, "gfxsim%d:sramecc-:xnack-", RF_SIM_WAVE);
  return success;
}
RF_ENTRY(hipDeviceGetAttribute, int* value, int attribute, int) {
  constexpr int integrated = 16, lds = 74, processors = 63, warp = 87;
  switch (attribute) {
    case integrated:
      *value = 0;
      return success;
    case processors:
      *value = 4;
      return success;
    case lds:
      *value = 64 << 10;
      return success;
    case warp:
      *value = RF_SIM_WAVE;
      return success;
    default:
      return invalid_value;
  }
}
RF_ENTRY(hipMemGetInfo, std::size_t* free, std::size_t* total) {
  RF_ALIVE;
  *total = faults().promised != 0 ? faults().promised : faults().memory;
  *free = *total > allocated ? *total - allocated : 0;
  return success;
}
extern "C" const char* hipGetErrorName(int error) {
  switch (error) {
    case success:
      return "hipSuccess";
    case invalid_value:
      return "hipErrorInvalidValue";
    case out_of_memory:
      return "hipErrorOutOfMemory";
    case no_device:
      return "hipErrorNoDevice";
    case invalid_device:
      return "hipErrorInvalidDevice";
    case invalid_image:
      return "hipErrorInvalidImage";
    case not_found:
      return "hipErrorNotFound";
    case not_ready:
      return "hipErrorNotReady";
    case launch_failure:
      return "hipErrorLaunchFailure";
    default:
      return "hipErrorUnknown";
  }
}

RF_ENTRY(hipMalloc, std::uintptr_t* pointer, std::size_t bytes) {
  RF_ALIVE;
  if (allocated + bytes > faults().memory) return out_of_memory;
  void* block = nullptr;
  if (::posix_memalign(&block, 256, bytes) != 0) return out_of_memory;
  // What was never written is no number.
  if (bytes <= std::size_t{64} << 20) std::memset(block, 0xff, bytes);
  *pointer = reinterpret_cast<std::uintptr_t>(block);
  allocations[*pointer] = bytes;
  allocated += bytes;
  return success;
}
RF_ENTRY(hipFree, std::uintptr_t pointer) {
  const std::lock_guard<std::recursive_mutex> lock(mutex);
  const auto at = allocations.find(pointer);
  if (at == allocations.end()) return pointer == 0 ? success : invalid_value;
  for (Stream* stream : streams) stream->drain();
  allocated -= at->second;
  allocations.erase(at);
  std::free(reinterpret_cast<void*>(pointer));
  return success;
}
RF_ENTRY(hipHostMalloc, void** pointer, std::size_t bytes, unsigned) {
  RF_ALIVE;
  return ::posix_memalign(pointer, 4096, bytes) == 0 ? success : out_of_memory;
}
RF_ENTRY(hipHostFree, void* pointer) {
  std::free(pointer);
  return success;
}

RF_ENTRY(hipMemcpyHtoDAsync, std::uintptr_t to, const void* from, std::size_t bytes, Stream* stream) {
  RF_ALIVE;
  stream->add([=] { std::memcpy(reinterpret_cast<void*>(to), from, bytes); });
  return success;
}
RF_ENTRY(hipMemcpyDtoHAsync, void* to, std::uintptr_t from, std::size_t bytes, Stream* stream) {
  RF_ALIVE;
  stream->add([=] {
    std::memcpy(to, reinterpret_cast<const void*>(from), bytes);
    const bool even = from % 4096 == 0 && bytes % 4096 == 0;
    auto* copied = static_cast<std::uint8_t*>(to);
    if (faults().odd_copies && !even && bytes > 0) copied[bytes - 1] ^= 0xff;
    if (faults().all_copies && bytes > 0) copied[0] ^= 0xff;
  });
  return success;
}
RF_ENTRY(hipMemcpyDtoDAsync, std::uintptr_t to, std::uintptr_t from, std::size_t bytes, Stream* stream) {
  RF_ALIVE;
  stream->add([=] { std::memmove(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes); });
  return success;
}
RF_ENTRY(hipMemsetD8Async, std::uintptr_t to, unsigned char value, std::size_t bytes, Stream* stream) {
  RF_ALIVE;
  stream->add([=] { std::memset(reinterpret_cast<void*>(to), value, bytes); });
  return success;
}

// The image is a line of text: kernels are in this library.
RF_ENTRY(hipModuleLoadData, void** module, const void* image) {
  RF_ALIVE;
  if (faults().images || std::strncmp(static_cast<const char*>(image), "rocmforge simulated device", 26) != 0)
    return invalid_image;
  static int loaded;
  *module = &loaded;
  return success;
}
RF_ENTRY(hipModuleUnload, void*) {
  return success;
}
RF_ENTRY(hipModuleGetFunction, const Kernel** function, void*, const char* name) {
  RF_ALIVE;
  *function = find_kernel(name);
  return *function != nullptr ? success : not_found;
}
RF_ENTRY(hipModuleLaunchKernel, const Kernel* kernel, unsigned x, unsigned y, unsigned z, unsigned threads,
         unsigned, unsigned, unsigned lds, Stream* stream, void** params, void**) {
  RF_ALIVE;
  if (x == 0 || y == 0 || z == 0 || y > 65535 || z > 65535 ||
      threads != static_cast<unsigned>(kernel->threads) || lds > 64u << 10)
    return invalid_value;
  if (faults().fail_launch != 0 && faults().launches + 1 >= faults().fail_launch) {
    faults().fail_launch = 0;
    return launch_failure;
  }
  const auto* from = static_cast<const std::uint8_t*>(params[0]);
  stream->add([=, bytes = std::vector<std::uint8_t>(from, from + kernel->params_bytes)] {
    count_launch();
    if (faults().hung || faults().lost) return;
    run({.name = kernel->name,
         .call = kernel->call,
         .params = bytes.data(),
         .grid = {static_cast<int>(x), static_cast<int>(y), static_cast<int>(z)},
         .threads = kernel->threads,
         .dynamic_bytes = lds});
  });
  return success;
}

RF_ENTRY(hipStreamCreateWithFlags, Stream** stream, unsigned) {
  RF_ALIVE;
  *stream = new Stream;
  streams.push_back(*stream);
  return success;
}
RF_ENTRY(hipStreamDestroy, Stream* stream) {
  const std::lock_guard<std::recursive_mutex> lock(mutex);
  std::erase(streams, stream);
  delete stream;
  return success;
}
RF_ENTRY(hipStreamSynchronize, Stream* stream) {
  RF_ALIVE;
  return wait_for(stream);
}
RF_ENTRY(hipStreamQuery, Stream* stream) {
  RF_ALIVE;
  return waited(stream);
}

RF_ENTRY(hipEventCreateWithFlags, Event** event, unsigned) {
  RF_ALIVE;
  *event = new Event;
  return success;
}
RF_ENTRY(hipEventDestroy, Event* event) {
  const std::lock_guard<std::recursive_mutex> lock(mutex);
  delete event;
  return success;
}
RF_ENTRY(hipEventRecord, Event* event, Stream* stream) {
  RF_ALIVE;
  if (stream->capture) return invalid_value;
  event->stream = stream;
  event->done = false;
  stream->add([event] { event->done = true, event->at = now(); });
  return success;
}
RF_ENTRY(hipEventQuery, Event* event) {
  RF_ALIVE;
  return event->done ? success : waited(event->stream);
}
RF_ENTRY(hipEventSynchronize, Event* event) {
  RF_ALIVE;
  return event->done ? success : wait_for(event->stream);
}
RF_ENTRY(hipEventElapsedTime, float* milliseconds, Event* first, Event* last) {
  RF_ALIVE;
  if (!first->done || !last->done) return not_ready;
  *milliseconds = static_cast<float>(last->at - first->at) * 1e-6f;
  return success;
}

RF_ENTRY(hipStreamBeginCapture, Stream* stream, int) {
  RF_ALIVE;
  stream->capture = std::make_unique<Graph>();
  return success;
}
RF_ENTRY(hipStreamEndCapture, Stream* stream, Graph** graph) {
  RF_ALIVE;
  if (!stream->capture) return invalid_value;
  *graph = stream->capture.release();
  return success;
}
RF_ENTRY(hipGraphInstantiateWithFlags, Graph** exec, Graph* graph, unsigned long long) {
  RF_ALIVE;
  *exec = new Graph(*graph);
  return success;
}
RF_ENTRY(hipGraphLaunch, const Graph* exec, Stream* stream) {
  RF_ALIVE;
  for (const Work& one : exec->work) stream->add(one);
  return success;
}
RF_ENTRY(hipGraphExecDestroy, Graph* exec) {
  const std::lock_guard<std::recursive_mutex> lock(mutex);
  delete exec;
  return success;
}
RF_ENTRY(hipGraphDestroy, Graph* graph) {
  const std::lock_guard<std::recursive_mutex> lock(mutex);
  delete graph;
  return success;
}

extern "C" std::size_t rf_sim_allocated() {
  return allocated;
}
