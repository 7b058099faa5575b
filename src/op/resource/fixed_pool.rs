//! Pools of buffers that the kernel has pinned once, for all operations.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;

use super::arena::Arena;
use super::fixed_buf::FixedBuf;
use super::waiters::{Wait, Waiters};
use crate::feature::Feature;
use crate::op::context::{current, may_use};
use crate::sys::{Memory, memlock};
use crate::task::{WakeRef, cooperative};

/// What the kernel registers in one piece at most.
const LEN_MAX: usize = 1 << 30;
/// Buffers begin on multiples of this, which serves `O_DIRECT` on every common file system and device.
const ALIGN: usize = 4096;
/// What [`FixedBufPool::take_or_make`] keeps beside the pool: in pieces of a huge page, up to so many bytes.
const MORE_PIECE: usize = 2 << 20;
const MORE_MAX: usize = 16 << 20;

/// A pool of buffers of one size, registered with the runtime's ring.
///
/// For each ordinary read or write the kernel pins the pages of the buffer and lets them go again; these it has pinned
/// once. [`File::read_at`](crate::fs::File::read_at) and `write_at` see by themselves that a buffer is registered. With
/// 4 KiB that saves 12 % of the CPU time of reads with `O_DIRECT`, 32 and more at once, and 1 to 7 % of cached ones.
///
/// The memory is page-aligned, so that it suits `O_DIRECT`; in huge pages where a pool has at least 2 MiB and the system
/// allows them; and first touched by the runtime's own thread, so that it lies on that thread's NUMA node.
///
/// A pool is a handle: its clones share the buffers. It belongs to the runtime that it was made in; in another, its
/// buffers are ordinary ones. Every runtime has a pool of its own to start from: [`runtime::fixed_buffers`].
///
/// [`runtime::fixed_buffers`]: crate::runtime::fixed_buffers
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::fs::{File, FixedBufPool};
///
/// let pool = FixedBufPool::new(8, 16 * 1024)?;
/// let file = File::open("Cargo.toml").await?;
/// let (n, buf) = file.read_at(pool.take().await, 0).await;
/// assert_eq!(n?, buf.len());
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Clone)]
pub struct FixedBufPool(Rc<Arena>);

impl FixedBufPool {
    /// A pool of `buffers` buffers of `size` bytes, registered with the current runtime.
    ///
    /// Before kernel 5.19, or if a runtime has 64 pools already, the memory stays unregistered; see
    /// [`is_registered`](Self::is_registered).
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there is to be nothing in it, or more than 1 GiB; `OutOfMemory` if the memory cannot be had, or
    /// exceeds the limit on locked memory, which it is charged to.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    ///
    /// # Kernel
    ///
    /// `IORING_REGISTER_BUFFERS2` and its update, since 5.19 with an empty table; see io_uring_registered_buffers(7).
    #[track_caller]
    pub fn new(buffers: u32, size: usize) -> io::Result<Self> {
        let pool = Self::unregistered(buffers, size)?;
        if may_use(Feature::RegisteredBuffers)? {
            pool.register().map_err(|error| pool.explain(&error))?;
        }
        Ok(pool)
    }

    /// A pool that is registered if that can be done.
    pub(crate) fn registered_if_possible(buffers: u32, size: usize) -> io::Result<Self> {
        let pool = Self::unregistered(buffers, size)?;
        if may_use(Feature::RegisteredBuffers)? {
            // A limit that is too low is no reason to fail: the buffers work all the same.
            let _ = pool.register();
        }
        Ok(pool)
    }

