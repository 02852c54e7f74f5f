//! Parallel iterators made of others. Each has a source that wraps the source of its base.

mod chain;
mod chunks;
mod flat_map;
mod flow;
mod fold;
mod grain;
mod interleave;
mod pointwise;
mod progress;
mod rev;
mod scan;
mod state;
mod zip;

pub use chain::Chain;
pub use chunks::{Chunks, FoldChunks, StepBy};
pub use flat_map::{FlatMap, Flatten};
pub(crate) use flow::{FirstFailure, WhileOk};
pub use flow::{PanicFuse, SkipAny, SkipAnyWhile, TakeAny, TakeAnyWhile, WhileSome};
pub use fold::{Fold, FoldWith, TryFold};
pub use grain::WithGrain;
pub use interleave::{Interleave, Intersperse};
pub use pointwise::{
    Cloned, Copied, Filter, FilterMap, FlatMapIter, FlattenIter, Inspect, Map, Update,
};
pub use progress::{Progress, ProgressSink};
pub use rev::{Rev, Skip, Take};
pub use scan::Scan;
pub(crate) use state::{ByCall, ByClone, Make};
pub use state::{MapInit, MapWith};
pub use zip::{Enumerate, Zip, ZipEq};

/// A struct of a base and more, with a constructor, and a `Debug` that shows the base alone: the
/// rest are closures mostly.
macro_rules! adapter {
    ($(#[$doc:meta])* $name:ident<$base:ident $(, $g:ident)*> { $($field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone)]
        #[must_use = "parallel iterators are lazy and do nothing unless consumed"]
        pub struct $name<$base $(, $g)*> {
            base: $base,
            $($field: $type,)*
        }

        impl<$base $(, $g)*> $name<$base $(, $g)*> {
            pub(crate) fn new(base: $base $(, $field: $type)*) -> Self {
                $name { base $(, $field)* }
            }
        }

        impl<$base: std::fmt::Debug $(, $g)*> std::fmt::Debug for $name<$base $(, $g)*> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).field("base", &self.base).finish_non_exhaustive()
            }
        }
    };
}
pub(crate) use adapter;
