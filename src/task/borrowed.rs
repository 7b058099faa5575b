//! References that are only borrowed.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;

/// A counted reference that is only borrowed: it gives nothing up when it is dropped.
#[derive(Debug)]
pub(super) struct Borrowed<'a, T>(ManuallyDrop<T>, PhantomData<&'a T>);

impl<T> Borrowed<'_, T> {
    /// `value` stands for a count of somebody who keeps it for as long as the result lives.
    #[inline(always)]
    pub(super) fn new(value: T) -> Self {
        Self(ManuallyDrop::new(value), PhantomData)
    }
}

impl<T> Deref for Borrowed<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}
