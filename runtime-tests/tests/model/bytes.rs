//! What went through a stream, and whether it is what can have gone through.

use saferring_tests::pattern;

/// Which operations of one direction came after which: those of one epoch overlap each other, so that any of them may
/// have been first.
#[derive(Debug, Default)]
pub(crate) struct Order {
    epoch: u32,
    alive: u32,
    began: u32,
    muddled: bool,
}

impl Order {
    /// An operation begins; its epoch.
    pub(crate) fn begin(&mut self) -> u32 {
        if self.alive == 0 && !self.muddled {
            self.epoch += 1;
            self.began = 0;
        }
        self.alive += 1;
        self.began += 1;
        self.epoch
    }

    /// An operation has ended. What one that was dropped has received comes later, perhaps after what others received
    /// meanwhile: from then on there is no order.
    pub(crate) fn end(&mut self, dropped: bool) {
        self.alive -= 1;
        self.muddled |= dropped && self.began > 1;
    }

    /// From now on there is no order.
    pub(crate) fn muddle(&mut self) {
        self.muddled = true;
    }

    /// Whether there were, or are, several at once.
    pub(crate) fn overlapped(&self) -> bool {
        self.began > 1
    }

    pub(crate) fn alive(&self) -> u32 {
        self.alive
    }
}

/// How many steps of a search there are before it is given up.
const BUDGET: u32 = 200_000;

#[derive(Debug)]
struct Fragment {
    epoch: u32,
    /// The handle: what one handle receives is in order.
    handle: u64,
    bytes: Vec<u8>,
}

/// The bytes that the peer sends.
#[derive(Debug, Default)]
pub(crate) struct Input {
    pub(crate) order: Order,
    /// Where in the pattern this stream begins.
    start: u64,
    pub(crate) sent: u64,
    /// How many were read.
    pub(crate) taken: u64,
    /// The peer sends no more.
    pub(crate) ended: bool,
    pub(crate) reset: bool,
    /// How often a read has answered that the connection was reset.
    pub(crate) resets_seen: u32,
    /// Something that can have received bytes was forgotten, or lost them as it says.
    pub(crate) lossy: bool,
    fragments: Vec<Fragment>,
}

impl Input {
    pub(crate) fn new(number: usize) -> Self {
        Input {
            start: number as u64 * 1_000_003,
            ..Input::default()
        }
    }

    /// The next bytes to send.
    pub(crate) fn next(&self, len: usize) -> Vec<u8> {
        saferring_tests::pattern_bytes(self.start + self.sent, len)
    }

    /// Bytes were read of which it is not known where they lie.
    pub(crate) fn skip(&mut self, len: usize) {
        self.taken += len as u64;
        self.lossy = true;
    }

    pub(crate) fn add(&mut self, epoch: u32, handle: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.taken += bytes.len() as u64;
        // What a dropped read leaves may come to a stream behind what that has received itself.
        let handle = match self.order.muddled {
            true => u64::MAX - self.fragments.len() as u64,
            false => handle,
        };
        self.fragments.push(Fragment {
            epoch,
            handle,
            bytes: bytes.to_vec(),
        });
    }

    fn matches(&self, at: u64, bytes: &[u8]) -> bool {
        at + bytes.len() as u64 <= self.sent
            && (self.start + at..)
                .zip(bytes)
                .all(|(offset, &byte)| byte == pattern(offset))
    }

    /// Whether these bytes were sent at all, in one piece.
    pub(crate) fn contains(&self, bytes: &[u8]) -> bool {
        (0..=self.sent).any(|at| self.matches(at, bytes))
    }

    /// Whether all that was read is what was sent, each byte once and in order; `whole`: to the last byte.
    pub(crate) fn check(&self, whole: bool) -> Result<(), String> {
        if self.taken > self.sent {
            return Err(format!("{} bytes were read of {}", self.taken, self.sent));
        }
        let mut used = vec![false; self.fragments.len()];
        let mut budget = BUDGET;
        // What was not read may lie before what was: kept for a read that has not come.
        let gaps = self.lossy || !whole;
        if !self.place(0, gaps, &mut used, &mut budget) && budget > 0 {
            let read: Vec<_> = self
                .fragments
                .iter()
                .map(|fragment| self.tell(fragment))
                .collect();
            return Err(format!(
                "what was read cannot be what was sent ({} bytes): {read:?}",
                self.sent
            ));
        }
        if whole && !self.lossy && self.taken < self.sent {
            return Err(format!(
                "{} of {} bytes were lost",
                self.sent - self.taken,
                self.sent
            ));
        }
        Ok(())
    }

    fn tell(&self, fragment: &Fragment) -> String {
        let found = (0..=self.sent).find(|&at| self.matches(at, &fragment.bytes));
        let place = found.map_or("nowhere".to_owned(), |at| at.to_string());
        format!(
            "{} bytes at {place} (handle {}, epoch {})",
            fragment.bytes.len(),
            fragment.handle,
            fragment.epoch
        )
    }

