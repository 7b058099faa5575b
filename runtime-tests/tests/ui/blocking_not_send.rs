//! What goes to the blocking pool leaves the thread.

use std::rc::Rc;

async fn program() {
    let local = Rc::new(5);
    drop(saferring::spawn_blocking(move || *local).await);
}

fn main() {}
