//! Latency options: what a runtime does before and while it waits.
//!
//! All are off by default, or at a value that suits servers; each says what it costs and gains, as measured with a TCP
//! echo of 64 bytes over loopback, on two cores and kernel 6.18 (BENCHMARKS.md).

use std::time::Duration;

use super::builder::Builder;

impl Builder {
    /// How many tasks are polled, while some are ready, before the runtime looks at completions and timers; by default
    /// 256, and zero is one. Larger numbers cost latency, smaller ones throughput: with 16, a yield costs three times
    /// what it costs with 256, and an echo at 50 connections 1.38 of its CPU time; 4096 gains nothing.
    pub fn event_interval(mut self, polls: u32) -> Self {
        self.event_interval = polls.max(1);
        self
    }

    /// Watches the ring for up to so long before it sleeps in the kernel. Off (zero) by default.
    ///
    /// The spin adapts: it begins after three sleeps in a row that were shorter than it, and ends with the first one
    /// that finds nothing. So a busy ping-pong is answered without a sleep and a wake-up of the core, which is most of
    /// its time, and an idle runtime sleeps. While it spins it uses the whole core.
    ///
    /// With 50 µs, one connection is answered in 20 to 35 µs instead of 59 (median), 1.9 to 2.6 times as often, at 0.95
    /// to 1.24 of the CPU time a request; at 50 connections and more nothing changes beyond 3 %.
    pub fn spin(mut self, limit: Duration) -> Self {
        self.spin = limit;
        self
    }

    /// Waits, when it has to wait, up to `window` for `completions` of them, and only then for a single one: fewer
    /// wake-ups, for that much more latency. Off by default, and rarely worth it: with 50 µs and 8, one connection
    /// takes half of the enters, and 1.5 times the CPU time, which goes into the timer.
    ///
    /// # Kernel
    ///
    /// 6.12; ignored before.
    pub fn min_wait(mut self, window: Duration, completions: u32) -> Self {
        self.ring.min_wait = Some((window, completions.max(1)));
        self
    }

    /// Polls the network card for up to so long instead of waiting for its interrupt, where the driver can do that;
    /// with `prefer`, rather than being interrupted at all. Off by default. The loopback device has no such queue, so
    /// that it has no effect there; it was measured on nothing else.
    ///
    /// # Kernel
    ///
    /// 6.9; ignored before.
    pub fn napi(mut self, busy_poll: Duration, prefer: bool) -> Self {
        self.ring.napi = Some((busy_poll, prefer));
        self
    }

    /// Lets a thread of the kernel take entries out of the queue, so that submitting needs no system call; it sleeps
    /// after `idle` without any. Off by default: it pays only where a core is to spare for that thread, and it goes
    /// without [`Setup::Deferred`](super::Setup). With 1 ms, one connection is answered in 40 µs instead of 59
    /// (median), at twice the CPU time.
    pub fn sqpoll(mut self, idle: Duration) -> Self {
        self.ring.sqpoll = Some(idle);
        self
    }
}
