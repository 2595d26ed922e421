// The signals that a gateway acts on reach its main thread alone, and only while something there
// takes them. What comes at another time, as between one life and the next (handover.h), waits: the
// mask outlives exec. Blocked or not is each thread's own, and a new thread has its maker's.
#pragma once

#include <pthread.h>

#include <csignal>
#include <initializer_list>

namespace sluice {

inline sigset_t signals_of(std::initializer_list<int> list) {
    sigset_t set;
    sigemptyset(&set);
    for (int signal : list) sigaddset(&set, signal);
    return set;
}

inline sigset_t gateway_signals() { return signals_of({SIGHUP, SIGUSR2, SIGTERM, SIGINT}); }

// Before any thread starts.
inline void hold_signals() {
    sigset_t set = gateway_signals();
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

// While it lives, this thread takes those of `set`.
class SignalsTaken {
public:
    explicit SignalsTaken(sigset_t set) : set_(set) {
        ::pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);
    }
    ~SignalsTaken() { ::pthread_sigmask(SIG_BLOCK, &set_, nullptr); }
    SignalsTaken(const SignalsTaken&) = delete;
    SignalsTaken& operator=(const SignalsTaken&) = delete;

private:
    sigset_t set_;
};

}  // namespace sluice