    /// Lays the fragments that are left out from `at` on.
    fn place(&self, at: u64, gaps: bool, used: &mut [bool], budget: &mut u32) -> bool {
        *budget = budget.saturating_sub(1);
        let left = || (0..used.len()).filter(|&index| !used[index]);
        let Some(epoch) = left().map(|index| self.fragments[index].epoch).min() else {
            return true;
        };
        if *budget == 0 {
            return false;
        }
        let mut handles = Vec::new();
        let next: Vec<usize> = left()
            .filter(|&index| {
                let handle = self.fragments[index].handle;
                let first = !handles.contains(&handle);
                handles.push(handle);
                first && self.fragments[index].epoch == epoch
            })
            .collect();
        let mut at = at;
        loop {
            for &index in &next {
                let bytes = &self.fragments[index].bytes;
                if self.matches(at, bytes) {
                    used[index] = true;
                    if self.place(at + bytes.len() as u64, gaps, used, budget) {
                        return true;
                    }
                    used[index] = false;
                }
            }
            // A gap may be long: a loop, not a deep stack.
            *budget = budget.saturating_sub(1);
            if !gaps || at >= self.sent || *budget == 0 {
                return false;
            }
            at += 1;
        }
    }
}

/// How much of a message was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sent {
    Exactly(usize),
    UpTo(usize),
}

#[derive(Debug)]
struct Message {
    epoch: u32,
    len: usize,
    sent: Sent,
}

/// The bytes that we send: each write is a message that can be told from the others.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) order: Order,
    messages: Vec<Message>,
    /// What the peer has received.
    pub(crate) received: Vec<u8>,
    /// The peer is gone: who knows what it has not received.
    pub(crate) cut: bool,
}

impl Output {
    /// A new message: its number, and its bytes.
    pub(crate) fn message(&mut self, len: usize, epoch: u32) -> (usize, Vec<u8>) {
        let number = self.messages.len();
        self.messages.push(Message {
            epoch,
            len,
            sent: Sent::UpTo(0),
        });
        (number, bytes_of(number, len))
    }

    pub(crate) fn set(&mut self, number: usize, sent: Sent) {
        self.messages[number].sent = sent;
    }

    pub(crate) fn len_of(&self, number: usize) -> usize {
        self.messages[number].len
    }

    /// The most that can be on its way.
    pub(crate) fn unread(&self) -> usize {
        let sent = self.messages.iter().map(|message| match message.sent {
            Sent::Exactly(n) | Sent::UpTo(n) => n + 1024,
        });
        sent.sum::<usize>().saturating_sub(self.received.len())
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        let mut used = vec![false; self.messages.len()];
        let mut budget = BUDGET;
        if !self.place(0, 0, &mut used, &mut budget) && budget > 0 {
            let messages: Vec<_> = self.messages.iter().map(|message| message.sent).collect();
            return Err(format!(
                "the peer received {} bytes that cannot be what was sent: {messages:?} (the first: {:?})",
                self.received.len(),
                &self.received[..self.received.len().min(8)]
            ));
        }
        Ok(())
    }

    fn place(&self, at: usize, epoch: u32, used: &mut [bool], budget: &mut u32) -> bool {
        *budget = budget.saturating_sub(1);
        if at == self.received.len() {
            let missing = |(message, &used): (&Message, &bool)| {
                !used && matches!(message.sent, Sent::Exactly(1..))
            };
            return self.cut || !self.messages.iter().zip(&*used).any(missing);
        }
        if *budget == 0 {
            return false;
        }
        let number = self.received[at] as usize;
        let Some(message) = self.messages.get(number) else {
            return false;
        };
        if used[number] || message.epoch < epoch {
            return false;
        }
        let bytes = bytes_of(number, message.len);
        let common = bytes.iter().zip(&self.received[at..]);
        let common = common.take_while(|(a, b)| a == b).count();
        let (least, most) = match message.sent {
            Sent::Exactly(n) if n > common => {
                return self.cut && at + common == self.received.len();
            }
            Sent::Exactly(n) => (n.max(1), n),
            Sent::UpTo(n) => (1, n.min(common)),
        };
        used[number] = true;
        for len in (least..=most).rev() {
            if self.place(at + len, message.epoch, used, budget) {
                return true;
            }
        }
        used[number] = false;
        false
    }
}

/// A message: its number, and a pattern of its own.
fn bytes_of(number: usize, len: usize) -> Vec<u8> {
    let mut bytes = saferring_tests::pattern_bytes((number as u64) << 20, len);
    if let Some(first) = bytes.first_mut() {
        *first = number as u8;
    }
    bytes
}
