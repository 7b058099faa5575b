//! Connections: none is lost that a client has made.

use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use futures_util::StreamExt;
use saferring::net::{TcpListener, TcpStream};
use saferring_tests::adversary::{Held, Task};

use crate::scene::{Scene, Setup, Tools, task};

pub(crate) const LISTENERS: &[Setup] = &[
    ("accept", |tools| accepts(tools, [accept, accept, accept])),
    ("incoming", |tools| {
        accepts(tools, [incoming, accept, incoming])
    }),
    ("connect", connects),
];

type Accept = fn(&Rc<Tools>, &Rc<TcpListener>) -> Task;

/// Clients are told apart by their ports; those are logged by their place in this list.
#[derive(Default)]
struct Clients {
    made: RefCell<Vec<std::net::TcpStream>>,
    ended: Cell<bool>,
}

thread_local! {
    static CLIENTS: RefCell<Rc<Clients>> = RefCell::default();
}

impl Clients {
    fn connect(&self, to: SocketAddr) {
        if !self.ended.get() && self.made.borrow().len() < 12 {
            self.add(to);
        }
    }

    fn add(&self, to: SocketAddr) {
        if let Ok(client) = std::net::TcpStream::connect(to) {
            self.made.borrow_mut().push(client);
        }
    }

    /// The place of a connection's client, and whether it is the last one.
    fn place(&self, of: &TcpStream) -> Option<(u8, bool)> {
        let peer = of.peer_addr().ok()?;
        let made = self.made.borrow();
        let place = made
            .iter()
            .position(|client| client.local_addr().ok() == Some(peer))?;
        Some((place as u8, self.ended.get() && place + 1 == made.len()))
    }
}

/// Notes a connection; says whether it is the last one.
fn came(tools: &Tools, connection: &TcpStream) -> bool {
    let Ok(clients) = CLIENTS.try_with(|clients| Rc::clone(&clients.borrow())) else {
        // The thread ends.
        return false;
    };
    match clients.place(connection) {
        Some((place, last)) => {
            tools.log.bytes(&[place]);
            last
        }
        None => {
            tools.stage.fault("a connection of nobody");
            false
        }
    }
}

fn accept(tools: &Rc<Tools>, listener: &Rc<TcpListener>) -> Task {
    let (tools, listener) = (Rc::clone(tools), Rc::clone(listener));
    task(async move {
        match listener.accept().await {
            Ok((connection, _)) => {
                came(&tools, &connection);
            }
            Err(error) => tools.failed("an accept", &error),
        }
    })
}

fn incoming(tools: &Rc<Tools>, listener: &Rc<TcpListener>) -> Task {
    let (tools, mut incoming) = (Rc::clone(tools), listener.incoming());
    task(async move {
        match incoming.next().await {
            Some(Ok(connection)) => {
                came(&tools, &connection);
            }
            Some(Err(error)) => tools.failed("an accept", &error),
            None => tools.stage.fault("no connection comes any more"),
        }
    })
}

fn accepts(tools: &Rc<Tools>, subjects: [Accept; 3]) -> Scene {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    let listener = tools.hold(listener, TcpListener::close);
    let clients = Rc::new(Clients::default());
    CLIENTS.set(Rc::clone(&clients));
    let subjects = subjects.into_iter();
    let subjects = subjects.filter_map(|subject| listener.with(|one| subject(tools, one)));
    let subjects = subjects.collect();
    let accepting = (Rc::clone(tools), listener);
    let (causing, ending) = (Rc::clone(&clients), Rc::clone(&clients));
    Scene {
        subjects,
        innocents: vec![Box::new(move || {
            let (tools, listener) = accepting.clone();
            task(async move { until_last(&tools, &listener).await })
        })],
        cause: Box::new(move |_| (0..4).for_each(|_| causing.connect(addr))),
        end: Box::new(move || {
            // Subjects whose handles were dropped may live on as tasks, and take one.
            (0..2).for_each(|_| ending.add(addr));
            ending.ended.set(true);
            ending.add(addr);
        }),
        check: Box::new(move |tools| {
            let made = clients.made.take().len();
            CLIENTS.take();
            tools.all_came(made as u8)
        }),
        competes: true,
        submits: true,
        ..Scene::default()
    }
}

async fn until_last(tools: &Rc<Tools>, listener: &Held<Rc<TcpListener>>) {
    // It must not borrow the listener while it waits, so that this can be closed.
    let Some(mut incoming) = listener.with(|listener| listener.incoming()) else {
        return;
    };
    while let Some(connection) = incoming.next().await {
        match connection {
            Ok(connection) => {
                if came(tools, &connection) {
                    break;
                }
            }
            Err(error) => {
                tools.failed("an accept", &error);
                break;
            }
        }
    }
}

fn connects(tools: &Rc<Tools>) -> Scene {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    let connect = move |tools: &Rc<Tools>| {
        let tools = Rc::clone(tools);
        task(async move {
            if let Err(error) = TcpStream::connect(addr).await {
                tools.failed("a connect", &error);
            }
        })
    };
    let innocent = Rc::clone(tools);
    Scene {
        subjects: (0..3).map(|_| connect(tools)).collect(),
        innocents: vec![Box::new(move || connect(&innocent))],
        check: Box::new(move |_| {
            drop(listener);
            Ok(())
        }),
        submits: true,
        ..Scene::default()
    }
}
