//! Which signal.

use std::ffi::c_int;
use std::fmt;
use std::io;

use signal_hook::consts::FORBIDDEN;
use signal_hook::low_level::signal_name;

/// The signal that a [`Signal`](super::unix::Signal) listens for.
///
/// # Examples
///
/// ```
/// use saferring::signal::unix::SignalKind;
///
/// let kind = SignalKind::terminate();
/// assert_eq!(kind, SignalKind::from(15));
/// assert_eq!(format!("{kind:?}"), "SignalKind(SIGTERM)");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignalKind(c_int);

impl SignalKind {
    /// Any signal by its number, those of real time among them. Whether one can listen for it says
    /// [`signal`](super::unix::signal).
    ///
    /// # Examples
    ///
    /// ```
    /// use saferring::signal::unix::SignalKind;
    ///
    /// assert_eq!(SignalKind::from_raw(2), SignalKind::interrupt());
    /// ```
    pub const fn from_raw(signal: c_int) -> Self {
        SignalKind(signal)
    }

    /// The signal's number.
    ///
    /// # Examples
    ///
    /// ```
    /// use saferring::signal::unix::SignalKind;
    ///
    /// assert_eq!(SignalKind::hangup().as_raw_value(), 1);
    /// ```
    pub const fn as_raw_value(&self) -> c_int {
        self.0
    }

    /// `SIGALRM`: the time of alarm(2) is over. Ends a process that does not listen.
    pub const fn alarm() -> Self {
        SignalKind(libc::SIGALRM)
    }

    /// `SIGCHLD`: a child of the process has ended, or was stopped. Usually ignored.
    pub const fn child() -> Self {
        SignalKind(libc::SIGCHLD)
    }

    /// `SIGHUP`: the terminal is gone; daemons take it as the order to read their configuration again. Ends a process that
    /// does not listen.
    pub const fn hangup() -> Self {
        SignalKind(libc::SIGHUP)
    }

    /// `SIGINT`: Ctrl-C. Ends a process that does not listen.
    pub const fn interrupt() -> Self {
        SignalKind(libc::SIGINT)
    }

    /// `SIGIO`: a descriptor is ready, for whoever has asked to be told so. Ends a process that does not listen.
    pub const fn io() -> Self {
        SignalKind(libc::SIGIO)
    }

    /// `SIGPIPE`: something was written to a pipe that nobody reads. Usually ignored: the runtime of Rust's programs sees to
    /// that.
    pub const fn pipe() -> Self {
        SignalKind(libc::SIGPIPE)
    }

    /// `SIGQUIT`: Ctrl-\. Ends a process that does not listen, with a core dump.
    pub const fn quit() -> Self {
        SignalKind(libc::SIGQUIT)
    }

    /// `SIGTERM`: what kill(1), and whoever runs services and containers, asks a process to end by. Ends a process that does
    /// not listen.
    pub const fn terminate() -> Self {
        SignalKind(libc::SIGTERM)
    }

    /// `SIGUSR1`: means what the program wants it to. Ends a process that does not listen.
    pub const fn user_defined1() -> Self {
        SignalKind(libc::SIGUSR1)
    }

    /// `SIGUSR2`: means what the program wants it to. Ends a process that does not listen.
    pub const fn user_defined2() -> Self {
        SignalKind(libc::SIGUSR2)
    }

    /// `SIGWINCH`: the terminal has another size. Usually ignored.
    pub const fn window_change() -> Self {
        SignalKind(libc::SIGWINCH)
    }

    /// The error of one that cannot be listened for, if that is known before the system is asked.
    pub(super) fn refusal(self) -> Option<io::Error> {
        let why = match self.0 {
            libc::SIGKILL | libc::SIGSTOP => "the kernel lets no process handle it",
            // A handler that returns goes back to the instruction that has failed.
            signal if FORBIDDEN.contains(&signal) => {
                "it tells of an instruction that has failed, which the thread cannot go on from"
            }
            _ => return None,
        };
        Some(self.invalid(why))
    }

    /// The error of one that the system knows no handler of.
    pub(super) fn unknown(self) -> io::Error {
        self.invalid("the system has no such signal, or keeps it to itself")
    }

    fn invalid(self, why: &str) -> io::Error {
        let text = match signal_name(self.0) {
            Some(name) => format!("{name} cannot be listened for: {why}"),
            None => format!("signal {} cannot be listened for: {why}", self.0),
        };
        io::Error::new(io::ErrorKind::InvalidInput, text)
    }
}

impl From<c_int> for SignalKind {
    fn from(signal: c_int) -> Self {
        SignalKind(signal)
    }
}

impl From<SignalKind> for c_int {
    fn from(kind: SignalKind) -> Self {
        kind.0
    }
}

impl fmt::Debug for SignalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match signal_name(self.0) {
            Some(name) => write!(f, "SignalKind({name})"),
            None => write!(f, "SignalKind({})", self.0),
        }
    }
}
