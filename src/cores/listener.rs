//! A port that all cores serve, and how its connections get to them.

use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::{self, Scope};
use std::time::Duration;

use socket2::SockRef;

use super::core::{Core, send_from_here};
use super::shared::{Shared, lock, next_number};
use crate::net::{ToSocketAddrs, listen_shared};
use crate::runtime::{Job, Message};
use crate::sync::local::mpsc;
use crate::sys;

/// How connections get to the cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Balance {
    /// Each core has a socket of its own on the port, and the kernel chooses by a hash of the addresses (`SO_REUSEPORT`, see
    /// socket(7)). Nothing is cheaper. It does not know how much a core has to do: a few long connections may all come to one
    /// core, and what comes to a busy core waits for that.
    #[default]
    Hash,
    /// As [`Hash`](Balance::Hash), but a connection goes to the core on the CPU that it came in on. It helps where the network
    /// card spreads its work over the same CPUs; a core gets nothing where it does not.
    ByCpu,
    /// One thread accepts, and gives each connection to the core with the fewest. It costs a wake of that thread a connection,
    /// and keeps long ones even. A core that has ended is left out.
    LeastLoaded,
}

/// A port that the cores serve, made by [`Cores::bind`](super::Cores::bind). A clone is the same.
///
/// The sockets are there until the cores have ended, so nothing that waits in them is lost when a core starts again.
#[derive(Clone)]
pub struct Listener {
    pub(super) accepting: Arc<Accepting>,
}

impl Listener {
    /// The address, with the port that it got.
    pub fn local_addr(&self) -> SocketAddr {
        self.accepting.addr
    }

    /// How its connections get to the cores.
    pub fn balance(&self) -> Balance {
        self.accepting.balance
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("local_addr", &self.accepting.addr)
            .field("balance", &self.accepting.balance)
            .finish_non_exhaustive()
    }
}

/// What is behind a [`Listener`].
pub(super) struct Accepting {
    /// Under which each core keeps its part.
    pub(super) number: usize,
    shared: Weak<Shared>,
    balance: Balance,
    addr: SocketAddr,
    /// By core; one alone if a thread accepts.
    sockets: Vec<TcpListener>,
    /// Cores that take connections now.
    serving: Mutex<Vec<bool>>,
    changed: Condvar,
    stopped: AtomicBool,
}

/// What a core keeps of a listener that it serves: where others put connections.
pub(super) struct Serving {
    pub(super) given: mpsc::UnboundedSender<TcpStream>,
}

/// How long the thread that accepts rests when no descriptor is free.
const PAUSE: Duration = Duration::from_millis(20);

impl Accepting {
    pub(super) fn bind(
        addr: impl ToSocketAddrs,
        balance: Balance,
        shared: &Arc<Shared>,
        cpus: &[Option<usize>],
    ) -> io::Result<Self> {
        let sockets = match balance {
            Balance::LeastLoaded => 1,
            Balance::Hash | Balance::ByCpu => cpus.len(),
        };
        let sockets = listen_shared(addr, sockets)?;
        if let (Balance::ByCpu, Some(cpus)) =
            (balance, cpus.iter().copied().collect::<Option<Vec<_>>>())
        {
            sys::steer_by_cpu(sockets[0].as_fd(), &cpus)?;
        }
        Ok(Accepting {
            number: next_number(),
            shared: Arc::downgrade(shared),
            balance,
            addr: sockets[0].local_addr()?,
            sockets,
            serving: Mutex::new(vec![false; cpus.len()]),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
        })
    }

    pub(super) fn is_of(&self, shared: &Arc<Shared>) -> bool {
        Weak::as_ptr(&self.shared) == Arc::as_ptr(shared)
    }

    /// The socket that core `id` accepts at itself, if it does.
    pub(super) fn own_socket(&self, id: usize) -> Option<&TcpListener> {
        match self.balance {
            Balance::Hash | Balance::ByCpu => self.sockets.get(id),
            Balance::LeastLoaded => None,
        }
    }

    /// Core `id` takes connections from now on, or no more.
    pub(super) fn set_serving(&self, id: usize, serves: bool) {
        lock(&self.serving)[id] = serves;
        self.changed.notify_all();
    }

