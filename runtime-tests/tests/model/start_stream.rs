//! Operations of streams begin.

use std::rc::Rc;

use saferring_tests::Tracked;

use super::handle::{self, Chunks, Does, Outcome, Pending};
use super::object::Ours;
use super::start::{Ask, Begun};
use super::step::{Act, Limit};
use super::world::World;

/// Begins an operation of a stream, of either type.
macro_rules! start_one {
    ($world:expr, $stream:expr, $ask:expr) => {{
        let (stream, how, limit) = (Rc::clone($stream), $ask.how, $ask.limit);
        let size = $ask.size;
        let small = size.min(4096);
        let watch = $world.watch.clone();
        if !matches!($ask.act, Act::Read | Act::Write | Act::Often) {
            $ask.limit = Limit::None;
        }
        let writes = !matches!(
            $ask.act,
            Act::Read
                | Act::ReadVectored
                | Act::Peek
                | Act::ReadExact
                | Act::Chunks
                | Act::Batches
                | Act::Often
        );
        let (message, bytes) = if writes {
            $world.message(*$ask)
        } else {
            (0, Vec::new())
        };
        let write = Does::Write { message };
        let read = Does::Read { least: 1 };
        match $ask.act {
            Act::Read | Act::Often => (
                handle::op(stream.read(watch.buf(small)), how, limit, read_outcome),
                read,
                1,
            ),
            Act::ReadVectored => {
                let bufs = [watch.buf(small.div_ceil(2)), watch.buf(small)];
                (
                    handle::future(async move { joined(stream.read_vectored(bufs).await) }),
                    read,
                    2,
                )
            }
            Act::Peek => {
                let buf = watch.buf(small);
                let pending = handle::future(async move {
                    let (result, buf) = stream.peek(buf).await;
                    Outcome::Read {
                        result,
                        bytes: buf.bytes().to_vec(),
                        peek: true,
                    }
                });
                (pending, Does::Peek, 1)
            }
            Act::ReadExact => {
                let buf = watch.buf(small);
                let pending = handle::future(async move {
                    let (result, buf) = stream.read_exact(buf).await;
                    Outcome::Exact {
                        result,
                        bytes: buf.bytes().to_vec(),
                    }
                });
                (pending, Does::Read { least: small }, 1)
            }
            Act::Chunks | Act::Batches => {
                let batches = $ask.act == Act::Batches;
                let stream = stream.recv_stream();
                (
                    Box::new(Chunks { stream, batches }) as Box<dyn Pending>,
                    Does::Chunks,
                    0,
                )
            }
            Act::Write => {
                let write_op = stream.write(watch.filled(bytes));
                (
                    handle::op(write_op, how, limit, |(result, _)| Outcome::Wrote(result)),
                    write,
                    1,
                )
            }
            Act::WriteAll => {
                let buf = watch.filled(bytes);
                (
                    handle::future(async move { Outcome::WroteAll(stream.write_all(buf).await.0) }),
                    write,
                    1,
                )
            }
            Act::WriteVectored | Act::WriteAllVectored => {
                let (a, b) = bytes.split_at(size / 2);
                let bufs = [watch.filled(a), watch.filled(b)];
                let all = $ask.act == Act::WriteAllVectored;
                let pending = handle::future(async move {
                    if all {
                        Outcome::WroteAll(stream.write_all_vectored(bufs).await.0)
                    } else {
                        Outcome::Wrote(stream.write_vectored(bufs).await.0)
                    }
                });
                (pending, write, 2)
            }
            Act::SendZc => {
                let buf = watch.filled(bytes);
                let pending = handle::future(async move {
                    let (result, buf) = stream.send_zc(buf).await;
                    Outcome::WroteZc(result, buf)
                });
                (pending, write, 1)
            }
            Act::WriteAllZc => {
                let buf = watch.filled(bytes);
                let pending = handle::future(async move {
                    let (result, buf) = stream.write_all_zc(buf).await;
                    Outcome::WroteAllZc(result, buf)
                });
                (pending, write, 1)
            }
        }
    }};
}

impl World {
    pub(crate) fn start_stream(&mut self, ours: &Ours, ask: &mut Ask) -> Option<Begun> {
        match ours {
            Ours::Unix(stream) => Some(start_one!(self, stream, ask)),
            Ours::Tcp(stream) => Some(start_one!(self, stream, ask)),
            _ => None,
        }
    }
}

pub(crate) fn read_outcome((result, buf): (std::io::Result<usize>, Tracked)) -> Outcome {
    Outcome::Read {
        result,
        bytes: buf.bytes().to_vec(),
        peek: false,
    }
}

fn joined((result, bufs): (std::io::Result<usize>, [Tracked; 2])) -> Outcome {
    Outcome::Read {
        result,
        bytes: bufs.iter().flat_map(|buf| buf.bytes()).copied().collect(),
        peek: false,
    }
}
