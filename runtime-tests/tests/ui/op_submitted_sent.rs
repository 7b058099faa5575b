//! An operation in flight stays on the thread whose ring it is in.

use std::future::{Future, ready};

use saferring::op::nop;

fn to_another_thread(future: impl Future<Output = ()> + Send + 'static) {
    std::thread::spawn(move || drop(future));
}

fn main() {
    to_another_thread(async {
        let operation = nop().submit();
        ready(()).await;
        drop(operation);
    });
}
