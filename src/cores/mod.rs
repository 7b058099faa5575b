//! One runtime a core: on which CPUs a program's threads run.
#![forbid(unsafe_code)]

#[allow(dead_code, unused_imports)] // Nothing places threads yet.
mod placement;

pub use placement::{Placement, PlacementError};
