//! What each newtype over a type of tokio's has: all of its methods but those that it shadows, and the way in and out.

/// Everything that is not shadowed is tokio's.
macro_rules! derefs {
    ([$($generics:tt)*] $own:ty: $inner:ty) => {
        impl<$($generics)*> std::ops::Deref for $own {
            type Target = $inner;

            #[inline]
            fn deref(&self) -> &$inner {
                &self.0
            }
        }

        impl<$($generics)*> std::ops::DerefMut for $own {
            #[inline]
            fn deref_mut(&mut self) -> &mut $inner {
                &mut self.0
            }
        }
    };
}

/// To tokio's type and back, by value.
macro_rules! converts {
    ([$($generics:tt)*] $own:ident [$($arguments:tt)*]: $inner:ty) => {
        impl<$($generics)*> From<$inner> for $own<$($arguments)*> {
            #[inline]
            fn from(inner: $inner) -> Self {
                $own(inner)
            }
        }

        impl<$($generics)*> From<$own<$($arguments)*>> for $inner {
            #[inline]
            fn from(own: $own<$($arguments)*>) -> Self {
                own.0
            }
        }
    };
}

pub(super) use converts;
pub(super) use derefs;
