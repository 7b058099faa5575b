//! What a scene consists of, and what it is made with.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use saferring::fs::File;
use saferring_tests::adversary::{Held, Point, Stage, Task, at};
use saferring_tests::{Tracked, Watch};

/// A scene's name, and what makes it, within the runtime.
pub(crate) type Setup = (&'static str, fn(&Rc<Tools>) -> Scene);

/// One small program: what is polled by hand, what runs beside it, and what comes from outside.
pub(crate) struct Scene {
    /// Polled, dropped and disturbed. All of them become ready by what `cause` does, if nothing disturbs them.
    pub(crate) subjects: Vec<Task>,
    /// Tasks that are to end well, by `end` at the latest. Each may be made again.
    pub(crate) innocents: Vec<Box<dyn Fn() -> Task>>,
    /// Called in each round.
    pub(crate) cause: Box<dyn Fn(u32)>,
    /// Called when the subjects are gone.
    pub(crate) end: Box<dyn Fn()>,
    /// Called when all is over.
    pub(crate) check: Box<dyn FnOnce(&Tools) -> Result<(), String>>,
    /// How long the subjects get at least: the kernel's threads, and ours, may take their time.
    pub(crate) patience: Duration,
    /// Whether innocents may take what the subjects wait for.
    pub(crate) competes: bool,
    /// Whether the subjects submit more than one operation, and are polled in a runtime again once something has come.
    pub(crate) submits: bool,
    /// Whether the subjects go on in the runtime that they were polled in last: timers do, and what takes several steps.
    pub(crate) moves: bool,
}

impl Default for Scene {
    fn default() -> Self {
        Scene {
            subjects: Vec::new(),
            innocents: Vec::new(),
            cause: Box::new(|_| ()),
            end: Box::new(|| ()),
            check: Box::new(|_| Ok(())),
            patience: Duration::ZERO,
            competes: false,
            submits: false,
            moves: false,
        }
    }
}

/// For what other threads do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What subjects and innocents have in common.
pub(crate) struct Tools {
    pub(crate) stage: Rc<Stage>,
    /// Buffers of the adversary.
    pub(crate) watch: Watch,
    pub(crate) log: Log,
}

/// What was received, by whomever.
#[derive(Default)]
pub(crate) struct Log {
    bytes: RefCell<Vec<u8>>,
    ended: RefCell<Vec<(u8, usize)>>,
}

impl Log {
    /// Bytes came.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        self.bytes.borrow_mut().extend_from_slice(bytes);
    }

    /// A write has ended well, of so many bytes.
    pub(crate) fn wrote(&self, id: u8, count: usize) {
        self.ended.borrow_mut().push((id, count));
    }

    /// All bytes that came, sorted.
    pub(crate) fn all(&self) -> Vec<u8> {
        let mut all = self.bytes.borrow().clone();
        all.sort_unstable();
        all
    }

    /// All writes that ended.
    pub(crate) fn writes(&self) -> Vec<(u8, usize)> {
        self.ended.borrow().clone()
    }
}

impl Tools {
    pub(crate) fn new(stage: Rc<Stage>) -> Rc<Self> {
        Self::with(stage, Watch::calling(|| at(Point::BufferDrop)))
    }

    /// With buffers of this watch.
    pub(crate) fn with(stage: Rc<Stage>, watch: Watch) -> Rc<Self> {
        Rc::new(Tools {
            stage,
            watch,
            log: Log::default(),
        })
    }

    /// A buffer of the adversary, to read into.
    pub(crate) fn buf(&self, capacity: usize) -> Tracked {
        self.watch.buf(capacity)
    }

    /// A buffer of the adversary, to write from: `len` times the byte `id`.
    pub(crate) fn bytes(&self, id: u8, len: usize) -> Bytes {
        Bytes::from_owner(self.watch.filled(vec![id; len]))
    }

    /// Holds the owner of a descriptor, which the adversary may drop, or close where no future borrows it.
    pub(crate) fn hold<S: 'static, C>(&self, owner: S, close: fn(S) -> C) -> Held<Rc<S>>
    where
        C: Future<Output = io::Result<()>> + 'static,
    {
        let held = Held::new(Rc::new(owner));
        let own = held.clone();
        self.stage.add_descriptor(Box::new(move |closes| {
            let owner = own.take()?;
            if !closes {
                return None;
            }
            let closing = close(Rc::into_inner(owner)?);
            Some(task(async move {
                let _ = closing.await;
            }))
        }));
        held
    }

    /// An operation has failed: notes it unless that may be.
    pub(crate) fn failed(&self, what: &str, error: &io::Error) {
        let number = error.raw_os_error().unwrap_or(0);
        let expected = match number {
            libc::ECANCELED => self.stage.is_lost() || self.stage.is_closed(),
            libc::EBADF | libc::EPIPE | libc::ECONNRESET => self.stage.is_closed(),
            // The runtime has ended.
            0 => self.stage.is_lost(),
            _ => false,
        };
        if !expected {
            self.stage.fault(format!("{what} failed: {error}"));
        }
    }

    /// Whether each of the bytes below `end` has come once; a part of them if the descriptor is gone.
    pub(crate) fn all_came(&self, end: u8) -> Result<(), String> {
        let all = self.log.all();
        let once = all.windows(2).all(|two| two[0] < two[1]) && all.iter().all(|&one| one < end);
        if once && (all.len() == usize::from(end) || self.stage.is_closed()) {
            Ok(())
        } else {
            Err(format!("of {end} bytes there came {all:?}"))
        }
    }
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stage.fmt(f)
    }
}

/// A file of which one task at a time has the use; goes back where it was taken from.
#[derive(Debug)]
pub(crate) struct Lent {
    file: Option<Rc<File>>,
    home: Held<Rc<File>>,
}

impl Lent {
    fn new(home: &Held<Rc<File>>) -> Option<Self> {
        Some(Lent {
            file: Some(home.take()?),
            home: home.clone(),
        })
    }

    /// Takes it, for a subject: it is there, unless it was dropped or closed.
    pub(crate) fn take(tools: &Tools, home: &Held<Rc<File>>) -> Option<Self> {
        let lent = Self::new(home);
        if lent.is_none() && !tools.stage.is_closed() {
            tools.stage.fault("somebody else has the file");
        }
        lent
    }

    /// Takes it as soon as it is there, but after the subject; `None` if it was dropped or closed.
    pub(crate) async fn wait(tools: &Tools, home: &Held<Rc<File>>) -> Option<Self> {
        loop {
            saferring::task::yield_now().await;
            match Self::new(home) {
                None if !tools.stage.is_closed() => {}
                lent => return lent,
            }
            let _ = saferring::op::nop().await;
        }
    }

    /// The file.
    pub(crate) fn get(&mut self) -> &mut File {
        self.file.as_mut().and_then(Rc::get_mut).unwrap()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            self.home.put(file);
        }
    }
}

/// A task of the scene from a future.
pub(crate) fn task(future: impl Future<Output = ()> + 'static) -> Task {
    Box::pin(future)
}
