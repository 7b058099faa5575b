//! A runtime, as other threads see it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::call::{Anywhere, Call, Later, Remote};
use super::context;
use super::event_loop::Core;
use super::inbox::{Inbox, Job, Message, Service};
use super::runtime::Runtime;

/// A runtime, from anywhere: any thread, and any task of any runtime, gives it work and awaits the result.
///
/// What is given comes in order and in lots: who finds the runtime busy adds to what it takes next. What a future does there
/// may use everything of this crate, and need not be `Send`.
///
/// It does not keep the runtime alive: what is given to one that has ended is refused. Work that is given between two calls
/// of [`block_on`](super::Runtime::block_on) waits for the next.
///
/// # Examples
///
/// A file, read by a thread that has no runtime:
///
/// ```
/// use saferring::fs::File;
/// use saferring::runtime::Runtime;
///
/// let runtime = Runtime::new()?;
/// let handle = runtime.handle();
/// let thread = std::thread::spawn(move || {
///     let read = handle.run(|| async {
///         let file = File::open("Cargo.toml").await?;
///         let (n, mut buf) = file.read_at(vec![0; 64], 0).await;
///         buf.truncate(n?);
///         std::io::Result::Ok(buf)
///     });
///     read.wait() // in a task, of any runtime: `read.await`
/// });
/// let ended = async { saferring::spawn_blocking(move || thread.join()).await };
/// let bytes = runtime.block_on(ended).unwrap().unwrap().unwrap()?;
/// assert!(bytes.starts_with(b"[workspace]"));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Handle {
    inbox: Arc<Inbox>,
}

impl Handle {
    /// That of the runtime that the caller is in.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # saferring::runtime::Runtime::new().unwrap().block_on(async {
    /// let handle = saferring::runtime::Handle::current();
    /// let thread = std::thread::spawn(move || handle.run(|| async { 6 * 7 }));
    /// assert_eq!(thread.join().unwrap().await.unwrap(), 42);
    /// # });
    /// ```
    #[track_caller]
    pub fn current() -> Self {
        context::current_or_panic("Handle::current").handle()
    }

    /// That of the runtime in which this is called, if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use saferring::runtime::{Handle, Runtime};
    ///
    /// assert!(Handle::try_current().is_none());
    /// let runtime = Runtime::new()?;
    /// let inside = runtime.block_on(async { Handle::try_current() });
    /// assert!(inside.unwrap().is_same(&runtime.handle()));
    /// # Ok::<_, saferring::Error>(())
    /// ```
    pub fn try_current() -> Option<Self> {
        context::current().map(|core| core.handle())
    }

    /// Has the runtime call `f` in a task of its own, and gives what the future answers. It is on its way when this
    /// returns, whether or not the result is awaited; if that is dropped, the future is dropped there.
    ///
    /// # Errors
    ///
    /// [`CallError::Closed`](super::CallError::Closed) if the runtime has ended, or ends before the future does;
    /// [`Panicked`](super::CallError::Panicked) if `f` or its future panics.
    ///
    /// # Cancel safety
    ///
    /// Dropping the result drops the future, as an abort does to a task: what has been done by then stays done.
    pub fn run<F, Fut>(&self, f: F) -> Remote<Fut::Output>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output: Send> + 'static,
    {
        let call = Call::new(Later(f), Anywhere);
        self.give(Message::Do(Arc::clone(&call) as Arc<dyn Job>));
        Remote::new(call)
    }

    /// That of the runtime which looks into `inbox`.
    pub(crate) fn of(inbox: &Arc<Inbox>) -> Self {
        Handle {
            inbox: Arc::clone(inbox),
        }
    }

    /// Whether both are of the same runtime.
    pub fn is_same(&self, other: &Handle) -> bool {
        Arc::ptr_eq(&self.inbox, &other.inbox)
    }

    /// Has the runtime run the message, or refuses it.
    pub(crate) fn give(&self, message: Message) {
        if let Err(refused) = self.inbox.push(message) {
            refused.refuse();
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl Core {
    /// Its handle; the first one makes the task that does what comes by handles.
    pub(super) fn handle(&self) -> Handle {
        let inbox = self.inbox.get_or_init(|| {
            let inbox = Arc::new(Inbox::new());
            self.serve(Arc::clone(&inbox));
            inbox
        });
        Handle {
            inbox: Arc::clone(inbox),
        }
    }

    /// Does what comes into `inbox`.
    fn serve(&self, inbox: Arc<Inbox>) {
        self.spawn_own(Service::new(inbox));
    }

    /// A task that nobody is told of.
    fn spawn_own(&self, future: impl Future<Output = ()> + 'static) {
        self.own_tasks.set(self.own_tasks.get() + 1);
        drop(self.executor.spawn(future));
    }
}

impl Runtime {
    /// The runtime as other threads see it.
    pub fn handle(&self) -> Handle {
        self.core.handle()
    }

    /// Spawns a task of the crate's own, which no metrics tell of. It ends with the runtime.
    pub(crate) fn spawn_own(&self, future: impl Future<Output = ()> + 'static) {
        self.core.spawn_own(future);
    }

    /// Makes `inbox` that of the runtime, which has none yet.
    pub(crate) fn set_inbox(&self, inbox: Arc<Inbox>) {
        if self.core.inbox.set(Arc::clone(&inbox)).is_ok() {
            self.core.serve(inbox);
        }
    }
}
