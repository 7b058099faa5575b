//! Operations begin.

use std::rc::Rc;

use saferring::buf::{IoBuf, IoBufMut};
use saferring::fs::File;
use saferring::net::{TcpStream, UdpSocket, UnixStream};
use saferring_tests::Tracked;

use super::handle::{self, Chunks, Connections, Datagrams, Does, Handle, Outcome, Pending};
use super::object::{self, FILE_LEN, FILE_PLACE, FILE_PLACES, Ours};
use super::start_stream::read_outcome;
use super::step::{Act, How, Limit, without};
use super::world::World;

/// What is large: more than a socket holds.
const LARGE: usize = 300_000;

/// What has begun.
pub(crate) type Begun = (Box<dyn Pending>, Does, usize);

/// What an operation is begun with.
#[derive(Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) object: usize,
    pub(crate) act: Act,
    pub(crate) size: usize,
    pub(crate) how: How,
    pub(crate) limit: Limit,
}

impl World {
    /// Begins an operation; in a runtime.
    pub(crate) fn start(
        &mut self,
        object: usize,
        act: Act,
        size: u16,
        slot: u8,
        how: How,
        limit: Limit,
    ) {
        let size = match size {
            0 => 1,
            u16::MAX => LARGE,
            size => size as usize,
        };
        // What a peer does not take, the kernel does not give back, not even at a shutdown.
        let size = match act {
            Act::SendZc | Act::WriteAllZc => size.min(1000),
            _ => size,
        };
        let mut ask = Ask {
            object,
            act,
            size,
            how,
            limit,
        };
        let ours = self.objects[object].ours.clone();
        let begun = match &ours {
            Ours::Unix(_) | Ours::Tcp(_) => self.start_stream(&ours, &mut ask),
            Ours::Direct(stream) => Some(self.start_direct(stream, ask)),
            Ours::Udp(socket) => Some(self.start_udp(socket, &mut ask)),
            Ours::UnixListener(_) | Ours::TcpListener(_) => Some(start_listener(&ours, &mut ask)),
            Ours::File(file) => Some(self.start_file(file, slot, &mut ask)),
            Ours::DirectFile(file) => {
                let at = size % 64;
                let read = file.read_at(self.watch.buf(32), at as u64);
                Some(start_file_read(read, at, ask))
            }
            Ours::Opening => self.registry(slot).and_then(|registry| {
                let open = registry.open(object::PATH, libc::O_RDONLY, 0).ok()?;
                Some((handle::op(open, how, limit, Outcome::Opened), Does::Open, 0))
            }),
            Ours::Gone => None,
        };
        drop(ours);
        if let Some(begun) = begun {
            self.add(ask, slot, begun);
        }
    }

    /// A handle comes into the table.
    fn add(&mut self, ask: Ask, slot: u8, (mut pending, does, bufs): Begun) {
        let (object, how) = (ask.object, ask.how);
        if how == How::Task {
            pending = handle::task(pending);
        }
        let epoch = match does {
            Does::Read { .. } | Does::Chunks => self.objects[object].input.order.begin(),
            _ => 0,
        };
        let homes = match how {
            How::Submitted | How::Task => vec![self.home(slot)],
            _ if does == Does::Open => vec![self.home(slot)],
            _ => Vec::new(),
        };
        self.objects[object].wrote_after_reset |= matches!(does, Does::Write { .. });
        self.next_id += 1;
        self.handles.push(Handle {
            id: self.next_id,
            pending,
            object,
            does,
            epoch,
            limit: ask.limit,
            cancelled: false,
            homes,
            doomed: false,
            capacity: 2 * ask.size.min(4096) as u64,
            bufs,
            began: self.number,
        });
        self.touch(object, slot);
    }

    /// A message of ours, and its number.
    pub(crate) fn message(&mut self, ask: Ask) -> (usize, Vec<u8>) {
        let output = &mut self.objects[ask.object].output;
        let epoch = output.order.begin();
        let (number, bytes) = output.message(ask.size, epoch);
        output.set(number, super::bytes::Sent::UpTo(ask.size));
        (number, bytes)
    }

