//! What a connection holds: records that came, what was decrypted, and records that wait to be sent. An empty one has no
//! memory.

use std::io;
use std::mem;

use saferring::buf::{IoBuf, Slice};

use crate::error;

/// How much the first read asks for, and one on a quiet connection: what an idle connection holds while it waits.
const ROOM_MIN: usize = 4 * 1024;
/// How much a read asks for on a busy connection.
const ROOM_MAX: usize = 64 * 1024;
/// A handshake message is at most 64 KiB, in several records. rustls refuses longer ones before this does.
const GATHERED_MAX: usize = 128 * 1024;

/// What was received and not yet decrypted.
#[derive(Default)]
pub(crate) struct Incoming {
    bytes: Vec<u8>,
    /// What lies before it is dealt with.
    start: usize,
    /// How much more than `ROOM_MIN` the next read asks for.
    extra: usize,
}

impl Incoming {
    /// What is there, for rustls to decrypt in place.
    pub(crate) fn records(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }

    /// Takes a copy of what was received.
    pub(crate) fn push(&mut self, records: &[u8]) -> io::Result<()> {
        if self.records().len() > GATHERED_MAX {
            return Err(error::too_much());
        }
        self.bytes.drain(..mem::take(&mut self.start));
        self.bytes.extend_from_slice(records);
        Ok(())
    }

    /// Forgets the first `n` bytes.
    pub(crate) fn discard(&mut self, n: usize) {
        self.start += n;
        if self.start >= self.bytes.len() {
            self.bytes = Vec::new();
            self.start = 0;
        }
    }

    /// A buffer for the next read. What was gathered stays here, so that nothing is lost with the buffer: it only gets room before
    /// what will come.
    pub(crate) fn lend(&mut self) -> io::Result<Slice<Vec<u8>>> {
        let gathered = self.records().len();
        if gathered > GATHERED_MAX {
            return Err(error::too_much());
        }
        let mut buf = Vec::new();
        buf.try_reserve_exact(gathered + ROOM_MIN + self.extra)?;
        buf.resize(gathered, 0);
        let end = gathered + ROOM_MIN + self.extra;
        Ok(buf.slice(gathered..end))
    }

    /// Takes the buffer back, into which `n` bytes were read.
    pub(crate) fn take_back(&mut self, buf: Slice<Vec<u8>>, n: usize) {
        let at = buf.begin();
        let mut buf = buf.into_inner();
        buf.truncate(at + n);
        self.adapt(n);
        // It may be less than when the buffer was lent, never more: nothing is added but here.
        let gathered = self.records();
        // What is less is copied: many short pieces of a long record must not cost its length each.
        if n < gathered.len() {
            self.bytes.extend_from_slice(&buf[at..]);
            return;
        }
        let start = at - gathered.len();
        buf[start..at].copy_from_slice(gathered);
        self.bytes = buf;
        self.start = start;
    }

    /// A read that was filled wants more room the next time, one that was mostly empty less.
    fn adapt(&mut self, n: usize) {
        let room = ROOM_MIN + self.extra;
        let next = if n >= room {
            room * 4
        } else if n < room / 4 {
            room / 2
        } else {
            room
        };
        self.extra = next.clamp(ROOM_MIN, ROOM_MAX) - ROOM_MIN;
    }
}

/// What was decrypted and not yet read.
#[derive(Default)]
pub(crate) struct Plain {
    bytes: Vec<u8>,
    /// What lies before it was read.
    start: usize,
}

impl Plain {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..mem::take(&mut self.start));
        self.bytes.extend_from_slice(bytes);
    }

    /// Puts `bytes` before what is there.
    pub(crate) fn push_front(&mut self, bytes: &[u8]) {
        self.bytes
            .splice(..mem::take(&mut self.start), bytes.iter().copied());
    }

    pub(crate) fn consume(&mut self, n: usize) {
        self.start += n.min(self.bytes().len());
        if self.is_empty() {
            *self = Plain::default();
        }
    }
}

/// Records that wait to be sent.
#[derive(Default)]
pub(crate) struct Outgoing {
    /// The rest of what the transport has taken in part.
    first: Option<Slice<Vec<u8>>>,
    /// As many of them as `filled` are records; behind those it is memory that need not be cleared once more.
    bytes: Vec<u8>,
    filled: usize,
    /// The transport has a buffer of ours. If nobody waits for it any more, nobody knows what became of it.
    is_sending: bool,
}

