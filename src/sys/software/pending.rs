//! The operations that wait for readiness, or that a thread has.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use slab::Slab;

use super::operation::{Operation, Waits};

/// No operation.
pub(super) const NONE: u32 = u32::MAX;

/// One of them, and its neighbours in the list that it waits in.
struct Node {
    operation: Operation,
    next: u32,
    previous: u32,
}

/// First in, first out: the operations that wait for the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    pub(super) first: u32,
    last: u32,
}

impl List {
    pub(super) const EMPTY: List = List {
        first: NONE,
        last: NONE,
    };

    pub(super) fn is_empty(self) -> bool {
        self.first == NONE
    }
}

/// User data are keys and generations already, so that any mixing will do.
#[derive(Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = (self.0 ^ key)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(23);
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Pending {
    nodes: Slab<Node>,
    by_user_data: HashMap<u64, u32, BuildHasherDefault<KeyHasher>>,
    /// How many of them threads have.
    pub(super) in_threads: usize,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether any of them waits for readiness.
    pub(super) fn any_waits(&self) -> bool {
        self.nodes.len() > self.in_threads
    }

    pub(super) fn add(&mut self, operation: Operation) -> u32 {
        let index = self.nodes.insert(Node {
            operation,
            next: NONE,
            previous: NONE,
        }) as u32;
        self.by_user_data.insert(operation.sqe().user_data, index);
        self.in_threads += usize::from(operation.waits == Waits::Thread);
        index
    }

    /// Takes one out, which is in no list any more.
    pub(super) fn remove(&mut self, index: u32) -> Operation {
        let Node { operation, .. } = self.nodes.remove(index as usize);
        self.in_threads -= usize::from(operation.waits == Waits::Thread);
        let user_data = operation.sqe().user_data;
        if self.by_user_data.get(&user_data) == Some(&index) {
            self.by_user_data.remove(&user_data);
        }
        operation
    }

    pub(super) fn get(&mut self, index: u32) -> &mut Operation {
        &mut self.node(index).operation
    }

    fn node(&mut self, index: u32) -> &mut Node {
        &mut self.nodes[index as usize]
    }

    /// A thread takes it.
    pub(super) fn leave_to_thread(&mut self, index: u32) {
        self.get(index).waits = Waits::Thread;
        self.in_threads += 1;
    }

    pub(super) fn find(&self, user_data: u64) -> Option<u32> {
        self.by_user_data.get(&user_data).copied()
    }

    /// Those for which `wanted` holds.
    pub(super) fn matching(&self, wanted: impl Fn(&Operation) -> bool) -> Vec<u32> {
        let all = self.nodes.iter();
        all.filter(|(_, node)| wanted(&node.operation))
            .map(|(index, _)| index as u32)
            .collect()
    }

    pub(super) fn append(&mut self, list: &mut List, index: u32) {
        let node = self.node(index);
        node.previous = list.last;
        node.next = NONE;
        match list.last {
            NONE => list.first = index,
            last => self.node(last).next = index,
        }
        list.last = index;
    }

    pub(super) fn unlink(&mut self, list: &mut List, index: u32) {
        let Node { previous, next, .. } = *self.node(index);
        match previous {
            NONE => list.first = next,
            previous => self.node(previous).next = next,
        }
        match next {
            NONE => list.last = previous,
            next => self.node(next).previous = previous,
        }
    }

    /// The one behind another in its list.
    pub(super) fn after(&mut self, index: u32) -> u32 {
        self.node(index).next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::sqe::Sqe;

    fn operation(user_data: u64) -> Operation {
        let sqe = Sqe {
            user_data,
            ..Sqe::default()
        };
        // SAFETY: a nop points to nothing.
        unsafe { Operation::new(sqe, -1) }
    }

    #[test]
    fn a_list_keeps_its_order_whatever_leaves_it() {
        for leaves in 0..3 {
            let mut pending = Pending::default();
            let mut list = List::EMPTY;
            for user_data in 0..3 {
                let index = pending.add(operation(user_data));
                pending.append(&mut list, index);
            }
            pending.unlink(&mut list, leaves);
            assert_eq!(pending.remove(leaves).sqe().user_data, u64::from(leaves));
            assert_eq!(pending.find(u64::from(leaves)), None);
            let mut left = Vec::new();
            let mut at = list.first;
            while at != NONE {
                left.push(at);
                at = pending.after(at);
            }
            let expected: Vec<u32> = (0..3).filter(|&index| index != leaves).collect();
            assert_eq!(left, expected);
        }
    }
}
