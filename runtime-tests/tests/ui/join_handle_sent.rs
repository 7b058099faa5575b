//! A task's handle stays on the task's thread.

use std::future::{Future, ready};

fn to_another_thread(future: impl Future<Output = ()> + Send + 'static) {
    std::thread::spawn(move || drop(future));
}

fn main() {
    to_another_thread(async {
        let handle = saferring::spawn(ready(()));
        ready(()).await;
        drop(handle);
    });
}
