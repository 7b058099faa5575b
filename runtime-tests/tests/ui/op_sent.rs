//! An operation stays on the thread whose ring it goes into.

use std::future::{Future, ready};

use saferring::op::nop;

fn to_another_thread(future: impl Future<Output = ()> + Send + 'static) {
    std::thread::spawn(move || drop(future));
}

fn main() {
    to_another_thread(async {
        let operation = nop();
        ready(()).await;
        drop(operation);
    });
}
