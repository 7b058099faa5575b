//! A first-in, first-out queue whose members can leave from the middle.

use slab::Slab;

const NONE: u32 = u32::MAX;
/// An empty queue that had more members than this gives its memory back.
const KEPT_MAX: usize = 32;

/// First in, first out; each member has an index, by which it can leave before its time. All in constant time.
#[derive(Debug)]
pub(super) struct Queue<T> {
    members: Slab<Member<T>>,
    first: u32,
    last: u32,
}

#[derive(Debug)]
struct Member<T> {
    value: T,
    before: u32,
    after: u32,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Queue {
            members: Slab::new(),
            first: NONE,
            last: NONE,
        }
    }
}

impl<T> Queue<T> {
    /// Goes to the end; returns its index.
    pub(super) fn push(&mut self, value: T) -> u32 {
        let before = self.last;
        let index = self.members.insert(Member {
            value,
            before,
            after: NONE,
        }) as u32;
        match self.members.get_mut(before as usize) {
            Some(last) => last.after = index,
            None => self.first = index,
        }
        self.last = index;
        index
    }

    /// Goes to the front: one that was taken out in its turn and has to wait again. Returns its index.
    pub(super) fn push_front(&mut self, value: T) -> u32 {
        let after = self.first;
        let index = self.members.insert(Member {
            value,
            before: NONE,
            after,
        }) as u32;
        match self.members.get_mut(after as usize) {
            Some(first) => first.before = index,
            None => self.last = index,
        }
        self.first = index;
        index
    }

    /// The member at `index`.
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        let member = self.members.get_mut(index as usize)?;
        Some(&mut member.value)
    }

    /// Takes out the first.
    pub(super) fn pop(&mut self) -> Option<T> {
        self.remove(self.first)
    }

    /// Takes out the one at `index`.
    pub(super) fn remove(&mut self, index: u32) -> Option<T> {
        let member = self.members.try_remove(index as usize)?;
        match self.members.get_mut(member.before as usize) {
            Some(before) => before.after = member.after,
            None => self.first = member.after,
        }
        match self.members.get_mut(member.after as usize) {
            Some(after) => after.before = member.before,
            None => self.last = member.before,
        }
        if self.members.is_empty() && self.members.capacity() > KEPT_MAX {
            self.members = Slab::new();
        }
        Some(member.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut queue: Queue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn members_come_out_in_order_and_can_leave_from_anywhere() {
        for left in 0..=4 {
            let mut queue = Queue::default();
            let indices: Vec<_> = (0..5).map(|n| queue.push(n)).collect();
            assert_eq!(queue.remove(indices[left]), Some(left as u32));
            assert_eq!(queue.remove(indices[left]), None);
            queue.push(5);
            queue.push_front(left as u32);
            let rest = (0..6).filter(|&n| n != left as u32);
            let expected: Vec<_> = std::iter::once(left as u32).chain(rest).collect();
            assert_eq!(all(queue), expected);
        }
    }

    #[test]
    fn an_empty_queue_holds_no_memory_of_many_members() {
        let mut queue = Queue::default();
        assert_eq!(queue.pop(), None);
        let indices: Vec<_> = (0..1000).map(|n| queue.push(n)).collect();
        for index in indices.into_iter().rev() {
            assert!(queue.remove(index).is_some());
        }
        assert_eq!(queue.members.capacity(), 0);
    }
}
