//! compio with multishot receives into buffers that all connections share.

use std::io;
use std::num::NonZero;

use ::compio as rt;
use futures_util::StreamExt;
use rt::BufResult;
use rt::driver::ProactorBuilder;
use rt::io::{AsyncReadMulti, AsyncWriteExt};
use rt::net::TcpStream;

use saferring_benches::contender::{Contender, EchoSpec};
use saferring_benches::runtimes::yield_once;

use super::compio::{accept_all, build, tuned};

/// More than that in buffers only spoils the caches.
const BUFFERS_MAX: usize = 64 << 20;

pub(super) fn contender() -> Contender {
    Contender::server(
        "compio-managed",
        "compio-t with read_multi, two shared buffers a connection where memory allows",
        |listener, spec| build(&with_buffers(spec))?.block_on(accept_all(listener, echo_one)),
    )
}

fn with_buffers(spec: EchoSpec) -> ProactorBuilder {
    let most = (BUFFERS_MAX / spec.message.max(1)).clamp(64, 16_384);
    let count = (2 * spec.connections).next_power_of_two().clamp(64, most);
    let count = NonZero::new(count as u16).unwrap_or(NonZero::<u16>::MIN);
    let mut builder = tuned(spec.connections);
    builder
        .buffer_pool_size(count)
        .buffer_pool_buffer_len(spec.message);
    builder
}

async fn echo_one(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reads, mut writes) = (&stream, &stream);
    let mut chunks = Box::pin(reads.read_multi(0));
    loop {
        match chunks.next().await {
            Some(Ok(chunk)) => {
                let BufResult(written, _) = writes.write_all(chunk).await;
                written?;
            }
            // No buffer was free, which ended the receive; the next poll starts another.
            Some(Err(error)) if error.kind() == io::ErrorKind::ResourceBusy => yield_once().await,
            Some(Err(error)) => return Err(error),
            None => return Ok(()),
        }
    }
}