    fn start_direct(&mut self, stream: &saferring::op::RegisteredFd, ask: Ask) -> Begun {
        match ask.act {
            Act::Write
            | Act::WriteAll
            | Act::WriteVectored
            | Act::WriteAllVectored
            | Act::SendZc
            | Act::WriteAllZc => {
                let (message, bytes) = self.message(ask);
                let write = stream.send(self.watch.filled(bytes));
                let pending = handle::op(write, ask.how, ask.limit, |(result, _)| {
                    Outcome::Wrote(result)
                });
                (pending, Does::Write { message }, 1)
            }
            _ => {
                let read = stream.recv(self.watch.buf(ask.size.min(4096)));
                let pending = handle::op(read, ask.how, ask.limit, read_outcome);
                (pending, Does::Read { least: 1 }, 1)
            }
        }
    }

    fn start_udp(&mut self, socket: &Rc<UdpSocket>, ask: &mut Ask) -> Begun {
        let capacity = ask.size.clamp(8, 2000);
        let buf = self.watch.buf(capacity);
        let read = Does::Read { least: 1 };
        match ask.act {
            Act::Read if !without("senders") => {
                let map =
                    move |(result, buf): (std::io::Result<usize>, Tracked)| Outcome::Datagram {
                        result: result.map(|n| (n, None)),
                        bytes: buf.bytes().to_vec(),
                        capacity,
                    };
                (
                    handle::op(socket.recv(buf), ask.how, ask.limit, map),
                    read,
                    1,
                )
            }
            Act::Read | Act::ReadVectored | Act::ReadExact | Act::Peek | Act::Often => {
                ask.limit = Limit::None;
                let socket = Rc::clone(socket);
                let pending = handle::future(async move {
                    let (result, buf) = socket.recv_from(buf).await;
                    Outcome::Datagram {
                        result: result.map(|(n, from)| (n, Some(from))),
                        bytes: buf.bytes().to_vec(),
                        capacity,
                    }
                });
                (pending, read, 1)
            }
            Act::Chunks if !without("senders") => {
                ask.limit = Limit::None;
                let stream = socket.recv_stream();
                let batches = false;
                (Box::new(Chunks { stream, batches }), Does::Chunks, 0)
            }
            Act::Chunks | Act::Batches => {
                ask.limit = Limit::None;
                (
                    Box::new(Datagrams(socket.recv_from_stream())),
                    Does::Chunks,
                    0,
                )
            }
            _ => {
                ask.limit = Limit::None;
                let addr = self.objects[ask.object].peers[0].local_addr().unwrap();
                let (socket, addr) = (Rc::clone(socket), addr.as_socket().unwrap());
                let pending =
                    handle::future(
                        async move { Outcome::Wrote(socket.send_to(buf, addr).await.0) },
                    );
                (pending, Does::Datagram, 1)
            }
        }
    }

    fn start_file(&mut self, file: &Rc<File>, slot: u8, ask: &mut Ask) -> Begun {
        let place = ask.size % FILE_PLACES;
        let at = object::FILE_BASE + place * FILE_PLACE;
        match ask.act {
            Act::Write
            | Act::WriteAll
            | Act::WriteVectored
            | Act::WriteAllVectored
            | Act::SendZc
            | Act::WriteAllZc => {
                self.objects[ask.object].places[place].begun = true;
                let does = Does::FileWrite { place };
                let bytes = object::place_bytes(place);
                if ask.act == Act::SendZc
                    && let Some(mut buf) = self.fixed(slot)
                {
                    buf.clear();
                    let copied = buf.extend_from_slice(&bytes);
                    assert_eq!(copied, FILE_PLACE);
                    let write = file.write_at(buf, at as u64);
                    return (handle::op(write, ask.how, ask.limit, file_wrote), does, 0);
                }
                let write = file.write_at(self.watch.filled(bytes), at as u64);
                (handle::op(write, ask.how, ask.limit, file_wrote), does, 1)
            }
            Act::Often => {
                ask.limit = Limit::None;
                let (file, buf, len) = (Rc::clone(file), self.watch.buf(32), 32);
                let pending = handle::future(async move {
                    for _ in 0..20 {
                        let _ = file.read_at([0; 8], 0).await;
                    }
                    let (result, buf) = file.read_at(buf, 0).await;
                    file_read(result, &buf, buf.bytes(), 0, len)
                });
                (pending, Does::FileRead { at: 0, len }, 1)
            }
            Act::Chunks => {
                let at = ask.size % (FILE_LEN - 64);
                if let Some(buf) = self.fixed(slot) {
                    let read = file.read_at(buf, at as u64);
                    return start_file_read(read, at, *ask);
                }
                start_file_read(file.read_at(self.watch.buf(64), at as u64), at, *ask)
            }
            _ => {
                let at = ask.size % (FILE_LEN - 64);
                start_file_read(file.read_at(self.watch.buf(64), at as u64), at, *ask)
            }
        }
    }

