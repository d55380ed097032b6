//! The byte stream of one WebSocket, with a cut and with refusals put right.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{connections::OpenLine, flow::Flow, refusal};

/// A WebSocket close frame with status 1012, "service restart".
const CLOSE: [u8; 4] = [0x88, 0x02, 0x03, 0xf4];

/// A stream that ends when its line is cut.
pub(super) struct Wire<S> {
    inner: S,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    is_cut: bool,
    /// Whether the last write ended in the middle of what was to be written, perhaps inside a frame.
    in_frame: bool,
    /// The writing task when the client does not read; it has to hear of a cut too.
    writer: Option<Waker>,
    flow: Option<Arc<Flow>>,
    line: OpenLine,
}

impl<S> Wire<S> {
    /// `flow` is the session's when it begins with this stream; otherwise it is looked up once there is one.
    pub fn new(inner: S, line: OpenLine, flow: Option<Arc<Flow>>) -> Self {
        let cut = Box::pin(line.line.token().clone().cancelled_owned());
        Self { inner, cut, is_cut: false, in_frame: false, writer: None, flow, line }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_cut {
            return Poll::Ready(Ok(()));
        }
        if self.cut.as_mut().poll(cx).is_ready() {
            self.is_cut = true;
            if !self.in_frame {
                // A courtesy; whether it goes out makes no difference.
                let _ = Pin::new(&mut self.inner).poll_write(cx, &CLOSE);
            }
            if let Some(writer) = self.writer.take() {
                writer.wake();
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_cut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let restored = refusal::restored(buf);
        let bytes = restored.as_deref().unwrap_or(buf);
        let Poll::Ready(written) = Pin::new(&mut self.inner).poll_write(cx, bytes) else {
            self.writer = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let written = written?;
        self.in_frame = written < buf.len();
        if let Some(flow) = &self.flow {
            flow.went(written);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_cut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        if self.flow.is_none() {
            self.flow = self.line.flow();
        }
        if let Some(flow) = &self.flow {
            flow.all_went();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
        Poll::Ready(Ok(()))
    }
}
