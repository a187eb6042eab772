//! epoll, signalfd and timerfd for a single-threaded loop.