    /// Starts the thread that accepts, if there is one.
    pub(super) fn start<'scope>(
        self: &Arc<Self>,
        scope: &'scope Scope<'scope, '_>,
        shared: &Arc<Shared>,
    ) -> io::Result<()> {
        if self.balance != Balance::LeastLoaded {
            return Ok(());
        }
        let (this, shared) = (Arc::clone(self), Arc::clone(shared));
        let builder = thread::Builder::new().name("saferring-accept".to_owned());
        builder.spawn_scoped(scope, move || this.accept(&shared))?;
        Ok(())
    }

    /// Lets nobody connect any more, and ends the thread.
    pub(super) fn stop(&self) {
        if !self.stopped.swap(true, Ordering::AcqRel) && self.balance == Balance::LeastLoaded {
            self.shut(&self.sockets[0]);
        }
        drop(lock(&self.serving));
        self.changed.notify_all();
    }

    /// Ends what waits at a socket, whoever has a descriptor of it, and lets nobody connect there.
    fn shut(&self, socket: &TcpListener) {
        // It listens, so it can be shut.
        let _ = SockRef::from(socket).shutdown(Shutdown::Read);
    }

    /// The thread that accepts.
    fn accept(self: &Arc<Self>, shared: &Arc<Shared>) {
        while self.wait_for_a_core() {
            match self.sockets[0].accept() {
                Ok((stream, _)) => self.dispatch(shared, stream),
                Err(_) if self.is_stopped() => return,
                Err(error) => match error.raw_os_error() {
                    Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS) => {
                        thread::sleep(PAUSE);
                    }
                    // Of that one connection.
                    _ => thread::yield_now(),
                },
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// False: all is to end.
    fn wait_for_a_core(&self) -> bool {
        let mut serving = lock(&self.serving);
        while !self.is_stopped() && !serving.contains(&true) {
            let woken = self.changed.wait(serving);
            serving = woken.unwrap_or_else(PoisonError::into_inner);
        }
        !self.is_stopped()
    }

    /// Gives a connection to the core with the fewest, of those that take any; without one it is closed.
    pub(super) fn dispatch(self: &Arc<Self>, shared: &Arc<Shared>, stream: TcpStream) {
        if let Some(to) = self.reserve(shared) {
            let given = Arc::new(Given {
                accepting: Arc::clone(self),
                shared: Arc::clone(shared),
                to,
                stream: Mutex::new(Some(stream)),
            });
            send_from_here(shared, to, Message::Do(given));
        }
    }

    /// Counts a connection at the core that has the fewest.
    fn reserve(&self, shared: &Shared) -> Option<usize> {
        let serving = lock(&self.serving);
        let cores = shared.seats.iter().enumerate();
        let (to, seat) = cores
            .filter(|&(core, _)| serving[core])
            .min_by_key(|(_, seat)| seat.connections.load(Ordering::Relaxed))?;
        seat.connections.fetch_add(1, Ordering::Relaxed);
        Some(to)
    }

    /// Nothing comes to core `id` any more.
    pub(super) fn shut_own(&self, id: usize) {
        if let Some(socket) = self.own_socket(id) {
            self.shut(socket);
        }
    }

    /// Core `id` ends while others go on: what waits at its socket goes to them, and nothing comes there any more.
    pub(super) fn hand_over(self: &Arc<Self>, shared: &Arc<Shared>, id: usize) {
        let Some(socket) = self.own_socket(id) else {
            return;
        };
        if socket.set_nonblocking(true).is_ok() {
            while let Ok((stream, _)) = socket.accept() {
                self.dispatch(shared, stream);
            }
        }
        self.shut(socket);
    }
}

/// A connection on its way to a core, where it is counted already.
struct Given {
    accepting: Arc<Accepting>,
    shared: Arc<Shared>,
    to: usize,
    stream: Mutex<Option<TcpStream>>,
}

impl Given {
    /// To another core.
    fn pass_on(&self) {
        self.accepting.set_serving(self.to, false);
        let seat = &self.shared.seats[self.to];
        seat.connections.fetch_sub(1, Ordering::Relaxed);
        let stream = lock(&self.stream).take();
        if let Some(stream) = stream {
            self.accepting.dispatch(&self.shared, stream);
        }
    }
}

impl Job for Given {
    fn run(self: Arc<Self>) {
        let serving =
            Core::try_current().and_then(|core| core.existing::<Serving>(self.accepting.number));
        let stream = lock(&self.stream).take();
        let kept = match (serving, stream) {
            (Some(serving), Some(stream)) => serving.given.send(stream).map_err(|error| error.0),
            (None, Some(stream)) => Err(stream),
            (_, None) => Ok(()),
        };
        if let Err(stream) = kept {
            *lock(&self.stream) = Some(stream);
            self.pass_on();
        }
    }

    fn refuse(self: Arc<Self>) {
        self.pass_on();
    }

    fn come_home(self: Arc<Self>) {}

    fn lose_home(self: Arc<Self>) {}
}