impl Outgoing {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.filled == 0
    }

    pub(crate) fn is_sending(&self) -> bool {
        self.is_sending
    }

    /// Lets `encode` put records behind what is there, into `room` bytes or as many as it then says it needs.
    pub(crate) fn append<E>(
        &mut self,
        mut room: usize,
        mut encode: impl FnMut(&mut [u8]) -> Result<usize, E>,
        required: impl Fn(&E) -> Option<usize>,
    ) -> Result<(), E> {
        loop {
            let end = self.filled + room;
            if self.bytes.len() < end {
                self.bytes.resize(end, 0);
            }
            match encode(&mut self.bytes[self.filled..end]) {
                Ok(n) => {
                    self.filled += n;
                    return Ok(());
                }
                Err(error) => match required(&error) {
                    Some(more) if more > room => room = more,
                    _ => return Err(error),
                },
            }
        }
    }

    /// Takes memory for the next records, unless there is some.
    pub(crate) fn reuse(&mut self, buf: Vec<u8>) {
        if self.bytes.is_empty() {
            self.bytes = buf;
        }
    }

    /// All of it, for one who sends it himself.
    pub(crate) fn take(&mut self) -> Slice<Vec<u8>> {
        let all = self.take_filled();
        match self.first.take() {
            None => all,
            Some(first) => [&first[..], &all[..]].concat().slice(..),
        }
    }

    fn take_filled(&mut self) -> Slice<Vec<u8>> {
        let filled = mem::take(&mut self.filled);
        mem::take(&mut self.bytes).slice(..filled)
    }

    /// What is to be sent next. It must come back by [`sent`](Outgoing::sent).
    pub(crate) fn next(&mut self) -> Option<Slice<Vec<u8>>> {
        if self.is_empty() {
            return None;
        }
        self.is_sending = true;
        let rest = self.first.take();
        Some(rest.unwrap_or_else(|| self.take_filled()))
    }

    /// The transport has taken `n` bytes of it.
    pub(crate) fn sent(&mut self, n: usize, buf: Slice<Vec<u8>>) {
        self.is_sending = false;
        if n < buf.len() {
            self.first = Some(buf.slice(n..));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.first = None;
        self.bytes = Vec::new();
        self.filled = 0;
    }
}

#[cfg(test)]
impl Incoming {
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
impl Plain {
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
impl Outgoing {
    pub(crate) fn memory(&self) -> usize {
        let first = self.first.as_ref().map_or(0, |first| first.len());
        first + self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use saferring::buf::IoBufMut;

    fn receive(incoming: &mut Incoming, bytes: &[u8]) {
        let mut buf = incoming.lend().unwrap();
        let n = buf.fill_from(bytes);
        assert_eq!(n, bytes.len());
        incoming.take_back(buf, n);
    }

    #[test]
    fn what_was_gathered_survives_a_buffer_that_is_lost() {
        let mut incoming = Incoming::default();
        receive(&mut incoming, b"abc");
        drop(incoming.lend().unwrap());
        receive(&mut incoming, b"def");
        assert_eq!(incoming.records(), b"abcdef");
        incoming.discard(2);
        receive(&mut incoming, b"g");
        assert_eq!(incoming.records(), b"cdefg");
        incoming.discard(5);
        assert_eq!(incoming.bytes.capacity(), 0);
    }

    #[test]
    fn short_pieces_are_put_behind_long_ones() {
        let mut incoming = Incoming::default();
        let long = vec![b'-'; 1000];
        receive(&mut incoming, &long);
        incoming.discard(100);
        for piece in [&b"a"[..], b"b", b"cd"] {
            receive(&mut incoming, piece);
        }
        assert_eq!(incoming.records(), [&long[100..], b"abcd"].concat());
        receive(&mut incoming, &long);
        assert_eq!(incoming.records(), [&long[100..], b"abcd", &long].concat());
        incoming.discard(1904);
        assert_eq!(incoming.memory(), 0);
    }

    #[test]
    fn what_is_dealt_with_while_a_buffer_is_lent_does_not_come_back() {
        let mut incoming = Incoming::default();
        receive(&mut incoming, b"abcdef");
        let mut buf = incoming.lend().unwrap();
        incoming.discard(4);
        buf.fill_from(b"gh");
        incoming.take_back(buf, 2);
        assert_eq!(incoming.records(), b"efgh");
    }

    #[test]
    fn room_grows_with_what_comes_and_shrinks_again() {
        let mut incoming = Incoming::default();
        let rooms = [4096, 16384, 65536, 65536].map(|room| {
            let buf = incoming.lend().unwrap();
            assert_eq!(buf.buf_capacity(), room);
            incoming.discard(incoming.bytes.len());
            let mut buf = Vec::with_capacity(room).slice(..room);
            buf.fill_from(&vec![0; room]);
            incoming.take_back(buf, room);
            incoming.discard(room);
            room
        });
        assert_eq!(rooms.len(), 4);
        for _ in 0..4 {
            receive(&mut incoming, b"x");
            incoming.discard(1);
        }
        assert_eq!(incoming.extra, 0);
    }

    #[test]
    fn too_much_is_an_error() {
        let mut incoming = Incoming {
            bytes: vec![0; GATHERED_MAX + 1],
            ..Incoming::default()
        };
        let error = incoming.lend().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn plain_bytes_are_kept_in_order() {
        let mut plain = Plain::default();
        plain.push(b"abc");
        plain.consume(1);
        plain.push(b"d");
        plain.push_front(b"-");
        assert_eq!(plain.bytes(), b"-bcd");
        plain.consume(100);
        assert_eq!((plain.is_empty(), plain.bytes.capacity()), (true, 0));
    }

    #[test]
    fn the_rest_of_what_was_sent_in_part_goes_first() {
        let mut outgoing = Outgoing::default();
        let add = |outgoing: &mut Outgoing, text: &[u8]| {
            let encode = |room: &mut [u8]| match room.get_mut(..text.len()) {
                Some(room) => {
                    room.copy_from_slice(text);
                    Ok(text.len())
                }
                None => Err(text.len()),
            };
            outgoing
                .append(0, encode, |&required| Some(required))
                .unwrap();
        };
        add(&mut outgoing, b"one");
        let buf = outgoing.next().unwrap();
        add(&mut outgoing, b"two");
        assert!(outgoing.is_sending());
        outgoing.sent(1, buf);
        assert_eq!(&outgoing.next().unwrap()[..], b"ne");
        assert_eq!(&outgoing.next().unwrap()[..], b"two");
        assert!(outgoing.next().is_none());
    }
}