    #[track_caller]
    fn unregistered(buffers: u32, size: usize) -> io::Result<Self> {
        let Some(driver) = current() else {
            panic!(
                "a pool of registered buffers was made outside a saferring runtime: make it inside Runtime::block_on, a \
                 spawned task or #[saferring::main]"
            )
        };
        let stride = size.checked_next_multiple_of(ALIGN).unwrap_or(usize::MAX);
        let len = stride.saturating_mul(buffers as usize);
        if len == 0 || len > LEN_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "a pool of {buffers} buffers of {size} bytes cannot be registered: it needs at least one byte, and \
                     at most 1 GiB; make several pools"
                ),
            ));
        }
        Ok(FixedBufPool(Rc::new(Arena {
            memory: Memory::map_huge(len)?,
            capacity: size,
            stride,
            buffers,
            free: RefCell::new((0..buffers).rev().collect()),
            waiters: Waiters::default(),
            more: RefCell::default(),
            ring: driver.id(),
            driver: Rc::downgrade(&driver),
            index: Cell::new(None),
        })))
    }

    fn register(&self) -> io::Result<()> {
        let Some(driver) = self.0.driver.upgrade() else {
            return Ok(());
        };
        let index = driver.register_buffer(&self.0.memory)?;
        self.0.index.set(index);
        Ok(())
    }

    fn explain(&self, error: &io::Error) -> io::Error {
        io::Error::new(
            error.kind(),
            format!(
                "{} KiB cannot be registered as buffers: {error} ({}); raise the limit (`ulimit -l`, or LimitMEMLOCK= in \
                 the service's unit), or make a smaller pool",
                self.0.memory.len() / 1024,
                memlock()
            ),
        )
    }

    /// A buffer, empty, if one is free.
    pub fn try_take(&self) -> Option<FixedBuf> {
        take(&self.0)
    }

    /// A buffer, empty, as soon as one is free. Those that wait get them in the order in which they came.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn take(&self) -> FixedBuf {
        let mut taking = Taking {
            arena: &self.0,
            wait: Wait::default(),
        };
        let wait = poll_fn(|cx| match self.try_take() {
            Some(buf) => Poll::Ready(buf),
            None if taking.wait.will_wake(&self.0.waiters, cx.waker()) => Poll::Pending,
            None => {
                // Foreign code, in which a buffer may come back: so it is looked at again.
                let waiter = WakeRef::new(cx.waker());
                match self.try_take() {
                    Some(buf) => Poll::Ready(buf),
                    None => {
                        taking.wait.register(&self.0.waiters, waiter);
                        Poll::Pending
                    }
                }
            }
        });
        cooperative(wait).await
    }

    /// A buffer, empty: one of the pool's, or if none is free an ordinary one of the same size. Of these as many are kept
    /// for the next as is reasonable: mapping and unmapping one costs several times what a cached read into it does.
    pub(crate) fn take_or_make(&self) -> io::Result<FixedBuf> {
        if let Some(buf) = self.try_take() {
            return Ok(buf);
        }
        let mut more = self.0.more.borrow_mut();
        if let Some(buf) = more.iter().find_map(take) {
            return Ok(buf);
        }
        let count = (MORE_PIECE / self.0.stride).max(1);
        let kept = (more.len() + 1) * count * self.0.stride <= MORE_MAX;
        let made = Self::unregistered(if kept { count as u32 } else { 1 }, self.0.capacity)?;
        let buf = made.try_take();
        if kept {
            more.push(made.0);
        }
        buf.ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    /// How many bytes a buffer holds.
    pub fn buffer_size(&self) -> usize {
        self.0.capacity
    }

    /// How many buffers there are.
    pub fn capacity(&self) -> usize {
        self.0.buffers as usize
    }

    /// How many of them are free.
    pub fn available(&self) -> usize {
        self.0.free.borrow().len()
    }

    /// Whether the kernel has the buffers registered. If not they work, as ordinary ones.
    pub fn is_registered(&self) -> bool {
        self.0.index.get().is_some()
    }
}

fn take(arena: &Rc<Arena>) -> Option<FixedBuf> {
    let index = arena.free.borrow_mut().pop()?;
    // SAFETY: the index was taken out of the free ones, and goes back with the drop of this buffer alone.
    Some(unsafe { FixedBuf::new(arena, index) })
}

impl fmt::Debug for FixedBufPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedBufPool")
            .field("buffer_size", &self.buffer_size())
            .field("capacity", &self.capacity())
            .field("available", &self.available())
            .field("registered", &self.is_registered())
            .finish()
    }
}

/// One who waits for a buffer, or has just been woken for one.
struct Taking<'a> {
    arena: &'a Arena,
    wait: Wait,
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        // The wake that it leaves behind, with a buffer, is for the next.
        if self.wait.leave(&self.arena.waiters) && !self.arena.free.borrow().is_empty() {
            self.arena.waiters.wake_one();
        }
    }
}