    /// A registered buffer of a runtime; in that runtime.
    fn fixed(&mut self, _slot: u8) -> Option<saferring::op::FixedBuf> {
        saferring::runtime::fixed_buffers().ok()?.try_take()
    }
}

fn bytes_of(buf: &impl IoBuf) -> Vec<u8> {
    // SAFETY: the first `buf_len` bytes are initialised, and the buffer is borrowed, so that nobody writes to them.
    unsafe { std::slice::from_raw_parts(buf.buf_ptr(), buf.buf_len()) }.to_vec()
}

fn start_file_read<B: IoBufMut>(
    read: saferring::op::Op<saferring::op::Read<B>>,
    at: usize,
    ask: Ask,
) -> Begun {
    let bufs = usize::from(std::any::TypeId::of::<B>() == std::any::TypeId::of::<Tracked>());
    let map = move |(result, buf): (std::io::Result<usize>, B)| {
        file_read(result, &buf, &bytes_of(&buf), at, buf.buf_capacity())
    };
    let pending = handle::op(read, ask.how, ask.limit, map);
    (pending, Does::FileRead { at, len: 64 }, bufs)
}

fn file_read<B>(
    result: std::io::Result<usize>,
    _buf: &B,
    bytes: &[u8],
    at: usize,
    capacity: usize,
) -> Outcome {
    Outcome::FileRead {
        result,
        bytes: bytes.to_vec(),
        at: at as u64,
        capacity,
    }
}

fn file_wrote<B>((result, _): (std::io::Result<usize>, B)) -> Outcome {
    Outcome::FileWrote(result)
}

fn start_listener(ours: &Ours, ask: &mut Ask) -> Begun {
    ask.limit = Limit::None;
    let many = matches!(ask.act, Act::Chunks | Act::Batches) || without("accept");
    let bound = ask.size % 4;
    let pending: Box<dyn Pending> = match ours.clone() {
        Ours::TcpListener(listener) if many => {
            let into_std = |stream: TcpStream| stream.into_std().map(Into::into);
            match bound {
                0 => Box::new(Connections(listener.incoming(), into_std)),
                _ => Box::new(Connections(
                    listener.incoming().accept_ahead(bound),
                    into_std,
                )),
            }
        }
        Ours::UnixListener(listener) if many => {
            let into_std = |stream: UnixStream| stream.into_std().map(Into::into);
            match bound {
                0 => Box::new(Connections(listener.incoming(), into_std)),
                _ => Box::new(Connections(
                    listener.incoming().accept_ahead(bound),
                    into_std,
                )),
            }
        }
        Ours::TcpListener(listener) => handle::future(async move {
            let accepted = listener.accept().await;
            let accepted = accepted.and_then(|(stream, _)| stream.into_std());
            Outcome::Accepted(Some(accepted.map(Into::into)))
        }),
        Ours::UnixListener(listener) => handle::future(async move {
            let accepted = listener.accept().await;
            let accepted = accepted.and_then(|(stream, _)| stream.into_std());
            Outcome::Accepted(Some(accepted.map(Into::into)))
        }),
        _ => unreachable!("not a listener"),
    };
    (pending, Does::Accept, 0)
}
