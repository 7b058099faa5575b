//! Serving connections: accept, a task for each, and an end in order.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use futures_util::Stream;

use super::balance::Balance;
use super::core::Core;
use super::cores::Cores;
use super::listener::{Accepting, Listener};
use super::report::CoreReport;
use super::serving::{Own, Serving};
use super::shared::{Phase, Seat, lock};
use crate::foreign;
use crate::net::{Incoming, TcpStream, ToSocketAddrs};
use crate::op;
use crate::sync::local::mpsc;
use crate::task::{JoinError, JoinSet};

impl Cores {
    /// Listens at `addr`, for all cores to [`serve`](Core::serve). Port 0 lets the system choose.
    ///
    /// A host name is looked up on the calling thread.
    ///
    /// # Errors
    ///
    /// Those of [`TcpListener::bind`](crate::net::TcpListener::bind), for any of the cores: then none listens. `AddrInUse` also if another
    /// program listens there that shares its ports.
    ///
    /// # Examples
    ///
    /// ```
    /// use saferring::cores::{Balance, Cores, Placement};
    ///
    /// let mut cores = Cores::builder().cores(Placement::Count(1)).build()?;
    /// let listener = cores.bind("127.0.0.1:0", Balance::LeastLoaded)?;
    /// assert_ne!(listener.local_addr().port(), 0);
    /// assert_eq!(listener.balance(), Balance::LeastLoaded);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn bind(&mut self, addr: impl ToSocketAddrs, balance: Balance) -> io::Result<Listener> {
        let seats = self.shared().seats.iter();
        let cpus: Vec<_> = seats.map(|seat| lock(&seat.report).cpu).collect();
        let accepting = Arc::new(Accepting::bind(addr, balance, self.shared(), &cpus)?);
        self.accepting.push(Arc::clone(&accepting));
        Ok(Listener { accepting })
    }
}

impl Core {
    /// Serves the connections of `listener` that come to this core, each by a task of what `handler` makes for it; until the
    /// cores are to stop.
    ///
    /// Then nothing new is accepted, but what was waiting already, and this returns when the last connection has ended. Those
    /// that have not ended within [`Builder::grace`](super::Builder::grace) are cut off, with the core's own future. A handler
    /// that wants to end an idle connection sooner waits for [`stopping`](Core::stopping) beside it.
    ///
    /// What becomes of them is counted in the core's [report](CoreReport). A handler that panics ends its own connection.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the listener is of other cores, `AlreadyExists` if this core serves it already; those of dup(2). What goes
    /// wrong with single connections is counted only.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends its connections, as an abort does. What waits to be accepted goes to the other cores.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use saferring::cores::{Balance, Cores};
    ///
    /// let mut cores = Cores::builder().build()?;
    /// let listener = cores.bind("127.0.0.1:7000", Balance::Hash)?;
    /// cores.run(async |core| {
    ///     core.serve(&listener, |stream| async move {
    ///         let (mut reader, mut writer) = stream.into_split();
    ///         let _ = saferring::io::copy(&mut reader, &mut writer).await;
    ///     })
    ///     .await
    /// })?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub async fn serve<H, Fut>(&self, listener: &Listener, handler: H) -> io::Result<()>
    where
        H: FnMut(TcpStream) -> Fut,
        Fut: Future<Output = ()> + 'static,
    {
        let mut served = Served::begin(self, &listener.accepting, handler)?;
        let mut stopping = pin!(self.stopping());
        poll_fn(|cx| {
            let stops = stopping.as_mut().poll(cx);
            // Also when it is to stop: what has come is served.
            served.poll_all(cx);
            stops
        })
        .await;
        // What waits at the socket is served, and what the kernel has accepted until this is answered.
        served.take_waiting();
        let _ = op::nop().await;
        poll_fn(|cx| served.poll_last(cx)).await;
        served.close();
        poll_fn(|cx| served.poll_ended(cx)).await;
        Ok(())
    }
}

/// A core that serves a listener. Its drop cuts off the connections that are left.
struct Served<H> {
    core: Core,
    accepting: Arc<Accepting>,
    /// In which it takes connections.
    term: usize,
    /// Connections that the kernel gives to this core.
    own: Option<Incoming>,
    /// Those that other cores or the thread that accepts give to it. They are counted already.
    given: mpsc::UnboundedReceiver<std::net::TcpStream>,
    /// None will be given any more.
    has_all: bool,
    handler: H,
    tasks: JoinSet<()>,
    is_closed: bool,
}

