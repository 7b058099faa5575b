//! A file as the body of a message.

use std::fmt;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use hyper::body::{Body, Frame, SizeHint};
use saferring::fs::{File, ReadStream};
use saferring::op::FixedBuf;
use send_wrapper::SendWrapper;

/// How many reads are on their way ahead of the connection.
const DEPTH: usize = 2;

/// A file, or a part of one, as a body: read ahead into registered buffers, and given on as they are.
///
/// Its length is fixed in the beginning, so a message has a `content-length`. A file that becomes shorter meanwhile is an error
/// of the body, which ends the connection: the other side has been promised more. What is appended to it is not sent.
///
/// hyper takes the chunks without a copy. With HTTP/1 and 2 alike they are copied once, into what the socket is given
/// (see [`saferring_compat`]).
///
/// It is for axum, too (`axum::body::Body::new`), and `Send` for that alone: it stays on its core.
///
/// # Errors
///
/// The frames': what [`read_stream`](File::read_stream) says, and `UnexpectedEof` with how many bytes are missing.
///
/// # Panics
///
/// If it, or a chunk of it, is used or dropped on another thread.
///
/// # Cancel safety
///
/// Dropping it ends the reads; the file is as it was.
///
/// # Examples
///
/// ```
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use hyper::Response;
/// use hyper::body::Body;
/// use saferring::fs::File;
/// use saferring_hyper::FileBody;
///
/// let file = File::open("Cargo.toml").await?;
/// let response = Response::new(FileBody::new(&file).await?);
/// assert!(response.body().size_hint().exact() > Some(100));
/// let first = FileBody::range(&file, 0..9); // for a request with a range
/// # use http_body_util::BodyExt;
/// # assert_eq!(first.collect().await?.to_bytes(), "[package]");
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
pub struct FileBody {
    chunks: SendWrapper<ReadStream>,
    /// How many bytes are to come.
    left: u64,
}

impl FileBody {
    /// All of a file, as long as it is now.
    ///
    /// # Errors
    ///
    /// Those of [`File::metadata`].
    pub async fn new(file: &File) -> io::Result<Self> {
        let len = file.metadata().await?.len();
        Ok(FileBody::range(file, 0..len))
    }

    /// These bytes of it. They are all promised, be they there or not.
    pub fn range(file: &File, range: Range<u64>) -> Self {
        FileBody {
            left: range.end.saturating_sub(range.start),
            chunks: SendWrapper::new(file.read_stream(range, DEPTH)),
        }
    }
}

/// What keeps a chunk where it is.
struct Chunk(SendWrapper<FixedBuf>);

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let chunk = match ready!(Pin::new(&mut *self.chunks).poll_next(cx)) {
            Some(chunk) => chunk?,
            None => {
                let missing = std::mem::take(&mut self.left);
                let text =
                    format!("the file has become shorter: {missing} bytes of it are missing");
                return Poll::Ready(Some(Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    text,
                ))));
            }
        };
        self.left -= chunk.len() as u64;
        let bytes = Bytes::from_owner(Chunk(SendWrapper::new(chunk)));
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl fmt::Debug for FileBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileBody")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
