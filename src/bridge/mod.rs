//! Ways in and out: what other crates have, on the threads of this one.

#[cfg(feature = "rayon")]
pub mod rayon;
