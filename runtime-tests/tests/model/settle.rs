//! What operations have ended with, against what the model knows.

use std::io;
use std::net::SocketAddr;

use saferring::net::{ProvidedBuf, ZcBuf};
use saferring_tests::Tracked;
use socket2::Socket;

use super::bytes::Sent;
use super::handle::{self, Does, Handle, Outcome};
use super::object;
use super::step::Limit;
use super::world::World;

/// What is known of a handle whose outcome is there.
#[derive(Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) id: u64,
    pub(crate) object: usize,
    pub(crate) does: Does,
    pub(crate) epoch: u32,
    pub(crate) began: usize,
    /// It may have been cancelled, by its runtime's end for one.
    pub(crate) cancelled: bool,
    pub(crate) limit: Limit,
    /// It was used in more than one runtime.
    pub(crate) crossed: bool,
}

/// How many chunks are held at most.
const CHUNKS: usize = 3;

impl World {
    /// A handle was ready.
    pub(crate) fn settle(&mut self, index: usize, handle: Handle, outcome: Outcome) {
        let shut_down = handle.homes.iter().any(|&home| !self.is_alive(home));
        let ended = Ended {
            id: handle.id,
            object: handle.object,
            does: handle.does,
            epoch: handle.epoch,
            began: handle.began,
            cancelled: handle.cancelled || shut_down || self.objects[handle.object].closed,
            limit: handle.limit,
            crossed: handle.homes.len() > 1,
        };
        let more = match &outcome {
            Outcome::Chunks(Some(Ok(_)))
            | Outcome::DatagramChunk(Some(Ok(_)))
            | Outcome::Accepted(Some(Ok(_))) => handle.pending.is_stream(),
            _ => false,
        };
        if matches!(outcome, Outcome::Lost) {
            let known = shut_down;
            self.dropped(ended.object, ended.does);
            assert!(known, "the task of handle {} was lost", ended.id);
            return;
        }
        if more {
            self.handles.insert(index, handle);
        } else {
            // A stream in a task brings one thing, and is dropped then.
            let dropped =
                handle.pending.is_task() && matches!(ended.does, Does::Chunks | Does::Accept);
            drop(handle);
            self.ended(ended.object, ended.does, dropped);
        }
        self.take(ended, outcome);
    }

    /// What a handle that was given up had got.
    pub(crate) fn settle_late(
        &mut self,
        id: u64,
        object: usize,
        does: Does,
        epoch: u32,
        outcome: Outcome,
    ) {
        let ended = Ended {
            id,
            object,
            does,
            epoch,
            began: 0,
            cancelled: true,
            limit: Limit::Short,
            crossed: true,
        };
        self.take(ended, outcome);
    }

    /// A handle was dropped, or forgotten.
    pub(crate) fn dropped(&mut self, object: usize, does: Does) {
        self.ended(object, does, true);
        // What `read_exact` has read by then is lost, as it says.
        if matches!(does, Does::Read { least: 2.. }) {
            self.objects[object].input.lossy = true;
        }
    }

    fn ended(&mut self, object: usize, does: Does, dropped: bool) {
        let object = &mut self.objects[object];
        object.lost_acceptor |= dropped && does == Does::Accept;
        match does {
            Does::Read { .. } | Does::Chunks => object.input.order.end(dropped),
            Does::Write { .. } => object.output.order.end(dropped),
            _ => {}
        }
    }

