//! The connections that come in, as a stream.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use socket2::SockAddr;

use crate::feature::Feature;
use crate::op::{
    Accept, AcceptMulti, Asked, Multi, Operation, Pause, SharedFd, Submitted, ask, may_use,
};
use crate::task::{poll_proceed, spend};

/// The connections of a listener: by one multishot accept, which is made again whenever the kernel ends it; if there is
/// a bound, by as many accepts at a time, and before kernel 5.19 by one after the other.
#[derive(Debug)]
pub(super) struct Connections {
    listener: SharedFd,
    /// How many may be accepted before they are asked for.
    bound: Option<usize>,
    state: Accepting,
    asked: Asked,
}

/// How many accepts are in flight at once.
const AHEAD_MAX: usize = 1024;

impl Connections {
    pub(super) fn new(listener: &SharedFd) -> Self {
        Connections {
            listener: listener.clone(),
            bound: None,
            state: Accepting::Idle,
            asked: Asked::default(),
        }
    }

    pub(super) fn bounded(mut self, connections: usize) -> Self {
        self.bound = Some(connections.clamp(1, AHEAD_MAX));
        self.state = Accepting::Idle;
        self
    }

    /// A connection that was accepted for somebody who did not stay to take it.
    #[inline]
    fn stashed(&self) -> Option<(OwnedFd, Option<SockAddr>)> {
        if !self.listener.has_stashed() {
            return None;
        }
        self.listener.stashed_connection()
    }
}

#[derive(Debug)]
enum Accepting {
    Idle,
    /// There was no descriptor.
    Paused(Pause),
    Many(Multi<AcceptMulti>),
    Few(Vec<Submitted<Accept>>),
    /// The listener was closed, or there is to be no other way than one that is not to be had.
    Ended,
}

impl Stream for Connections {
    type Item = io::Result<OwnedFd>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        ask(&mut *self, cx, |one| &mut one.asked, Self::poll_accepted)
    }
}

impl Connections {
    fn poll_accepted(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<OwnedFd>>> {
        let this = self;
        ready!(poll_proceed(cx));
        loop {
            if let Some((fd, _)) = this.stashed() {
                spend();
                return Poll::Ready(Some(Ok(fd)));
            }
            let accepted = match &mut this.state {
                Accepting::Paused(pause) => {
                    ready!(Pin::new(pause).poll(cx));
                    this.listener.end_pause();
                    this.state = Accepting::Idle;
                    continue;
                }
                Accepting::Idle => {
                    if let Some(pause) = this.listener.pause() {
                        this.state = Accepting::Paused(pause);
                        continue;
                    }
                    this.state = match this.bound.is_none() {
                        true => match may_use(Feature::MultishotAccept) {
                            Ok(true) => {
                                Accepting::Many(Multi::new(AcceptMulti::new(&this.listener)))
                            }
                            Ok(false) => Accepting::Few(Vec::new()),
                            Err(error) => {
                                this.state = Accepting::Ended;
                                return Poll::Ready(Some(Err(error)));
                            }
                        },
                        false => Accepting::Few(Vec::new()),
                    };
                    continue;
                }
                Accepting::Ended => return Poll::Ready(None),
                Accepting::Many(many) => ready!(Pin::new(many).poll_next(cx)),
                Accepting::Few(few) => {
                    few.resize_with(this.bound.unwrap_or(1), || {
                        Accept::new(&this.listener).submit()
                    });
                    let accepted = ready!(poll_any(few, cx));
                    Some(accepted.map(|(fd, _)| fd))
                }
            };
            match accepted {
                Some(Ok(fd)) => {
                    this.listener.note_accept(0);
                    spend();
                    return Poll::Ready(Some(Ok(fd)));
                }
                // The runtime has cancelled it because too many connections were waiting; or see `is_transient`.
                Some(Err(error)) if is_transient(&error) || is_cancelled(&error) => {}
                Some(Err(error)) => {
                    this.listener
                        .note_accept(-error.raw_os_error().unwrap_or(0));
                    if this.listener.is_closing() {
                        this.state = Accepting::Ended;
                    } else if let Accepting::Few(_) = this.state {
                        this.state = Accepting::Idle;
                    }
                    return Poll::Ready(Some(Err(error)));
                }
                None => this.state = Accepting::Idle,
            }
        }
    }
}

/// The first of some accepts that is done; it is taken out.
fn poll_any(
    accepts: &mut Vec<Submitted<Accept>>,
    cx: &mut Context<'_>,
) -> Poll<<Accept as Operation>::Output> {
    for index in 0..accepts.len() {
        if let Poll::Ready(accepted) = Pin::new(&mut accepts[index]).poll(cx) {
            drop(accepts.remove(index));
            return Poll::Ready(accepted);
        }
    }
    Poll::Pending
}

/// Whether an accept failed because of that one connection, or was merely ended.
pub(super) fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ECONNABORTED | libc::EINTR | libc::EPROTO)
    )
}

fn is_cancelled(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ECANCELED)
}
