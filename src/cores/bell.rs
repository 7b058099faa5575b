//! Wakes the thread that has called `run`: when a core ends, and when a signal has come.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::{pipe, unregister};

/// What is written for a signal, by `signal_hook`.
const SIGNAL: u8 = b'X';
/// What is written otherwise.
const RING: u8 = b'r';

/// The end that rings.
#[derive(Debug)]
pub(super) struct Bell(UnixStream);

/// The end that hears it.
#[derive(Debug)]
pub(super) struct Listening(UnixStream);

/// Signals that ring it, until this is dropped.
#[derive(Debug)]
pub(super) struct Signals(Vec<SigId>);

pub(super) fn bell() -> io::Result<(Bell, Listening)> {
    let (ring, hear) = UnixStream::pair()?;
    ring.set_nonblocking(true)?;
    Ok((Bell(ring), Listening(hear)))
}

impl Bell {
    pub(super) fn ring(&self) {
        // When it is full of rings there is enough to hear.
        let _ = (&self.0).write(&[RING]);
    }

    /// Lets `SIGINT` and `SIGTERM` ring it.
    pub(super) fn hear_signals(&self) -> io::Result<Signals> {
        let mut signals = Signals(Vec::new());
        for signal in [SIGINT, SIGTERM] {
            let id = pipe::register(signal, self.0.try_clone()?)?;
            signals.0.push(id);
        }
        Ok(signals)
    }
}

impl Listening {
    /// Waits until it rings; says how many signals have come.
    pub(super) fn wait(&self) -> usize {
        let mut bytes = [0; 64];
        loop {
            match (&self.0).read(&mut bytes) {
                Ok(read) => {
                    return bytes[..read].iter().filter(|&&byte| byte == SIGNAL).count();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A socket pair of our own, whose other end is open: only memory can be short.
                Err(_) => std::thread::yield_now(),
            }
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.0.drain(..) {
            unregister(id);
        }
    }
}
