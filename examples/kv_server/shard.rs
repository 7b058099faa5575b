//! The shard of a core: its keys, and the log of their changes.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::Shutdown;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use saferring::cores::{Core, PerCore};
use saferring::net::TcpStream;
use saferring::task::yield_now;
use saferring::time::sleep;
use slab::Slab;

use crate::command::{Command, OnShard};
use crate::folder;
use crate::log::Log;
use crate::resp::{Args, reply};
use crate::server::{Append, Server, Totals};
use crate::store::{Clock, Store};

/// Each core's own, or why it has none.
pub(crate) type Shards = PerCore<Result<Rc<Shard>, Arc<io::Error>>>;

/// Which shard a key belongs to: the same at every start, as each has a log of its own.
pub(crate) fn shard_of(key: &[u8], shards: usize) -> usize {
    match shards {
        1 => 0,
        _ => crate::record::checksum(key) as usize % shards,
    }
}

pub(crate) struct Shard {
    pub(crate) store: RefCell<Store>,
    pub(crate) log: Option<Log>,
    pub(crate) clock: Clock,
    server: Arc<Server>,
    index: usize,
    /// Buffers for answers that are not in use: a connection needs one only while it answers.
    spare: RefCell<Vec<Vec<u8>>>,
    sockets: RefCell<Slab<Rc<Socket>>>,
    /// Counts the rounds of the task that looks after the shard.
    rounds: Cell<u64>,
}

/// How long a round of that is.
const ROUND: Duration = Duration::from_millis(100);

/// A client's connection.
pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    /// In which round the answers were sent that it has not taken yet.
    pub(crate) sending: Cell<Option<u64>>,
}

/// How many buffers for answers are kept, and how large each may be.
const SPARE: (usize, usize) = (32, 512 << 10);

impl Shard {
    /// Loads what its log holds.
    pub(crate) fn load(server: &Arc<Server>, core: &Core) -> Result<Rc<Self>, Arc<io::Error>> {
        let (mut store, mut log) = (Store::default(), None);
        if let Some(dir) = &server.options.dir {
            let path = folder::shard_path(dir, core.id(), core.count())?;
            let len = folder::load(&path, |record| store.apply(record))?;
            store.keep_journal();
            log = Some(Log::new(path, len, &server.options));
        }
        let shard = Shard {
            store: RefCell::new(store),
            log,
            clock: Clock::default(),
            server: Arc::clone(server),
            index: core.id(),
            spare: RefCell::default(),
            sockets: RefCell::default(),
            rounds: Cell::new(0),
        };
        Ok(Rc::new(shard))
    }

