//! What a core keeps of a listener that it serves.

use std::cell::RefCell;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;

use super::core::{Core, Local};
use crate::net;
use crate::runtime::Job;
use crate::sync::local::mpsc;

/// Where others put connections for this core, until there will be none any more.
pub(super) struct Serving {
    pub(super) given: RefCell<Option<mpsc::UnboundedSender<TcpStream>>>,
}

impl Local for Serving {}

impl Serving {
    /// Keeps a connection; gives it back if that is too late.
    pub(super) fn take(&self, stream: TcpStream) -> Result<(), TcpStream> {
        match &*self.given.borrow() {
            Some(given) => given.send(stream).map_err(|error| error.0),
            None => Err(stream),
        }
    }
}

/// A core's own socket of a listener. It is kept until the core ends: what the kernel has accepted for who serves no more is
/// for who serves next.
pub(super) struct Own(pub(super) net::TcpListener);

impl Own {
    /// That of `socket`, kept under `number`.
    pub(super) fn of(core: &Core, number: usize, socket: &TcpListener) -> io::Result<Rc<Self>> {
        if let Some(kept) = core.existing(number) {
            return Ok(kept);
        }
        let socket = socket.try_clone()?;
        Ok(core.local(number, || Own(net::TcpListener::from_std(socket))))
    }
}

impl Local for Own {}

/// Says that nothing more is given for this listener.
pub(super) struct Last(pub(super) usize);

impl Job for Last {
    fn run(self: Arc<Self>) {
        let serving = Core::try_current().and_then(|core| core.existing::<Serving>(self.0));
        if let Some(serving) = serving {
            let given = serving.given.take();
            drop(given);
        }
    }

    fn refuse(self: Arc<Self>) {}

    fn come_home(self: Arc<Self>) {}

    fn lose_home(self: Arc<Self>) {}
}
