//! Methods of every type of socket. They are a macro, so that each type's page in the documentation has them.

/// What every type whose socket is `self.socket` has: an address, a descriptor, and std's type of the same name.
macro_rules! socket_methods {
    ($kind:ident = $std:ty, $addr:ident -> $addr_type:ty) => {
        impl $kind {
            /// The address of this end: what it is bound to.
            ///
            /// # Errors
            ///
            /// Those of getsockname(2).
            pub fn local_addr(&self) -> io::Result<$addr_type> {
                $addr(&self.socket.options().local_addr()?)
            }

            /// Takes over a socket of std. It is put into blocking mode, which others that share it see, too.
            pub fn from_std(socket: $std) -> Self {
                OwnedFd::from(socket).into()
            }

            /// Gives the socket to std, in blocking mode.
            ///
            /// # Errors
            ///
            /// `ResourceBusy` while operations are in flight on it.
            pub fn into_std(self) -> io::Result<$std> {
                OwnedFd::try_from(self).map(Into::into)
            }

            /// Cancels what is in flight on the socket, waits until that has ended, and closes it. A stream of
            /// connections then yields an error, and ends.
            ///
            /// Dropping the socket closes it, too, when its last operation has ended.
            ///
            /// # Errors
            ///
            /// Those of close(2).
            pub async fn close(self) -> io::Result<()> {
                self.socket.close().await
            }
        }

        impl From<$std> for $kind {
            fn from(socket: $std) -> Self {
                Self::from_std(socket)
            }
        }

        impl AsFd for $kind {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.socket.fd().as_fd()
            }
        }

        impl AsRawFd for $kind {
            fn as_raw_fd(&self) -> RawFd {
                self.socket.fd().as_raw_fd()
            }
        }

        impl From<OwnedFd> for $kind {
            /// Takes a descriptor over, and puts it into blocking mode: waiting is the kernel's part. That it is of
            /// this kind is up to the caller, as in std.
            fn from(fd: OwnedFd) -> Self {
                $kind {
                    socket: Socket::adopt(fd),
                }
            }
        }

        impl TryFrom<$kind> for OwnedFd {
            type Error = io::Error;

            /// Gives the descriptor up.
            ///
            /// # Errors
            ///
            /// `ResourceBusy` while operations are in flight on it; they and it end as if dropped.
            fn try_from(from: $kind) -> io::Result<OwnedFd> {
                from.socket.into_owned()
            }
        }
    };
}

pub(super) use socket_methods;
