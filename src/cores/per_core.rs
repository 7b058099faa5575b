//! One value a core.

use std::cell::RefCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use futures_util::future::join_all;

use super::core::{Core, Local};
use super::shared::next_number;
use crate::runtime::{CallError, Remote};

/// A value that each core has one of, which need not be `Send`: made on the core when it is first asked for, and dropped there
/// when the core ends and no task is left.
///
/// It is reached by closures that cannot await, so nobody finds it borrowed: [`with`](PerCore::with) on the own core, the other
/// methods on others. Between two closures it may have changed.
///
/// It is mostly a `static`, or a clone that each core's closure has.
///
/// # State that all cores read
///
/// A value a core is for what can be split by key or by connection. What every core reads and few change (configuration,
/// routes) is better held once: in an `arc-swap`, whose readers load a pointer, or in a `left-right`, whose one writer has a
/// second copy to change while the first is read. Or each core has its copy here, and [`broadcast`](PerCore::broadcast) changes all
/// of them in the same order.
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
///
/// use saferring::cores::{Cores, PerCore, Placement};
///
/// static SHARD: PerCore<HashMap<String, String>> = PerCore::new(|_core| HashMap::new());
///
/// let cores = Cores::builder().cores(Placement::Count(1)).build()?;
/// cores.run(async |core| {
///     let owner = 42 % core.count();
///     SHARD.with_on(owner, |shard| shard.insert("a".into(), "b".into())).await?;
///     let sizes = SHARD.map_all(|shard| shard.len()).await?;
///     assert_eq!(sizes.iter().sum::<usize>(), 1);
///     Ok::<_, saferring::runtime::CallError>(())
/// })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct PerCore<T: 'static> {
    number: OnceLock<usize>,
    make: Make<T>,
}

/// How a core's value is made.
enum Make<T> {
    Function(fn(&Core) -> T),
    Closure(Arc<dyn Fn(&Core) -> T + Send + Sync>),
}

impl<T> Make<T> {
    fn call(&self, core: &Core) -> T {
        match self {
            Make::Function(make) => make(core),
            Make::Closure(make) => make(core),
        }
    }
}

/// The value of one core.
struct Value<T>(RefCell<T>);

impl<T: 'static> Local for Value<T> {}