    /// An empty buffer, for answers.
    pub(crate) fn buffer(&self) -> Vec<u8> {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes one back.
    pub(crate) fn keep_buffer(&self, mut buffer: Vec<u8>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE.0 && buffer.capacity() <= SPARE.1 {
            buffer.clear();
            spare.push(buffer);
        }
    }

    pub(crate) fn totals(&self) -> &Totals {
        &self.server.totals[self.index]
    }

    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Whether answers wait for the disk.
    pub(crate) fn waits(&self) -> bool {
        self.log.is_some() && self.server.options.append == Append::Always
    }

    pub(crate) fn run(&self, command: &Command, f: OnShard, args: Args<'_>, out: &mut Vec<u8>) {
        if command.writes {
            if let Some(trouble) = self.log.as_ref().and_then(Log::trouble) {
                return reply::error(out, &trouble);
            }
        }
        f(&mut self.store.borrow_mut(), &self.clock, args, out);
    }

    /// What some commands have changed is made known. Whoever answers them waits until [`Log::committed`] with what this gives,
    /// if it gives anything.
    pub(crate) fn commit(&self) -> Option<u64> {
        let mut store = self.store.borrow_mut();
        let totals = self.totals();
        totals.keys.store(store.len() as u64, Relaxed);
        totals.mortal.store(store.mortal() as u64, Relaxed);
        let log = self.log.as_ref()?;
        let is_changed = store.journal().is_some_and(|journal| !journal.is_empty());
        let batch = is_changed.then(|| log.wake())?;
        self.waits().then_some(batch)
    }

    /// How much the log has still to write.
    fn pending(&self) -> usize {
        let mut store = self.store.borrow_mut();
        store.journal().map_or(0, |journal| journal.len())
    }

    /// Waits while that is too much.
    pub(crate) async fn room(&self) {
        if let Some(log) = &self.log {
            log.room(|| self.pending()).await;
        }
    }

    /// Carries out what another core asks for, if nothing has to be waited for.
    pub(crate) fn serve_now(&self, request: Request) -> Result<Answers, Request> {
        if self.waits()
            || self
                .log
                .as_ref()
                .is_some_and(|log| !log.has_room(self.pending()))
        {
            return Err(request);
        }
        let answers = self.carry_out(&request);
        self.commit();
        Ok(answers)
    }

    /// Carries out what another core asks for.
    pub(crate) async fn serve(&self, request: Request) -> Answers {
        self.room().await;
        let answers = self.carry_out(&request);
        let (Some(batch), Some(log)) = (self.commit(), &self.log) else {
            return answers;
        };
        match log.committed(batch).await {
            Ok(()) => answers,
            Err(trouble) => answers.without_writes(&request, &trouble),
        }
    }

    fn carry_out(&self, request: &Request) -> Answers {
        self.clock.go_on();
        let mut answers = Answers::default();
        for at in 0..request.commands.len() {
            let (command, f, args) = request.get(at);
            self.run(command, f, args, &mut answers.bytes);
            answers.ends.push(answers.bytes.len());
        }
        answers
    }

    /// Keeps a connection among those that are looked after.
    pub(crate) fn add_socket(&self, socket: &Rc<Socket>) -> usize {
        self.sockets.borrow_mut().insert(Rc::clone(socket))
    }

    pub(crate) fn remove_socket(&self, place: usize) {
        self.sockets.borrow_mut().remove(place);
    }

    pub(crate) fn round(&self) -> u64 {
        self.rounds.get()
    }

    /// Drops keys that have ended and that nobody asks for, and clients that do not read.
    pub(crate) async fn look_after(&self) {
        let patience = self.server.options.patience.as_millis() / ROUND.as_millis();
        loop {
            sleep(ROUND).await;
            self.rounds.set(self.round() + 1);
            for (_, socket) in self.sockets.borrow().iter() {
                let since = socket.sending.get().unwrap_or(u64::MAX);
                if u128::from(self.round().saturating_sub(since)) > patience {
                    // What is being sent fails then; if it is gone already, so much the better.
                    let _ = socket.stream.shutdown(Shutdown::Both);
                }
            }
            self.clock.go_on();
            while self.store.borrow_mut().purge(self.clock.now(), 200) {
                yield_now().await;
            }
            self.commit();
        }
    }
}

/// Commands for the keys of a shard, to be sent to its core.
#[derive(Default)]
pub(crate) struct Request {
    bytes: Vec<u8>,
    args: Vec<Range<usize>>,
    commands: Vec<(&'static Command, OnShard, Range<usize>)>,
}

impl Request {
    pub(crate) fn push(&mut self, command: &'static Command, f: OnShard, args: Args<'_>) {
        let from = self.args.len();
        for arg in args.iter() {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(arg);
            self.args.push(start..self.bytes.len());
        }
        self.commands.push((command, f, from..self.args.len()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    fn get(&self, at: usize) -> (&'static Command, OnShard, Args<'_>) {
        let (command, f, args) = &self.commands[at];
        (
            command,
            *f,
            Args::new(&self.bytes, &self.args[args.clone()]),
        )
    }
}

/// The answers to a [`Request`], one after the other.
#[derive(Default)]
pub(crate) struct Answers {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ends: Vec<usize>,
}

impl Answers {
    pub(crate) fn get(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[start..self.ends[at]]
    }

    /// The same, but with an error for each command that was to change something.
    fn without_writes(&self, request: &Request, error: &[u8]) -> Answers {
        let mut answers = Answers::default();
        for (at, (command, ..)) in request.commands.iter().enumerate() {
            match command.writes {
                true => reply::error(&mut answers.bytes, error),
                false => answers.bytes.extend_from_slice(self.get(at)),
            }
            answers.ends.push(answers.bytes.len());
        }
        answers
    }
}