impl<H> Served<H> {
    fn begin(core: &Core, accepting: &Arc<Accepting>, handler: H) -> io::Result<Self> {
        if !accepting.is_of(core.shared()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the listener belongs to other cores: bind it with those that serve it",
            ));
        }
        if core.existing::<Serving>(accepting.number).is_some() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "this core serves the listener already",
            ));
        }
        let own = match accepting.listen_again(core.id())? {
            Some(socket) => Some(Own::of(core, accepting.own, socket)?.0.incoming()),
            None => None,
        };
        let (sender, given) = mpsc::unbounded_channel();
        core.local(accepting.number, || Serving {
            given: RefCell::new(Some(sender)),
        });
        // Asked when the core can hear of the last, and before anything is given to it.
        let has_all = !accepting.has_last();
        let term = accepting.begin_serving(core.id());
        accepting.take_left(core.shared());
        Ok(Served {
            term,
            core: core.clone(),
            accepting: Arc::clone(accepting),
            own,
            given,
            has_all,
            handler,
            tasks: JoinSet::new(),
            is_closed: false,
        })
    }

    fn note(&self, change: impl FnOnce(&mut CoreReport)) {
        change(&mut lock(&self.seat().report));
    }

    fn seat(&self) -> &Seat {
        &self.core.shared().seats[self.core.id()]
    }

    /// Takes no more connections.
    fn close(&mut self) {
        if mem::replace(&mut self.is_closed, true) {
            return;
        }
        let id = self.core.id();
        self.accepting.end_serving(id, self.term);
        self.core.remove(self.accepting.number);
        self.own = None;
        let shared = self.core.shared();
        if shared.phase() >= Phase::Stopping || !shared.restarts {
            self.accepting.end_own(shared, id);
        }
        while let Ok(stream) = self.given.try_recv() {
            self.seat().connections.fetch_sub(1, Ordering::Relaxed);
            drop(self.accepting.dispatch(shared, stream));
        }
    }

    /// What becomes of connections that have ended; ready when none is left.
    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(ended) = ready!(self.tasks.poll_join_next(cx)) {
            self.note_ended(&ended);
        }
        Poll::Ready(())
    }

    fn note_ended(&self, ended: &Result<(), JoinError>) {
        self.note(|report| match ended {
            Ok(()) => report.ended += 1,
            Err(_) => report.panicked += 1,
        });
    }
}

impl<H, Fut> Served<H>
where
    H: FnMut(TcpStream) -> Fut,
    Fut: Future<Output = ()> + 'static,
{
    /// Begins with all connections that are there.
    fn poll_all(&mut self, cx: &mut Context<'_>) {
        let _ = self.poll_ended(cx);
        while let Poll::Ready(given) = self.given.poll_recv(cx) {
            match given {
                Some(stream) => self.begin_one(TcpStream::from_std(stream)),
                None => {
                    self.has_all = true;
                    break;
                }
            }
        }
        while let Some(own) = &mut self.own {
            match Pin::new(own).poll_next(cx) {
                Poll::Ready(Some(Ok(stream))) => self.begin_own(stream),
                // The next waits until it may succeed.
                Poll::Ready(Some(Err(_))) => self.note(|report| report.accept_errors += 1),
                Poll::Ready(None) => self.own = None,
                Poll::Pending => break,
            }
        }
    }

    /// Begins with what waits at the socket, and is not accepted yet; or has it given to the cores.
    fn take_waiting(&mut self) {
        let accepting = Arc::clone(&self.accepting);
        accepting.stop(self.core.shared());
        let Some(socket) = accepting.own_socket(self.core.id()) else {
            return;
        };
        if socket.set_nonblocking(true).is_ok() {
            while let Ok((stream, _)) = socket.accept() {
                self.begin_own(TcpStream::from_std(stream));
            }
        }
    }

    /// Begins with the last connections; ready when there will be none any more.
    fn poll_last(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_all(cx);
        match self.has_all {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// Begins with one that nobody has counted.
    fn begin_own(&mut self, stream: TcpStream) {
        self.seat().connections.fetch_add(1, Ordering::Relaxed);
        self.begin_one(stream);
    }

    fn begin_one(&mut self, stream: TcpStream) {
        self.note(|report| report.connections += 1);
        let counted = Counted(self.core.clone());
        let handler = &mut self.handler;
        let mut future = None;
        foreign::guarded(|| future = Some(handler(stream)));
        match future {
            Some(future) => drop(self.tasks.spawn(async move {
                let _counted = counted;
                future.await;
            })),
            None => self.note(|report| report.panicked += 1),
        }
    }
}

impl<H> Drop for Served<H> {
    fn drop(&mut self) {
        self.close();
        while let Some(ended) = self.tasks.try_join_next() {
            self.note_ended(&ended);
        }
        let cut = self.tasks.len() as u64;
        self.note(|report| report.cut += cut);
    }
}

/// A connection that is served.
struct Counted(Core);

impl Drop for Counted {
    fn drop(&mut self) {
        let seat = &self.0.shared().seats[self.0.id()];
        seat.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
