// oneTBB's flow graph on a graph from a file: the peer of `perf graph` that is not written in Rust.
//
//   flow_graph FILE WORKERS ROUNDS
//
// The file holds little-endian u32: the number of nodes, the number of edges, the rounds of work in
// a body, then the edges as pairs. Prints one line a round:
//
//   BUILD_CPU_NS RUN_WALL_NS RUN_CPU_NS SUM

#include <oneapi/tbb/flow_graph.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

namespace flow = oneapi::tbb::flow;
using Node = flow::continue_node<flow::continue_msg>;

static std::atomic<std::uint64_t> sum{0};

static long long cpu_ns() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto ns = [](timeval t) { return t.tv_sec * 1'000'000'000LL + t.tv_usec * 1'000LL; };
  return ns(usage.ru_utime) + ns(usage.ru_stime);
}

static std::uint64_t mix(std::uint64_t x, std::uint32_t rounds) {
  for (std::uint32_t i = 0; i < rounds; ++i) x = (x ^ (x >> 29)) * 0x9E3779B97F4A7C15ULL;
  return x;
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  std::FILE* file = std::fopen(argv[1], "rb");
  std::uint32_t head[3];
  if (!file || std::fread(head, 4, 3, file) != 3) return 2;
  const std::uint32_t nodes = head[0], edges = head[1], rounds_of_work = head[2];
  std::vector<std::uint32_t> pairs(2 * static_cast<std::size_t>(edges));
  if (std::fread(pairs.data(), 4, pairs.size(), file) != pairs.size()) return 2;
  std::fclose(file);
  const int workers = std::atoi(argv[2]), rounds = std::atoi(argv[3]);
  oneapi::tbb::global_control limit(oneapi::tbb::global_control::max_allowed_parallelism, workers);
  oneapi::tbb::task_arena arena(workers);
  std::vector<bool> is_root(nodes, true);
  for (std::uint32_t e = 0; e < edges; ++e) is_root[pairs[2 * e + 1]] = false;
  arena.execute([&] {
    for (int round = 0; round < rounds; ++round) {
      const long long before = cpu_ns();
      flow::graph graph;
      std::vector<std::unique_ptr<Node>> all;
      all.reserve(nodes);
      for (std::uint32_t n = 0; n < nodes; ++n) {
        all.push_back(std::make_unique<Node>(graph, [n, rounds_of_work](const flow::continue_msg& m) {
          if (rounds_of_work) {
            const std::uint64_t x = mix(n, rounds_of_work);
            // Whatever it is: it must be computed.
            asm volatile("" : : "r"(x) : "memory");
          }
          sum.fetch_add(n + 1, std::memory_order_relaxed);
          return m;
        }));
      }
      for (std::uint32_t e = 0; e < edges; ++e)
        flow::make_edge(*all[pairs[2 * e]], *all[pairs[2 * e + 1]]);
      const long long built = cpu_ns();
      long long wall = 0, cpu = 0;
      // The first run warms up, the second one counts.
      for (int run = 0; run < 2; ++run) {
        sum = 0;
        const long long cpu_start = cpu_ns();
        const auto start = std::chrono::steady_clock::now();
        for (std::uint32_t n = 0; n < nodes; ++n)
          if (is_root[n]) all[n]->try_put(flow::continue_msg());
        graph.wait_for_all();
        const auto end = std::chrono::steady_clock::now();
        cpu = cpu_ns() - cpu_start;
        wall = std::chrono::duration_cast<std::chrono::nanoseconds>(end - start).count();
      }
      std::printf("%lld %lld %lld %llu\n", built - before, wall, cpu,
                  static_cast<unsigned long long>(sum.load()));
    }
  });
  return 0;
}
