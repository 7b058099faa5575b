//! Sockets that linger: whose close waits until the peer has all.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use socket2::{Protocol, SockRef};

use super::backoff::Backoff;

/// How often, at the least, it is looked whether a socket has sent all.
const LONGEST_LOOK: Duration = Duration::from_millis(50);

/// Sees to it that a close of the socket does not wait until all is sent: the kernel sends it without that, too.
pub(super) fn stop_lingering(fd: &OwnedFd) {
    if lingers(fd).is_some() {
        let _ = SockRef::from(fd).set_linger(None);
    }
}

/// How long the end of a socket waits for the peer.
fn lingers(fd: &OwnedFd) -> Option<Duration> {
    let socket = SockRef::from(fd);
    let time = socket.linger().ok()??;
    // Others take the option, and do nothing about it.
    let tcp = matches!(socket.protocol(), Ok(Some(Protocol::TCP)));
    (tcp && !time.is_zero()).then_some(time)
}

/// Waits as a close of the socket would that lingers, but holds up nobody.
pub(in crate::op) async fn linger(fd: &OwnedFd) {
    let Some(time) = lingers(fd) else { return };
    // So that no close of it waits, not even that of a future which is dropped.
    if SockRef::from(fd).set_linger(None).is_err() {
        return;
    }
    let (began, mut looks) = (Instant::now(), Backoff::new(LONGEST_LOOK));
    while is_sending(fd) {
        let left = time.saturating_sub(began.elapsed());
        if left.is_zero() {
            return;
        }
        looks.pause(left).await;
    }
}

/// Whether there is something that the peer has not acknowledged.
fn is_sending(fd: &OwnedFd) -> bool {
    let mut unsent: libc::c_int = 0;
    // SAFETY: the call writes one number, which lives across it; the descriptor is open while `fd` is borrowed.
    let asked = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCOUTQ, &mut unsent) };
    asked == 0 && unsent > 0
}
