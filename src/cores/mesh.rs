//! Mailboxes: messages of one type between all cores.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::mem;
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock};

use super::core::{Core, Local};
use super::room::{Credit, NoRoom, Pairs, Room, Taken};
use super::shared::{lock, next_number};
use crate::foreign;
use crate::runtime::{Job, Message};
use crate::sync::local::Notify;
use crate::task::{poll_proceed, spend};

/// Messages of one type from each core to each: a mailbox on every core, with a bound for each sender.
///
/// It is connected from birth: no core waits for another to join. Messages from one core to another come in the order in
/// which they were sent, and in lots: what the tasks of a core send before it looks at the kernel again wakes the other core
/// once, and not at all if it is busy. A core that is sent more than it takes makes the senders wait, each at its own bound;
/// cores that are full towards each other go on as soon as either takes something.
///
/// It is mostly a `static`, or a clone that each core's closure has. What was sent to a core that has ended since is lost.
///
/// # Examples
///
/// ```
/// use saferring::cores::{Cores, Mesh, Placement};
///
/// static NUMBERS: Mesh<u64> = Mesh::new(128);
///
/// let cores = Cores::builder().cores(Placement::Count(1)).build()?;
/// let received = cores.run(async |core| {
///     let next = (core.id() + 1) % core.count();
///     NUMBERS.send(next, 42).await?;
///     let (from, number) = NUMBERS.recv().await.expect("not all others have ended");
///     assert_eq!(from, core.id());
///     Ok::<_, Box<dyn std::error::Error + Send + Sync>>(number)
/// })?;
/// assert_eq!(received, [42]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Mesh<T> {
    number: OnceLock<usize>,
    capacity: usize,
    _messages: PhantomData<fn(T) -> T>,
}

/// Why a message was not sent. It is in there.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError<T> {
    /// There is no room now, says [`Mesh::try_send`].
    #[error("the mailbox is full: send waits until there is room")]
    Full(T),
    /// The core has ended.
    #[error("the core has ended, and takes no messages any more")]
    Closed(T),
    /// There is no core with this number.
    #[error("there is no core with this number")]
    NoSuchCore(T),
}

impl<T> SendError<T> {
    /// The message.
    pub fn into_inner(self) -> T {
        match self {
            SendError::Full(message)
            | SendError::Closed(message)
            | SendError::NoSuchCore(message) => message,
        }
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Full(_) => "Full(..)",
            SendError::Closed(_) => "Closed(..)",
            SendError::NoSuchCore(_) => "NoSuchCore(..)",
        })
    }
}

/// What is on its way from one core to another. It is its own message: one is under way while `messages` is not empty.
struct Lane<T> {
    mesh: usize,
    capacity: usize,
    from: usize,
    to: usize,
    messages: Mutex<VecDeque<T>>,
    credit: Credit,
}

/// What a core has of a mesh.
struct End<T> {
    /// To each core.
    to: Box<[Arc<Lane<T>>]>,
    /// From each core.
    from: Box<[Arc<Lane<T>>]>,
    rooms: Box<[Room]>,
    /// By sender.
    taken: Box<[Taken]>,
    inbox: RefCell<Inbox<T>>,
    arrived: Notify,
    me: usize,
}

struct Inbox<T> {
    /// By sender.
    from: Box<[VecDeque<T>]>,
    /// Whose turn it is.
    next: usize,
}

impl<T: Send + 'static> Mesh<T> {
    /// A mesh in which up to `capacity` messages from one core may wait at another, at least one.
    pub const fn new(capacity: usize) -> Self {
        Mesh {
            number: OnceLock::new(),
            capacity: if capacity == 0 { 1 } else { capacity },
            _messages: PhantomData,
        }
    }

    /// Sends a message to core `to`, as soon as there is room. First come, first served.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] and [`SendError::NoSuchCore`], with the message.
    ///
    /// # Panics
    ///
    /// Outside of a core.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it is ready, the message was not sent.
    pub async fn send(&self, to: usize, message: T) -> Result<(), SendError<T>> {
        let core = Core::current();
        let end = self.end(&core);
        let Some(room) = end.rooms.get(to) else {
            return Err(SendError::NoSuchCore(message));
        };
        match room.take().await {
            Ok(()) => {
                end.send(&core, to, message);
                Ok(())
            }
            Err(_) => Err(SendError::Closed(message)),
        }
    }

    /// Sends a message to core `to`, if there is room now.
    ///
    /// # Errors
    ///
    /// As [`send`](Mesh::send), and [`SendError::Full`].
    ///
    /// # Panics
    ///
    /// Outside of a core.
    pub fn try_send(&self, to: usize, message: T) -> Result<(), SendError<T>> {
        let core = Core::current();
        let end = self.end(&core);
        let Some(room) = end.rooms.get(to) else {
            return Err(SendError::NoSuchCore(message));
        };
        match room.try_take() {
            Ok(()) => {
                end.send(&core, to, message);
                Ok(())
            }
            Err(NoRoom::Full) => Err(SendError::Full(message)),
            Err(NoRoom::Closed) => Err(SendError::Closed(message)),
        }
    }

    /// The next message for this core, with the core that it comes from; `None` once all other cores have ended and none is
    /// left. Cores that have sent take turns.
    ///
    /// # Panics
    ///
    /// Outside of a core.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses no message.
    pub async fn recv(&self) -> Option<(usize, T)> {
        let core = Core::current();
        let end = self.end(&core);
        loop {
            poll_fn(|cx| poll_proceed(cx)).await;
            if let Some(found) = end.take(&core) {
                spend();
                return Some(found);
            }
            if end.is_alone() {
                return None;
            }
            end.arrived.notified().await;
        }
    }

    /// The next message for this core, if there is one now.
    ///
    /// # Panics
    ///
    /// Outside of a core.
    pub fn try_recv(&self) -> Option<(usize, T)> {
        let core = Core::current();
        self.end(&core).take(&core)
    }

    /// This core's end.
    fn end(&self, core: &Core) -> Rc<End<T>> {
        let number = *self.number.get_or_init(next_number);
        end_of(core, number, self.capacity)
    }
}

