//! Any signal, as a stream: what tokio has under the same name.
//!
//! A server that reads its configuration again at `SIGHUP`:
//!
//! ```no_run
//! use saferring::signal::unix::{SignalKind, signal};
//!
//! # fn read_configuration() {}
//! # fn main() -> std::io::Result<()> {
//! # saferring::runtime::Runtime::new()?.block_on(async {
//! let mut hangups = signal(SignalKind::hangup())?;
//! saferring::spawn(async move {
//!     while hangups.recv().await.is_some() {
//!         read_configuration();
//!     }
//! });
//! # Ok(())
//! # })
//! # }
//! ```

use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use signal_hook::SigId;
use signal_hook::low_level::{pipe, unregister};

pub use super::kind::SignalKind;
use crate::op::{PollAdd, Readiness, Submitted};

/// Listens for a signal to the process, from this call on.
///
/// Any number of listeners may listen for the same signal, in any threads: each hears it. From the first one on the signal no
/// longer does by itself what it does to a process that does not listen; that stays so when the last listener is dropped, as
/// with tokio. A handler that was installed before, by whatever means, is still called.
///
/// It need not be called in a runtime.
///
/// # Errors
///
/// `InvalidInput`, with the signal's name and the reason, for what cannot be listened for: `SIGKILL` and `SIGSTOP`; `SIGILL`,
/// `SIGFPE` and `SIGSEGV`; what is no signal. Otherwise those of socketpair(2): a listener takes two descriptors.
///
/// # Examples
///
/// ```
/// use saferring::signal::unix::{SignalKind, signal};
///
/// let error = signal(SignalKind::from_raw(9)).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "SIGKILL cannot be listened for: the kernel lets no process handle it"
/// );
/// ```
pub fn signal(kind: SignalKind) -> io::Result<Signal> {
    if let Some(error) = kind.refusal() {
        return Err(error);
    }
    let (reader, writer) = UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    // What fails closes the writer.
    let id = pipe::register(kind.as_raw_value(), writer).map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => kind.unknown(),
        _ => error,
    })?;
    Ok(Signal {
        kind,
        wait: None,
        reader: Rc::new(reader),
        _registration: Registration(id),
    })
}

/// A listener for a signal; made by [`signal`].
///
/// A signal that comes while nobody waits is kept, and the next [`recv`](Signal::recv) tells of it. However many have come,
/// they are told once: the kernel does the same with signals.
///
/// It may be awaited in any runtime of its thread, one after the other, and outlives them. Another thread listens by one of
/// its own.
///
/// # Examples
///
/// The first Ctrl-C begins a graceful end, and the second one ends that:
///
/// ```no_run
/// use std::pin::pin;
///
/// use futures_util::future::select;
/// use saferring::signal::unix::{SignalKind, signal};
///
/// # async fn serve() {}
/// # async fn let_clients_finish() {}
/// #[saferring::main]
/// async fn main() -> std::io::Result<()> {
///     let mut interrupts = signal(SignalKind::interrupt())?;
///     select(pin!(serve()), pin!(interrupts.recv())).await;
///     println!("waiting for clients; Ctrl-C again ends at once");
///     select(pin!(let_clients_finish()), pin!(interrupts.recv())).await;
///     Ok(())
/// }
/// ```
#[must_use = "the signal is heard by whoever receives it here, and does nothing else to the process any more"]
pub struct Signal {
    kind: SignalKind,
    /// Stays in flight between two calls, so that neither makes anything anew and a dropped call loses nothing.
    wait: Option<Submitted<PollAdd<Rc<UnixStream>>>>,
    /// Into which the handler writes a byte for each signal, as long as there is room.
    reader: Rc<UnixStream>,
    _registration: Registration,
}

impl Signal {
    /// Waits for the signal, or takes what has come since the last call.
    ///
    /// `None` says that it cannot be waited for, because the runtime lacks memory or descriptors for it. It may be called
    /// again.
    ///
    /// # Panics
    ///
    /// When awaited outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing: the next call hears what has come.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use saferring::signal::unix::{SignalKind, signal};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// let mut resized = signal(SignalKind::window_change())?;
    /// while resized.recv().await.is_some() {
    ///     println!("the terminal has another size");
    /// }
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn recv(&mut self) -> Option<()> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// [`recv`](Signal::recv), as a function to build futures from: if it is pending, the waker of the last call is woken by
    /// the signal.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        self.poll_heard(cx).map(Result::ok)
    }

    /// [`poll_recv`](Signal::poll_recv), with the reason why it cannot be waited for.
    pub(super) fn poll_heard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut is_new = false;
        loop {
            if self.take_heard()? {
                return Poll::Ready(Ok(()));
            }
            let wait = self.wait.get_or_insert_with(|| {
                is_new = true;
                PollAdd::new(Rc::clone(&self.reader), Readiness::READABLE).submit()
            });
            let (waited, _reader) = ready!(Pin::new(wait).poll(cx));
            self.wait = None;
            match waited {
                // The runtime of an earlier call has ended, and this call is made in another.
                Err(error) if error.raw_os_error() == Some(libc::ECANCELED) && !is_new => {}
                waited => drop(waited?),
            }
        }
    }

    /// Whether the signal has come since the last call; now it has not.
    fn take_heard(&self) -> io::Result<bool> {
        let mut heard = false;
        loop {
            match (&*self.reader).read(&mut [0; 64]) {
                // While we are registered, nobody closes the other end.
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => heard = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(heard),
                Err(error) => return Err(error),
            }
        }
    }

    /// What it listens for.
    pub(super) fn kind(&self) -> SignalKind {
        self.kind
    }
}

/// One `()` for each time that [`recv`](Signal::recv) would have returned.
impl Stream for Signal {
    type Item = ();

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
        self.poll_recv(cx)
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signal").field(&self.kind).finish()
    }
}

/// Keeps the handler writing to our socket.
struct Registration(SigId);

impl Drop for Registration {
    fn drop(&mut self) {
        unregister(self.0);
    }
}
