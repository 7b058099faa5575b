//! Descriptors are made.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use saferring::fs::File;
use saferring::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use saferring::op::Registry;
use socket2::Socket;

use super::object::{self, FILE_PLACES, Object, Ours, Place, raw};
use super::step::Kind;
use super::world::World;

impl World {
    /// Makes a descriptor; in a runtime.
    pub(crate) fn make(&mut self, kind: Kind, slot: u8) {
        if self.objects.len() >= 8 {
            return;
        }
        let number = self.objects.len();
        let object = match kind {
            Kind::Unix | Kind::Tcp => {
                let (ours, peer) = object::connected(kind == Kind::Tcp);
                self.stream(ours, kind == Kind::Tcp, peer)
            }
            Kind::Udp => {
                let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
                let addr = ours.local_addr().unwrap();
                let raw = raw(&ours);
                let mut object = Object::new(Ours::Udp(Rc::new(ours)), raw, number);
                for _ in 0..2 {
                    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
                    peer.set_nonblocking(true).unwrap();
                    object.peers.push(peer.into());
                }
                object.addr = Some(addr.into());
                object
            }
            Kind::UnixListener | Kind::TcpListener => {
                let (fd, addr) = object::listener(kind == Kind::TcpListener);
                let raw = raw(&fd);
                let ours = match kind {
                    Kind::TcpListener => {
                        Ours::TcpListener(Rc::new(TcpListener::from_std(fd.into())))
                    }
                    _ => Ours::UnixListener(Rc::new(UnixListener::from_std(fd.into()))),
                };
                let mut object = Object::new(ours, raw, number);
                object.addr = Some(addr);
                object
            }
            Kind::File => {
                let file = object::file();
                let raw = raw(&file);
                let ours = Ours::File(Rc::new(File::from_std(file)));
                let mut object = Object::new(ours, raw, number);
                object.places = vec![Place::default(); FILE_PLACES];
                object
            }
            Kind::Direct => {
                let Some(registry) = self.registry(slot) else {
                    return;
                };
                let (fd, peer) = object::connected(false);
                let ours = registry.register(fd.as_fd()).unwrap();
                let mut object = Object::new(Ours::Direct(Rc::new(ours)), -1, number);
                object.peers.push(peer);
                object
            }
            Kind::DirectFile => {
                let mut object = Object::new(Ours::Opening, -1, number);
                object.contents = Some(std::fs::read(object::PATH).unwrap());
                object
            }
        };
        self.objects.push(object);
        if kind == Kind::Direct {
            self.touch(number, slot);
        }
    }

    /// A stream of these two ends.
    pub(crate) fn stream(&mut self, ours: OwnedFd, tcp: bool, peer: Socket) -> Object {
        let raw = raw(&ours);
        let ours = if tcp {
            Ours::Tcp(Rc::new(TcpStream::from(ours)))
        } else {
            Ours::Unix(Rc::new(UnixStream::from(ours)))
        };
        let mut object = Object::new(ours, raw, self.objects.len());
        object.peers.push(peer);
        object
    }

    /// The registry of a runtime, kept from its first use on; in that runtime.
    pub(crate) fn registry(&mut self, slot: u8) -> Option<Registry> {
        let place = &mut self.slots[slot as usize].registry;
        if place.is_none() {
            *place = Registry::current().ok();
        }
        place.clone()
    }
}
