//! What an operator should know, said once.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Says it, unless something was said of the same before in this process.
#[cold]
pub(crate) fn once(what: &'static str, message: impl FnOnce() -> String) {
    static SAID: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    if SAID
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(what)
    {
        eprintln!("saferring: {}", message());
    }
}