    fn take(&mut self, ended: Ended, outcome: Outcome) {
        match outcome {
            Outcome::Read {
                result,
                bytes,
                peek,
            } => self.took_read(ended, result, &bytes, peek),
            Outcome::Exact { result, bytes } => self.took_exact(ended, result, &bytes),
            Outcome::Chunks(next) => self.took_chunks(ended, next),
            Outcome::Datagram {
                result,
                bytes,
                capacity,
            } => match result {
                Ok((n, from)) => {
                    assert_eq!(n, bytes.len(), "a datagram's length");
                    self.took_datagram(ended, &bytes, from, Some(capacity));
                }
                Err(error) => self.check_error(ended, &error),
            },
            Outcome::DatagramChunk(None) => self.check_end(ended),
            Outcome::DatagramChunk(Some(Ok((chunk, from)))) => {
                self.took_datagram(ended, &chunk, from, None);
                self.hold(chunk);
            }
            Outcome::DatagramChunk(Some(Err(error))) => self.check_error(ended, &error),
            Outcome::Wrote(result) => self.wrote(ended, result),
            Outcome::WroteAll(result) => self.wrote_all(ended, result),
            Outcome::WroteZc(result, buf) => {
                self.wrote(ended, result);
                self.sent(ended, buf);
            }
            Outcome::WroteAllZc(result, buf) => {
                self.wrote_all(ended, result);
                self.sent(ended, buf);
            }
            Outcome::Accepted(Some(Ok(fd))) => self.accepted(ended, fd.into()),
            Outcome::Accepted(Some(Err(error))) => self.check_error(ended, &error),
            Outcome::Accepted(None) => assert!(
                self.objects[ended.object].closed,
                "a stream of connections has ended"
            ),
            Outcome::FileRead {
                result,
                bytes,
                at,
                capacity,
            } => match result {
                Ok(n) => self.took_file(ended, n, &bytes, at as usize, capacity),
                Err(error) => self.check_error(ended, &error),
            },
            Outcome::FileWrote(result) => self.wrote_file(ended, result),
            Outcome::Opened(result) => self.opened(ended, result),
            Outcome::Buffer | Outcome::Lost => {}
        }
    }

    fn took_read(&mut self, ended: Ended, result: io::Result<usize>, bytes: &[u8], peek: bool) {
        match result {
            Ok(0) => self.check_end(ended),
            Ok(n) => {
                assert_eq!(
                    n,
                    bytes.len(),
                    "handle {}: how much is in its buffer",
                    ended.id
                );
                let input = &mut self.objects[ended.object].input;
                if peek {
                    assert!(
                        input.contains(bytes),
                        "handle {} has peeked at what was not sent",
                        ended.id
                    );
                } else {
                    input.add(ended.epoch, ended.id, bytes);
                }
            }
            Err(error) => self.check_error(ended, &error),
        }
    }

