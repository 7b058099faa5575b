//! Any writer under the traits of others.

use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use saferring::io::{AsyncWrite, AsyncWriteExt};
use saferring::runtime::Handle;

use crate::buffers;
use crate::polled::PollWrite;

/// Anything with saferring's [`AsyncWrite`] under the writing traits of tokio and futures: a file, a pipe, half of a TLS
/// stream.
///
/// A write is on its way when it returns; a flush, and the next write, wait until it is where it belongs. What was written
/// before the adapter is dropped is still written, and not flushed.
pub struct CompatWriter<W: 'static> {
    port: Rc<Port>,
    /// The writer, doing what it is asked to; it comes out at the end.
    writing: Option<Writing<W>>,
    /// It has been asked for something, and has not answered.
    is_busy: bool,
    /// The last that was asked of it, if it has to be done once only.
    last: Option<Last>,
}

type Writing<W> = Pin<Box<dyn Future<Output = W>>>;

/// Between an adapter and the future that it polls.
#[derive(Default)]
struct Port {
    asked: Cell<Option<Asked>>,
    answer: Cell<Option<io::Result<()>>>,
    /// The writer is wanted back.
    closed: Cell<bool>,
}

enum Asked {
    Write(Vec<u8>),
    Flush,
    Shutdown,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Flush,
    Shutdown,
}

impl<W: AsyncWrite + 'static> CompatWriter<W> {
    /// Puts a writer under the traits.
    pub fn new(writer: W) -> Self {
        let port = Rc::new(Port::default());
        CompatWriter {
            writing: Some(Box::pin(write(writer, Rc::clone(&port)))),
            port,
            is_busy: false,
            last: None,
        }
    }

    /// Gives the writer back, once what was written is where it belongs. It is not flushed.
    ///
    /// # Errors
    ///
    /// That of the last write; the writer is dropped then.
    ///
    /// # Cancel safety
    ///
    /// What was written goes its way all the same, and the writer is dropped after it.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "tokio")]
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring_compat::CompatWriter;
    /// use tokio::io::AsyncWriteExt;
    ///
    /// let mut writer = CompatWriter::new(Vec::new());
    /// writer.write_all(b"hello").await?;
    /// assert_eq!(writer.into_inner().await?, b"hello");
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn into_inner(mut self) -> io::Result<W> {
        poll_fn(|cx| self.poll_idle(cx)).await?;
        self.port.closed.set(true);
        match self.writing.take() {
            Some(writing) => Ok(writing.await),
            None => unreachable!("it goes when the adapter goes"),
        }
    }
}

/// Does what it is asked, until the writer is wanted back.
async fn write<W: AsyncWrite>(mut writer: W, port: Rc<Port>) -> W {
    loop {
        // Whoever changes the port polls this next: no waker is needed.
        let asked = poll_fn(|_| match port.asked.take() {
            Some(asked) => Poll::Ready(Some(asked)),
            None if port.closed.get() => Poll::Ready(None),
            None => Poll::Pending,
        });
        let answer = match asked.await {
            Some(Asked::Write(buf)) => {
                let (written, buf) = writer.write_all(buf).await;
                buffers::give_back(buf);
                written
            }
            Some(Asked::Flush) => writer.flush().await,
            Some(Asked::Shutdown) => writer.shutdown().await,
            None => return writer,
        };
        port.answer.set(Some(answer));
    }
}

impl<W> CompatWriter<W> {
    /// Has it done; it is idle.
    fn ask(&mut self, asked: Asked, cx: &mut Context<'_>) {
        self.port.asked.set(Some(asked));
        self.is_busy = true;
        self.go_on(cx);
    }

    fn go_on(&mut self, cx: &mut Context<'_>) {
        if let Some(writing) = &mut self.writing {
            // The writer comes out only when it is wanted back, and then the adapter is gone.
            let _ = writing.as_mut().poll(cx);
        }
    }

    /// Waits for the answer to what it was asked last.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_busy {
            return Poll::Ready(Ok(()));
        }
        let mut answer = self.port.answer.take();
        if answer.is_none() {
            self.go_on(cx);
            answer = self.port.answer.take();
        }
        let Some(answer) = answer else {
            return Poll::Pending;
        };
        self.is_busy = false;
        if answer.is_err() {
            self.last = None;
        }
        Poll::Ready(answer)
    }

    /// Has something done behind what was written, and waits for it. It may be asked again until it is ready.
    fn poll_last(&mut self, cx: &mut Context<'_>, last: Last) -> Poll<io::Result<()>> {
        if !self.is_busy || self.last != Some(last) {
            ready!(self.poll_idle(cx))?;
            self.last = Some(last);
            let asked = match last {
                Last::Flush => Asked::Flush,
                Last::Shutdown => Asked::Shutdown,
            };
            self.ask(asked, cx);
        }
        ready!(self.poll_idle(cx))?;
        self.last = None;
        Poll::Ready(Ok(()))
    }
}

impl<W: 'static> PollWrite for CompatWriter<W> {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_idle(cx))?;
        self.last = None;
        let buf = buffers::filled(slices);
        let len = buf.len();
        match len {
            0 => buffers::give_back(buf),
            _ => self.ask(Asked::Write(buf), cx),
        }
        Poll::Ready(Ok(len))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_last(cx, Last::Flush)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_last(cx, Last::Shutdown)
    }
}

impl<W: 'static> Drop for CompatWriter<W> {
    /// What is under way is written before the writer is dropped.
    fn drop(&mut self) {
        self.port.closed.set(true);
        if !self.is_busy || Handle::try_current().is_none() {
            return;
        }
        if let Some(writing) = self.writing.take() {
            drop(saferring::spawn(async move { drop(writing.await) }));
        }
    }
}

impl<W> fmt::Debug for CompatWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompatWriter")
            .field("writes", &self.is_busy)
            .finish_non_exhaustive()
    }
}