/// The end that `core` has of a mesh; the first that asks makes it.
fn end_of<T: Send + 'static>(core: &Core, mesh: usize, capacity: usize) -> Rc<End<T>> {
    let cores = core.count();
    let make = || {
        let shared = core.shared();
        let pairs = || {
            Pairs::new(cores, |from, to| Lane {
                mesh,
                capacity,
                from,
                to,
                messages: Mutex::default(),
                credit: Credit::default(),
            })
        };
        let rooms = Room::all(cores, capacity);
        for (room, calls) in rooms.iter().zip(core.rooms()) {
            if calls.is_closed() {
                room.close();
            }
        }
        let (lanes, me) = (shared.thing(mesh, pairs), core.id());
        let lane = |from, to| Arc::clone(lanes.between(from, to));
        let to: Box<[_]> = (0..cores).map(|to| lane(me, to)).collect();
        for (lane, room) in to.iter().zip(&rooms) {
            lane.credit.begin(room);
        }
        End {
            to,
            from: (0..cores).map(|from| lane(from, me)).collect(),
            rooms,
            taken: (0..cores).map(|_| Taken::default()).collect(),
            inbox: RefCell::new(Inbox {
                from: (0..cores).map(|_| VecDeque::new()).collect(),
                next: 0,
            }),
            arrived: Notify::new(),
            me,
        }
    };
    core.local(mesh, make)
}

impl<T: Send + 'static> End<T> {
    /// Sends where there is room.
    fn send(&self, core: &Core, to: usize, message: T) {
        let lane = &self.to[to];
        let is_first = {
            let mut messages = lock(&lane.messages);
            messages.push_back(message);
            messages.len() == 1
        };
        if is_first {
            core.send(to, Message::Do(Arc::clone(lane) as Arc<dyn Job>));
        }
    }

    fn take(&self, core: &Core) -> Option<(usize, T)> {
        let mut inbox = self.inbox.borrow_mut();
        let Inbox { from: all, next } = &mut *inbox;
        let (first, cores) = (*next, all.len());
        let (from, message) = (first..cores).chain(0..first).find_map(|from| {
            let message = all[from].pop_front()?;
            Some((from, message))
        })?;
        *next = if from + 1 == cores { 0 } else { from + 1 };
        drop(inbox);
        let lane = &self.from[from];
        if lane.credit.add(&self.taken[from], core.lot(from)) {
            core.send(from, Message::Home(Arc::clone(lane) as Arc<dyn Job>));
        }
        Some((from, message))
    }

    /// Whether all others have ended.
    fn is_alone(&self) -> bool {
        let mut rooms = self.rooms.iter().enumerate();
        self.rooms.len() > 1 && rooms.all(|(core, room)| core == self.me || room.is_closed())
    }
}

impl<T: Send + 'static> Job for Lane<T> {
    /// At the core that it goes to.
    fn run(self: Arc<Self>) {
        let Some(core) = Core::try_current() else {
            return;
        };
        let end = end_of::<T>(&core, self.mesh, self.capacity);
        end.inbox.borrow_mut().from[self.from].append(&mut lock(&self.messages));
        end.arrived.notify_waiters();
    }

    fn refuse(self: Arc<Self>) {
        let lost = mem::take(&mut *lock(&self.messages));
        drop_each(lost);
    }

    /// Room comes back to the core that sends.
    fn come_home(self: Arc<Self>) {
        if let Some(core) = Core::try_current() {
            let end = end_of::<T>(&core, self.mesh, self.capacity);
            self.credit.give_back(&end.rooms[self.to]);
        }
    }

    fn lose_home(self: Arc<Self>) {}
}

/// Drops messages that nobody gets: a panic of one leaves the others to be dropped.
fn drop_each<T>(messages: VecDeque<T>) {
    for message in messages {
        foreign::guarded(|| drop(message));
    }
}

impl<T> Drop for End<T> {
    fn drop(&mut self) {
        for messages in &mut self.inbox.get_mut().from {
            drop_each(mem::take(messages));
        }
    }
}

impl<T: Send + 'static> Local for End<T> {
    fn core_ended(&self, core: usize) {
        self.rooms[core].close();
        self.arrived.notify_waiters();
    }

    fn core_restarted(&self, core: usize) {
        self.rooms[core].reopen();
    }
}

impl<T: Send + 'static> Clone for Mesh<T> {
    /// The same mesh.
    fn clone(&self) -> Self {
        Mesh {
            number: OnceLock::from(*self.number.get_or_init(next_number)),
            capacity: self.capacity,
            _messages: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Mesh<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mesh")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
