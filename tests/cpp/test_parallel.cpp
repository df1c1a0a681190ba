// parallel_for: every job once, the first exception kept, a request to stop obeyed.
#include <doctest/doctest.h>

#include <numeric>
#include <stdexcept>

#include "schurscope/parallel.hpp"

namespace {

using namespace schurscope;

TEST_CASE("every job runs exactly once, whatever the number of threads") {
  for (const int n_threads : {1, 2, 3, 8}) {
    std::vector<int> runs(100, 0);
    Interrupt interrupt;
    parallel_for(100, n_threads, interrupt, [&] { return [&](std::ptrdiff_t job) { ++runs[std::size_t(job)]; }; });
    CHECK(runs == std::vector<int>(100, 1));
    CHECK(active_threads == 0);
  }
}

TEST_CASE("no jobs: nothing runs") {
  Interrupt interrupt;
  parallel_for(0, 4, interrupt, [&] { return [&](std::ptrdiff_t) { FAIL("ran a job"); }; });
}

TEST_CASE("an exception in a job reaches the caller and the threads are gone") {
  for (const int n_threads : {1, 4}) {
    Interrupt interrupt;
    const auto call = [&] {
      parallel_for(50, n_threads, interrupt, [&] {
        return [&](std::ptrdiff_t job) {
          if (job == 20) throw std::runtime_error("job 20");
        };
      });
    };
    CHECK_THROWS_WITH_AS(call(), "job 20", std::runtime_error);
    CHECK(active_threads == 0);
  }
}

TEST_CASE("an exception while a thread's scratch is made reaches the caller") {
  Interrupt interrupt;
  const auto call = [&] {
    parallel_for(50, 3, interrupt, [&]() -> std::function<void(std::ptrdiff_t)> { throw std::bad_alloc(); });
  };
  CHECK_THROWS_AS(call(), std::bad_alloc);
}

TEST_CASE("a request to stop ends the call between jobs") {
  for (const int n_threads : {1, 3}) {
    std::atomic<int> polls{0}, runs{0};
    Interrupt interrupt([&] { return ++polls == 2; });
    const auto call = [&] {
      parallel_for(1'000'000, n_threads, interrupt, [&] {
        return [&](std::ptrdiff_t) {
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
          ++runs;
        };
      });
    };
    CHECK_THROWS_AS(call(), Interrupted);
    CHECK(polls == 2);
    CHECK(runs < 10'000);
  }
}

}  // namespace
