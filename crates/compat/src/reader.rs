//! Any reader under the traits of others.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use saferring::io::AsyncRead;

use crate::polled::PollRead;

/// How much is read at once.
const SIZE: usize = 16 * 1024;

/// Anything with saferring's [`AsyncRead`] under the reading traits of tokio and futures: a file, a pipe, half of a TLS
/// stream. For sockets [`Compat`](crate::Compat) is better, as it holds no buffer while nothing comes.
///
/// It reads ahead, up to 16 KiB. A read that is dropped loses nothing: it goes on with the next one.
pub struct CompatReader<R> {
    port: Rc<Port>,
    /// The reader, reading whenever it is asked to; it comes out at the end.
    reading: Pin<Box<dyn Future<Output = R>>>,
    /// Read and not taken: from `at` on.
    bytes: Vec<u8>,
    at: usize,
    /// A read is under way, and has the memory of `bytes`.
    reads: bool,
}

/// Between an adapter and the future that it polls.
#[derive(Default)]
struct Port {
    /// To be read into.
    asked: Cell<Option<Vec<u8>>>,
    answer: RefCell<Option<(io::Result<usize>, Vec<u8>)>>,
    /// The reader is wanted back.
    closed: Cell<bool>,
}

impl<R: AsyncRead + 'static> CompatReader<R> {
    /// Puts a reader under the traits.
    pub fn new(reader: R) -> Self {
        let port = Rc::new(Port::default());
        CompatReader {
            reading: Box::pin(read(reader, Rc::clone(&port))),
            port,
            bytes: Vec::new(),
            at: 0,
            reads: false,
        }
    }

    /// Gives the reader back, with what was read and not taken.
    ///
    /// A read that is under way is dropped, which loses nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring_compat::CompatReader;
    ///
    /// let (reader, left) = CompatReader::new(&b"hello"[..]).into_inner().await;
    /// assert_eq!((reader, left), (&b"hello"[..], vec![]));
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn into_inner(mut self) -> (R, Vec<u8>) {
        self.port.closed.set(true);
        let reader = self.reading.as_mut().await;
        if let Some((Ok(_), bytes)) = self.port.answer.take() {
            (self.bytes, self.at) = (bytes, 0);
        }
        self.bytes.drain(..self.at);
        (reader, self.bytes)
    }
}

/// Reads whenever it is asked to, until the reader is wanted back.
async fn read<R: AsyncRead>(mut reader: R, port: Rc<Port>) -> R {
    loop {
        // Whoever changes the port polls this next: no waker is needed.
        let asked = poll_fn(|_| match port.asked.take() {
            Some(buf) => Poll::Ready(Some(buf)),
            None if port.closed.get() => Poll::Ready(None),
            None => Poll::Pending,
        });
        let Some(buf) = asked.await else {
            return reader;
        };
        let mut reading = pin!(reader.read(buf));
        let answer = poll_fn(|cx| match port.closed.get() {
            true => Poll::Ready(None),
            false => reading.as_mut().poll(cx).map(Some),
        });
        *port.answer.borrow_mut() = answer.await;
    }
}

impl<R: AsyncRead + 'static> PollRead for CompatReader<R> {
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        if self.at == self.bytes.len() {
            ready!(self.poll_more(cx))?;
        }
        Poll::Ready(Ok(&self.bytes[self.at..]))
    }

    fn consume(&mut self, n: usize) {
        self.at = self.bytes.len().min(self.at + n);
    }
}

impl<R> CompatReader<R> {
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.reads {
            let mut buf = std::mem::take(&mut self.bytes);
            self.at = 0;
            buf.clear();
            buf.reserve(SIZE);
            self.port.asked.set(Some(buf));
            self.reads = true;
        }
        if self.reading.as_mut().poll(cx).is_ready() {
            unreachable!("the reader comes out when it is wanted back");
        }
        let Some((read, bytes)) = self.port.answer.take() else {
            return Poll::Pending;
        };
        self.reads = false;
        self.bytes = bytes;
        if read.is_err() {
            self.bytes.clear();
        }
        Poll::Ready(read.map(drop))
    }
}

impl<R> fmt::Debug for CompatReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompatReader")
            .field("unread", &(self.bytes.len() - self.at))
            .finish_non_exhaustive()
    }
}
