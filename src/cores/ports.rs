//! Listeners that each core binds by itself get the same port.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::shared::{Shared, lock};
use crate::net::{Ports, Take};

/// What a core does about ports: its listeners of an address share the port with those of each other core. Where the system is
/// to choose the port, its n-th listener shares it with the n-th of each.
pub(super) struct SamePorts {
    shared: Arc<Shared>,
    /// How many of each address without a port this core has bound.
    bound: RefCell<HashMap<SocketAddr, usize>>,
}

impl SamePorts {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        SamePorts {
            shared: Arc::clone(shared),
            bound: RefCell::default(),
        }
    }
}

impl Ports for SamePorts {
    fn bind(
        &self,
        asked: SocketAddr,
        bind: &mut dyn FnMut(SocketAddr, Take) -> io::Result<SocketAddr>,
    ) -> io::Result<()> {
        let mut bound = self.bound.borrow_mut();
        let mut fixed = 0;
        let count = match asked.port() {
            0 => bound.entry(asked).or_insert(0),
            _ => &mut fixed,
        };
        // Held while the first of all binds: the others wait for its port.
        let mut ports = lock(&self.shared.ports);
        let taken = match ports.get(&(asked, *count)) {
            Some(&addr) => bind(addr, Take::Joined)?,
            None => bind(asked, Take::First)?,
        };
        ports.insert((asked, *count), taken);
        *count += 1;
        Ok(())
    }
}
