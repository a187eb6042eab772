//! epoll, signalfd and timerfd.
