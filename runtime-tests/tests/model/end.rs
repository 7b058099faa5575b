//! What must become ready, what peers do, and the end of a program.

use std::io;
use std::time::{Duration, Instant};

use super::handle::Does;
use super::object::{self, Datagram, Object, Ours};
use super::step::{Act, Grace, How, Limit, OUTSIDE, PeerAct, without};
use super::world::World;

impl World {
    /// Whether a handle must become ready, if all runtimes are turned.
    pub(crate) fn must(&self, index: usize) -> bool {
        let handle = &self.handles[index];
        let object = &self.objects[handle.object];
        if handle.doomed || object.kernel_stuck || self.is_stranded(index) {
            return false;
        }
        let alone = |same: fn(Does) -> bool| {
            let others = self.handles.iter().enumerate();
            !others
                .filter(|(other, _)| *other != index)
                .any(|(_, other)| other.object == handle.object && same(other.does))
        };
        let dead = handle.homes.iter().any(|&home| !self.is_alive(home));
        let in_time = handle.limit.is_soon() && !(dead && without("dead-timers"));
        let ends = handle.cancelled || in_time || object.closed;
        match handle.does {
            Does::Read { .. } | Does::Peek | Does::Chunks => {
                let least = match handle.does {
                    Does::Read { least } => least as u64,
                    _ => 1,
                };
                let readers: fn(Does) -> bool =
                    |does| matches!(does, Does::Read { .. } | Does::Peek | Does::Chunks);
                let (others, enough) = self.other_readers(index);
                let left = object.input.sent - object.input.taken;
                let there = object.input.ended
                    || object.input.reset
                    || object.waiting() > 0 && alone(readers)
                    || left >= least + others;
                let room = handle.does != Does::Chunks || self.has_chunks(index);
                let free = enough && !object.readers_stuck && !object.input.lossy;
                (free && there || ends && alone(readers) && !object.readers_stuck) && room
            }
            Does::Write { .. } => {
                let free =
                    alone(|does| matches!(does, Does::Write { .. })) && !object.writers_stuck;
                let room = object.output.unread() < 60_000 || object.input.reset;
                free && (room || ends)
            }
            Does::Accept => {
                let free = alone(|does| does == Does::Accept) && !object.readers_stuck;
                let late = object.lost_acceptor && without("late-connections");
                free && !late && (object.waiting() > 0 && !object.input.lossy || object.closed)
            }
            Does::Datagram | Does::FileRead { .. } | Does::FileWrite { .. } | Does::Open => true,
            Does::Buffer => false,
        }
    }

    /// How many bytes other reads of the same descriptor may take; and whether that can be said at all.
    fn other_readers(&self, index: usize) -> (u64, bool) {
        let object = self.handles[index].object;
        let others = self.handles.iter().enumerate();
        let others = others.filter(|(other, handle)| *other != index && handle.object == object);
        let mut sum = 0;
        for (_, other) in others {
            match other.does {
                // Of those that have completed, too, which nobody takes.
                Does::Read { .. } if !other.doomed && !without("untaken-reads") => {
                    sum += other.capacity
                }
                Does::Read { .. } | Does::Peek | Does::Chunks => return (0, false),
                _ => {}
            }
        }
        (sum, true)
    }

    /// Whether there is a provided buffer for a stream, for sure.
    fn has_chunks(&self, index: usize) -> bool {
        let others = self.handles.iter().enumerate();
        let mut others = others.filter(|(other, _)| *other != index);
        self.chunks.is_empty()
            && !self.pool_leaks
            && !others.any(|(_, other)| other.does == Does::Chunks)
    }

    /// Whether no other runtime has anything to do with a handle.
    pub(crate) fn is_alone(&self, index: usize, at: u8) -> bool {
        let handle = &self.handles[index];
        let object = &self.objects[handle.object];
        let home = self.home(at % OUTSIDE);
        handle
            .homes
            .iter()
            .chain(&object.homes)
            .all(|&other| other == home)
    }

    /// The other end of a descriptor does something.
    pub(crate) fn peer(&mut self, number: usize, act: PeerAct, size: u16) {
        let object = &mut self.objects[number];
        let size = match size {
            u16::MAX => 3000,
            size => size as usize,
        };
        match (&object.ours, act) {
            (Ours::UnixListener(_) | Ours::TcpListener(_), PeerAct::Write) => {
                if let Some(addr) = &object.addr
                    && object.connections.len() < 16
                {
                    let peer = object::connect(addr, object.connections.len() as u32);
                    object.connections.push(Some(peer));
                }
            }
            (Ours::Udp(_), PeerAct::Write) => send_datagram(object, size),
            (Ours::Gone, PeerAct::Write) if object.peers.is_empty() || object.is_udp => {}
            (_, PeerAct::Write) => {
                let Some(peer) = object.peers.first().filter(|_| !object.input.ended) else {
                    return;
                };
                let bytes = object.input.next(size);
                let sent = io::Write::write(&mut &*peer, &bytes).unwrap_or(0);
                object.input.sent += sent as u64;
            }
            _ if object.is_udp => {}
            (_, PeerAct::Read) => object.drain_peer(),
            (_, _) if object.peers.is_empty() || without("peer-ends") => {}
            (_, PeerAct::EndWriting) => {
                let _ = object.peers[0].shutdown(std::net::Shutdown::Write);
                object.input.ended = true;
            }
            (_, PeerAct::Close) => {
                object.drain_peer();
                object.peers.clear();
                object.input.ended = true;
                object.output.cut = true;
            }
            (Ours::Tcp(_), PeerAct::Reset) if !without("resets") => {
                object.drain_peer();
                let already = object.input.ended;
                object.peers[0].set_linger(Some(Duration::ZERO)).unwrap();
                object.peers.clear();
                object.input.ended = true;
                object.input.reset = !already;
                // One that was forgotten may have heard of it.
                object.wrote_after_reset = object.output.order.alive() > 0 || object.writers_stuck;
                object.output.cut = true;
            }
            (_, PeerAct::Reset) => {}
        }
    }

