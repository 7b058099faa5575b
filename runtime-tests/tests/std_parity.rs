//! The same steps with std and with saferring: what drops and closes do and when, whose the cursor is, addresses, ends
//! and errors, and what happens where descriptors, threads or memory cannot be had.
//!
//! Not here, because a test cannot make it: `ENFILE`, `ENOBUFS` and `ENOMEM` of an accept. They concern the whole
//! machine, and what the ring does passes no filter for system calls.

#[path = "std_parity/accepts.rs"]
mod accepts;
#[path = "std_parity/addresses.rs"]
mod addresses;
#[path = "std_parity/cursor.rs"]
mod cursor;
#[path = "std_parity/drops.rs"]
mod drops;
#[path = "std_parity/errors.rs"]
mod errors;
#[path = "std_parity/exact.rs"]
mod exact;
#[path = "std_parity/failures.rs"]
mod failures;
#[path = "std_parity/forks.rs"]
mod forks;
#[path = "std_parity/names.rs"]
mod names;
#[path = "std_parity/old_kernels.rs"]
mod old_kernels;
#[path = "std_parity/shortages.rs"]
mod shortages;
#[path = "std_parity/slow_peers.rs"]
mod slow_peers;
#[path = "std_parity/threads.rs"]
mod threads;

use std::path::PathBuf;

use saferring::net::UnixStream;
use saferring::runtime::Runtime;

saferring_tests::also_on_software!();

fn runtime() -> Runtime {
    Runtime::new().unwrap()
}

/// A stream, and its peer.
fn pair() -> (UnixStream, std::os::unix::net::UnixStream) {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    (UnixStream::from_std(ours), theirs)
}

/// A directory that is removed when it is dropped.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("saferring-parity-{name}-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file with this content.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
