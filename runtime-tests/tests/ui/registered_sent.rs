//! What is registered with a ring stays on the ring's thread.

use saferring::fs::{FixedBuf, FixedBufPool};
use saferring::op::{RegisteredFd, Registry};

fn to_another_thread<T: Send + 'static>(_: T) {}

fn program(registry: Registry, fd: RegisteredFd, pool: FixedBufPool, buf: FixedBuf) {
    to_another_thread(registry);
    to_another_thread(fd);
    to_another_thread(pool);
    to_another_thread(buf);
}

fn main() {}