impl<T: 'static> PerCore<T> {
    /// A value a core, each made by `make`; for a `static`.
    pub const fn new(make: fn(&Core) -> T) -> Self {
        PerCore {
            number: OnceLock::new(),
            make: Make::Function(make),
        }
    }

    /// A value a core, each made by `make`, which may have captured something.
    ///
    /// # Examples
    ///
    /// ```
    /// use saferring::cores::{Cores, PerCore, Placement};
    ///
    /// let start = vec![1, 2];
    /// let lists = PerCore::with_make(move |_core| start.clone());
    /// let cores = Cores::builder().cores(Placement::Count(1)).build()?;
    /// let lengths = cores.run(async |_core| Ok::<_, std::io::Error>(lists.with(|list| list.len())))?;
    /// assert_eq!(lengths, [2]);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_make(make: impl Fn(&Core) -> T + Send + Sync + 'static) -> Self {
        PerCore {
            number: OnceLock::new(),
            make: Make::Closure(Arc::new(make)),
        }
    }

    /// Calls `f` with this core's value.
    ///
    /// # Panics
    ///
    /// Outside of a core; within itself, with the same value; if `make` panics or asks for the value that it makes.
    #[track_caller]
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let core = Core::current();
        let number = *self.number.get_or_init(next_number);
        let value: Rc<Value<T>> = core.local(number, || Value(RefCell::new(self.make.call(&core))));
        match value.0.try_borrow_mut() {
            Ok(mut value) => f(&mut value),
            Err(_) => panic!(
                "PerCore::with was called within itself: use the value that the outer closure has"
            ),
        }
    }

    /// Calls `f` with the value of core `to`, between two tasks there.
    ///
    /// # Errors
    ///
    /// As [`Core::call`].
    ///
    /// # Panics
    ///
    /// Outside of a core.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it is ready, `f` may be called all the same.
    pub async fn with_on<F, R>(&self, to: usize, f: F) -> Result<R, CallError>
    where
        F: FnOnce(&mut T) -> R + Send + 'static,
        R: Send + 'static,
    {
        let this = self.clone();
        Core::current().call_now(to, move |_| this.with(f)).await
    }

    /// Calls `f` with the value of each core, on all cores at the same time; the results are in the order of the cores.
    ///
    /// # Errors
    ///
    /// As [`Core::call`], of the first core that cannot; the others have been called all the same.
    ///
    /// # Panics
    ///
    /// Outside of a core.
    ///
    /// # Cancel safety
    ///
    /// As [`with_on`](PerCore::with_on).
    pub async fn map_all<F, R>(&self, f: F) -> Result<Vec<R>, CallError>
    where
        F: Fn(&mut T) -> R + Clone + Send + 'static,
        R: Send + 'static,
    {
        let calls = (0..Core::current().count()).map(|core| self.with_on(core, f.clone()));
        let results = join_all(calls).await;
        results.into_iter().collect()
    }

    /// [`map_all`](PerCore::map_all), with the results put together here, in the order of the cores.
    ///
    /// # Errors
    ///
    /// As [`map_all`](PerCore::map_all).
    ///
    /// # Panics
    ///
    /// Outside of a core.
    ///
    /// # Cancel safety
    ///
    /// As [`with_on`](PerCore::with_on).
    ///
    /// # Examples
    ///
    /// ```
    /// use saferring::cores::{Cores, PerCore, Placement};
    ///
    /// static COUNT: PerCore<u64> = PerCore::new(|core| core.id() as u64 + 1);
    ///
    /// let cores = Cores::builder().cores(Placement::Count(1)).build()?;
    /// let sums = cores.run(async |_core| COUNT.map_reduce(|count| *count, 0, |a, b| a + b).await)?;
    /// assert_eq!(sums, [1]);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub async fn map_reduce<F, R, A>(
        &self,
        map: F,
        start: A,
        reduce: impl FnMut(A, R) -> A,
    ) -> Result<A, CallError>
    where
        F: Fn(&mut T) -> R + Clone + Send + 'static,
        R: Send + 'static,
    {
        let results = self.map_all(map).await?;
        Ok(results.into_iter().fold(start, reduce))
    }

    /// Calls `f` with the value of every core. However many cores broadcast at the same time, all values are changed in the same
    /// order: the one in which the broadcasts have come to core 0. It returns when all have been.
    ///
    /// # Errors
    ///
    /// As [`Core::call`], of the first core that cannot; the others are called all the same, but for core 0, without which
    /// none is.
    ///
    /// # Panics
    ///
    /// Outside of a core.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it is ready, `f` may be called all the same; then on every core.
    pub async fn broadcast<F>(&self, f: F) -> Result<(), CallError>
    where
        F: Fn(&mut T) + Clone + Send + 'static,
    {
        let this = self.clone();
        let core = Core::current();
        let sent = core.call_now(0, move |sequencer| {
            // What is sent from here to one core comes there in this order. None waits for room, or they would overtake.
            let send = |core| {
                let (this, f) = (this.clone(), f.clone());
                Kept(Some(
                    sequencer.submit_now(core, move |_| this.with(|value| f(value))),
                ))
            };
            (0..sequencer.count()).map(send).collect::<Vec<_>>()
        });
        let applied = join_all(sent.await?.into_iter().map(Kept::ended)).await;
        applied.into_iter().collect()
    }
}

/// A part of a broadcast, which is not taken back when nobody waits for it any more.
struct Kept(Option<Remote<()>>);

impl Kept {
    async fn ended(mut self) -> Result<(), CallError> {
        poll_fn(|cx| match &mut self.0 {
            Some(call) => Pin::new(call).poll(cx),
            None => Poll::Ready(Ok(())),
        })
        .await
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call.detach();
        }
    }
}

impl<T: 'static> Clone for PerCore<T> {
    /// The same values.
    fn clone(&self) -> Self {
        PerCore {
            number: OnceLock::from(*self.number.get_or_init(next_number)),
            make: match &self.make {
                Make::Function(make) => Make::Function(*make),
                Make::Closure(make) => Make::Closure(Arc::clone(make)),
            },
        }
    }
}

impl<T> fmt::Debug for PerCore<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerCore").finish_non_exhaustive()
    }
}
