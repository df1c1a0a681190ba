// Threads for independent jobs: no pool outlives a call (so forking is safe), results go to slots without locks, the
// first exception is rethrown, and long calls can be interrupted.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "schurscope/platform.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {

/// Thrown by a long call that is interrupted.
struct Interrupted : std::exception {
  const char* what() const noexcept override { return "interrupted"; }
};

/// An interruption request, seen by all threads of a call. `poll` is called at most every 50 ms, and only on the thread
/// that created the object, where signal handlers run.
class Interrupt {
 public:
  using Clock = std::chrono::steady_clock;

  Interrupt() = default;
  explicit Interrupt(std::function<bool()> poll) : poll_(std::move(poll)) {}

  bool requested() {
    if (poll_ && std::this_thread::get_id() == owner_ && Clock::now() >= next_) {
      next_ = Clock::now() + std::chrono::milliseconds(50);
      if (poll_()) requested_ = true;
    }
    return requested_.load(std::memory_order_relaxed);
  }
  void check() {
    if (requested()) throw Interrupted{};
  }

 private:
  std::function<bool()> poll_;
  std::thread::id owner_ = std::this_thread::get_id();
  Clock::time_point next_ = Clock::now() + std::chrono::milliseconds(50);
  std::atomic<bool> requested_{false};
};

/// Number of this process's threads inside parallel_for, so that an already parallel caller can request fewer.
inline std::atomic<int> active_threads{0};

/// Run job(0) … job(n_jobs - 1), in any order, on up to `n_threads` threads, the calling one included.
///
/// `make_worker()` is called once on each thread and returns the callable that runs its jobs and holds its scratch. A
/// job writes only to its own slots, so results do not depend on the number of threads.
template <class MakeWorker>
void parallel_for(std::ptrdiff_t n_jobs, int n_threads, Interrupt& interrupt, const MakeWorker& make_worker) {
  std::atomic<std::ptrdiff_t> next{0};
  std::atomic<bool> failed{false};
  std::exception_ptr first_exception;
  std::mutex mutex;
  std::condition_variable finished;
  std::ptrdiff_t helpers_running = 0;

  const auto run_jobs = [&] {
    ++active_threads;
    try {
      auto work = make_worker();
      while (!failed && !interrupt.requested()) {
        const std::ptrdiff_t job = next++;
        if (job >= n_jobs) break;
        work(job);
      }
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex);
      if (!first_exception) first_exception = std::current_exception();
      failed = true;
    }
    --active_threads;
  };
  const auto help = [&] {
    run_jobs();
    const std::lock_guard<std::mutex> lock(mutex);
    --helpers_running;
    finished.notify_all();
  };

  std::vector<std::thread> helpers;
  for (std::ptrdiff_t k = 1; k < n_threads && k < n_jobs; ++k) {
    const std::lock_guard<std::mutex> lock(mutex);
    try {
      helpers.emplace_back(help);
    } catch (const std::system_error&) {
      break;  // no more threads available: continue with those started
    }
    ++helpers_running;
  }
  run_jobs();
  {
    std::unique_lock<std::mutex> lock(mutex);
    while (helpers_running > 0) {
      finished.wait_for(lock, std::chrono::milliseconds(50));
      lock.unlock();
      interrupt.requested();
      lock.lock();
    }
  }
  for (std::thread& helper : helpers) helper.join();
  if (first_exception) std::rethrow_exception(first_exception);
  interrupt.check();
}

}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