    /// The end: all that waits is taken, all is closed, and the books are right.
    pub(crate) fn end(&mut self) {
        self.number += 1;
        for chunk in std::mem::take(&mut self.chunks) {
            self.at(0, |_| drop(chunk));
        }
        let handles = self.handles.len();
        for number in 0..handles {
            let Some(index) = self.handles.len().checked_sub(1) else {
                break;
            };
            let at = self.handles[index].homes.first().map_or(0, |home| home.0);
            if self.must(index) && number % 2 == 0 {
                self.wait(index, at, number % 4 == 0);
            }
            if index < self.handles.len() {
                let handle = self.handles.remove(index);
                self.give_up(handle, at);
            }
            self.chunks.clear();
        }
        while let Some(handle) = self.handles.pop() {
            self.give_up(handle, 0);
        }
        self.turn_all();
        for object in 0..self.objects.len() {
            self.drain(object);
        }
        for number in 0..self.objects.len() {
            self.check(number);
        }
        for object in 0..self.objects.len() {
            self.drop_object(object, 0);
        }
        for slot in 0..OUTSIDE {
            self.shut_down(slot, Grace::Long, 0);
        }
        for object in &self.objects {
            if object.may_stay {
                self.may_stay.extend(object.link.clone());
                // What was accepted for nobody stays with the listener.
                self.connections_may_stay += object.connections.iter().flatten().count();
            }
        }
    }

    /// Takes all that has arrived for a descriptor.
    fn drain(&mut self, number: usize) {
        let usable = |object: &Object| {
            !object.readers_stuck && !object.kernel_stuck && !object.input.lossy && !object.closed
        };
        let at = match self.objects[number].is_direct() {
            true => self.objects[number].homes.first().map_or(0, |home| home.0),
            false => self.place_of_object(number, 0),
        };
        for _ in 0..600 {
            let object = &self.objects[number];
            if !usable(object) || matches!(object.ours, Ours::Gone) {
                return;
            }
            // Its own runtime is gone, and its descriptor with that.
            if object.is_direct() && (object.homes.len() != 1 || !self.is_alive(object.homes[0])) {
                return;
            }
            let rest = object.input.sent > object.input.taken;
            let end =
                object.is_stream() && object.input.ended && object.input.taken == object.input.sent;
            if !rest && !end && object.waiting() == 0 {
                return;
            }
            let ended_before = end;
            let act = if matches!(object.ours, Ours::Udp(_)) {
                Act::ReadVectored
            } else {
                Act::Read
            };
            let before = self.handles.len();
            self.begin(number, act, 4000, at, How::Lazy, Limit::None);
            if self.handles.len() == before {
                return;
            }
            self.wait(before, at, false);
            if before < self.handles.len() {
                let handle = self.handles.remove(before);
                self.give_up(handle, at);
            }
            self.turn_all();
            if ended_before {
                return self.check_resets(number);
            }
        }
        panic!("object {number} is not drained");
    }

    /// An error of the connection is told once.
    fn check_resets(&self, number: usize) {
        let object = &self.objects[number];
        let input = &object.input;
        if without("late-resets") {
            return;
        }
        if input.reset && !object.wrote_after_reset && !input.lossy {
            assert_eq!(
                input.resets_seen, 1,
                "how often the reset of object {number} was told"
            );
        }
    }

    fn check(&mut self, number: usize) {
        let object = &mut self.objects[number];
        // What TCP has to send again comes later.
        let started = Instant::now();
        loop {
            object.drain_peer();
            if object.output.check().is_ok() || started.elapsed() > Duration::from_secs(1) {
                break;
            }
            std::thread::yield_now();
        }
        let whole = !matches!(object.ours, Ours::Gone) && !object.closed && !object.readers_stuck;
        let whole = whole && !object.kernel_stuck && !object.is_direct();
        object
            .input
            .check(whole)
            .unwrap_or_else(|error| panic!("object {number}: {error}"));
        object
            .output
            .check()
            .unwrap_or_else(|error| panic!("object {number}: {error}"));
        let usable = whole && !object.input.lossy;
        assert!(
            !usable || object.waiting() == 0,
            "object {number}: {} are lost",
            object.waiting()
        );
    }
}

/// One of two peers sends a datagram: its number, and a pattern.
fn send_datagram(object: &mut Object, size: usize) {
    let number = object.datagrams.len();
    if number > 64 {
        return;
    }
    let peer = &object.peers[number % 2];
    let mut bytes = saferring_tests::pattern_bytes((number as u64) << 24, size.clamp(1, 2000));
    bytes[0] = number as u8;
    let addr = object.addr.as_ref().expect("it is bound");
    peer.send_to(&bytes, addr).unwrap();
    let from = peer.local_addr().unwrap().as_socket().unwrap();
    object.datagrams.push(Datagram {
        bytes,
        from,
        received: false,
    });
}