    fn took_exact(&mut self, ended: Ended, result: io::Result<()>, bytes: &[u8]) {
        let input = &mut self.objects[ended.object].input;
        if input.order.overlapped() {
            // It is several reads, and another may have come between two of them.
            input.skip(bytes.len());
        } else {
            input.add(ended.epoch, ended.id, bytes);
        }
        match result {
            Ok(()) => {
                let Does::Read { least } = ended.does else {
                    unreachable!("an exact read is a read");
                };
                assert_eq!(bytes.len(), least, "handle {} is full", ended.id);
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.check_end(ended),
            Err(error) => self.check_error(ended, &error),
        }
    }

    fn took_chunks(&mut self, ended: Ended, next: Option<io::Result<Vec<ProvidedBuf>>>) {
        match next {
            None => self.check_end(ended),
            Some(Err(error)) => self.check_error(ended, &error),
            Some(Ok(chunks)) => {
                let datagrams = self.objects[ended.object].is_udp;
                for chunk in chunks {
                    if datagrams {
                        self.took_datagram(ended, &chunk, None, None);
                    } else {
                        assert!(!chunk.is_empty(), "an empty chunk");
                        let input = &mut self.objects[ended.object].input;
                        input.add(ended.epoch, ended.id, &chunk);
                    }
                    self.hold(chunk);
                }
            }
        }
    }

    fn hold(&mut self, chunk: ProvidedBuf) {
        self.chunks.push(chunk);
        if self.chunks.len() > CHUNKS {
            let oldest = self.chunks.remove(0);
            super::world::tolerate(|| drop(oldest));
        }
    }

    fn took_datagram(
        &mut self,
        ended: Ended,
        bytes: &[u8],
        from: Option<SocketAddr>,
        capacity: Option<usize>,
    ) {
        let number = *bytes.first().expect("no datagram is empty") as usize;
        let object = &mut self.objects[ended.object];
        let lossy = object.input.lossy;
        let Some(sent) = object.datagrams.get_mut(number) else {
            panic!(
                "handle {} has received datagram {number}, which was not sent",
                ended.id
            );
        };
        assert!(
            !sent.received,
            "handle {} has received datagram {number} once more",
            ended.id
        );
        sent.received = true;
        assert!(
            sent.bytes.starts_with(bytes),
            "handle {} has received another datagram {number}",
            ended.id
        );
        if let Some(capacity) = capacity
            && !lossy
        {
            let len = sent.bytes.len().min(capacity);
            assert!(
                bytes.len() == len || bytes.len() < sent.bytes.len(),
                "handle {} has not received all of datagram {number}",
                ended.id
            );
        }
        if let Some(from) = from {
            assert_eq!(
                from, sent.from,
                "handle {}: the sender of datagram {number}",
                ended.id
            );
        }
    }

    fn wrote(&mut self, ended: Ended, result: io::Result<usize>) {
        let Does::Write { message } = ended.does else {
            if let Err(error) = result {
                self.check_error(ended, &error);
            }
            return;
        };
        let output = &mut self.objects[ended.object].output;
        match result {
            Ok(n) => {
                assert!(
                    n > 0 && n <= output.len_of(message),
                    "handle {} has written {n}",
                    ended.id
                );
                output.set(message, Sent::Exactly(n));
            }
            Err(error) => {
                output.set(message, Sent::Exactly(0));
                self.check_error(ended, &error);
            }
        }
    }

    fn wrote_all(&mut self, ended: Ended, result: io::Result<()>) {
        let Does::Write { message } = ended.does else {
            unreachable!("it writes");
        };
        let output = &mut self.objects[ended.object].output;
        match result {
            Ok(()) => output.set(message, Sent::Exactly(output.len_of(message))),
            Err(error) => self.check_error(ended, &error),
        }
    }

    /// The buffer of a zero-copy send is still the kernel's: a handle of its own.
    fn sent(&mut self, ended: Ended, buf: ZcBuf<Tracked>) {
        let pending = handle::future(async move {
            drop(buf.await);
            Outcome::Buffer
        });
        self.next_id += 1;
        self.handles.push(Handle {
            id: self.next_id,
            pending,
            object: ended.object,
            does: Does::Buffer,
            epoch: 0,
            limit: Limit::None,
            cancelled: false,
            homes: Vec::new(),
            doomed: false,
            capacity: 0,
            bufs: 1,
            began: self.number,
        });
    }

    fn accepted(&mut self, ended: Ended, accepted: Socket) {
        let number = object::connection_number(&accepted)
            .unwrap_or_else(|error| panic!("a connection without a number: {error}"));
        let tcp = accepted
            .domain()
            .is_ok_and(|domain| domain == socket2::Domain::IPV4);
        let listener = &mut self.objects[ended.object];
        let peer = listener.connections[number as usize].take();
        let peer = peer.unwrap_or_else(|| panic!("connection {number} was accepted twice"));
        if self.objects.len() < 8 {
            if tcp {
                accepted.set_tcp_nodelay(true).unwrap();
            }
            let object = self.stream(accepted.into(), tcp, peer);
            self.objects.push(object);
        }
    }

    /// The end of what the peer sends.
    fn check_end(&mut self, ended: Ended) {
        let object = &self.objects[ended.object];
        assert!(
            object.input.ended || ended.cancelled,
            "handle {} has seen the end of object {}, which has not ended",
            ended.id,
            ended.object
        );
    }

    /// An error that there may be.
    pub(crate) fn check_error(&mut self, ended: Ended, error: &io::Error) {
        let object = &mut self.objects[ended.object];
        let gone = object.input.ended || object.input.reset;
        let known = match error.raw_os_error() {
            _ if saferring::io::is_cancelled(error) => ended.cancelled,
            Some(libc::ECONNRESET) => {
                object.input.resets_seen += 1;
                gone
            }
            Some(libc::EPIPE) => gone && !matches!(ended.does, Does::Read { .. }),
            Some(libc::EBADF) => object.closed || object.is_direct() && object.homes.len() > 1,
            Some(libc::ENOTCONN) => object.input.reset,
            None if error.kind() == io::ErrorKind::TimedOut => ended.limit.is_soon(),
            None if error.to_string().contains("belongs to another runtime") => {
                object.is_direct() && object.homes.len() > 1
            }
            _ => false,
        };
        assert!(
            known,
            "handle {} ({:?}, of object {}) failed: {error}",
            ended.id, ended.does, ended.object
        );
    }
}
