//! One ring of a service: the runtime that does the calls, and what callers know of it.

use std::convert::Infallible;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot, watch};

use super::errors::{self, inherited, no_runtime, no_thread};
use super::table;
use crate::runtime::{self, Handle};
use crate::sys::generation;

/// A ring, as callers see it. The last who knows it ends the service there.
pub(super) struct Ring {
    pub(super) handle: Handle,
    /// The table of its files.
    pub(super) table: u64,
    /// The calls that it may still be given.
    limit: Arc<Semaphore>,
    /// Ends the service when it is dropped.
    stop: Mutex<Option<oneshot::Sender<Infallible>>>,
    /// Closed when the thread, or the service in somebody's runtime, has ended.
    ended: watch::Receiver<()>,
    /// Until somebody has waited for its end.
    thread: Mutex<Option<JoinHandle<()>>>,
    generation: u32,
}

/// What a ring's runtime keeps of the service, until that ends.
struct Service {
    table: u64,
    limit: Arc<Semaphore>,
    /// Of one in somebody's runtime; a thread has its own.
    over: Option<watch::Sender<()>>,
}

impl Service {
    async fn run(self, stop: oneshot::Receiver<Infallible>) {
        table::add(self.table);
        let _ = stop.await;
        drop(self);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.limit.close();
        table::remove(self.table);
        drop(self.over.take());
    }
}

impl Ring {
    /// A thread with a runtime of its own.
    ///
    /// # Errors
    ///
    /// If there is no thread, or no runtime; the errors say which of how many.
    pub(super) fn start(
        name: &str,
        builder: &runtime::Builder,
        limit: usize,
        [number, of]: [usize; 2],
    ) -> io::Result<Self> {
        let (over, ended) = watch::channel(());
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let limit = Arc::new(Semaphore::new(limit));
        let service = Service {
            table: table::number(),
            limit: Arc::clone(&limit),
            over: None,
        };
        let table = service.table;
        let builder = builder.clone();
        let body = move || {
            let runtime = match builder.build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(tell.send(Err(error))),
            };
            let _ = tell.send(Ok(runtime.handle()));
            runtime.block_on(service.run(stopped));
            drop(runtime);
            drop(over);
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(body);
        let thread = thread.map_err(|error| no_thread(number, of, &error))?;
        let handle = match told.recv() {
            Ok(Ok(handle)) => handle,
            Ok(Err(error)) => {
                let _ = thread.join();
                return Err(no_runtime(number, of, error));
            }
            // It has panicked, and told so.
            Err(_) => return Err(errors::ended()),
        };
        Ok(Ring {
            handle,
            table,
            limit,
            stop: Mutex::new(Some(stop)),
            ended,
            thread: Mutex::new(Some(thread)),
            generation: generation(),
        })
    }

    /// A service in a runtime that somebody runs.
    pub(super) fn on(handle: Handle, limit: usize) -> Self {
        let (over, ended) = watch::channel(());
        let (stop, stopped) = oneshot::channel();
        let limit = Arc::new(Semaphore::new(limit));
        let service = Service {
            table: table::number(),
            limit: Arc::clone(&limit),
            over: Some(over),
        };
        let table = service.table;
        handle.run(move || service.run(stopped)).detach();
        Ring {
            handle,
            table,
            limit,
            stop: Mutex::new(Some(stop)),
            ended,
            thread: Mutex::default(),
            generation: generation(),
        }
    }

    /// Room for one more call, when there is some.
    ///
    /// # Errors
    ///
    /// If the service has ended, or is that of a parent process.
    pub(super) async fn permit(&self) -> io::Result<OwnedSemaphorePermit> {
        if self.is_inherited() {
            return Err(inherited());
        }
        match Arc::clone(&self.limit).try_acquire_owned() {
            Ok(permit) => Ok(permit),
            Err(TryAcquireError::Closed) => Err(errors::ended()),
            Err(TryAcquireError::NoPermits) => {
                let permit = Arc::clone(&self.limit).acquire_owned().await;
                permit.map_err(|_| errors::ended())
            }
        }
    }

    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    /// Whether this process is a child of the one that has the threads.
    pub(super) fn is_inherited(&self) -> bool {
        self.generation != generation()
    }

    /// Has the service end, whoever uses it.
    pub(super) fn stop(&self) {
        if self.is_inherited() {
            return;
        }
        self.limit.close();
        let mut stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        let stop = stop.take();
        drop(stop);
    }

    /// Waits until it has ended.
    pub(super) async fn ended(&self) {
        let mut ended = self.ended.clone();
        if self.is_inherited() {
            return;
        }
        while ended.changed().await.is_ok() {}
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // It has nothing left to do but to return. A panic was told of.
            let _ = thread.join();
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if self.is_inherited() {
            // It would tell a thread that is not there.
            let stop = self.stop.get_mut().unwrap_or_else(PoisonError::into_inner);
            mem::forget(stop.take());
        }
    }
}
