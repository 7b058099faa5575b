//! A port that all cores serve, and how its connections get to them.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::{self, Scope};
use std::time::Duration;

use socket2::SockRef;

use super::balance::Balance;
use super::core::Core;
use super::outbox::give;
use super::serving::{Last, Serving};
use super::shared::{Phase, Shared, lock, next_number};
use crate::net::{BACKLOG, ToSocketAddrs, listen_shared};
use crate::runtime::{Job, Message};
use crate::sys;

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
    /// Under which each core keeps its own socket.
    pub(super) own: usize,
    shared: Weak<Shared>,
    balance: Balance,
    addr: SocketAddr,
    /// By core; one alone if a thread accepts.
    sockets: Vec<TcpListener>,
    /// By core, its term, if it takes connections now.
    serving: Mutex<Vec<Option<usize>>>,
    /// How many terms have begun.
    terms: AtomicUsize,
    changed: Condvar,
    stopped: AtomicBool,
    /// Who still gives connections to the cores: the thread that accepts, and who stops it.
    givers: AtomicUsize,
}

/// How long the thread that accepts rests when it cannot, mostly because no descriptor is free.
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
            own: next_number(),
            shared: Arc::downgrade(shared),
            balance,
            addr: sockets[0].local_addr()?,
            sockets,
            serving: Mutex::new(vec![None; cpus.len()]),
            terms: AtomicUsize::new(0),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
            givers: AtomicUsize::new(2),
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

    /// The socket of core `id`, if it has one, for another time: it listens again if it has been shut.
    pub(super) fn listen_again(&self, id: usize) -> io::Result<Option<&TcpListener>> {
        let Some(socket) = self.own_socket(id) else {
            return Ok(None);
        };
        let again = SockRef::from(socket);
        // Refused if it still has its port.
        let _ = again.bind(&self.addr.into());
        again.listen(BACKLOG)?;
        sys::make_blocking(socket.as_fd())?;
        Ok(Some(socket))
    }

    /// Core `id` takes connections from now on, until [`end_serving`](Self::end_serving) of the same term.
    pub(super) fn begin_serving(&self, id: usize) -> usize {
        let term = self.terms.fetch_add(1, Ordering::Relaxed);
        lock(&self.serving)[id] = Some(term);
        self.changed.notify_all();
        term
    }

    pub(super) fn end_serving(&self, id: usize, term: usize) {
        let mut serving = lock(&self.serving);
        if serving[id] == Some(term) {
            serving[id] = None;
        }
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
        builder.spawn_scoped(scope, move || {
            this.accept(&shared);
            this.has_given(&shared);
        })?;
        Ok(())
    }

    /// [`stop`](Self::stop), if a core can take what waits; if not yet, the first that serves does it.
    pub(super) fn stop_if_served(self: &Arc<Self>, shared: &Arc<Shared>) {
        if self.is_served() {
            self.stop(shared);
        }
    }

    /// Lets nobody connect any more, and ends the thread. What waits is given to the cores.
    pub(super) fn stop(self: &Arc<Self>, shared: &Arc<Shared>) {
        if self.balance != Balance::LeastLoaded || self.stopped.swap(true, Ordering::AcqRel) {
            return;
        }
        self.hand_out(shared, &self.sockets[0]);
        drop(lock(&self.serving));
        self.changed.notify_all();
        self.has_given(shared);
    }

    /// One of the givers gives nothing any more. The last of them tells the cores, behind all that was given.
    fn has_given(&self, shared: &Arc<Shared>) {
        if self.givers.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let last = Arc::new(Last(self.number));
        for core in 0..shared.seats.len() {
            give(shared, core, Message::Do(Arc::clone(&last) as Arc<dyn Job>));
        }
    }

    /// Whether a thread gives connections to the cores until it says that there are no more.
    pub(super) fn has_last(&self) -> bool {
        self.balance == Balance::LeastLoaded && self.givers.load(Ordering::Acquire) > 0
    }

    /// Gives the cores what waits at a socket, and shuts that.
    fn hand_out(self: &Arc<Self>, shared: &Arc<Shared>, socket: &TcpListener) {
        if socket.set_nonblocking(true).is_ok() {
            while let Ok((stream, _)) = socket.accept() {
                drop(self.dispatch(shared, stream));
            }
        }
        self.shut(socket);
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
                Ok((stream, _)) => self.dispatch_to_any(shared, stream),
                Err(_) if self.is_stopped() => return,
                Err(error) => match error.kind() {
                    // Of that one connection.
                    ErrorKind::ConnectionAborted | ErrorKind::Interrupted => {}
                    _ => thread::sleep(PAUSE),
                },
            }
        }
    }

    /// Gives a connection to a core, as soon as one takes any; closes it if all is to end before.
    fn dispatch_to_any(self: &Arc<Self>, shared: &Arc<Shared>, stream: TcpStream) {
        let mut left = self.dispatch(shared, stream);
        while let Some(stream) = left.take() {
            let goes_on = self.wait_for_a_core();
            left = self.dispatch(shared, stream);
            if !goes_on {
                return;
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// False: all is to end.
    fn wait_for_a_core(&self) -> bool {
        let mut serving = lock(&self.serving);
        while !self.is_stopped() && serving.iter().all(Option::is_none) {
            let woken = self.changed.wait(serving);
            serving = woken.unwrap_or_else(PoisonError::into_inner);
        }
        !self.is_stopped()
    }

    /// Gives a connection to the core with the fewest, of those that take any; gives it back if none does.
    pub(super) fn dispatch(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        stream: TcpStream,
    ) -> Option<TcpStream> {
        let Some((to, term)) = self.reserve(shared) else {
            return Some(stream);
        };
        let given = Arc::new(Given {
            accepting: Arc::clone(self),
            shared: Arc::clone(shared),
            to,
            term,
            stream: Mutex::new(Some(stream)),
        });
        // At once: what says that it was the last must not overtake it.
        give(shared, to, Message::Do(given));
        None
    }

    /// Counts a connection at the core that has the fewest.
    fn reserve(&self, shared: &Shared) -> Option<(usize, usize)> {
        let serving = lock(&self.serving);
        let cores = shared.seats.iter().zip(&*serving).enumerate();
        let (to, seat, term) = cores
            .filter_map(|(core, (seat, term))| Some((core, seat, (*term)?)))
            .min_by_key(|(_, seat, _)| seat.connections.load(Ordering::Relaxed))?;
        seat.connections.fetch_add(1, Ordering::Relaxed);
        Some((to, term))
    }

    /// Nothing comes to the socket of core `id` any more. What waits there goes to others, unless all are to stop; if none of
    /// them serves yet, the first that does [sees to it](Self::take_left).
    pub(super) fn end_own(self: &Arc<Self>, shared: &Arc<Shared>, id: usize) {
        match self.own_socket(id) {
            Some(socket) if shared.phase() >= Phase::Stopping => self.shut(socket),
            Some(socket) if self.is_served() => self.hand_out(shared, socket),
            _ => {}
        }
    }

    /// Gives the cores what waits at the sockets of those that have ended before any has served.
    pub(super) fn take_left(self: &Arc<Self>, shared: &Arc<Shared>) {
        for (id, seat) in shared.seats.iter().enumerate() {
            if seat.has_ended.load(Ordering::Acquire) {
                self.end_own(shared, id);
            }
        }
    }

    fn is_served(&self) -> bool {
        lock(&self.serving).iter().any(Option::is_some)
    }
}

/// A connection on its way to a core, where it is counted already.
struct Given {
    accepting: Arc<Accepting>,
    shared: Arc<Shared>,
    to: usize,
    /// In which that took connections.
    term: usize,
    stream: Mutex<Option<TcpStream>>,
}

impl Given {
    /// To another core.
    fn pass_on(&self) {
        self.accepting.end_serving(self.to, self.term);
        let seat = &self.shared.seats[self.to];
        seat.connections.fetch_sub(1, Ordering::Relaxed);
        let stream = lock(&self.stream).take();
        if let Some(stream) = stream {
            drop(self.accepting.dispatch(&self.shared, stream));
        }
    }
}

impl Job for Given {
    fn run(self: Arc<Self>) {
        let serving =
            Core::try_current().and_then(|core| core.existing::<Serving>(self.accepting.number));
        let stream = lock(&self.stream).take();
        let kept = match (serving, stream) {
            (Some(serving), Some(stream)) => serving.take(stream),
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
