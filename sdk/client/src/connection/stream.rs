//! The bytes of a connection: TCP, or TLS over it. Knows nothing of what they mean.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::error::Error;

#[cfg(feature = "tls")]
type Encrypted = tokio_rustls::client::TlsStream<TcpStream>;

/// Both ways.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<Encrypted>),
}

/// From the broker.
#[derive(Debug)]
pub(super) enum Reading {
    Plain(OwnedReadHalf),
    #[cfg(feature = "tls")]
    Tls(tokio::io::ReadHalf<Encrypted>),
}

/// To the broker.
#[derive(Debug)]
pub(super) enum Writing {
    Plain(OwnedWriteHalf),
    #[cfg(feature = "tls")]
    Tls(tokio::io::WriteHalf<Encrypted>),
}

impl Stream {
    pub(super) fn split(self) -> (Reading, Writing) {
        match self {
            Self::Plain(stream) => {
                let (read, write) = stream.into_split();
                (Reading::Plain(read), Writing::Plain(write))
            }
            #[cfg(feature = "tls")]
            Self::Tls(stream) => {
                let (read, write) = tokio::io::split(*stream);
                (Reading::Tls(read), Writing::Tls(write))
            }
        }
    }
}

macro_rules! either {
    ($self:expr, $stream:ident => $what:expr) => {
        match $self.get_mut() {
            Self::Plain($stream) => $what,
            #[cfg(feature = "tls")]
            Self::Tls($stream) => $what,
        }
    };
}

macro_rules! reads {
    ($($name:ident)*) => {$(
        impl AsyncRead for $name {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                either!(self, stream => Pin::new(stream).poll_read(cx, buffer))
            }
        }
    )*};
}

macro_rules! writes {
    ($($name:ident)*) => {$(
        impl AsyncWrite for $name {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                either!(self, stream => Pin::new(stream).poll_write(cx, bytes))
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                slices: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                either!(self, stream => Pin::new(stream).poll_write_vectored(cx, slices))
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                either!(self, stream => Pin::new(stream).poll_flush(cx))
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                either!(self, stream => Pin::new(stream).poll_shutdown(cx))
            }
        }
    )*};
}

reads!(Stream Reading);
writes!(Stream Writing);

/// What a failed read or write means: TLS hides its own failures in those of the socket.
pub(super) fn broke(what: &str, error: io::Error) -> Error {
    let why = format!("{what}: {error}");
    #[cfg(feature = "tls")]
    if let Some(tls) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<tokio_rustls::rustls::Error>())
    {
        use tokio_rustls::rustls::Error as Tls;
        let is_disbelief = matches!(tls, Tls::InvalidCertificate(_) | Tls::AlertReceived(_));
        let error_of = if is_disbelief {
            Error::auth
        } else {
            Error::protocol
        };
        return error_of(why).with_source(error);
    }
    Error::network(why).with_source(error)
}
