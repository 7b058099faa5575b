//! What buffers say of themselves.

use saferring::buf::{AlignedBuf, BufferPool, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};
use saferring::runtime::fixed_buffers;
use saferring_tests::bounded;

use super::runtime;

/// To its length if it has one, else to its capacity; an end that was given goes before both.
#[test]
fn what_a_read_is_to_fill() {
    bounded(|| {
        let used = || {
            let mut used = Vec::with_capacity(50);
            used.extend_from_slice(&[7; 20]);
            used
        };
        assert_eq!(used().fill_len(), 20);
        assert_eq!(Vec::with_capacity(50).fill_len(), 50);
        assert_eq!(Vec::new().fill_len(), 0);
        assert_eq!([0; 9].fill_len(), 9);
        assert_eq!([0; 0].fill_len(), 0);
        assert_eq!(vec![0; 8].into_boxed_slice().fill_len(), 8);
        assert_eq!(used().slice(5..).fill_len(), 15);
        assert_eq!(used().slice(5..10).fill_len(), 5);
        assert_eq!(used().slice(5..30).fill_len(), 25);
        assert_eq!(used().slice(5..100).fill_len(), 45);
        assert_eq!(used().slice(20..).fill_len(), 30);
        assert_eq!(Vec::with_capacity(50).slice(..).fill_len(), 50);

        let mut aligned = AlignedBuf::new(4096, 512);
        assert_eq!(aligned.fill_len(), 4096);
        assert_eq!(aligned.extend_from_slice(&[1; 100]), 100);
        assert_eq!(aligned.fill_len(), 100);
        aligned.clear();
        assert_eq!(aligned.fill_len(), 4096);
        let mut pooled = BufferPool::new(1024, 1).try_take().unwrap();
        assert_eq!(pooled.fill_len(), 1024);
        pooled.resize(10, 0);
        assert_eq!(pooled.fill_len(), 10);
    });
}

/// A buffer of a pool is what a vector of so many bytes would be.
#[test]
fn buffers_of_pools_change_as_vectors_do() {
    // The same steps for both kinds, which differ in type.
    macro_rules! changes_as_a_vector {
        ($buf:expr) => {{
            let (mut buf, mut vec) = ($buf, Vec::new());
            assert_eq!((buf.capacity(), buf.len()), (10, 0));
            for len in [3, 10, 4, 8, 0, 2] {
                buf.resize(len, len as u8);
                vec.resize(len, len as u8);
                assert_eq!(buf[..], vec[..]);
            }
            buf[1] = 9;
            vec[1] = 9;
            assert_eq!(buf[..], vec[..]);
            assert_eq!(buf.extend_from_slice(b"more than fits"), 8);
            vec.extend_from_slice(b"more tha");
            assert_eq!(buf[..], vec[..]);
            buf.clear();
            assert!(buf.is_empty() && buf.capacity() == 10);
            buf
        }};
    }
    bounded(|| {
        let pool = BufferPool::with_alignment(10, 1, 64);
        let mut pooled = changes_as_a_vector!(pool.try_take().unwrap());
        assert_eq!(pooled.alignment(), 64);
        assert_eq!(pooled.extend_from_slice(b"abc"), 3);
        AsMut::<[u8]>::as_mut(&mut pooled).reverse();
        assert_eq!(AsRef::<[u8]>::as_ref(&pooled), b"cba");
        runtime().block_on(async {
            let pool = saferring_tests::small_pool(1, 10);
            assert_eq!((pool.buffer_size(), pool.capacity()), (10, 1));
            let mut fixed = changes_as_a_vector!(pool.take().await);
            fixed.resize(5, 7);
            fixed.truncate(7);
            assert_eq!(fixed.len(), 5);
            fixed.truncate(2);
            assert_eq!(fixed[..], [7, 7]);
        });
    });
}

/// Buffers of a registered pool say so, and slices of them; others do not.
#[test]
fn registered_buffers_are_known_by_their_registration() {
    bounded(|| {
        let (a, b) = (runtime(), runtime());
        let registration = |runtime: &saferring::runtime::Runtime| {
            runtime.block_on(async {
                let pool = fixed_buffers().unwrap();
                let (one, two) = (pool.take().await, pool.take().await);
                let registration = one.registration();
                assert_eq!(two.registration(), registration);
                assert_eq!(one.slice(..10).registration(), registration);
                registration
            })
        };
        let registrations = [registration(&a), registration(&b)];
        if let [Some(a), Some(b)] = registrations {
            assert_ne!(a, b);
        }
        assert_eq!(vec![0; 8].registration(), None);
        assert_eq!(AlignedBuf::new(4096, 512).registration(), None);
    });
}

/// Each of several buffers as by itself.
#[test]
fn what_a_read_into_several_buffers_is_to_fill() {
    fn fill_lens(bufs: &impl IoVectoredBufMut) -> Vec<usize> {
        let mut lens = Vec::new();
        bufs.for_each_fill_len(|len| lens.push(len));
        lens
    }
    bounded(|| {
        let mut used = Vec::with_capacity(50);
        used.extend_from_slice(b"old");
        let bufs = (used, Vec::with_capacity(5).slice(..5), [0; 2]);
        assert_eq!(fill_lens(&bufs), [3, 5, 2]);
        assert_eq!(fill_lens(&[[0; 4]; 2]), [4, 4]);
        assert_eq!(fill_lens(&vec![vec![0; 3], Vec::new()]), [3, 0]);

        let mut bufs = (b"old".to_vec(), *b"...");
        let mut capacities = Vec::new();
        bufs.for_each_buf_mut(|_, capacity| capacities.push(capacity));
        let mut given = Vec::new();
        // SAFETY: both buffers are initialised as far as that.
        unsafe {
            bufs.set_each_filled(|capacity| {
                given.push(capacity);
                given.len()
            });
        }
        assert_eq!(given, capacities);
        assert_eq!((&bufs.0[..], &bufs.1), (&b"o"[..], b"..."));
        assert_eq!(bufs.total_len(), 4);
    });
}
