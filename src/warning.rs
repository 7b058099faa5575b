//! What an operator should know: by an event of `tracing` where there is a subscriber to it, else on stderr.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::foreign;

/// Says it, unless something was said of the same before in this process. Nothing may be borrowed or half done: a subscriber is
/// foreign code.
#[cold]
pub(crate) fn once(what: &'static str, message: impl FnOnce() -> String) {
    static SAID: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    let first = said.insert(what);
    drop(said);
    if first {
        tell(&message());
    }
}

/// Says it, each time. As for [`once`], nothing may be borrowed or locked.
#[cold]
pub(crate) fn always(message: &str) {
    tell(message);
}

fn tell(text: &str) {
    foreign::guarded(|| {
        if !is_told(text) {
            // By one call, so that it stays one line, and without std's lock, which a child of fork(2) might find held. Who
            // has closed stderr does not want to know.
            let line = format!("saferring: {text}\n");
            let _ = rustix::io::write(rustix::stdio::stderr(), line.as_bytes());
        }
    });
}

#[cfg(feature = "tracing")]
fn is_told(text: &str) -> bool {
    use tracing::dispatcher::get_default;
    use tracing::subscriber::NoSubscriber;

    let has_subscriber = !get_default(|subscriber| subscriber.is::<NoSubscriber>());
    if has_subscriber {
        tracing::warn!(target: "saferring", "{text}");
    }
    has_subscriber
}

#[cfg(not(feature = "tracing"))]
fn is_told(_text: &str) -> bool {
    false
}
