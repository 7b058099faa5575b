//! A runtime stays on its thread.

use saferring::runtime::Runtime;

fn on_another_thread(main: impl FnOnce() + Send + 'static) {
    std::thread::spawn(main);
}

fn program(runtime: Runtime) {
    on_another_thread(move || runtime.block_on(async {}));
}

fn main() {}
